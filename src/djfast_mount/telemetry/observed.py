"""A request while it is being served, and the ASGI layer that observes it.

1. Nothing of a request is kept once it has ended: its scope, its leases and its texts of statements go with it.
2. What is measured is measured on the event loop, but for statements: these are noted on the thread that sends them.
3. An error of ours never becomes one of the request's.
4. Every request pays for what stands here. So what can be asked at its end is not noted before, and what most requests
   lack is of the class.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter, time
from types import FrameType
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.exceptions import client_has_left
from djfast_mount.telemetry.listeners import publish
from djfast_mount.telemetry.queries import Statements
from djfast_mount.telemetry.record import Owner, RequestRecord, current
from djfast_mount.telemetry.watching import Watching, tell
from djfast_mount.threads.lease import Lease

__all__ = ["ObservedRequest", "ObservedSocket", "Part", "led_to", "observing"]

logger = logging.getLogger("djfast_mount.telemetry")

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"))
# Codes with which a websocket ends as it should: RFC 6455, section 7.4.1. 1005 is that none was given.
_NORMAL = (1000, 1001, 1005)


class Part(NamedTuple):
    """A part of the root that answers."""

    owner: Owner
    route_of: Callable[[Any], str | None]
    """Returns the template of the route that an observed request was led to, when its response has begun or later."""


class _Observed(RequestRecord):
    """The record of a request in the making, and what it is made from."""

    scope: Any
    """That of the part which answers, once it is known; before, the server's."""
    part: Part | None = None
    request: Any = None
    """Django's HttpRequest, in Django's half."""
    leases: list[Lease] | None = None
    """Those that the request was given."""
    task: asyncio.Task[Any] | None = None
    """Which asked for the first of them."""
    statements: Statements | None = None
    complete = False
    """Whether the whole response has been handed to the server."""
    over = False
    failure: BaseException | None = None
    """What no handler of the project has answered. Gone once the request has ended."""
    watching: Watching
    began: float
    _send: Any

    def elapsed(self) -> float:
        """Returns the seconds since the request came."""
        return perf_counter() - self.began

    def frames(self) -> Iterator[FrameType]:
        """Yields the frames of the request's task, innermost first. For any thread while the task waits."""
        coroutine: Any = None if self.task is None else self.task.get_coro()
        found: list[FrameType] = []
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
            if frame is not None:
                found.append(frame)
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
        yield from reversed(found)

    def look(self) -> None:
        """Notes what is known by now of threads and statements."""
        if self.leases is not None:
            now = monotonic()
            self.wait = sum([lease.waited_by(now) for lease in self.leases])
            self.on_thread = sum([lease.spent + (now - lease.since if lease.since else 0.0) for lease in self.leases])
        if self.statements is not None:
            self.queries, self.query_time = self.statements.count, self.statements.seconds

    def note_wait(self, seconds: float) -> None:
        """Notes that a thread has been waited for. Runs on it."""
        tell(self.watching.note_wait, self, seconds)

    def note_statement(self, sql: Any, params: Any, seconds: float, vendor: str) -> None:
        """Notes one that has been executed. Runs on the thread that sent it."""
        if self.over:
            return  # It has been sent by what outlives the request.
        if self.statements is None:
            self.statements = Statements(self.watching.repeated_after)
        try:
            self.statements.note(sql, params, seconds, self, vendor)
        except Exception:
            logger.exception("A statement is not counted. The request goes on.")
        tell(self.watching.note_statement, self, sql, seconds, vendor)

    def fail(self, error: BaseException) -> None:
        """Notes an exception that no handler of the project has answered. Runs on any thread."""
        if self.failure is not error:
            self.failure = error
            self.error = type(error).__name__
            tell(self.watching.fail, self, error)

    def end(self, error: BaseException | None) -> None:
        """Completes the record, tells of it, and lets go of all else."""
        if error is not None and not client_has_left(error):
            self.fail(error)
        elif not self.complete:
            self.client_gone = True
        self.over = True
        if (part := self.part) is not None:
            self.owner = part.owner
            try:
                self.route = part.route_of(self)
            except Exception:
                logger.exception("The route of a request is not known.")
        if self.leases is not None or self.statements is not None:
            self._settle()
        self.duration = perf_counter() - self.began
        if self.watching.end:
            tell(self.watching.end, self)
        self.scope = self._send = self.failure = self.request = None
        publish(self)

    def _settle(self) -> None:
        self.look()
        if self.statements is not None:
            self.repeated = self.statements.repeated()
        self.leases = self.task = self.statements = None


class ObservedRequest(_Observed):
    """A request of HTTP. Its `send` is what the app is given."""

    def __init__(self, watching: Watching, scope: Scope, send: Send) -> None:
        # Not the record's own __init__(), which would set each default.
        method = scope["method"]
        self.kind = "http"
        self.method = method if method in _METHODS else "OTHER"
        self.started = time()
        self.began = perf_counter()
        self.watching = watching
        self.scope = scope
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        if message["type"] != "http.response.body":
            return self._send_other(message)
        if body := message.get("body"):
            self.bytes_sent += len(body)
        if not message.get("more_body"):
            self.complete = True
        sent: Awaitable[None] = self._send(message)
        return sent

    def _send_other(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            if self.watching.start:
                headers = list(message.get("headers", ()))
                tell(self.watching.start, self, headers)
                message = {**message, "headers": headers}
        elif kind == "http.response.pathsend":
            self.complete = True
            with suppress(OSError):
                self.bytes_sent += Path(message["path"]).stat().st_size
        elif kind == "http.response.zerocopysend":
            self.complete = not message.get("more_body")
            self.bytes_sent += message.get("count") or 0
        sent: Awaitable[None] = self._send(message)
        return sent


class ObservedSocket(_Observed):
    """A websocket. Its `receive` and `send` are what the app is given."""

    closed_by_client = False
    """Whether the code in `status` is the client's, who may choose any."""

    def __init__(self, watching: Watching, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__("websocket", "", time())
        self.began = perf_counter()
        self.watching = watching
        self.scope = scope
        self._receive: Any = receive
        self._send = send

    async def receive(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "websocket.disconnect" and not self.complete:
            self._close(message.get("code", 1005))
            self.closed_by_client = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            self.bytes_sent += len(message.get("bytes") or (message.get("text") or "").encode())
        elif kind == "websocket.close":
            self._close(message.get("code", 1000))
        elif kind in ("websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status")
            self.complete = kind != "websocket.accept"
        sent: Awaitable[None] = self._send(message)
        return sent

    def _close(self, code: int) -> None:
        self.complete = True
        self.status = code
        self.client_gone = code not in _NORMAL

    def end(self, error: BaseException | None) -> None:
        super().end(error)
        self._receive = None


def observing(app: ASGIApp, watching: Watching) -> ASGIApp:
    """Returns `app` with each request observed. To be the outermost layer."""

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            observed: Any = ObservedRequest(watching, scope, send)
        elif scope["type"] == "websocket":
            observed = ObservedSocket(watching, scope, receive, send)
            receive = observed.receive
        else:
            await app(scope, receive, send)
            return
        token = current.set(observed)
        try:
            if watching.begin:
                tell(watching.begin, observed)
            await app(observed.scope, receive, observed.send)
        except BaseException as error:
            observed.end(error)
            raise
        else:
            observed.end(None)
        finally:
            current.reset(token)

    return layer


def led_to(app: ASGIApp, part: Part) -> ASGIApp:
    """Returns `app`, so that the record of each request says who has answered."""

    def noted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        observed: Any = current.get()
        if observed is not None:
            observed.part = part
            observed.scope = scope
        return app(scope, receive, send)

    return noted
