"""Whether a transaction is open on a connection, also one that Django does not know of."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["in_transaction"]


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Returns whether a transaction is open on `connection`, also one that Django has not begun. For any thread."""
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
