"""A request while it is being served, and the ASGI layer that observes it.

1. Nothing of a request is kept once it has ended: its scope, its leases and its texts of statements go with it.
2. What is measured is measured on the event loop, but for statements: these are noted on the thread that sends them.
3. An error of ours never becomes one of the request's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter, time
from types import FrameType
from typing import Any, Literal, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.exceptions import client_has_left
from djfast_mount.telemetry.listeners import publish
from djfast_mount.telemetry.queries import Statements
from djfast_mount.telemetry.record import Owner, RequestRecord, current
from djfast_mount.threads.lease import Lease

__all__ = ["Change", "ObservedRequest", "ObservedSocket", "RouteOf", "led_to", "observing"]

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"))
# Codes with which a websocket ends as it should: RFC 6455, section 7.4.1. 1005 is that none was given.
_NORMAL = (1000, 1001, 1005)

RouteOf = Callable[[Any], str | None]
"""Returns the template of the route that a request has been led to, as far as it is known."""
Change = Callable[[Any, list[tuple[bytes, bytes]]], None]
"""Adds to the headers of a response that begins."""


class _Observed:
    """What a request and a websocket have in common.

    Attributes:
        scope: That of the part which answers, once it is known; before, the root's own.
        base: The prefixes outside of that part.
        route_of: How its route is found.
        request: Django's HttpRequest, in Django's half.
        leases: Those that the request was given.
    """

    __slots__ = (
        *("_begun", "_receive", "_send", "_task", "base", "changes", "complete", "leases", "over", "record"),
        *("request", "route_of", "scope", "statements"),
    )
    kind: Literal["http", "websocket"]

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, repeated_after: int, changes: Sequence[Change]
    ) -> None:
        method = scope.get("method", "")
        self.record = RequestRecord(
            kind=self.kind, method=method if method in _METHODS or not method else "OTHER", started=time()
        )
        self._begun = perf_counter()
        self._receive = receive
        self._send = send
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self.scope: Any = scope
        self.base = ""
        self.changes = changes
        self.route_of: RouteOf | None = None
        self.request: Any = None
        self.leases: list[Lease] = []
        self.statements = Statements(repeated_after)
        self.complete = False
        self.over = False

    def frames(self) -> Iterator[FrameType]:
        """Yields the frames of the request's task, innermost first. For any thread while the task waits."""
        coroutine: Any = None if self._task is None else self._task.get_coro()
        found: list[FrameType] = []
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
            if frame is not None:
                found.append(frame)
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
        yield from reversed(found)

    def elapsed(self) -> float:
        """Returns the seconds since the request came."""
        return perf_counter() - self._begun

    def look(self) -> None:
        """Notes what is known by now of route, threads and statements."""
        record = self.record
        if record.route is None and self.route_of is not None:
            record.route = self.route_of(self)
        if self.leases:
            now = monotonic()
            record.wait = sum([lease.waited_by(now) for lease in self.leases])
            record.on_thread = sum([lease.spent + (now - lease.since if lease.since else 0.0) for lease in self.leases])
        statements = self.statements
        record.queries, record.query_time = statements.count, statements.seconds

    def end(self, error: BaseException | None) -> None:
        """Completes the record, and lets go of all else."""
        record = self.record
        self.look()
        self.over = True
        if error is None or client_has_left(error):
            record.client_gone = record.client_gone or not self.complete
        else:
            record.error = type(error).__name__
        record.repeated = self.statements.repeated()
        record.duration = perf_counter() - self._begun
        self.scope = self.request = self._task = None
        self.leases = []


class ObservedRequest(_Observed):
    """A request of HTTP. Its `receive` and `send` are what the app is given."""

    __slots__ = ()
    kind = "http"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.complete:
            self.record.client_gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        # Not a coroutine function: each costs its time.
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self.record.bytes_sent += len(body)
            if not message.get("more_body"):
                self.complete = True
        elif kind == "http.response.start":
            return self._start(message)
        elif kind == "http.response.pathsend":
            self.complete = True
            with suppress(OSError):
                self.record.bytes_sent += Path(message["path"]).stat().st_size
        elif kind == "http.response.zerocopysend":
            self.complete = not message.get("more_body")
            self.record.bytes_sent += message.get("count") or 0
        return self._send(message)

    def _start(self, message: Message) -> Awaitable[None]:
        self.record.status = message["status"]
        self.look()
        if not self.changes:
            return self._send(message)
        headers = list(message.get("headers", ()))
        for change in self.changes:
            change(self, headers)
        return self._send({**message, "headers": headers})


class ObservedSocket(_Observed):
    """A websocket. Its `receive` and `send` are what the app is given."""

    __slots__ = ()
    kind = "websocket"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and not self.complete:
            self._close(message.get("code", 1005))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            self.record.bytes_sent += len(message.get("bytes") or (message.get("text") or "").encode())
        elif kind == "websocket.close":
            self._close(message.get("code", 1000))
        elif kind in ("websocket.accept", "websocket.http.response.start"):
            self.look()
            self.record.status = message.get("status")
            self.complete = kind != "websocket.accept"
        return self._send(message)

    def _close(self, code: int) -> None:
        self.complete = True
        self.record.status = code
        self.record.client_gone = code not in _NORMAL


def observing(app: ASGIApp, make: Callable[[Scope, Receive, Send], Any]) -> ASGIApp:
    """Returns `app` with each request observed by what `make` returns for it. To be the outermost layer."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        observed = make(scope, receive, send)
        token = current.set(observed)
        failure: BaseException | None = None
        try:
            await app(scope, observed.receive, observed.send)
        except BaseException as error:
            failure = error
            raise
        finally:
            current.reset(token)
            observed.end(failure)
            publish(observed.record)
            del failure  # Its traceback leads back to this frame.

    def layer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (app if scope["type"] == "lifespan" else serve)(scope, receive, send)

    return layer


def led_to(app: ASGIApp, owner: Owner, route_of: RouteOf | None) -> ASGIApp:
    """Returns `app`, which answers for `owner`, so that the record of each request says so."""

    def noted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        observed = cast("Any", current.get())
        if observed is not None and not observed.over:
            observed.record.owner = owner
            observed.scope = scope
            observed.base = scope.get("root_path", "")
            observed.route_of = route_of
        return app(scope, receive, send)

    return noted
