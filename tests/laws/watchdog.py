"""Runs a check on an event loop of its own, on a thread of its own, and gives it up when it takes too long.

A deadlock cannot be cancelled: a check that hangs is left behind on its daemon thread, and counts as failed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any

import uvloop
from asgiref.sync import SyncToAsync
from django.db import connections

from laws import record

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


# Seconds that a check which was stopped has for its own end.
_AFTERWARDS = 1.0


class _Check:
    """A check on a thread of its own."""

    def __init__(self, check: Callable[[], Coroutine[Any, Any, object]], loop: str) -> None:
        self.outcome: Future[None] = Future()
        self._check = check
        self._runner = asyncio.Runner(loop_factory=LOOPS[loop])
        self._task: asyncio.Task[object] | None = None
        threading.Thread(target=self._work, name="check", daemon=True).start()

    def stop(self) -> None:
        record.open_stops()
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _work(self) -> None:
        try:
            with self._runner as runner:
                runner.run(self._begin())
        except BaseException as error:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(None)

    async def _begin(self) -> None:
        self._task = asyncio.current_task()
        await self._check()


def run(check: Callable[[], Coroutine[Any, Any, object]], *, loop: str = "asyncio", seconds: float = 5.0) -> None:
    """Raise what `check` raises; AssertionError when it has not ended within `seconds`."""
    record.connections.clear()
    running = _Check(check, loop)
    try:
        if not wait([running.outcome], seconds).done:
            running.stop()
            wait([running.outcome], _AFTERWARDS)
            raise AssertionError(f"It still ran after {seconds:g} s.")
        running.outcome.result()
    finally:
        _close_connections()


def _close_connections() -> None:
    """A root that leaves connections behind must not get in the way of the next test."""
    # The one thread of asgiref's that outlives every loop.
    SyncToAsync.single_thread_executor.submit(_throw_away_all).result(_AFTERWARDS)
    for thread, connection in record.connections:
        thread.join(0 if thread.name.startswith("djfast_mount") else _AFTERWARDS)
        if not thread.is_alive() and connection.connection is not None:
            connection.connection.close()
            connection.connection = None


def _throw_away_all() -> None:
    """Closing alone keeps a connection whose transaction was never left: it stays broken for whatever comes next."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        del connections[connection.alias]
