"""An event loop in a thread of its own, whose sync work is done by the thread that calls it.

1. The caller waits for what it has begun on the loop and, while it does, runs what the loop's code hands it, in order.
2. Nothing is lost between two calls: what is handed over then waits for the next one.
3. The loop ends with `close()`, or when nobody holds the `LoopThread` any more. It never holds the interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from djfast_mount.offload import waiting
from djfast_mount.threads.calls import FutureCall, perform

__all__ = ["CallingThread", "LoopThread"]

T = TypeVar("T")

# Seconds that the end of a loop waits for what still runs there.
_LAST_WAIT = 2.0


class CallingThread(waiting.Caller):
    """Runs what it is given on the thread that waits in `run_until()`."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._waiting: int | None = None  # the thread that waits
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Has the call made by the thread that waits, now or the next time.

        Raises: RuntimeError, when no thread will wait any more.
        """
        if self._closed:
            raise RuntimeError(f"{fn!r} came after its test client was closed: no thread waits for it any more.")
        call = FutureCall(fn, args, kwargs)
        self._jobs.put(partial(perform, call))
        return call.future

    def run_until(self, future: Future[Any]) -> None:
        """Runs what is submitted, on the caller's thread, until `future` is done.

        Raises: RuntimeError, when another thread waits already: either would do the other's work.
        """
        outer, me = self._waiting, threading.get_ident()
        if outer not in (None, me):
            raise RuntimeError(
                "A test client was called while a call of another thread is under way. Give each thread its own."
            )
        self._waiting = me
        future.add_done_callback(lambda _: self._jobs.put(bool))
        try:
            while not future.done():
                self._jobs.get()()
            with contextlib.suppress(Empty):
                while True:
                    self._jobs.get_nowait()()
        finally:
            self._waiting = outer

    def close(self) -> None:
        """Refuses everything from now on."""
        self._closed = True


class LoopThread:
    """An event loop in a helper thread."""

    def __init__(self) -> None:
        self._loop = _new_loop()
        self._caller = CallingThread()
        self._thread = threading.Thread(
            target=_run, args=[self._loop], name="djfast_mount.testing's event loop", daemon=True
        )
        self._thread.start()
        self._stop = weakref.finalize(self, _stop, self._loop, self._caller, self._thread)

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Returns or raises what the coroutine function does on the loop; the caller's thread does its sync work."""
        outcome: T = waiting.run_on_loop(self._loop, self._caller, function, *args)
        return outcome

    async def on_caller(self, function: Callable[..., T], *args: Any) -> T:
        """Runs `function` on the caller's thread. Called on the loop."""
        return await self._loop.run_in_executor(self._caller, function, *args)

    def close(self) -> None:
        """Cancels what still runs on the loop, lets it end, and ends the loop."""
        if self._stop.alive:
            self.run(_finish)
            self._stop()


def _new_loop(clock: Callable[[], float] = time.monotonic) -> asyncio.AbstractEventLoop:
    """Returns a loop that goes by the real clock, whatever a test makes of `time.monotonic`.

    freezegun leaves the clock alone for calls right below the module threading, as those of this loop's thread are, and
    moves it for deeper ones, such as that of `asyncio.sleep`: the timer of one would never be reached by the other.
    """
    loop = asyncio.new_event_loop()
    with contextlib.suppress(AttributeError):  # uvloop has a clock of its own, which nobody moves.
        loop.time = clock  # type: ignore[method-assign]
    return loop


async def _finish() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WAIT)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    interrupted = True
    while interrupted:
        # A task whose code raised one of these has it as its outcome, and the caller is to hear of that.
        interrupted = False
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            interrupted = True
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, caller: CallingThread, thread: threading.Thread) -> None:
    caller.close()
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():  # The garbage collector may run this on the loop's own thread.
        thread.join()
