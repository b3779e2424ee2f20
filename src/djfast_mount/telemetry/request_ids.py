"""The id of a request: in its response, in the log, and in the requests that it makes itself.

An id that a client sends is taken if it is one by a strict pattern: it comes into logs and headers as it is. Any other
is as if there were none, and a new one is made. It is a name and no secret: every client may choose it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from random import shuffle
from typing import Any

from opentelemetry import propagate

from djfast_mount.conf import option
from djfast_mount.telemetry.record import current, current_record
from djfast_mount.telemetry.watchers import Headers, Watcher, tell

__all__ = ["RequestIDFilter", "RequestIDs", "outgoing_headers"]

_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}")
# The last letters of ids that are made here. The first ones come from the system, once for so many ids: to ask it for
# each takes longer than all else that is done for a request.
_LAST = [f"{number:02x}".encode() for number in range(256)]
shuffle(_LAST)  # An id is not to tell how many requests there were.


class _NewIDs:
    """Makes ids of 24 letters. For any thread."""

    def __init__(self) -> None:
        self.begin()
        # A worker that is forked would make the same.
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Begins with new letters."""
        self._coming = map(os.urandom(11).hex().encode().__add__, _LAST)

    def __call__(self) -> bytes:
        # A default takes less than `try`, and ids are never empty.
        made = next(self._coming, None)
        if made is None:
            self.begin()
            made = next(self._coming)
        return made


_new_id = _NewIDs()


class RequestIDs(Watcher):
    """What gives each request its id.

    Args:
        header: The name of the header that brings it and takes it back, such as ``"X-Request-ID"``.
    """

    def __init__(self, header: str) -> None:
        self._as_written = header.encode()
        self._name = self.id_header = header.lower().encode()

    def id_of(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Returns the id that a request brings, or a new one."""
        # Of several the last one counts: a proxy in front appends its own.
        given = dict(headers).get(self._name)
        return _new_id() if given is None or _ID.fullmatch(given) is None else given

    def start(self, observed: Any, headers: Headers) -> None:
        made = observed.id_in_bytes
        given = dict(headers)
        if self._name not in given and self._as_written not in given:  # Django sends names as they were written.
            headers.append((self._name, made))


def outgoing_headers() -> dict[str, str]:
    """Returns the headers by which a request that this one makes is known for its part: for httpx, requests and others.

    These are the id of the request and, where OpenTelemetry or Sentry traces it, what their SDKs read: ``traceparent``,
    ``sentry-trace``, ``baggage``. Empty outside of a request.
    """
    headers: dict[str, str] = {}
    record = current_record()
    if record is not None and record.request_id is not None:
        headers[option("request_id")] = record.request_id
    propagate.inject(headers)
    observed: Any = current.get()
    if observed is not None and not observed.over:
        tell(observed.watching.add_outgoing, observed, headers)
    return headers


class RequestIDFilter(logging.Filter):
    """Puts the id of the request into each record of the log, as ``request_id``; ``-`` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        observed = current_record()
        record.request_id = "-" if observed is None or observed.request_id is None else observed.request_id
        return True
