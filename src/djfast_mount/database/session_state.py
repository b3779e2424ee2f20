"""What a request leaves on a connection, and connections that go from one worker to another.

Two kinds of state, with two answers:

1. What Django's wrapper object carries (the tenant that a middleware has set as an attribute, say) goes along with the
   request. The wrapper gives up its raw connection, and takes another one when it is used next.
2. What lives in the session of the database (a transaction, an open cursor, SET, a temporary table, an advisory lock,
   LISTEN) keeps the worker until it is gone, or the request ends.

No raw connection with state of one request is used by another. PostgreSQL's is reset by DISCARD ALL, and every other
one is closed. A raw connection that is taken over passes through the wrapper's own `connect()`, so that all that is set
up for a new connection is set up again, receivers of `connection_created` included.

A clean connection costs nothing: neither a query nor a new wrapper.

Names used here that are not public, each with a canary test: of Django's BaseDatabaseWrapper `connect`,
`get_new_connection`, `chunked_cursor`, `make_cursor`, `make_debug_cursor`, `_cursor`, `close_at`,
`health_check_done`, `errors_occurred`, and those in `_AT_REST` and `_PARTS`; of its CursorWrapper `_execute` and
`_executemany`; of its connection handler `create_connection`. Where one is gone, every connection counts as one with
state.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
import weakref
from collections import Counter
from collections.abc import Callable
from operator import is_not
from typing import Any, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from djfast_mount.database.connection_attributes import Attributes, is_overridden, stored_names
from djfast_mount.database.statement_effects import Trace
from djfast_mount.database.watched_cursors import KEY, unwatch_raw, watch_raw, watched_cursor
from djfast_mount.threads.worker import current_worker

__all__ = [
    "Session",
    "Stock",
    "close_raw",
    "left_open",
    "session_of",
    "throw_away",
    "watch_connections",
]

logger = logging.getLogger("djfast_mount.connections")

Stock = dict[Any, Any]

_METHODS = ("connect", "get_new_connection", "chunked_cursor", "_cursor", "make_cursor", "make_debug_cursor")
# What of Django's own is empty, or False, as long as no transaction is open. Whatever else is there was put by hand.
_AT_REST = (
    "needs_rollback",
    "run_on_commit",
    "savepoint_ids",
    "atomic_blocks",
    "run_commit_hooks_on_set_autocommit_on",
)
# What of Django's own is the same object from the making of a wrapper on. The settings are one dict for the process.
_PARTS = ("settings_dict", "alias", "client", "creation", "features", "introspection", "ops", "validation")
_ATTRIBUTES = ("close_at", "health_check_done", "errors_occurred", "execute_wrappers", *_AT_REST, *_PARTS)
_GONE = object()


left_open: list[Callable[[Any, str], None]] = []
"""Called with a lease whose request has left a transaction open, and the alias of the database, on its thread."""


class Session:
    """What is known of one connection of a worker. Used on one thread at a time.

    Args:
        connection: New, and not used yet.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection: Any = connection
        self.alias = connection.alias
        self._parts = [vars(connection).get(name) for name in _PARTS]
        self._raw: Any = None  # the raw connection that the wrapper has got by its own means
        self._class = cast("Any", type(connection))
        self._cursors: weakref.WeakSet[Any] = weakref.WeakSet()
        self._left: Counter[tuple[str, str]] = Counter()
        self._dirty = False  # whether the raw connection is to be reset or closed before another request has it
        self._listened = False
        self._connecting = 0
        self._opening = 0
        self.sending = 0  # more than 0 while what is sent has been looked at, or is Django's own
        self._attributes = Attributes([(connection, frozenset({KEY})), *((part, frozenset()) for part in self._parts)])
        hooks: dict[str, Any] = {
            KEY: self,
            "connect": self._connect,
            "get_new_connection": self._get_new_connection,
            "chunked_cursor": self._chunked_cursor,
            "make_cursor": self._make_cursor,
            "make_debug_cursor": self._make_debug_cursor,
            "is_usable": self._is_usable,
            "close": self._close,
        }
        if is_overridden(self._class, "_cursor"):
            hooks["_cursor"] = self._open_cursor
        vars(connection).update(hooks)
        self._hooks = hooks
        self._wrappers = list(connection.execute_wrappers)

    # What is asked -------------------------------------------------------------------------------------------------

    def keeps(self) -> bool:
        """Whether something lives in the session of the database that the request may come back to."""
        if self.connection.connection is None:
            return False
        return bool(self._cursors or self._left or self.connection.run_on_commit or self._is_unwatched() or _is_blind())

    def is_clean(self) -> bool:
        """Whether another request may use the connection as it is."""
        return not (self._dirty or self._cursors or self._is_unwatched() or self.carries())

    def carries(self) -> bool:
        """Whether the request has set something on the wrapper."""
        connection = self.connection
        if connection.execute_wrappers != self._wrappers or connection.force_debug_cursor:
            return True
        held = vars(connection)
        if any(map(held.get, _AT_REST)) or any(map(is_not, map(held.get, _PARTS), self._parts)):
            return True
        return self._attributes.have_changed()

    # What is done --------------------------------------------------------------------------------------------------

    def surrender(self, stock: Stock) -> None:
        """Puts the raw connection into `stock`, without what the request has left there, or closes it."""
        connection = self.connection
        with contextlib.suppress(Exception):
            if connection.errors_occurred:
                connection.close_if_unusable_or_obsolete()
        raw = connection.connection
        self._dirty = self._dirty or self._is_unwatched()
        if raw is not None and not _pool_of(connection) and self._is_fit(raw):
            connection.connection = None
            if (known := stock.pop(self.alias, None)) is not None:
                close_raw(known[0])  # A slot keeps one connection for each alias. This older one was not asked for.
            stock[self.alias] = raw, connection.close_at
            unwatch_raw(raw)
            self._raw = None
        # There is no raw connection any more, so nothing is closed. But packages override close() to forget their
        # session's state.
        with contextlib.suppress(Exception):
            connection.close()
        # close() has failed, or the database is in memory, where Django keeps the connection.
        if (raw := connection.connection) is not None:
            connection.connection = None
            close_raw(raw)
        self._forget()

    def detach(self) -> None:
        """Takes the wrapper off its thread for good. It is not watched any more."""
        connection = self.connection
        for name in self._hooks:
            vars(connection).pop(name, None)
        del connections[self.alias]

    def carry(self, luggage: Stock) -> None:
        """Takes the wrapper, which has no raw connection any more, off its thread and puts it into `luggage`."""
        connection = self.connection
        # The wrapper goes on on another thread, where Django refuses its use unless it is told that this is meant.
        if not connection.allow_thread_sharing:
            connection.inc_thread_sharing()
        luggage[self.alias] = connection
        del connections[self.alias]

    def _is_fit(self, raw: Any) -> bool:
        """Whether another request may have `raw` now."""
        if raw is not self._raw:
            return False
        if not (self._dirty or self._cursors):
            return not _is_blind()
        connection = self.connection
        if connection.vendor != "postgresql" or self._listened or not getattr(raw, "autocommit", False):
            return False
        # Statements that the driver has prepared by itself are gone with the session's, and it does not know.
        if getattr(raw, "prepare_threshold", None) is not None:
            return False
        try:
            for cursor in list(self._cursors):
                cursor.close()
            with raw.cursor() as cursor:
                cursor.execute("DISCARD ALL")
        except Exception:
            return False
        return True

    def _is_unwatched(self) -> bool:
        """Whether somebody has taken away what looks at the SQL, or has put a raw connection in the place of ours."""
        connection = self.connection
        is_other = connection.connection is not self._raw and connection.connection is not None
        held, hooks = vars(connection), self._hooks
        is_same = held.get("make_cursor") is hooks["make_cursor"]
        return is_other or not is_same or held.get("make_debug_cursor") is not hooks["make_debug_cursor"]

    def _forget(self) -> None:
        self._cursors.clear()
        self._left.clear()
        self._dirty = self._listened = False

    # In the place of the wrapper's methods; what they are given is Django's affair. ----------------------------------

    def _connect(self, *args: Any, **kwargs: Any) -> None:
        self._forget()
        self._connecting += 1
        before = self._attributes.noted()
        try:
            self._class.connect(self.connection, *args, **kwargs)
        finally:
            self._connecting -= 1
            # A backend, or a receiver of connection_created, sets this on every connection: it is not the request's.
            self._attributes.take_in(before)
            self._wrappers = list(self.connection.execute_wrappers)
            self._note_raw(self.connection.connection)

    def _get_new_connection(self, *args: Any, **kwargs: Any) -> Any:
        worker = current_worker()
        slot = None if worker is None else worker.slot
        raw, close_at = (None, None) if slot is None else slot.stock.pop(self.alias, (None, None))
        if raw is not None and close_at is not None and time.monotonic() >= close_at:
            close_raw(raw)
            raw = None
        if raw is None:
            return self._class.get_new_connection(self.connection, *args, **kwargs)
        # The connection keeps its age. The server may have closed it since it was last used.
        self.connection.close_at = close_at
        self.connection.health_check_done = False
        return raw

    def _chunked_cursor(self, *args: Any, **kwargs: Any) -> Any:
        cursor = self._class.chunked_cursor(self.connection, *args, **kwargs)
        self._cursors.add(cursor)
        close, opened = cursor.close, weakref.ref(cursor)

        def close_and_forget() -> None:
            self._cursors.discard(opened())
            close()

        vars(cursor)["close"] = close_and_forget
        return cursor

    def _open_cursor(self, *args: Any, **kwargs: Any) -> Any:
        # A backend may set what it likes on the session with each cursor: django-tenants its search_path.
        self._dirty = self._dirty or any(value is not None for value in (*args, *kwargs.values()))
        self._opening += 1
        try:
            return self._class._cursor(self.connection, *args, **kwargs)
        finally:
            self._opening -= 1

    def _close(self, *args: Any, **kwargs: Any) -> None:
        connection = self.connection
        left = self._dirty or self._cursors or self._is_unwatched()
        if left and connection.connection is not None and _pool_of(connection):
            # Django would give it back to the pool with all that is in its session.
            close_raw(connection.connection)
        raw = connection.connection
        self._class.close(connection, *args, **kwargs)
        if connection.connection is None:
            self._note_raw(None, closed=raw)

    def _note_raw(self, raw: Any, closed: Any = None) -> None:
        """`closed` is closed already, or a pool's again."""
        if self._raw is not None and self._raw is not raw and self._raw is not closed:
            close_raw(self._raw)  # Somebody has put another one in its place.
            if (pool := _pool_of(self.connection)) is not None:
                with contextlib.suppress(Exception):
                    pool.putconn(self._raw)  # Otherwise the pool would count it as lent for ever.
        if self._raw is not raw:
            unwatch_raw(self._raw)
            watch_raw(raw, self)
        self._raw = raw

    def _make_cursor(self, cursor: Any) -> Any:
        return watched_cursor(self._class.make_cursor(self.connection, cursor), self)

    def _make_debug_cursor(self, cursor: Any) -> Any:
        return watched_cursor(self._class.make_debug_cursor(self.connection, cursor), self)

    def _is_usable(self) -> Any:
        self.sending += 1
        try:
            return self._class.is_usable(self.connection)
        finally:
            self.sending -= 1

    def note(self, trace: Trace) -> None:
        """Called with what the session of the database is about to get, or to lose."""
        if self._connecting:
            return
        kind, name, left = trace
        self._dirty = True
        if self._opening:
            return  # The backend sets this again with each cursor, so the request does not depend on it.
        if left:
            # Who uses the raw connection may have listened to a channel there.
            self._listened = self._listened or kind in ("channel", "raw")
            self._left[kind, name] += 1
            return
        for key in [key for key in self._left if kind in ("*", key[0]) and name in ("*", key[1])]:
            if kind == "lock" and name != "*" and self._left[key] > 1:
                self._left[key] -= 1
            else:
                del self._left[key]


def session_of(connection: BaseDatabaseWrapper) -> Session | None:
    """Returns what is known of `connection`; None where it is not a worker's, or was put there by somebody else."""
    return vars(connection).get(KEY)


def watch_connections() -> None:
    """Has every connection watched that a worker makes from now on. A second call changes nothing."""
    handler: Any = connections
    if "create_connection" not in vars(handler) and not _missing_names():
        vars(handler)["create_connection"] = functools.partial(_create, type(handler).create_connection, handler)
    if _is_blind():
        logger.warning(
            "Django has no %s any more: no connection is kept between two requests. Get a newer djfast_mount.",
            ", ".join(_missing_names()),
        )


def _create(create: Callable[..., BaseDatabaseWrapper], *args: Any, **kwargs: Any) -> BaseDatabaseWrapper:
    connection = create(*args, **kwargs)
    if current_worker() is not None:
        Session(connection)
    return connection


def close_raw(raw: Any) -> None:
    """Closes a connection of a driver."""
    with contextlib.suppress(Exception):
        raw.close()


def _missing_names() -> list[str]:
    wanted: list[tuple[Any, str]] = [(BaseDatabaseWrapper, name) for name in _METHODS]
    wanted += [(type(connections), "create_connection"), (CursorWrapper, "_execute"), (CursorWrapper, "_executemany")]
    missing = [f"{owner.__name__}.{name}" for owner, name in wanted if not hasattr(owner, name)]
    stored = stored_names(BaseDatabaseWrapper)
    return missing + [f"BaseDatabaseWrapper.{name}" for name in _ATTRIBUTES if name not in stored]


@functools.cache
def _is_blind() -> bool:
    return bool(_missing_names())


def _pool_of(connection: Any) -> Any:
    return getattr(connection, "pool", None)


def throw_away(connection: BaseDatabaseWrapper) -> None:
    """Closes a connection in whatever state it is, and takes it off the calling thread."""
    with contextlib.suppress(Exception):
        connection.close()
    session = session_of(connection)
    if session is None:
        del connections[connection.alias]
    else:
        session.detach()
