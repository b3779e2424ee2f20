"""One request and its lease: the doors led to it, its response watched, its spell ended.

A response that is no single message turns the request into a stream, which gives its worker back between calls, unless
something of the request lives there: a client that reads slowly must not hold a thread that others wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.database.connections import OwnThread, endpoint_name
from djfast_mount.database.strays import close_strays, in_flight
from djfast_mount.exceptions import PoolTimeout
from djfast_mount.lifespan.sigterm import Grace
from djfast_mount.offload.cancellation import wait_shielded
from djfast_mount.offload.run import enter, leave, waiting_thread
from djfast_mount.request_thread.borrowed import BorrowedThread
from djfast_mount.request_thread.overdue import Overdue
from djfast_mount.security.djangos_middleware import missing_headers, with_security_headers
from djfast_mount.threads.lease import Hop, Lease
from djfast_mount.threads.pool import Pool

__all__ = ["RequestThread", "RequestThreads"]

logger = logging.getLogger("djfast_mount.threads")

_NONE: Mapping[bytes, bytes] = {}
# Seconds for which the start of a stream whose first part does not come is held, beyond what a wait for a worker takes.
_AFTER_THE_WAIT = 1.0
# Seconds that the end of the lifespan waits for workers. Requests have ended by then, or the server has given them up.
_LAST_WAIT = 2.0
# Seconds that a client may take for one part of a stream that is one too many.
_HURRY = 1.0


class RequestThreads:
    """Runs apps so that all sync work of a request goes to one worker of `pool`.

    Args:
        pool: Where the workers come from.
        sender: The sender of Django's signals.
        send_timeout: Seconds that a client may take to accept one part of a stream that holds a worker.
        warn_after: Seconds after which a held worker is logged, with what it is doing.
        grace: What bounds the time from SIGTERM to the end of the process, if anything does.
    """

    def __init__(
        self,
        pool: Pool,
        sender: object,
        *,
        send_timeout: float = 30.0,
        warn_after: float = 30.0,
        grace: Grace | None = None,
    ) -> None:
        self.pool = pool
        self._sender = sender
        self.send_timeout = send_timeout
        self._overdue = Overdue(pool, warn_after)
        self._grace = grace

    async def http(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        announces: bool = True,
        sender: object = None,
    ) -> None:
        """Serves one request.

        Args:
            announces: Whether the lease sends Django's signals, or `app` does.
            sender: Their sender. None: the one given to the class.
        """
        executor = waiting_thread()
        request = RequestThread(self, scope, send, executor)
        if not announces:
            request.announces = False
        if sender is not None:
            request.sender = sender
        entered = enter(request, executor)
        in_flight.count += 1
        try:
            if self._grace is None:
                await app(scope, receive, request.send)
            else:
                await self._with_grace(self._grace, app, scope, receive, request)
        except ClientDisconnect:
            pass  # It left in mid-upload, or took no more of a stream: nobody to answer, and no fault of ours.
        except Exception as error:
            timeout = _timeout_in(error)
            if timeout is None or request.started:
                raise
            request.forget_start()
            await _unavailable(timeout)(scope, receive, with_security_headers(scope, send))
        finally:
            in_flight.count -= 1
            leave(entered)
            close_strays(request)
            request.over = True
            if request.held is not None:
                await request.give_back(request.held)

    async def websocket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection; each sync call of it is a spell of its own."""
        executor = waiting_thread()
        request = RequestThread(self, scope, send, executor)
        request.lingers = False
        entered = enter(request, executor)
        in_flight.count += 1
        try:
            await app(scope, receive, send)
        finally:
            in_flight.count -= 1
            leave(entered)
            close_strays(request)
            request.over = True
            if request.held is not None:
                await request.give_back(request.held)

    def outside_requests(self, app: ASGIApp) -> ASGIApp:
        """Returns `app` with each sync call of its lifespan, and of the tasks begun there, as a spell of its own."""

        async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
            outside = RequestThread(self, scope, send, None)
            outside.over = True
            entered = enter(outside)
            try:
                await app(scope, receive, send)
            finally:
                leave(entered)

        return lifespan

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: the lifespan of the pool. Its end waits a moment for workers to close their connections and go."""
        await receive()
        self.pool.reopen()
        if self._grace is not None:
            self._grace.install()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        loop = asyncio.get_running_loop()
        emptied = asyncio.Event()

        def report() -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: the wait was given up.
                loop.call_soon_threadsafe(emptied.set)

        self.pool.shutdown(report)
        try:
            async with asyncio.timeout(_LAST_WAIT):
                await emptied.wait()
        except TimeoutError:
            for _, lease in self.pool.held():
                logger.warning("%s still holds a thread; the server goes without it.", endpoint_name(lease.scope))
        if self._grace is not None:
            self._grace.uninstall()
        await send({"type": "lifespan.shutdown.complete"})

    def lease_for(self, request: RequestThread, executor: CurrentThreadExecutor | None) -> Lease:
        """Returns a new lease: on a worker of the pool or, where sync code waits above the request, on its thread."""
        if executor is None:
            pool = self.pool
            self._overdue.watch()
        else:
            pool = BorrowedThread(executor, OwnThread(self._sender), self.pool)
        lease = Lease(pool, request.scope, lingers=request.lingers)
        lease.base = request.base
        lease.announces = request.announces
        lease.sender = request.sender
        return lease

    @staticmethod
    async def _with_grace(grace: Grace, app: ASGIApp, scope: Scope, receive: Receive, request: RequestThread) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A request is served outside of a task.")
        grace.begin(task)
        request.ends_with(grace, task)
        try:
            await app(scope, receive, request.send)
        except asyncio.CancelledError:
            if not request.told:
                raise
            task.uncancel()
            await request.finish()
        finally:
            grace.end(task)


class RequestThread:
    """The thread of one request: none before its first sync call. It also watches what the request sends.

    Args:
        executor: The thread that waits above the request, if there is one.
    """

    # Of the class, since most requests leave most of these as they are: to set each would cost every request its time.
    base: contextvars.Context | None = None
    held: Lease | None = None
    hop: Hop | None = None
    over = False
    started = False
    told = False
    lingers = True
    announces = True
    sender: object = None
    change: Callable[[Message], Awaitable[None]] | None = None
    """What is handed each message of the response first, and sends on what becomes of it."""
    headers: Mapping[bytes, bytes] = _NONE
    """What the response is to have, where it does not have headers of these names: in lower case."""
    _streams = False
    _complete = False
    _held_start: Message | None = None
    _flushing: asyncio.Task[None] | None = None
    _grace: tuple[Grace, asyncio.Task[Any]] | None = None

    def __init__(
        self, threads: RequestThreads, scope: Scope, send: Send, executor: CurrentThreadExecutor | None
    ) -> None:
        self.scope = scope
        self._threads = threads
        self._send = send
        self._executor = executor

    def lease(self) -> Lease:
        """Returns the lease for a call that is made now."""
        lease = self.held
        if self.over:
            # A task that outlives its request has a lease of its own for each call.
            return (lease or self._threads.lease_for(self, self._executor)).successor()
        if lease is None:
            lease = self.held = self._threads.lease_for(self, self._executor)
        return lease

    async def give_back(self, lease: Lease) -> None:
        """Ends the spell of `lease`. Returns when the worker has been given back, whatever cancels the caller."""
        ended = lease.close()
        if ended is not None:
            await wait_shielded(ended)

    def send(self, message: Message, *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`, and gives the worker back between the parts of a stream.

        Args:
            changed: Whether `change` has seen the message.
        """
        # Not a coroutine function: each costs its time, and most messages only pass.
        if self.change is not None and not changed:
            return self.change(message)
        if self._streams:
            return self._send_part(message)
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))  # It may be an iterator, which is gone once it has been read.
            names = dict(headers)
            if self.headers:
                headers += missing_headers(names, self.headers)
            message = {**message, "headers": headers}
            if b"content-length" in names or any(name.lower() == b"content-length" for name in names):
                self.started = True
                return self._send(message)
            return self._begin(message)
        if message.get("more_body"):
            self._become_stream()
            return self._send_part(message)
        return self._send(message)

    def ends_with(self, grace: Grace, task: asyncio.Task[Any]) -> None:
        """Has an event stream end when `grace` begins to count. `task` serves the request."""
        self._grace = (grace, task)

    async def finish(self) -> None:
        """Ends an event stream as its app would have done."""
        await (self._flush() if self._flushing is None else asyncio.shield(self._flushing))
        await self._send({"type": "http.response.body", "body": b""})

    def forget_start(self) -> None:
        """Sends nothing of a start that is held: another answer takes its place."""
        self._held_start = None

    async def _begin(self, message: Message) -> None:
        loop = asyncio.get_running_loop()
        self._streams = True
        pool = self._threads.pool
        if pool.streams.full:
            # The first part may have to wait for a worker in vain, and 503 is an answer only if none was begun.
            self._held_start = message
            loop.call_later(pool.wait_timeout + _AFTER_THE_WAIT, self._release)
        else:
            self.started = True
            await self._send(message)
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
        if self.over or self._complete:
            return
        if lease is None or not (lease.iterators or lease.pool.streams.awaited_by(lease)):
            self._release()  # No sync iterator: nothing of this stream has to wait.
        if lease is None:
            self.lingers = False
        elif lease.lingers and not lease.iterators:
            lease.lingers = False
            lease.rest()

    def _release(self) -> None:
        if self._held_start is not None and not self.over:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        held, self._held_start = self._held_start, None
        if held is not None:
            self.started = True
            await self._send(held)

    async def _send_part(self, message: Message) -> None:
        lease = self.held
        pinned = lease is not None and message.get("more_body") and lease.pinned
        if lease is not None and pinned:
            await lease.pool.streams.enter(lease)
        # One message is no stream, though no Content-Length has told so: 204, or Django without its middleware.
        self._complete = not message.get("more_body")
        if self._flushing is not None:
            await asyncio.shield(self._flushing)  # Middleware may take its time over a start, and no part overtakes it.
        elif self._held_start is not None:
            await self._flush()
        if lease is None or not pinned or lease.worker is None:
            await self._send(message)
        else:
            await self._send_in_time(lease, message)

    async def _send_in_time(self, lease: Lease, message: Message) -> None:
        seconds = self._threads.send_timeout
        if lease.pool.streams.must_hurry(lease):
            seconds = min(_HURRY, seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._send(message)
        except TimeoutError:
            logger.warning(
                "%s was cut off: its client took no data for %g s while the stream held a thread.",
                endpoint_name(lease.scope),
                seconds,
            )
            raise ClientDisconnect from None


def _is_event_stream(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )


def _timeout_in(error: BaseException | None) -> PoolTimeout | None:
    """The PoolTimeout that `error` is, or was raised from (Starlette wraps what it meets after a response's start)."""
    while error is not None and not isinstance(error, PoolTimeout):
        error = error.__cause__
    return error


def _unavailable(timeout: PoolTimeout) -> Any:
    return JSONResponse({"detail": timeout.detail}, status_code=timeout.status_code, headers=timeout.headers)
