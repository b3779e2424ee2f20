"""Whose fault a database error is: the client's, whose value does not fit; the database's, which is away; or ours."""

from __future__ import annotations

from typing import Any

from django.db import DataError, Error

__all__ = ["is_outage", "misfit", "refused_value"]

# https://www.sqlite.org/rescode.html: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
# The commonest, ERROR, is a statement that is wrong: a table that is not there.
_SQLITE_OUTAGES = {5, 6, 7, 8, 9, 10, 13, 14, 15}
# No such database, table, column or function: MySQL calls these operational too.
_MYSQL_MISTAKES = {1049, 1051, 1054, 1305}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, class 22, and the same of MySQL
_MISFITS: dict[str | int, str] = {
    "22001": "A text is too long.",
    "22003": "A number is out of range.",
    "22007": "A date or time is out of range.",
    "22008": "A date or time is out of range.",
    "22021": "A text holds a character that cannot be stored.",
    "22P05": "A text holds a character that cannot be stored.",
    1264: "A number is out of range.",
    1292: "A date or time is out of range.",
    1366: "A text holds a character that cannot be stored.",
    1406: "A text is too long.",
}
_NUL = "A text holds a NUL character, which cannot be stored."
_OTHER = "A value cannot be stored."

# Python's own errors, which the drivers raise before the database sees the value: sqlite3, psycopg2, psycopg
_UNFIT = {
    "Python int too large to convert to SQLite INTEGER": _MISFITS["22003"],
    "A string literal cannot contain NUL (0x00) characters.": _NUL,
    "PostgreSQL text fields cannot contain NUL (0x00) bytes": _NUL,
}


def is_outage(error: Error) -> bool:
    """Whether the database, and no statement, is at fault for an OperationalError or InterfaceError."""
    cause: Any = error.__cause__ or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_OUTAGES
    return not (cause.args and cause.args[0] in _MYSQL_MISTAKES)


def misfit(error: DataError) -> str:
    """Returns what is wrong with a value, in words for its sender."""
    cause: Any = error.__cause__ or error
    if str(cause) in _UNFIT:
        return _UNFIT[str(cause)]
    code = getattr(getattr(cause, "diag", None), "sqlstate", None) or (cause.args[0] if cause.args else None)
    return _MISFITS.get(code, _OTHER) if isinstance(code, str | int) else _OTHER


def refused_value(error: Exception) -> str | None:
    """Returns what is wrong with a value that a driver refused by an error of Python's own; None for other errors."""
    return _UNFIT.get(str(error))
