"""A call to sync code that reports to a task of an event loop, and the context in which it runs.

1. All calls of a task share one `contextvars.Context`: a token is good only in the context in which it was made.
2. At the begin of a call the context is given what the task holds, at its end the task what the context holds;
   asgiref's `Local`s are moved along.
3. What a side no longer holds is unset on the other. Only a token can do that, so the token of each first set is kept.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import SyncToAsync

from djfast_mount.offload.cancellation import cancel_again, wait_shielded
from djfast_mount.offload.private_names import Storage, rehome, set_current_async_library

__all__ = ["LoopCall", "SharedContext", "running_call"]

_running = threading.local()
_UNSET = object()

Tokens = dict[contextvars.ContextVar[Any], contextvars.Token[Any]]


class SharedContext:
    """The context of a task's calls.

    Args:
        seen: What the task holds now.
        base: What the request began with, which nothing within it can unset; None: there is but one call.
    """

    __slots__ = ("_below", "_task", "context")

    def __init__(self, seen: contextvars.Context, base: contextvars.Context | None) -> None:
        self._task: Tokens = {}
        self._below: Tokens = {}
        self.context = seen
        if base is not None and len(base) != len(seen):
            self.context = base.copy()
            self.context.run(self.begin, seen)

    def begin(self, seen: contextvars.Context) -> None:
        """Gives the context what the task holds, which is `seen`. Runs in the context."""
        if seen is not self.context:
            _carry(seen, self._below)
        elif Storage in map(type, seen.values()):
            for variable, value in seen.items():
                if type(value) is Storage:
                    variable.set(rehome(value))

    def end(self) -> None:
        """Gives the task what the context holds. Runs in the task."""
        _carry(self.context, self._task)


def _carry(source: contextvars.Context, tokens: Tokens) -> None:
    """Makes the current context hold what `source` holds. `tokens` are those of its variables that were set here."""
    if tokens:
        here = contextvars.copy_context()
        for gone in [variable for variable in tokens if variable not in source]:
            token = tokens.pop(gone)
            if gone in here:
                gone.reset(token)
    # As asgiref's _restore_context() does it, but for what is here already: that is nearly all, with each call.
    for variable, value in source.items():
        found = variable.get(_UNSET)
        if type(value) is Storage:
            # asgiref puts a new dict into a storage with each change, so the same dict holds the same.
            if type(found) is Storage and found.data is value.data and found.thread_id == threading.get_ident():
                continue
            token = variable.set(rehome(value))
        elif found is not value:
            token = variable.set(value)
        else:
            continue
        if found is _UNSET:
            tokens[variable] = token


def running_call() -> LoopCall | None:
    """Returns the call that the calling thread is in the midst of; None outside of one."""
    return getattr(_running, "call", None)


class LoopCall:
    """A call that reports to a task of an event loop.

    Args:
        shared: Where the function runs.
        seen: What the caller's context holds now.
        task: The caller.
        loop: On which it runs.

    A call that has begun is waited for, whatever cancels its caller; the caller meets the cancellation right after.
    One that has not begun is dropped, unless `droppable` was made false.
    """

    __slots__ = (
        "_outcome",
        "_settled",
        "_ticket",
        "args",
        "cancelled",
        "droppable",
        "function",
        "future",
        "loop",
        "ran",
        "seen",
        "shared",
        "task",
        "tasks",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        shared: SharedContext,
        seen: contextvars.Context,
        task: asyncio.Task[Any] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.function = function
        self.args = args
        self.shared = shared
        self.seen = seen
        self.task = task
        self.droppable = True
        self.cancelled = False  # while it ran; for the loop
        self.ran = False
        self.tasks: list[asyncio.Task[Any]] = []  # what asgiref's async_to_sync runs for the function
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self._ticket = [None]
        self._outcome: tuple[Any, BaseException | None] | None = None
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
        try:
            self._ticket.pop()  # As claim() does it.
        except IndexError:
            return
        self.ran = True
        local = SyncToAsync.threadlocal
        outer, local.task_context = getattr(local, "task_context", None), self.tasks
        outer_call, _running.call = getattr(_running, "call", None), self
        try:
            self._outcome = self.shared.context.run(self._run), None
        except BaseException as error:
            self._outcome = None, error
        finally:
            local.task_context = outer
            _running.call = outer_call

    def report(self) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            self._report(outcome[0], outcome[1])

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
                self.cancelled = True
                for task in self.tasks[:1]:
                    task.cancel()
                await self._wait_shielded()
            cancel_again(error)
            return self.future.result()
        finally:
            if self.ran:  # A call that did not run has set nothing.
                self.shared.end()
            if self._settled is not None:
                # Nobody asks again. The traceback of an error leads to those who hold this call, and so to itself.
                del self._settled, self.future

    async def stopped(self, stop: BaseException) -> None:
        """Drops the call or, if it has begun, waits for it and raises what it raised. Runs where `outcome` does.

        Args:
            stop: What the caller has met, and goes on with: it wants no outcome.
        """
        if self.claim():
            return
        self.cancelled = True
        for task in self.tasks[:1]:
            task.cancel()
        try:
            if not self.future.done():
                await wait_shielded(self.future)
            # An error of the project's is not to be lost because its client has left; nor is the cancellation.
            if self.future.exception() is not None and isinstance(stop, asyncio.CancelledError):
                cancel_again(stop)
            self.future.result()
        finally:
            self.shared.end()
            del self._settled, self.future  # A cycle would be left otherwise: see `outcome()`.

    def _run(self) -> Any:
        self.shared.begin(self.seen)
        set_current_async_library(None)
        return self.function(*self.args)

    def _report(self, result: Any, error: BaseException | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            if not self.loop.is_closed():
                raise

    async def _wait_shielded(self) -> None:
        if self._settled is None:
            self.future = self.loop.create_future()
            await wait_shielded(self.future)
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
