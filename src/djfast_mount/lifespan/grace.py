"""The end of the process within a given time, whatever a request does.

A server waits for its requests; an endless stream, or a query that never returns, makes that wait endless. As process 1
of a container it gets worse: the kernel ignores the signal that the server sends itself at its end.

    at SIGTERM              the server's own handler runs; server-sent event streams are ended, so that clients
    reconnect grace - margin          running statements are cancelled, requests too
    grace                   the process ends, with status 128 + the signal's number

`margin` is a quarter of the grace, at most 2 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.threads.worker import Worker, current_worker

__all__ = ["Grace"]

logger = logging.getLogger("djfast_mount.grace")


class Grace:
    """Bounds the time from SIGTERM to the end of the process.

    Args:
        seconds: That time.

    Made at import, on any thread. `install()` and `uninstall()` run on the event loop, in the lifespan.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._margin = min(2.0, seconds / 4)
        self._tasks: set[asyncio.Task[Any]] = set()  # changed on event loops only
        self._streams: dict[asyncio.Task[Any], Callable[[], None]] = {}  # changed on event loops only; how to end each
        self._loop: asyncio.AbstractEventLoop | None = None
        self._previous: Any = None
        self._counting = False
        # Here, and not at import: a root without a grace has no use for it, and every new connection would pay.
        connection_created.connect(_note, dispatch_uid="djfast_mount.lifespan.grace")

    def install(self) -> None:
        """Puts its handler before the server's. Off the main thread, where Python takes no handlers, it does
        nothing.
        """
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, self._on_signal)

    def uninstall(self) -> None:
        """Gives SIGTERM back. A count that has begun goes on: it is for what comes after the server's own end."""
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, self._previous)

    def begin(self, task: asyncio.Task[Any]) -> None:
        """Registers a request by the task that serves it."""
        self._tasks.add(task)

    def end(self, task: asyncio.Task[Any]) -> None:
        """Forgets the request that `begin()` has registered."""
        self._tasks.discard(task)
        self._streams.pop(task, None)

    def streaming(self, task: asyncio.Task[Any], end: Callable[[], None]) -> None:
        """Registers what ends the event stream that `task` serves. `end` is called once, on the event loop."""
        if self._counting:
            end()
        elif task in self._tasks:
            self._streams[task] = end

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if callable(self._previous):
            self._previous(number, frame)
        if not self._counting:
            self._counting = True
            # A thread, and a daemon: the loop may be gone, or hang, when the time comes.
            threading.Thread(target=self._count, args=[number], name="djfast_mount-grace", daemon=True).start()
        if not callable(self._previous) and self._previous != signal.SIG_IGN:
            self.uninstall()
            signal.raise_signal(number)

    def _count(self, number: int) -> None:
        begin = time.monotonic()
        self._on_loop(self._end_streams)
        time.sleep(max(0.0, self._seconds - self._margin))
        self._on_loop(self._cancel_requests)
        _cancel_statements()
        time.sleep(max(0.0, self._seconds - (time.monotonic() - begin)))
        logger.critical("The grace of %g s after signal %d is over: the process ends.", self._seconds, number)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(128 + number)

    def _on_loop(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nothing of ours runs there any more.
                self._loop.call_soon_threadsafe(function)

    def _end_streams(self) -> None:
        while self._streams:
            _, end = self._streams.popitem()
            end()

    def _cancel_requests(self) -> None:
        for task in list(self._tasks):
            task.cancel()


_connections: weakref.WeakKeyDictionary[Worker, dict[str, BaseDatabaseWrapper]] = weakref.WeakKeyDictionary()


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    worker = current_worker()
    if worker is not None:
        _connections.setdefault(worker, {})[connection.alias] = connection


def _cancel_statements() -> None:
    """Cancels what the workers' connections are executing, where their driver can do so from another thread."""
    opened = [connection for connections in list(_connections.values()) for connection in list(connections.values())]
    for connection in opened:
        raw: Any = connection.connection
        # psycopg has cancel(), sqlite3 interrupt().
        cancel = getattr(raw, "cancel", None) or getattr(raw, "interrupt", None)
        if cancel is not None:
            with contextlib.suppress(Exception):
                cancel()
