"""What a request sends, watched: a response that is no single message turns its request into a stream.

A stream gives its worker back between calls, unless something of the request lives there. One that holds a worker is
among the few that may, and is cut off where its client reads too slowly: it must not hold a thread that others wait
for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope, Send

from djfast_mount.headers import missing_headers
from djfast_mount.lifespan.grace import Grace
from djfast_mount.offload.current import Attached
from djfast_mount.request_thread.deadline import Deadline
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import Pool

__all__ = ["Threads", "WatchedResponse"]

logger = logging.getLogger("djfast_mount.threads")

# How many headers describe a body: Content-Length and Content-Type. The headers that every response is to have are
# never among these two.
_OF_EVERY_BODY = 2
_NONE: Mapping[bytes, bytes] = {}
# Seconds after the longest wait for a worker. If the first part of a stream has not come by then, its start is sent
# alone.
_AFTER_THE_WAIT = 1.0
# Seconds that a client may take for one part, if its stream is beyond the limit.
_HURRY = 1.0


class Threads(Protocol):
    """What bounds the workers that responses hold."""

    pool: Pool
    send_timeout: float
    """Seconds that a client may take to accept one part of a stream that holds a worker."""


class WatchedResponse:
    """The response of one request, whose lease a subclass holds.

    Args:
        threads: Whose workers the request may take.
    """

    # Defaults stand on the class: most requests change few of them, and setting each would slow every request.
    held: Lease | None = None
    call: Attached | None = None
    over = False
    started = False
    told = False
    lingers = True
    may_be_passed = True
    """Whether an answer that is there as a whole may be handed to `forward` as `send_start` and `send_body` do it."""
    whole = False
    """Whether the response is there as a whole, though it may be sent in parts. Set before it is sent."""
    change: Callable[[Message], Awaitable[None]] | None = None
    """What is handed each message of the response first, and sends on what becomes of it."""
    headers: Mapping[bytes, bytes] = _NONE
    """What the response is to have, where it does not have headers of these names: in lower case."""
    _streams = False
    body_sent = False
    """Whether the last part of the body has been handed to the server."""
    _held_start: Message | None = None
    _flushing: asyncio.Task[None] | None = None
    _grace: tuple[Grace, asyncio.Task[Any]] | None = None
    _deadline: Deadline | None = None

    def __init__(self, threads: Threads, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.threads = threads
        self.forward = send

    @property
    def pool(self) -> Pool:
        """Whose workers the request may take."""
        return self.threads.pool

    def send(self, message: Message, *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`, and gives the worker back between the parts of a stream.

        Args:
            changed: Whether `change` has seen the message.
        """
        # A plain function: most messages only pass, and a coroutine for each would slow them all.
        if self.change is not None and not changed:
            return self.change(message)
        if self._streams:
            # Asked before all else: an async stream of thousands of parts passes here with each.
            if self.held is None and self._held_start is None and self._flushing is None:
                self.body_sent = not message.get("more_body")
                return self.forward(message)  # Nothing is held: a part only passes.
            return self._send_part(message)
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))  # It may be an iterator, which is gone once it has been read.
            names = dict(headers)
            if self.headers:
                headers += missing_headers(names, self.headers)
            message = {**message, "headers": headers}
            # ASGI wants names in lower case, and not every app writes them so. The usual spellings are looked up first:
            # ASGI's, and Django's.
            if (
                b"content-length" in names
                or b"Content-Length" in names
                or any(name.lower() == b"content-length" for name in names)
            ):
                self.started = True
                return self.forward(message)
            return self._begin(message)
        if message.get("more_body"):
            self._become_stream()
            return self._send_part(message)
        self.body_sent = True
        return self.forward(message)

    def send_start(self, start: Message) -> Awaitable[None]:
        """Sends the start of a response whose body comes as a whole, by `send_body`.

        Args:
            start: Its headers, in a list of this call's own, are Content-Length, Content-Type, then any others.
        """
        if self.change is not None:
            return self.send(start)
        if more := self.headers:
            headers = start["headers"]
            headers += more.items() if len(headers) == _OF_EVERY_BODY else missing_headers(dict(headers), more)
        self.started = True
        return self.forward(start)

    def send_body(self, body: bytes) -> Awaitable[None]:
        """Sends the body of a response that `send_start` has begun."""
        message = {"type": "http.response.body", "body": body}
        if self.change is not None:
            return self.send(message)
        self.body_sent = True
        return self.forward(message)

    @property
    def complete(self) -> bool:
        """Whether all of the response has been handed to the server."""
        return self.started and self.body_sent

    def send_to_websocket(self, message: Message) -> Awaitable[None]:
        """ASGI: sends `message` of a websocket. One that holds a worker has to be among the few that may."""
        lease = self.held
        if lease is None or not lease.kept:
            return self.forward(message)
        return self._send_holding(lease, message)

    def ends_with(self, grace: Grace, task: asyncio.Task[Any]) -> None:
        """Has an event stream end when `grace` begins to count. `task` serves the request."""
        self._grace = (grace, task)

    async def finish(self) -> None:
        """Ends an event stream as its app would have done."""
        await (self._flush() if self._flushing is None else asyncio.shield(self._flushing))
        await self.forward({"type": "http.response.body", "body": b""})

    def forget_start(self) -> None:
        """Sends nothing of a start that is held: another answer takes its place."""
        self._held_start = None

    async def _begin(self, message: Message) -> None:
        loop = asyncio.get_running_loop()
        self._streams = True
        pool = self.threads.pool
        if pool.streams.full:
            # The first part may have to wait for a worker in vain, and 503 is an answer only if none was begun.
            self._held_start = message
            loop.call_later(pool.wait_timeout + _AFTER_THE_WAIT, self._release)
        else:
            self.started = True
            await self.forward(message)
        if self._grace is not None and _is_event_stream(message):
            grace, task = self._grace
            grace.streaming(task, self._tell)
        # Not now: where a sync iterator is to be drawn, its first call comes before the loop turns.
        loop.call_soon(self._become_stream)

    def _tell(self) -> None:
        if self._grace is not None and not self.over:
            self.told = True
            self._grace[1].cancel()

    def _become_stream(self) -> None:
        self._streams = True
        lease = self.held
        if self.over or self.body_sent:
            return
        if lease is None or not (lease.iterators or lease.pool.streams.awaited_by(lease)):
            self._release()  # No sync iterator: nothing of this stream has to wait.
        if lease is None:
            self.lingers = False
        elif lease.lingers and not lease.iterators and not self.whole:
            lease.let_go_between_calls()

    def _release(self) -> None:
        if self._held_start is not None and not self.over:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        held, self._held_start = self._held_start, None
        if held is not None:
            self.started = True
            await self.forward(held)

    async def _send_part(self, message: Message) -> None:
        lease = self.held
        pinned = lease is not None and message.get("more_body") and lease.pinned
        if lease is not None and pinned and not lease.pool.streams.holds(lease):
            await lease.pool.streams.enter(lease)
        # One message is no stream, though no Content-Length has told so: 204, or Django without its middleware.
        self.body_sent = not message.get("more_body")
        if self._flushing is not None:
            await asyncio.shield(self._flushing)  # Middleware may take its time over a start, and no part overtakes it.
        elif self._held_start is not None:
            await self._flush()
        # Only a client that holds a worker is hurried: nobody waits for the others.
        if lease is None or not pinned or lease.worker is None:
            await self.forward(message)
        else:
            await self._send_in_time(lease, message)

    async def _send_holding(self, lease: Lease, message: Message) -> None:
        await lease.pool.streams.enter(lease)
        await self.forward(message)

    async def _send_in_time(self, lease: Lease, message: Message) -> None:
        seconds = self.threads.send_timeout
        if lease.pool.streams.must_hurry(lease):
            seconds = min(_HURRY, seconds)
        try:
            if self._deadline is None:
                self._deadline = Deadline()
            await self._deadline.limit(self.forward(message), seconds)
        except TimeoutError:
            logger.warning(
                "%s was cut off: its client took no data for %g s while the stream held a thread.",
                endpoint_name(lease.scope),
                seconds,
            )
            # What Starlette raises where the server says that the client has left: apps know how to end then.
            raise ClientDisconnect from None


def _is_event_stream(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
