"""Sync code that waits for an event loop, and does sync work for it meanwhile.

asgiref knows the thread of such code as an executor, in a context variable. Where there is one above a request, that
thread is the request's, and no worker is taken (law 5 of djfast_mount.offload.run): a test's thread, mostly.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync

from djfast_mount.offload.private_names import restore_context, threadlocals

__all__ = ["Caller", "offer", "run_on_loop", "unclaimed_thread"]


class Caller(Executor):
    """A thread that does sync work while it waits."""

    def run_until(self, future: Future[Any]) -> None:
        """Does what is submitted, on the calling thread, until `future` is done."""
        raise NotImplementedError


def offer(executor: Executor) -> None:
    """Makes `executor` the thread that waits above the current context: sync work below goes there."""
    AsyncToSync.executors.current = executor


def unclaimed_thread() -> Executor:
    """Returns asgiref's one thread for sync work that belongs to no request and has no thread waiting above it."""
    return SyncToAsync.single_thread_executor


def run_on_loop(
    loop: asyncio.AbstractEventLoop, caller: Caller, function: Callable[..., Awaitable[Any]], *args: Any
) -> Any:
    """Returns or raises what a coroutine function does on `loop`, which runs in another thread.

    Meanwhile `caller` does the sync work on the calling thread, which is left as it was found. The coroutine sees the
    caller's context; what it sets there does not come back.
    """
    context = contextvars.copy_context()

    async def call() -> Any:
        restore_context(context)  # The values are there; asgiref's Locals must be told of their new thread.
        offer(caller)
        return await function(*args)

    found = [(vars(local), vars(local).copy()) for local in (SyncToAsync.threadlocal, threadlocals)]
    future = asyncio.run_coroutine_threadsafe(call(), loop)
    try:
        caller.run_until(future)
    except BaseException:
        future.cancel()
        raise
    finally:
        for names, values in found:
            names.clear()
            names.update(values)
    return future.result()
