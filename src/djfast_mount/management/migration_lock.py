"""One process at a time: what instances that start together hold while they migrate.

1. PostgreSQL and MySQL have advisory locks, which a server takes off a connection that dies. They are held on a
   connection of their own, for a migration may close the one that it runs on.
2. They are asked for again and again, never waited for in the database: a statement that waits keeps a snapshot, for
   which ``CREATE INDEX CONCURRENTLY`` of the one that migrates would wait in its turn; and ``statement_timeout`` would
   end it.
   PostgreSQL's is a transaction's, so it holds through PgBouncer in transaction mode too. That transaction is idle and,
   being READ COMMITTED, keeps no snapshot.
3. A file of SQLite is on one machine, whose kernel locks the folder that it lies in. What is in memory has no others.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

try:
    import fcntl
except ImportError:  # Windows, where SQLite's own lock has to do.
    fcntl = None  # type: ignore[assignment]

__all__ = ["NotInTime", "migration_lock"]

POLL = 0.2  # seconds

# Of the database it is asked in. Any number does, as long as nobody else takes the same.
_KEY = 0x646A666173746D
_NAME = "djfast_mount migrate "

_Attempt = Callable[[], bool]


class NotInTime(Exception):
    """Another process has held the lock for as long as there was to wait."""


@contextlib.contextmanager
def migration_lock(alias: str, limit: float | None, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of the database `alias`, for which it waits. For one thread, without an event loop.

    Args:
        limit: The most seconds to wait. None: for ever.
        on_wait: Called once where another process has the lock.

    Raises: NotInTime, and DatabaseError where the database does not answer. Where there is no such lock, as for Oracle,
    it is free at once.
    """
    connection = connections[alias]
    lock = _LOCKS.get(connection.vendor, _none)
    with lock(connection) as attempt:
        _wait_for(attempt, limit, on_wait)
        yield


def _wait_for(attempt: _Attempt, limit: float | None, on_wait: Callable[[], None]) -> None:
    begun = time.monotonic()
    if attempt():
        return
    on_wait()
    while not attempt():
        if limit is not None and time.monotonic() - begun >= limit:
            raise NotInTime(f"another process has been migrating for {limit:g} seconds")
        time.sleep(POLL)


@contextlib.contextmanager
def _none(connection: BaseDatabaseWrapper) -> Iterator[_Attempt]:
    yield lambda: True


@contextlib.contextmanager
def _postgresql(connection: BaseDatabaseWrapper) -> Iterator[_Attempt]:
    with _own(connection) as own:

        def attempt() -> bool:
            own.set_autocommit(False)
            with own.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if _value(own, "SELECT pg_try_advisory_xact_lock(%s)", _KEY):
                return True
            own.rollback()
            return False

        yield attempt


@contextlib.contextmanager
def _mysql(connection: BaseDatabaseWrapper) -> Iterator[_Attempt]:
    # Locks of MySQL are the whole server's, and their names have 64 characters at most.
    name = (_NAME + str(connection.settings_dict["NAME"]))[:64]
    with _own(connection) as own:
        yield lambda: bool(_value(own, "SELECT GET_LOCK(%s, 0)", name))


@contextlib.contextmanager
def _own(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    """A second connection to the database."""
    # From no pool: by its end the server takes the lock off.
    own = connection.copy()
    own.settings_dict["OPTIONS"].pop("pool", None)
    try:
        own.set_autocommit(True)
        yield own
    finally:
        own.close()


@contextlib.contextmanager
def _sqlite(connection: Any) -> Iterator[_Attempt]:
    name = str(connection.settings_dict["NAME"])
    path = os.path.dirname(os.path.abspath(urlsplit(name).path if name.startswith("file:") else name))
    if fcntl is None or connection.is_in_memory_db() or not os.path.isdir(path):
        yield lambda: True
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        yield lambda: _locks(folder)
    finally:
        os.close(folder)


def _locks(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_LOCKS = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}


def _value(connection: BaseDatabaseWrapper, sql: str, *parameters: int | str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]
