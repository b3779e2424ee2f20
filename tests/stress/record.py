"""What the requests under load saw of threads, signals and connections.

Kept in the server's memory and read through `/api/report`, an async endpoint without ORM, so that looking takes no
thread of the pool. `mark` and the receivers are called on any thread; appending to a list is atomic.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, NamedTuple

from django.core.signals import request_finished, request_started
from django.db.backends.signals import connection_created


class Mark(NamedTuple):
    part: str
    thread: int
    in_spell: bool
    at: float


_numbers = itertools.count(1)
_here = threading.local()
marks: dict[str, list[Mark]] = {}
failed: list[str] = []
wrong: list[str] = []
started: list[int] = []
finished: list[int] = []
backends: list[int] = []


def thread_number() -> int:
    """A number of this thread's own. Unlike `threading.get_ident()` it is never given out again."""
    if not hasattr(_here, "number"):
        _here.number = next(_numbers)
        _here.depth = 0
    return int(_here.number)


def mark(key: str, part: str) -> None:
    """Note that a sync part of the request ran here, and whether between the two signals of this thread."""
    number = thread_number()
    marks.setdefault(key, []).append(Mark(part, number, _here.depth == 1, time.monotonic()))


def expect(key: str, what: str, met: object, wanted: object) -> None:
    if met != wanted:
        wrong.append(f"{key}: {what} is {met!r}, not {wanted!r}")


def report() -> dict[str, Any]:
    return {
        "marks": marks,
        "failed": failed,
        "wrong": wrong,
        "started": len(started),
        "finished": len(finished),
        "backends": len(set(backends)),
        "opened": len(backends),
        "threads": threading.active_count(),
    }


def forget() -> None:
    """Begin anew, where a long run would fill the memory. Called when no request is under way."""
    for kept in (marks, failed, wrong, started, finished, backends):
        kept.clear()


def _on_started(**kwargs: object) -> None:
    number = thread_number()
    started.append(number)
    _here.depth += 1
    if _here.depth != 1:
        wrong.append(f"thread {number}: request_started inside another request's spell")


def _on_finished(**kwargs: object) -> None:
    number = thread_number()
    finished.append(number)
    if _here.depth != 1:
        wrong.append(f"thread {number}: request_finished without request_started")
    _here.depth = max(0, _here.depth - 1)


def _on_connection(connection: Any, **kwargs: object) -> None:
    backends.append(connection.connection.info.backend_pid if connection.vendor == "postgresql" else id(connection))


request_started.connect(_on_started, weak=False)
request_finished.connect(_on_finished, weak=False)
connection_created.connect(_on_connection, weak=False)
