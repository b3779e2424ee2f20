"""The doors by which sync code reaches a thread, led to the lease of the request.

asgiref's door is its map from the current thread-sensitive context to an executor: every request of ours shares one
context, whose executor hands each call to the lease of the request that makes it. AnyIO's door is the name ``anyio`` in
``starlette.concurrency`` and ``fastapi.concurrency``: a stand-in there, set once, sends what those modules call through
the lease, and is inert where there is none.

1. Calls of one task share one `contextvars.Context` for the whole request, so that what a sync dependency sets is seen
   by the endpoint, and a token can be reset where the dependency ends.
2. What sync code sets flows back to the task that called it; asgiref's `Local`s are moved along, both ways.
3. Sync code that goes back to the loop waits there as a worker for the sync code below it: it never waits for itself.
4. A call that has begun is waited for, whatever cancels its caller; the caller meets the cancellation right after.
   One that has not begun is dropped, save for the exit of a context manager.
5. Where sync code above the loop waits and offers its thread (a test), that thread is the request's: no worker is
   taken.

The names that are not public stand in djfast_mount.offload.private_names.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, cast

import anyio
import anyio.to_thread
import fastapi.concurrency
import starlette.concurrency
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from starlette.concurrency import iterate_in_threadpool

from djfast_mount.offload.current import Source
from djfast_mount.offload.current import source as _source
from djfast_mount.offload.executor_call import ExecutorCall
from djfast_mount.offload.function_kinds import Kind, kind_of, owner_of
from djfast_mount.offload.iterator_items import Drawing
from djfast_mount.offload.loop_call import LoopCall, SharedContext
from djfast_mount.offload.private_names import check_doors, executors, set_running_loop
from djfast_mount.threads.calls import Call, perform
from djfast_mount.threads.lease import Lease

__all__ = ["SHARED_CONTEXT", "draw", "enter", "install", "leave", "offer_thread", "run", "waiting_thread"]

Entered = tuple[
    Source, contextvars.Token[Source], contextvars.Token[ThreadSensitiveContext], CurrentThreadExecutor | None
]


def waiting_thread() -> CurrentThreadExecutor | None:
    """Returns the executor of the sync code above the caller that waits and offers its thread, if there is any."""
    if executors.get(None) is None:
        return None
    executor: CurrentThreadExecutor | None = getattr(AsyncToSync.executors, "current", None)
    return executor


def offer_thread(executor: CurrentThreadExecutor | None) -> None:
    """Has asgiref know of the thread that waits above the caller, or not. None: it knows of none."""
    AsyncToSync.executors.current = executor


def enter(source: Source, hidden: CurrentThreadExecutor | None = None) -> Entered:
    """Leads both doors to `source` in the current context. `leave()` must be given what this returns.

    `hidden` is the thread that waits above us, where there is one: asgiref would send its calls there past the lease.
    """
    if hidden is not None:
        offer_thread(None)
    entered = source, _source.set(source), SyncToAsync.thread_sensitive_context.set(SHARED_CONTEXT), hidden
    source.base = contextvars.copy_context()
    return entered


def leave(entered: Entered) -> None:
    """Leads the doors back to where they led before."""
    source, token, context, hidden = entered
    source.base = None  # It holds the context variable that holds the source.
    _source.reset(token)
    SyncToAsync.thread_sensitive_context.reset(context)
    if hidden is not None:
        offer_thread(hidden)


def install() -> None:
    """Opens both doors. Called by `mount()`; a second call changes nothing. Raises MountError where one has moved."""
    check_doors()
    # In these two modules alone: in AnyIO itself a caller of theirs could not be told from any other.
    for module in (starlette.concurrency, fastapi.concurrency):
        vars(module)["anyio"] = _stand_in


# Loops besides the server's ----------------------------------------------------------------------------------------


def _lease_on(source: Source) -> Lease:
    """Returns the lease for a call that is made on the running loop."""
    lease: Lease = source.lease()
    if lease.loop is not asyncio.get_running_loop() and lease.calling and not _is_here(lease):
        # Sync code of the request may be waiting for that loop on the request's thread.
        return lease.successor()
    return lease


def _is_here(lease: Lease) -> bool:
    """Whether the running loop is one that sync code of the request runs on the request's own thread."""
    worker = lease.worker
    return worker is not None and worker.thread is threading.current_thread()


def _run_here(call: Call) -> None:
    """Runs `call` in the midst of the running loop."""
    # Sync code must not find the loop: Django refuses the ORM where one runs (`async_unsafe`).
    local = SyncToAsync.threadlocal
    loop, main_loop = asyncio.get_running_loop(), getattr(local, "main_event_loop", None)
    set_running_loop(None)
    try:
        perform(call)
    finally:
        set_running_loop(loop)
        local.main_event_loop = main_loop


# asgiref's door ----------------------------------------------------------------------------------------------------


class _LeaseExecutor(Executor):
    """Hands each call to the lease of the request that makes it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = ExecutorCall(fn, args, kwargs)
        lease = _lease_on(_source.get())
        if lease.context is None:
            lease.context = contextvars.copy_context()
        if _is_here(lease):
            _run_here(call)
        else:
            lease.submit(call)
        return cast("Future[Any]", call.future)  # For run_in_executor(), which takes one of its loop as it is.


SHARED_CONTEXT = ThreadSensitiveContext()
"""That of asgiref in which all requests are."""
SyncToAsync.context_to_thread_executor[SHARED_CONTEXT] = _LeaseExecutor()


# AnyIO's door ------------------------------------------------------------------------------------------------------


def run(function: Callable[..., Any], *args: Any) -> Coroutine[Any, Any, Any]:
    """Runs `function` on the thread of the request that the caller belongs to, and returns or raises what it does.

    Raises: PoolTimeout, when no thread comes free in time; LookupError outside of a request.
    """
    return _on_lease(_lease_on(_source.get()), function, args)


async def _run_sync(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    source = _source.get(None)
    kind = Kind.FILE_ACCESS if source is None else kind_of(function)
    if source is None or kind is Kind.FILE_ACCESS:
        return await anyio.to_thread.run_sync(function, *args, **options)
    lease = _lease_on(source)
    # A lease for one call ends with it: nobody would come back to what a call leaves on the worker.
    way = _on_lease if lease.one_call else _WAYS[kind]
    return await way(lease, function, args)


async def _on_lease(
    lease: Lease, function: Callable[..., Any], args: tuple[Any, ...], *, droppable: bool = True
) -> Any:
    call = _call(lease, function, args)
    call.droppable = droppable
    if _is_here(lease):
        # The lease's own context may be in use by the code above us, and a context cannot be entered twice.
        call.shared = SharedContext(call.seen, None)
        _run_here(call)
    elif executors.get(None) is None or not _offer(call):
        lease.submit(call)
    return await call.outcome()


def _call(lease: Lease, function: Callable[..., Any], args: tuple[Any, ...]) -> LoopCall:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    seen = contextvars.copy_context()
    if lease.owner is None:
        # Most requests make one call. It is spared the function that the next ones need.
        lease.shared = shared = SharedContext(seen, lease.base)
        lease.owner, lease.context = task, shared.context
    else:
        shared = lease.context_of(task, lambda: SharedContext(seen, lease.base))
    return LoopCall(function, args, shared, seen, task, loop)


def _offer(call: LoopCall) -> bool:
    """Gives `call` to the sync code of this request that waits above us, if there is any."""
    executor = waiting_thread()
    if executor is None:
        return False
    # The lease's own context may be in use by the code above us, and a context cannot be entered twice.
    call.shared = SharedContext(call.seen, None)
    try:
        executor.submit(perform, call)
    except RuntimeError:  # The thread waits no more. The caller is a task that has outlived it.
        return False
    return True


async def _draw(lease: Lease, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    iterator = args[0]
    await lease.pool.streams.enter(lease)
    lease.iterators[id(iterator)] = iterator
    return await _on_lease(lease, _drawn, (lease, function, iterator))


async def draw(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    """Yields what `iterator` makes on the thread of the request: several items with one hop, each as it is made.

    They are bytes, or anything else that has a length. Raises: PoolTimeout, when no thread comes free in time.
    """
    ended = False
    while not ended:
        lease = _lease_on(_source.get())
        if _is_here(lease) or waiting_thread() is not None:
            break  # The iterator would run on this very thread, so it cannot make items while the loop sends them.
        await lease.pool.streams.enter(lease)
        lease.iterators[id(iterator)] = iterator
        drawing = Drawing()
        call = _call(lease, _drawn_ahead, (lease, drawing, iterator))
        call.future.add_done_callback(drawing.wake)
        lease.submit(call)
        try:
            async for item in drawing.items(call.future):
                yield item
        except (asyncio.CancelledError, GeneratorExit) as stop:
            await call.stopped(stop)
            raise
        ended = await call.outcome()
    else:
        return
    async for item in iterate_in_threadpool(iterator):
        yield item


async def _enter_context(lease: Lease, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if not lease.lingers:  # A websocket, or a stream: it holds its worker until the context is left.
        await lease.pool.streams.enter(lease)
    return await _on_lease(lease, _entered, (lease, function, *args))


def _exit_context(lease: Lease, function: Callable[..., Any], args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    # Where the response has begun, it has ended too: as a whole, or because its client left.
    abandoned = _source.get().started or (bool(args) and args[0] is not None)
    return _on_lease(lease, _exited, (lease, abandoned, function, *args), droppable=False)


_WAYS: Mapping[Kind, Callable[[Lease, Callable[..., Any], tuple[Any, ...]], Coroutine[Any, Any, Any]]] = {
    Kind.DRAWING: _draw,
    Kind.ENTERING: _enter_context,
    Kind.LEAVING: _exit_context,
    Kind.CALL: _on_lease,
}


# On the worker -----------------------------------------------------------------------------------------------------


def _drawn(lease: Lease, draw_next: Callable[[Any], Any], iterator: Any) -> Any:
    try:
        return draw_next(iterator)
    except BaseException:
        lease.iterators.pop(id(iterator), None)
        raise


def _drawn_ahead(lease: Lease, drawing: Drawing, iterator: Iterator[Any]) -> bool:
    ended = True
    try:
        ended = drawing.draw(iterator)
    finally:
        if ended:
            lease.iterators.pop(id(iterator), None)
    return ended


def _entered(lease: Lease, enter_context: Any, *args: Any) -> Any:
    entered = enter_context(*args)
    lease.pins[id(owner_of(enter_context))] = frozenset(lease.iterators)
    return entered


def _exited(lease: Lease, abandoned: bool, exit_context: Any, *args: Any) -> Any:
    older = lease.pins.pop(id(owner_of(exit_context)), None)
    if older is not None and abandoned:
        # What a stream that was begun inside does in its `finally` belongs inside too.
        lease.close_iterators(older)
    return exit_context(*args)


# The stand-in for the module anyio ---------------------------------------------------------------------------------


class _ToThread:
    run_sync = staticmethod(_run_sync)

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio.to_thread, name)


class _StandIn:
    """The module anyio, but for `to_thread.run_sync`."""

    to_thread = _ToThread()

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio, name)


_stand_in = _StandIn()
