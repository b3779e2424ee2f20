"""A request while it is being served, and the ASGI layer that observes it.

1. Nothing of a request is kept once it has ended: its scope, its leases and its texts of statements go with it.
2. Statements, waits and the time on a thread are noted on that thread. All else is measured on the event loop.
3. An error of ours never becomes one of the request's.
4. Every request pays for what stands here. So what can be asked at its end is not noted before, what most requests
   lack is of the class, and what few listeners ask for is made when it is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter, time
from types import FrameType
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.exceptions import client_has_left
from djfast_mount.offload.current import KEY
from djfast_mount.telemetry.ids_only import UnheardRequest, with_id
from djfast_mount.telemetry.ids_only import tell as tell_of_unheard
from djfast_mount.telemetry.listeners import audience, publish
from djfast_mount.telemetry.made_once import made_once
from djfast_mount.telemetry.queries import Statements
from djfast_mount.telemetry.record import METHODS, Owner, RequestRecord, current
from djfast_mount.telemetry.watchers import Watching, tell

__all__ = ["ObservedRequest", "ObservedSocket", "Part", "led_to", "observing"]

logger = logging.getLogger("djfast_mount.telemetry")

# Codes with which a websocket ends as it should: RFC 6455, section 7.4.1. 1005 is that none was given.
_NORMAL = (1000, 1001, 1005)


class Part(NamedTuple):
    """A part of the root that answers."""

    owner: Owner
    route_of: Callable[[Any], str | None]
    """Returns the template of the route that an observed request was led to, when its response has begun or later."""


_ROOT = Part("root", lambda _: None)


class _Observed(RequestRecord):
    """The record of a request in the making, and what it is made from."""

    scope: Any
    """That of the part which answers, once it is known; before, the server's."""
    part = _ROOT
    request: Any = None
    """Django's HttpRequest, in Django's half."""
    source: Any = None
    """What the request has its lease from, an ObservedRequestThread, where it may have one."""
    statements: Statements | None = None
    complete = False
    """Whether the whole response has been handed to the server."""
    passed_by = False
    """Whether the response has not gone through `send()`."""
    over = False
    failure: BaseException | None = None
    """What no handler of the project has answered. Gone once the request has ended."""
    watching: Watching
    began: float
    """When it came, by `perf_counter()`."""
    server_send: Any
    """What sends a message past all that observes it."""

    started: float = made_once(lambda observed: time() - observed.elapsed())
    request_id: str | None = made_once(lambda observed: observed.id_in_bytes and observed.id_in_bytes.decode())
    id_in_bytes: bytes | None = made_once(lambda observed: observed.make_id())

    def elapsed(self) -> float:
        """Returns the seconds since the request came."""
        return perf_counter() - self.began

    def frames(self) -> Iterator[FrameType]:
        """Yields the frames of the request's task, innermost first. For any thread while the task waits."""
        asker = getattr(self.source, "asker", None)
        task = None if asker is None else asker()
        coroutine: Any = None if task is None else task.get_coro()
        found: list[FrameType] = []
        # From the task down to what it awaits: the stack of a coroutine that waits is on no thread.
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
            if frame is not None:
                found.append(frame)
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
        yield from reversed(found)

    def look(self) -> None:
        """Notes what is known by now of threads and statements."""
        if self.source is not None and (lease := self.source.held) is not None:
            now = monotonic()
            self.wait = lease.waited_by(now)
            self.on_thread = lease.spent + (now - lease.since if lease.since else 0.0)
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
        elif not (self.source.complete if self.passed_by else self.complete):
            self.client_gone = True
        self.over = True
        self.owner, route_of = self.part
        try:
            self.route = route_of(self)
        except Exception:
            logger.exception("The route of a request is not known.")
        if self.status is None:
            self.keep_id()
        if self.statements is not None or ((source := self.source) is not None and source.held is not None):
            self.look()
            self.repeated = () if self.statements is None else self.statements.repeated()
        watching = self.watching
        self.duration = perf_counter() - self.began
        if watching.end:
            tell(watching.end, self)
        self.scope = self.server_send = self.source = self.request = self.statements = self.failure = None
        publish(self)

    def make_id(self) -> bytes | None:
        """Returns the id that the request has from now on; None where requests have none."""
        if self.watching.id_header is None:
            return None
        return self.watching.id_of(self.scope["headers"])

    def keep_id(self) -> str | None:
        """Has the id made now, if it was not yet: the headers are gone once the request has ended."""
        return self.request_id


class ObservedRequest(_Observed):
    """A request of HTTP. Its `send` is what the app is given."""

    kind = "http"

    def __init__(self, watching: Watching, scope: Scope, send: Send) -> None:
        # Not the record's own __init__(), which would set each default.
        method = scope["method"]
        self.method = method if method in METHODS else "OTHER"
        self.began = perf_counter()
        self.watching = watching
        self.scope = scope
        self.server_send = send

    def send(self, message: Message) -> Awaitable[None]:
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        if message["type"] == "http.response.body":
            if body := message.get("body"):
                self.bytes_sent += len(body)
            if not message.get("more_body"):
                self.complete = True
        else:
            message = self._noted(message)
        sent: Awaitable[None] = self.server_send(message)
        return sent

    def _noted(self, message: Message) -> Message:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            if self.watching.start:
                headers = [*message.get("headers", ())]
                tell(self.watching.start, self, headers)
                return {**message, "headers": headers}
        elif kind == "http.response.pathsend":
            self.complete = True
            # The server opens the file after this: it may be gone by then.
            with suppress(OSError):
                self.bytes_sent += Path(message["path"]).stat().st_size
        elif kind == "http.response.zerocopysend":
            self.complete = not message.get("more_body")
            self.bytes_sent += message.get("count") or 0
        return message


class ObservedSocket(_Observed):
    """A websocket. Its `receive` and `send` are what the app is given."""

    kind = "websocket"
    method = ""
    closed_by_client = False
    """Whether the code in `status` is the client's, who may choose any."""

    def __init__(self, watching: Watching, scope: Scope, receive: Receive, send: Send) -> None:
        self.began = perf_counter()
        self.watching = watching
        self.scope = scope
        self._receive: Any = receive
        self.server_send = send

    async def receive(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "websocket.disconnect" and not self.complete:
            self._close(message.get("code", 1005))
            self.closed_by_client = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "websocket.send":
            # A text of a websocket is UTF-8 on the wire (RFC 6455, section 5.6).
            self.bytes_sent += len(message.get("bytes") or (message.get("text") or "").encode())
        elif kind == "websocket.close":
            self._close(message.get("code", 1000))
        elif kind in ("websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status")
            self.complete = kind != "websocket.accept"
        sent: Awaitable[None] = self.server_send(message)
        return sent

    def _close(self, code: int) -> None:
        self.complete = True
        self.status = code
        self.client_gone = code not in _NORMAL

    def end(self, error: BaseException | None) -> None:
        self.keep_id()
        super().end(error)
        self._receive = None


def observing(app: ASGIApp, watching: Watching, *, alone: bool) -> ASGIApp:
    """Returns `app` with each request observed. To be the outermost layer.

    Args:
        alone: Whether nothing stands between `app` and the threads of requests: no middleware that would ask for the
            record, and that it would have to be told by a context variable.
    """
    begins, hears = watching.begin, watching.hears

    def layer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "http":
            if hears or audience.listeners:
                observed = ObservedRequest(watching, scope, send)
                return observe(observed, receive)
            # Where one is asked from within another root's request, the record of that one is not to be this one's.
            if alone and current.get() is None:
                return app(scope, receive, send)
            return tell_of_unheard(app, watching, scope, receive, send)
        if kind == "websocket":
            socket = ObservedSocket(watching, scope, receive, send)
            return observe(socket, socket.receive)
        return app(scope, receive, send)

    async def observe(observed: Any, receive: Receive) -> None:
        token = current.set(observed)
        try:
            if begins:
                tell(begins, observed)
            await app(observed.scope, receive, observed.send)
        except BaseException as error:
            observed.end(error)
            raise
        else:
            observed.end(None)
        finally:
            current.reset(token)

    return layer


def led_to(app: ASGIApp, part: Part, watching: Watching) -> ASGIApp:
    """Returns `app`, so that the record of each request says who has answered."""
    # These two are served within RequestThreads.http(), which puts the request's thread into the scope.
    on_thread = part.owner in ("api", "django")
    unheard = None if watching.id_header is None else watching

    def noted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        observed: Any = current.get()
        if observed is None:
            # Nobody hears of the request. Its thread gives the response the id; where there is none, `send` does.
            if on_thread:
                scope[KEY].unheard = unheard
            else:
                send = with_id(watching, UnheardRequest(watching, scope), send)
        elif not observed.over:
            observed.part = part
            observed.scope = scope
            observed.source = scope.get(KEY)
        return app(scope, receive, send)

    return noted
