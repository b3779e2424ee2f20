"""What the code under test notes about itself, and the places where it waits until a test lets it go on.

Written by any thread, read by the test. Appending to a list is atomic.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.core.signals import request_finished, request_started
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class Note(NamedTuple):
    key: str
    part: str
    thread: threading.Thread
    value: object


# A safety net only: a test opens what it has closed.
_AT_MOST = 20


class Stop:
    """A place where sync code waits for the test."""

    def __init__(self) -> None:
        self.arrived = 0
        self._open = threading.Event()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            self.arrived += 1
        self._open.wait(_AT_MOST)

    def open(self) -> None:
        self._open.set()

    async def reached(self, times: int = 1) -> None:
        await until(lambda: self.arrived >= times)


notes: list[Note] = []
signals: list[Note] = []
connections: list[tuple[threading.Thread, BaseDatabaseWrapper]] = []
counts: list[int] = []  # how many connections were open when one was made
stops: dict[str, Stop] = defaultdict(Stop)
tasks: list[asyncio.Task[Any]] = []  # those that outlive their requests


def note(key: str, part: str, value: object = None) -> None:
    """Note that this part of the request `key` ran on this thread, and what it saw."""
    notes.append(Note(key, part, threading.current_thread(), value))


def notes_of(key: str) -> list[Note]:
    return [noted for noted in notes if noted.key == key]


def parts(key: str) -> list[str]:
    return [noted.part for noted in notes_of(key)]


def threads(key: str) -> set[threading.Thread]:
    return {noted.thread for noted in notes_of(key)}


def seen(key: str, part: str) -> Any:
    """What the one note of that part holds."""
    [value] = [noted.value for noted in notes_of(key) if noted.part == part]
    return value


def signals_of(thread: threading.Thread) -> list[str]:
    return [signal.part for signal in signals if signal.thread is thread]


def most_spells_at_once() -> int:
    """How many threads were between the two signals of a request at the same time."""
    running = 0
    most = 0
    for signal in signals:
        running += 1 if signal.part == "started" else -1
        most = max(most, running)
    return most


def open_stops() -> None:
    for stop in list(stops.values()):
        stop.open()


def most_connections_at_once() -> int:
    """How many connections were open at the same time, seen when each was made."""
    return max(counts, default=0)


def open_connections() -> list[BaseDatabaseWrapper]:
    return [connection for _, connection in connections if connection.connection is not None]


def clear() -> None:
    open_stops()
    for record in (notes, signals, counts, stops, tasks):
        record.clear()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads do. The test's watchdog bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


def _started(**_: object) -> None:
    signals.append(Note("", "started", threading.current_thread(), None))


def _finished(**_: object) -> None:
    signals.append(Note("", "finished", threading.current_thread(), None))


def _created(connection: BaseDatabaseWrapper, **_: object) -> None:
    connections.append((threading.current_thread(), connection))
    counts.append(len({id(connection.connection) for connection in open_connections()}))


@contextlib.contextmanager
def hearing() -> Iterator[None]:
    """Note the signals. Nobody listens otherwise, as in most projects."""
    request_started.connect(_started, dispatch_uid="laws.record")
    request_finished.connect(_finished, dispatch_uid="laws.record")
    yield
    request_started.disconnect(dispatch_uid="laws.record")
    request_finished.disconnect(dispatch_uid="laws.record")


connection_created.connect(_created, dispatch_uid="laws.record")
