"""One request and its lease: the doors led to it, and its spell ended.

What the request sends is watched by djfast_mount.request_thread.response.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import weakref
from collections.abc import Callable, Sized
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import SyncToAsync
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.exceptions import PoolTimeout, client_has_left, original_of
from djfast_mount.lifespan.grace import Grace
from djfast_mount.offload.cancellation import cancel_again, wait_shielded
from djfast_mount.offload.current import KEY, Source, in_flight, source
from djfast_mount.offload.private_names import executors
from djfast_mount.offload.run import SHARED_CONTEXT, draw, enter, leave, offer_thread, run, waiting_thread
from djfast_mount.request_thread.borrowed import BorrowedThread
from djfast_mount.request_thread.overdue import Overdue
from djfast_mount.request_thread.response import WatchedResponse
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.threads.lease import Hooks, Lease
from djfast_mount.threads.pool import Pool

__all__ = ["RequestThread", "RequestThreads"]

logger = logging.getLogger("djfast_mount.threads")

# Seconds that the end of the lifespan waits for workers. Requests have ended by then, or the server has given them up.
_LAST_WAIT = 2.0

thread_sensitive_context = SyncToAsync.thread_sensitive_context


class RequestThreads:
    """Runs apps so that all sync work of a request goes to one worker of `pool`.

    Args:
        pool: Where the workers come from.
        kind: The thread of one request. None: RequestThread.
        own_thread: Makes the hooks of a request whose thread the pool did not lend.
        left: What requests have left behind elsewhere, if anything.
        ended: Called on the event loop with each request that has ended, before its lease is closed, while something
            is `left`.
        unavailable: Makes the answer to a request that got no thread in time.
        send_timeout: Seconds that a client may take to accept one part of a stream that holds a worker.
        warn_after: Seconds after which a held worker is logged, with what it is doing.
        grace: What bounds the time from SIGTERM to the end of the process, if anything does.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        kind: type[RequestThread] | None = None,
        own_thread: Callable[[], Hooks],
        left: Sized,
        ended: Callable[[Source], None],
        unavailable: Callable[[PoolTimeout], ASGIApp],
        send_timeout: float = 30.0,
        warn_after: float = 30.0,
        grace: Grace | None = None,
    ) -> None:
        self.pool = pool
        self._kind = kind or RequestThread
        self._own_thread = own_thread
        self._left = left
        self._ended = ended
        self._unavailable = unavailable
        self.send_timeout = send_timeout
        self._overdue = Overdue(pool, warn_after)
        self._grace = grace

    async def http(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        announces: bool = True,
        sender: object = None,
    ) -> None:
        """Serves one request.

        Args:
            announces: Whether the lease sends Django's signals, or `app` does.
            sender: Their sender. None: that of the hooks.
        """
        request = scope[KEY] = self._kind(self, scope, send)
        if not announces:
            request.announces = False
        if sender is not None:
            request.sender = sender
        failed: list[Exception] | None = None
        # As enter() and leave() do it: a call of each would slow every request.
        executor = None if executors.get(None) is None else waiting_thread()
        if executor is not None:
            request.executor = executor
            offer_thread(None)
        token, context = source.set(request), thread_sensitive_context.set(SHARED_CONTEXT)
        request.base = contextvars.copy_context()
        in_flight.count += 1
        try:
            if self._grace is None:
                await app(scope, receive, request.send)
            else:
                await self._with_grace(self._grace, app, scope, receive, request)
        except Exception as error:
            if not await self._is_answered(request, error, receive, send):
                if original_of(error) is error:
                    raise
                failed = [original_of(error)]
        finally:
            in_flight.count -= 1
            request.base = None  # It holds the context variable that holds the request.
            source.reset(token)
            thread_sensitive_context.reset(context)
            if executor is not None:
                offer_thread(executor)
            if self._left:
                self._ended(request)
            request.over = True
            scope.pop(KEY, None)  # The request holds the scope, so this would be a cycle.
            # Most async requests have neither, and a coroutine for each would slow them.
            if request.call is not None or request.held is not None:
                await request.end()
        if failed is not None:
            # Outside of the `except`: inside, the error replaced would be its `__context__`. Popped: a name is a cycle.
            raise failed.pop()

    async def websocket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection; each sync call of it is a spell of its own."""
        executor = waiting_thread()
        request = scope[KEY] = self._kind(self, scope, send)
        request.executor = executor
        # A websocket may be open for hours: it holds a worker during a call, and none between two. See law 5
        # of djfast_mount.threads.pool: this lease does not linger.
        request.lingers = False
        entered = enter(request, executor)
        in_flight.count += 1
        try:
            await app(scope, receive, request.send_to_websocket)
        finally:
            in_flight.count -= 1
            leave(entered)
            if self._left:
                self._ended(request)
            request.over = True
            scope.pop(KEY, None)
            await request.end()

    def outside_requests(self, app: ASGIApp) -> ASGIApp:
        """Returns `app` with each sync call of its lifespan, and of the tasks begun there, as a spell of its own."""

        async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
            outside = RequestThread(self, scope, send)
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
        pool = self.pool if executor is None else BorrowedThread(executor, self._own_thread(), self.pool)
        lease = Lease(pool, request.scope, lingers=request.lingers)
        if executor is None and self._overdue.loop is not lease.loop:
            self._overdue.watch(lease.loop)
        lease.base = request.base
        if not request.announces:
            lease.announces = False
        if request.sender is not None:
            lease.sender = request.sender
        return lease

    async def _is_answered(self, request: RequestThread, error: Exception, receive: Receive, send: Send) -> bool:
        """Whether the server need not hear of `error`: the client has its answer, or has one now, or has left."""
        scope = request.scope
        if request.call is not None and request.call.has_settled(error):
            # Starlette's test client alone has that extension. It raises what a server would log.
            return "http.response.debug" not in scope.get("extensions", ())
        if client_has_left(original_of(error)):
            return True  # In mid-upload, or it took no more of a stream: nobody to answer, and no fault of ours.
        timeout = _timeout_in(error)
        if timeout is None or request.started:
            return False
        request.forget_start()
        await self._unavailable(timeout)(scope, receive, send)
        return True

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


class RequestThread(WatchedResponse):
    """The thread of one request: none before its first sync call."""

    threads: RequestThreads

    # Defaults stand on the class: most requests change few of them, and setting each would slow every request.
    base: contextvars.Context | None = None
    announces = True
    sender: object = None
    run = staticmethod(run)
    draw = staticmethod(draw)
    executor: CurrentThreadExecutor | None = None
    """The thread that waits above the request, if there is one."""
    _late: weakref.WeakKeyDictionary[asyncio.Task[Any], Lease] | None = None

    def lease(self) -> Lease:
        """Returns the lease for a call that is made now."""
        if self.over:
            return self._late_lease()
        lease = self.held
        if lease is None:
            lease = self.held = self.threads.lease_for(self, self.executor)
        return lease

    def _late_lease(self) -> Lease:
        """Returns the lease of a task that outlives its request: one until its end, for it may leave an iterator."""
        task = asyncio.current_task()
        if self._late is None:
            self._late = weakref.WeakKeyDictionary()
        known = None if task is None else self._late.get(task)
        if known is not None:
            return known
        ended = self.held or self.threads.lease_for(self, self.executor)
        # A thread that the pool did not lend may wait no longer with the next call.
        if task is None or ended.pool.outlast() is not self.threads.pool:
            return ended.successor()
        late = self._late[task] = ended.for_task()
        task.add_done_callback(lambda _: late.close())
        return late

    async def end(self) -> None:
        """Ends what there still is of the request, whatever cancels the caller."""
        try:
            if self.call is not None:
                await self.call.end()
        finally:
            if self.held is not None:
                await self.give_back(self.held)

    async def give_back(self, lease: Lease) -> None:
        """Ends the spell of `lease`. Returns when the worker has been given back, whatever cancels the caller."""
        ended = lease.close()
        if ended is None:
            return
        try:
            await ended  # A shield would cost a second future and a turn of the loop, with each such request.
        except asyncio.CancelledError as error:
            if (again := lease.close_anew()) is not None:
                await wait_shielded(again)
            cancel_again(error)


def _timeout_in(error: BaseException | None) -> PoolTimeout | None:
    """The PoolTimeout that `error` is, or was raised from (Starlette wraps what it meets after a response's start)."""
    while error is not None and not isinstance(error, PoolTimeout):
        error = error.__cause__
    return error
