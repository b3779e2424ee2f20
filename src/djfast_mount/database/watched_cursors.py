"""Cursors and raw connections that tell what is sent by them.

1. A text that `execute()` or `executemany()` sends is looked at where it goes to the driver. Functions in
   `connection.execute_wrappers` may have changed it until then.
2. Every other way of a cursor to the database counts as a statement that may leave anything: `callproc()`, and what
   Django hands through from the driver's cursor (`copy()`, `stream()`, `executescript()`).
3. The same goes for psycopg's own connection and its cursors, whose every message goes by `Connection.wait()`.

With other drivers, what is sent by `connection.connection` and `cursor.cursor` is out of sight. So is what is sent by
libpq's connection, psycopg's ``pgconn``.

Not public: of Django's CursorWrapper `_execute` and `_executemany`; of psycopg the generators `_commit_gen`,
`_rollback_gen`, `_set_autocommit_gen`, `_fetch_gen` and `_close_gen`. Where psycopg has renamed one, what it sends
counts as unknown.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Protocol, cast

from django.db.backends.utils import CursorDebugWrapper, CursorWrapper

from djfast_mount.database.statement_effects import UNKNOWN, Trace, traces_of

__all__ = ["KEY", "Watch", "unwatch_raw", "watch_raw", "watched_cursor"]

KEY = "_djfast_mount_session"
"""The attribute of a connection in which its `Watch` stands."""

# What a driver's cursor tells of its results, and how it is closed. Nothing is executed by them.
_READS = frozenset(
    {
        *("fetchone", "fetchmany", "fetchall", "nextset", "scroll", "results", "close", "closed"),
        *("description", "rowcount", "rownumber", "lastrowid", "arraysize", "itersize", "statusmessage", "query"),
        *("name", "scrollable", "withhold", "format", "mogrify", "row_factory", "tzinfo_factory", "messages"),
        *("var", "statement", "bindvars"),  # Oracle
    }
)
# The end of a transaction, and reading from a cursor that the server keeps.
_HARMLESS = frozenset({"_commit_gen", "_rollback_gen", "_set_autocommit_gen", "_fetch_gen", "_close_gen"})
_CODE = (Trace("code", "", True),)


class Watch(Protocol):
    """What is told of a connection.

    Attributes:
        sending: More than 0 while what is sent has been looked at.
    """

    sending: int

    def note(self, trace: Trace) -> None:
        """Called with what the session of the database is about to get, or to lose."""


class _Watched(CursorWrapper):
    """The methods by which a cursor of Django's is watched."""

    def _execute(self, sql: Any, *args: Any) -> Any:
        # As `_send` does it, written out: nearly every query passes here.
        watch: Watch | None = vars(self.db).get(KEY)
        if watch is None:
            return super()._execute(sql, *args)  # type: ignore[misc]
        for trace in _traces_of(sql, self.db):
            watch.note(trace)
        watch.sending += 1
        try:
            return super()._execute(sql, *args)  # type: ignore[misc]
        finally:
            watch.sending -= 1

    def _executemany(self, sql: Any, *args: Any) -> Any:
        return self._send(super()._executemany, _traces_of(sql, self.db), sql, *args)  # type: ignore[misc]

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        return self._send(super().callproc, _CODE, *args, **kwargs)

    def _send(self, send: Callable[..., Any], traces: tuple[Trace, ...], *args: Any, **kwargs: Any) -> Any:
        watch: Watch | None = vars(self.db).get(KEY)
        if watch is None:
            return send(*args, **kwargs)
        for trace in traces:
            watch.note(trace)
        watch.sending += 1
        try:
            return send(*args, **kwargs)
        finally:
            watch.sending -= 1

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in _READS and (watch := vars(self.db).get(KEY)) is not None:
            watch.note(*_CODE)
        return found


def _traces_of(sql: Any, connection: Any) -> tuple[Trace, ...]:
    if isinstance(sql, str):
        return traces_of(sql, connection.vendor)
    if isinstance(sql, bytes):
        return traces_of(sql.decode(errors="replace"), connection.vendor)
    try:
        return traces_of(sql.as_string(connection.connection), connection.vendor)  # psycopg.sql
    except Exception:
        return (UNKNOWN,)


def watched_cursor(cursor: Any, watch: Watch) -> Any:
    """Returns `cursor`, one that Django has made; from here on it tells `watch` what it sends."""
    try:
        cursor.__class__ = _watched(cast("Hashable", type(cursor)))
    except TypeError:  # A backend's own, of another kind.
        watch.note(*_CODE)
    return cursor


@functools.cache
def _watched(kind: type) -> type:
    if not issubclass(kind, CursorWrapper):
        raise TypeError(kind)
    known = {*dir(CursorWrapper), *dir(CursorDebugWrapper), *_READS}
    further = {name: _past(name) for name in dir(kind) if name not in known and not name.startswith("_")}
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (_Watched, kind), {**names, **further})


def _past(name: str) -> Callable[..., Any]:
    """Returns a method in the place of one that a backend's cursor has beside Django's."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (watch := vars(self.db).get(KEY)) is not None:
            watch.note(*_CODE)
        return getattr(super(_Watched, self), name)(*args, **kwargs)

    return method


def watch_raw(raw: Any, watch: Watch) -> None:
    """Has a connection of psycopg's tell `watch` what is sent by it. Others stay as they are."""
    plain = getattr(type(raw), "wait", None)
    if plain is None or not hasattr(raw, "pgconn"):
        return
    # The connection must not keep itself alive, nor the watch.
    connection, told = weakref.ref(raw), weakref.ref(watch)

    def wait(sent: Any, *args: Any, **kwargs: Any) -> Any:
        watch = told()
        if watch is not None and not watch.sending and getattr(sent, "__name__", "") not in _HARMLESS:
            watch.note(Trace("raw", "", True))
        return plain(connection(), sent, *args, **kwargs)

    vars(raw)["wait"] = wait


def unwatch_raw(raw: Any) -> None:
    """Has a raw connection be as it was before `watch_raw()`."""
    if hasattr(raw, "pgconn"):
        vars(raw).pop("wait", None)
