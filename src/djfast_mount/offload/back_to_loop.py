"""The way from a request's thread back to its event loop: `async_to_sync`, and AnyIO's `from_thread`.

Both take the same way, so that code which waits on the thread does the sync work that comes up meanwhile (law 3 of
djfast_mount.offload.run). The names that are not public stand in djfast_mount.offload.private_names.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import EventLoopToken
from asgiref.sync import SyncToAsync, async_to_sync

from djfast_mount.offload.loop_call import running_call
from djfast_mount.offload.private_names import AsyncIOBackend, task_states, threadlocals

__all__ = ["settle"]


def settle(loop: asyncio.AbstractEventLoop) -> None:
    """Tells asgiref and AnyIO which loop the code on this thread goes back to. Runs on a worker."""
    SyncToAsync.threadlocal.main_event_loop = loop
    SyncToAsync.threadlocal.main_event_loop_pid = os.getpid()
    SyncToAsync.threadlocal.task_context = None
    threadlocals.current_token = EventLoopToken(_Backend, loop)


class _Backend(AsyncIOBackend):
    """AnyIO's way back from our threads to the loop: the same as asgiref's, so that law 3 holds for both."""

    @classmethod
    def run_async_from_thread(cls, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...], token: object) -> Any:
        running = running_call()

        async def call() -> Any:
            if running is None or not running.cancelled:
                return await func(*args)
            # The caller was cancelled before this began. AnyIO remembers that: the first wait is where it is met.
            with anyio.CancelScope() as scope:
                scope.cancel()
                return await func(*args)
            raise asyncio.CancelledError

        try:
            return async_to_sync(call)()
        except asyncio.CancelledError as error:
            raise concurrent.futures.CancelledError(str(error)) from None

    @classmethod
    def check_cancelled(cls) -> None:
        call = running_call()
        state = task_states.get(call.task) if call is not None and call.task is not None else None
        threadlocals.current_cancel_scope = state.cancel_scope if state is not None else None
        super().check_cancelled()
