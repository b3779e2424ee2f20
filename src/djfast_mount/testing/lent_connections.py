"""The test's database connections, lent to another thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.offload.waiting import unclaimed_thread

__all__ = ["lent", "lent_connections"]


@contextlib.contextmanager
def lent_connections() -> Iterator[Executor]:
    """Lends the connections of the calling thread to the thread on which async tests do their sync work.

    For a sync fixture around a test whose event loop runs in the test's own thread: the ORM's async methods and
    `sync_to_async` in the test, and the app called by ``AsyncClient(executor=...)``, then share the test's connection
    and transaction, one job at a time. The calling thread itself cannot use the ORM while its loop runs.

    Yields the executor to give to `AsyncClient`.
    """
    executor = unclaimed_thread()
    with lent({alias: connections[alias] for alias in connections}, executor):
        yield executor


@contextlib.contextmanager
def lent(mine: Mapping[str, BaseDatabaseWrapper], executor: Executor) -> Iterator[None]:
    """Puts connections of the calling thread in the place of those of the executor's one thread."""
    for connection in mine.values():
        connection.inc_thread_sharing()
    theirs = executor.submit(_exchange, mine).result()
    try:
        yield
    finally:
        executor.submit(_restore, mine, theirs).result()
        for connection in mine.values():
            connection.dec_thread_sharing()


def _exchange(connections_lent: Mapping[str, BaseDatabaseWrapper]) -> dict[str, BaseDatabaseWrapper]:
    own = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for alias, connection in connections_lent.items():
        connections[alias] = connection
    return own


def _restore(connections_lent: Mapping[str, BaseDatabaseWrapper], own: Mapping[str, BaseDatabaseWrapper]) -> None:
    for alias in connections_lent:
        if alias in own:
            connections[alias] = own[alias]
        else:
            del connections[alias]
