"""Databases: do they answer, do the threads fit, does a query end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.checks.settings import pool_size
from djfast_mount.doctor.target import Target

__all__ = ["probe_databases"]

_RESERVED = ("superuser_reserved_connections", "reserved_connections")


def probe_databases(target: Target) -> Iterator[CheckMessage]:
    """E101, W101 to W103, W107, I101. Opens a connection to each database, and closes it."""
    for alias in connections:
        connection = connections[alias]
        try:
            connection.ensure_connection()
            yield from _probe(connection, target)
        except DatabaseError as error:
            yield checks.Error(
                f"The database {alias!r} does not answer: {str(error).strip()}",
                hint=f"Start it, or correct DATABASES[{alias!r}].",
                id="djfast_mount.E101",
            )
        finally:
            # The doctor may run in a server's process (the page of the admin), whose budget of connections it reports.
            connection.close()


def _probe(connection: BaseDatabaseWrapper, target: Target) -> Iterator[CheckMessage]:
    if connection.vendor == "postgresql":
        yield from _budget(connection, target, _postgresql_connections(connection))
        yield from _postgresql_timeout(connection)
        yield from _postgresql_pooler(connection)
    elif connection.vendor == "mysql":
        yield from _budget(connection, target, int(_value(connection, "SELECT @@max_connections")))
    if connection.vendor != "sqlite":
        yield from _reuse(connection, target)


def _budget(connection: BaseDatabaseWrapper, target: Target, most: int) -> Iterator[CheckMessage]:
    alias, threads = connection.alias, target.root.health.pool_size
    pool = pool_size(connection.settings_dict)
    each = threads if pool is None else pool
    needed = each * target.workers * target.instances
    if needed > most:
        fits = most // (target.workers * target.instances)
        yield checks.Warning(
            f"The database {alias!r} gives {most} connections, and {target.instances} instances x {target.workers} "
            f"workers x {each} threads may want {needed}: requests will be refused by the database.",
            hint=f"Set threads to {fits} or less, or raise max_connections."
            if fits
            else "Run fewer workers, raise max_connections, or put PgBouncer before it.",
            id="djfast_mount.W101",
        )
    if pool is not None and pool < threads:
        yield checks.Warning(
            f"The connection pool of the database {alias!r} has max_size {pool}, and a process runs {threads} threads, "
            "which wait for one another there.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"]["pool"] = {{"max_size": {threads}}}, or threads to {pool}.',
            id="djfast_mount.W102",
        )


def _reuse(connection: BaseDatabaseWrapper, target: Target) -> Iterator[CheckMessage]:
    if connection.settings_dict["CONN_MAX_AGE"] == 0 and pool_size(connection.settings_dict) is None:
        alias = connection.alias
        yield checks.Info(
            f"The database {alias!r} gets a new connection for every request (CONN_MAX_AGE is 0).",
            hint=f'Threads live on here, so DATABASES[{alias!r}]["CONN_MAX_AGE"] = 60 with CONN_HEALTH_CHECKS is safe: '
            f"there are never more than {target.root.health.pool_size} in a process.",
            id="djfast_mount.I101",
        )


def _postgresql_connections(connection: BaseDatabaseWrapper) -> int:
    most = int(_value(connection, "SHOW max_connections"))
    # Superusers' own, and `reserved_connections` from PostgreSQL 16 on: an application gets none of them.
    return most - sum(int(_value(connection, f"SELECT current_setting('{name}', true)") or 0) for name in _RESERVED)


def _postgresql_pooler(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    """W107."""
    # A pooler gives each client a process number of its own making, by which it cancels queries.
    alias = connection.alias
    told = connection.connection.info.backend_pid
    # Only where it could fail: without such cursors any pooling mode will do.
    if not connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] and told != _value(
        connection, "SELECT pg_backend_pid()"
    ):
        yield checks.Warning(
            f"The database {alias!r} is reached through a pooler such as PgBouncer, and server-side cursors are on: in "
            "transaction mode QuerySet.iterator() fails.",
            hint=f'Set DATABASES[{alias!r}]["DISABLE_SERVER_SIDE_CURSORS"] = True, unless it pools whole sessions.',
            id="djfast_mount.W107",
        )


def _postgresql_timeout(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    if _value(connection, "SHOW statement_timeout") == "0":
        alias = connection.alias
        yield checks.Warning(
            f"The database {alias!r} has no statement_timeout: a query that never ends holds its thread for ever.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"]["options"] = "-c statement_timeout=30s".',
            id="djfast_mount.W103",
        )


def _value(connection: BaseDatabaseWrapper, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]
