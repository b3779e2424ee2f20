"""The threads of a root whose requests are observed: how long each waits for one and holds it, and what it sends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from starlette.types import Message

from djfast_mount.database.borrowed_thread import OwnThread
from djfast_mount.database.connections import PoolThread
from djfast_mount.request_thread.request import RequestThread
from djfast_mount.telemetry.ids_only import record_of, with_header
from djfast_mount.telemetry.made_once import made_once
from djfast_mount.telemetry.queries import count_statements_here
from djfast_mount.telemetry.record import RequestRecord, current
from djfast_mount.threads.lease import Lease

__all__ = ["ObservedOwnThread", "ObservedPoolThread", "ObservedRequestThread"]


class ObservedPoolThread(PoolThread):
    """The hooks of a spell on a worker, whose time is added up."""

    def begin(self, lease: Lease) -> None:
        if lease.waited > lease.told:
            _tell_of_wait(lease)
        super().begin(lease)

    def end(self, lease: Lease) -> None:
        try:
            super().end(lease)
        finally:
            lease.spent += monotonic() - lease.since


def _tell_of_wait(lease: Lease) -> None:
    seconds, lease.told = lease.waited - lease.told, lease.waited
    observed: Any = current.get()
    if observed is not None and not observed.over:
        observed.note_wait(seconds)


class ObservedOwnThread(OwnThread):
    """The hooks of a spell on a thread that the pool did not lend: its connections have been there before."""

    def begin(self, lease: Lease) -> None:
        super().begin(lease)
        count_statements_here()

    def end(self, lease: Lease) -> None:
        try:
            super().end(lease)
        finally:
            lease.spent += monotonic() - lease.since


# By this name, since `super()` is slower, and most requests pass here.
_send_start = RequestThread.send_start


class ObservedRequestThread(RequestThread):
    """The thread of one request, whose response is noted here if it comes as a whole: that takes least."""

    may_be_passed = False
    asker: weakref.ref[asyncio.Task[Any]] | None = None
    """The task that has made the first sync call."""

    def lease(self) -> Lease:
        # Only who sends statements that are counted is looked for.
        if self.asker is None and current.get() is not None and (task := asyncio.current_task()) is not None:
            self.asker = weakref.ref(task)
        return super().lease()

    unheard: Any = None
    """The Watching that gives the request its id, where nobody hears of it."""
    record: RequestRecord | None = made_once(lambda request: request.make_record())
    _id: bytes | None = None

    @property
    def id_in_bytes(self) -> bytes:
        """The id of a request of which nobody hears."""
        made = self._id
        if made is None:
            made = self._id = self.unheard.id_of(self.scope["headers"])
        return made

    def make_record(self) -> RequestRecord | None:
        """Returns the record of a request that is not measured; None where requests have no ids."""
        return None if self.unheard is None else record_of(self.scope["method"], self.id_in_bytes)

    def send(self, message: Message, *, changed: bool = False) -> Awaitable[None]:
        if self.unheard is not None and not changed and message["type"] == "http.response.start":
            # Not by `headers`, as below: Django spells names in its own way, and each would have to be lowered there.
            message = with_header(self.unheard, self, message)
        return super().send(message, changed=changed)

    def send_start(self, start: Message) -> Awaitable[None]:
        if (watching := self.unheard) is not None:
            made = self._id
            if made is None:  # As `id_in_bytes` does it, without a call: most requests pass here.
                made = self._id = watching.id_of(self.scope["headers"])
            self.headers = {**self.headers, watching.id_header: made}
            return _send_start(self, start)
        observed: Any = current.get()
        # A middleware of the root may change what is sent, and so may others who are told when a response begins.
        if (
            observed is None
            or observed.over
            or self.change is not None
            or not (watching := observed.watching).adds_no_more
            or self.forward != observed.send
        ):
            return super().send_start(start)
        if (header := watching.id_header) is not None:
            self.headers = {**self.headers, header: observed.id_in_bytes}
        self.forward = observed.server_send
        observed.status = start["status"]
        observed.bytes_sent = int(start["headers"][0][1])  # The first is Content-Length.
        observed.passed_by = True
        return super().send_start(start)
