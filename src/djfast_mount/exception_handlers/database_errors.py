"""Whose fault a database error is: the client's, whose value does not fit; the database's, which is away; or ours."""

from __future__ import annotations

from typing import Any

from django.db import Error, InternalError

__all__ = ["is_misfit", "is_outage", "misfit", "refused_value"]

# https://www.sqlite.org/rescode.html: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
# The commonest, ERROR, is a statement that is wrong: a table that is not there.
_SQLITE_OUTAGES = {5, 6, 7, 8, 9, 10, 13, 14, 15}
# MySQL's driver calls every error operational that it does not know: those that are, beside the client's own from 2000
# to 2999. Connections refused or ended, no memory or disk, locks, time limits, a server that is read-only.
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html; 1927, 1969 and 1970 are MariaDB's
_MYSQL_CLIENT = 2
_MYSQL_OUTAGES = {
    *(1021, 1030, 1037, 1038, 1040, 1041, 1042, 1043, 1044, 1045, 1053, 1077, 1079, 1080, 1114, 1129, 1130, 1152, 1158),
    *(1159, 1160, 1161, 1180, 1184, 1203, 1205, 1213, 1223, 1226, 1290, 1317, 1792, 1836, 1927, 1969, 1970, 3024, 3168),
    *(3572, 4031),
}

# PostgreSQL's own word for a server that is read-only, such as a standby after a failover: no operational error to it.
_POSTGRESQL_READ_ONLY = "25006"

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
# What SQLite says of sum(), of numbers that are each in range (https://www.sqlite.org/lang_aggfunc.html#sumunc).
_OVERFLOW = "integer overflow"

# Python's own errors, raised before the database sees the value: by sqlite3, psycopg2, psycopg, Django's MySQL backend
_UNFIT = {
    "Python int too large to convert to SQLite INTEGER": _MISFITS["22003"],
    "A string literal cannot contain NUL (0x00) characters.": _NUL,
    "PostgreSQL text fields cannot contain NUL (0x00) bytes": _NUL,
    "The database backend does not accept 0 as a value for AutoField.": _MISFITS["22003"],
}


def is_outage(error: Error) -> bool:
    """Whether the database, and no statement, is at fault for an OperationalError, InterfaceError or InternalError."""
    cause: Any = error.__cause__ or error
    # psycopg's InternalError is class 25 and XX: a transaction that is aborted is our fault, a server that is read-only
    # is not.
    if isinstance(error, InternalError):
        return _sqlstate(cause) == _POSTGRESQL_READ_ONLY
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        # The low byte is the primary code; extended ones say more about the same.
        return code & 0xFF in _SQLITE_OUTAGES
    number = _mysql_number(cause)
    return number is None or number in _MYSQL_OUTAGES or number // 1000 == _MYSQL_CLIENT


def is_misfit(error: Error) -> bool:
    """Whether an OperationalError is about a value: some of these are, to MySQL's driver, and one to SQLite."""
    cause = error.__cause__ or error
    return _mysql_number(cause) in _MISFITS or str(cause) == _OVERFLOW


def _mysql_number(cause: Any) -> int | None:
    return cause.args[0] if cause.args and isinstance(cause.args[0], int) else None


def _sqlstate(cause: Any) -> str | None:
    return getattr(getattr(cause, "diag", None), "sqlstate", None)


def misfit(error: Error) -> str:
    """Returns what is wrong with a value, in words for its sender."""
    cause: Any = error.__cause__ or error
    if str(cause) == _OVERFLOW:
        return _MISFITS["22003"]
    if str(cause) in _UNFIT:
        return _UNFIT[str(cause)]
    code = _sqlstate(cause) or (cause.args[0] if cause.args else None)
    return _MISFITS.get(code, _OTHER) if isinstance(code, str | int) else _OTHER


def refused_value(error: Exception) -> str | None:
    """Returns what is wrong with a value that a driver refused by an error of Python's own; None for other errors."""
    return _UNFIT.get(str(error))
