"""Connections in the midst of something: whether they are, and what becomes of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.database.sessions import session_of

__all__ = ["close_from_here", "in_transaction", "is_shared", "keep_open", "left_open", "may_close", "throw_away"]

left_open: list[Callable[[Any, str], None]] = []
"""Called with a lease whose request has left a transaction open, and the alias of the database, on its thread."""

_kept: Counter[BaseDatabaseWrapper] = Counter()  # by how many spells; each used by one thread at a time


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Returns whether a transaction is open on `connection`, whoever has begun it. Asks no server; for any thread."""
    if connection.in_atomic_block:
        return True
    raw = connection.connection
    if raw is None:
        return False
    if connection.autocommit != connection.settings_dict["AUTOCOMMIT"]:
        return True
    return bool(connection.autocommit) and _driver_in_transaction(raw)


def _driver_in_transaction(raw: Any) -> bool:
    """Whether the driver knows of a transaction that Django does not: a BEGIN sent as SQL."""
    # psycopg, or psycopg2; their IDLE is 0, and a closed connection's UNKNOWN is not our concern.
    libpq = getattr(raw, "pgconn", None) or getattr(raw, "info", None)
    if libpq is not None:
        return getattr(libpq, "transaction_status", 0) in (1, 2, 3)
    try:
        return bool(getattr(raw, "in_transaction", False))  # sqlite3
    except Exception:  # Closed behind Django's back: it refuses to tell.
        return False


def throw_away(connection: BaseDatabaseWrapper) -> None:
    """Closes a connection in whatever state it is, and takes it off the calling thread."""
    with contextlib.suppress(Exception):
        connection.close()
    session = session_of(connection)
    if session is None:
        del connections[connection.alias]
    else:
        session.detach()


def keep_open(connection: BaseDatabaseWrapper) -> None:
    """Has Django's two signals pass over the connection, which they would close, even in a transaction."""
    _kept[connection] += 1
    vars(connection)["close_if_unusable_or_obsolete"] = bool


def may_close(connection: BaseDatabaseWrapper) -> None:
    """Takes one `keep_open()` back."""
    _kept[connection] -= 1
    if not _kept[connection]:
        del _kept[connection], vars(connection)["close_if_unusable_or_obsolete"]


def is_shared(connection: BaseDatabaseWrapper) -> bool:
    """Whether more than one spell keeps the connection open: what is open on it may be another's."""
    return _kept[connection] > 1


def close_from_here(found: Iterable[BaseDatabaseWrapper]) -> None:
    """Closes connections of other threads, which are done with them."""
    for connection in found:
        # Django ties a connection to the thread that made it.
        connection.inc_thread_sharing()
        try:
            with contextlib.suppress(Exception):
                connection.close()
        finally:
            connection.dec_thread_sharing()
