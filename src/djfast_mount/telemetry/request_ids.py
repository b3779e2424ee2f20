"""The id of a request: in its response, in the log, and in the requests that it makes itself.

An id that a client sends is taken if it is one by a strict pattern: it comes into logs and headers as it is. Any other
is as if there were none, and a new one is made. It is a name and no secret: whoever may send requests may choose it.
"""

from __future__ import annotations

import logging
import re
from random import getrandbits
from typing import Any

from opentelemetry import propagate

from djfast_mount.conf import option
from djfast_mount.telemetry.record import current, current_record
from djfast_mount.telemetry.watching import Headers, Watcher, tell

__all__ = ["RequestIDFilter", "RequestIDs", "outgoing_headers"]

_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}")


class RequestIDs(Watcher):
    """What gives each request its id.

    Args:
        header: The name of the header that brings it and takes it back, such as ``"X-Request-ID"``.
    """

    def __init__(self, header: str) -> None:
        self._as_written = header.encode()
        self._name = header.lower().encode()

    def begin(self, observed: Any) -> None:
        given = dict(observed.scope["headers"]).get(self._name)
        if given is not None and _ID.fullmatch(given):
            observed.request_id = given.decode()
        else:
            # It is to be unique, and may be guessed: it need not come from the system, which takes longer.
            observed.request_id = f"{getrandbits(96):024x}"

    def start(self, observed: Any, headers: Headers) -> None:
        given = dict(headers)
        if self._name not in given and self._as_written not in given:  # Django sends names as they were written.
            headers.append((self._name, observed.request_id.encode()))


def outgoing_headers() -> dict[str, str]:
    """Returns the headers by which a request that this one makes is known for its part: for httpx, requests and others.

    These are the id of the request and, where OpenTelemetry or Sentry traces it, what their SDKs read: ``traceparent``,
    ``sentry-trace``, ``baggage``. Empty outside of a request.
    """
    headers: dict[str, str] = {}
    observed: Any = current.get()
    if observed is not None and observed.request_id is not None:
        headers[option("request_id")] = observed.request_id
    propagate.inject(headers)
    if observed is not None and not observed.over:
        tell(observed.watching.add_outgoing, observed, headers)
    return headers


class RequestIDFilter(logging.Filter):
    """Puts the id of the request into each record of the log, as ``request_id``; ``-`` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        observed = current_record()
        record.request_id = "-" if observed is None or observed.request_id is None else observed.request_id
        return True
