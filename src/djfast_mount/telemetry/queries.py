"""The statements of a request, and which of them repeat: N+1. The limit is `repeated_after` of conf.py.

They are counted by Django's own `connection.execute_wrappers`.

1. One function stands first among the wrappers of each connection, and looks up whose statement it is with each: in the
   context of the caller. So nothing of one request can be counted for another that has the connection next.
2. Statements are told apart by their text, which Django writes with placeholders. No value is ever kept.
3. The stack is looked at when a statement becomes too frequent, and never otherwise.

Every function runs on the thread that sends the statement.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.telemetry.record import Repeated, current
from djfast_mount.telemetry.statement_texts import shown, without_values

__all__ = ["Statements", "count_statements", "count_statements_here"]

# Texts that are told apart in one request. What comes after them is counted, but not as repeated.
_MOST = 200
# Statements that are sent once for each block, and that no join could spare.
_OF_TRANSACTIONS = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET ")
_PLAIN = (tuple, list, dict)
_FOREIGN = ("site-packages", "dist-packages")
_STDLIB = sysconfig.get_path("stdlib")
_PACKAGE = str(Path(__file__).parents[1])


class _Asker(Protocol):
    """Who sends statements: a request."""

    def frames(self) -> Iterator[FrameType]:
        """Yields the frames of its tasks, innermost first: where async code waits for a statement."""


class Statements:
    """Those of one request.

    Args:
        limit: How often one may be sent before it counts as repeated.
    """

    __slots__ = ("_limit", "_locations", "_times", "count", "seconds")

    def __init__(self, limit: int) -> None:
        self.count = 0
        self.seconds = 0.0
        self._limit = limit
        self._times: dict[str, int] = {}
        self._locations: dict[str, tuple[str, str]] | None = None

    def note(self, sql: Any, params: Any, seconds: float, asker: _Asker, vendor: str) -> None:
        self.count += 1
        self.seconds += seconds
        # Other objects are not asked, because `bool()` of an array raises.
        has_params = bool(params) if type(params) in _PLAIN else params is not None
        shape = sql if has_params and type(sql) is str else without_values(sql, vendor)
        times = self._times.get(shape, 0) + 1
        # A bound, since a request may build a text of its own for each statement.
        if times > 1 or len(self._times) < _MOST:
            self._times[shape] = times
        # Once for each text: a walk up the stack costs more than most statements.
        if times == self._limit + 1 and not shape.startswith(_OF_TRANSACTIONS):
            if self._locations is None:
                self._locations = {}
            self._locations[shape] = (_location(asker), vendor)

    def repeated(self) -> tuple[Repeated, ...]:
        """Returns those that were sent too often, the most frequent first."""
        if self._locations is None:
            return ()
        # Copied at one step: what outlives the request may add to it.
        found = [
            Repeated(shown(shape, vendor), self._times[shape], place)
            for shape, (place, vendor) in self._locations.copy().items()
        ]
        return tuple(sorted(found, key=lambda each: -each.times))


def count_statements() -> None:
    """Has the statements of requests counted on every connection that is opened from now on.

    A second call changes nothing.
    """
    connection_created.connect(_begin, dispatch_uid="djfast_mount.telemetry.queries")


def count_statements_here() -> None:
    """Has them counted on the connections of the calling thread, which may have been opened before."""
    for connection in connections.all(initialized_only=True):
        _begin(connection)


def _begin(connection: BaseDatabaseWrapper, **_: object) -> None:
    if _measure not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _measure)


def _measure(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    asker: Any = current.get()
    if asker is None or asker.over:
        return execute(sql, params, many, context)
    began = perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        asker.note_statement(sql, params, perf_counter() - began, context["connection"].vendor)


def _location(asker: _Asker) -> str:
    """Where the project's code is that sends a statement now: on the calling thread, or in a task that waits for it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if _is_projects(frame):
            return _place(frame)
        frame = frame.f_back
    return next((_place(frame) for frame in asker.frames() if _is_projects(frame)), "")


def _is_projects(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    if name.startswith(("<", _PACKAGE)) or any(folder in name for folder in _FOREIGN):
        return False
    return not name.startswith(_STDLIB)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
