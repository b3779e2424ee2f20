"""A call to sync code that reports to a task of an event loop.

Names used here that are not public, each with a canary test:

    asgiref.sync    SyncToAsync.threadlocal, _restore_context
    anyio           _core._eventloop.set_current_async_library
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

from anyio._core._eventloop import set_current_async_library
from asgiref.sync import SyncToAsync, _restore_context

from djfast_mount.cancellation import cancel_again, outlive

__all__ = ["LoopCall", "running_call"]

_running = threading.local()


def running_call() -> LoopCall | None:
    """Returns the call that the calling thread is in the midst of; None outside of one."""
    return getattr(_running, "call", None)


class LoopCall:
    """A call that reports to a task of an event loop.

    Args:
        context: Where the function runs.
        seen: What the caller's context holds now.
        task: The caller.

    A call that has begun is waited for, whatever cancels its caller; the caller meets the cancellation right after.
    One that has not begun is dropped, unless `droppable` was made false.
    """

    __slots__ = (
        "_settled",
        "_ticket",
        "args",
        "context",
        "droppable",
        "function",
        "future",
        "loop",
        "ran",
        "seen",
        "task",
        "tasks",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context,
        seen: contextvars.Context,
        task: asyncio.Task[Any] | None,
    ) -> None:
        self.function = function
        self.args = args
        self.context = context
        self.seen = seen
        self.task = task
        self.droppable = True
        self.ran = False
        self.tasks: list[asyncio.Task[Any]] = []  # what asgiref's async_to_sync runs for the function
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self._ticket = [None]
        self._settled: tuple[Any, BaseException | None] | None = None

    def claim(self) -> bool:
        """Whether the caller of this is the one to settle the call's fate: to begin it, or to drop it."""
        try:
            self._ticket.pop()  # Atomic: the worker and the loop may both be here.
        except IndexError:
            return False
        return True

    def wanted(self) -> bool:
        return bool(self._ticket)

    def run(self) -> None:
        if not self.claim():
            return
        self.ran = True
        local = SyncToAsync.threadlocal
        outer, local.task_context = getattr(local, "task_context", None), self.tasks
        outer_call, _running.call = getattr(_running, "call", None), self
        try:
            result, error = self.context.run(self._run), None
        except BaseException as raised:
            result, error = None, raised
        finally:
            local.task_context = outer
            _running.call = outer_call
        self._report(result, error)

    def fail(self, error: BaseException) -> None:
        if self.claim():
            self._report(None, error)

    async def outcome(self) -> Any:
        """Returns or raises what the function did. Runs on the loop, in the task that made the call."""
        try:
            return await self.future
        except asyncio.CancelledError as error:
            if self.future.done() and not self.future.cancelled():
                # The outcome was there, and is not to be lost: a context manager that was entered must be left.
                if self.future.exception() is error:
                    raise  # The function itself raised it.
            elif self.droppable and self.claim():
                raise
            else:
                for task in self.tasks[:1]:
                    task.cancel()
                await self._outlive()
            cancel_again(error)
            return self.future.result()
        finally:
            if self.ran:  # What was dropped, or got no thread, has set nothing.
                _restore_context(self.context)

    def _run(self) -> Any:
        _restore_context(self.seen)
        set_current_async_library(None)
        return self.function(*self.args)

    def _report(self, result: Any, error: BaseException | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            if not self.loop.is_closed():
                raise

    async def _outlive(self) -> None:
        if self._settled is None:
            self.future = self.loop.create_future()
            await outlive(self.future)
            return
        # The outcome came while the cancellation was on its way, to a future that was cancelled already.
        self.future = self.loop.create_future()
        self._settle(*self._settled)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        self._settled = (result, error)
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
            return
        if isinstance(error, StopIteration):
            # A future takes no StopIteration; AnyIO's own thread turns it into this.
            replaced = RuntimeError("coroutine raised StopIteration")
            replaced.__cause__ = error
            error = replaced
        self.future.set_exception(error)
