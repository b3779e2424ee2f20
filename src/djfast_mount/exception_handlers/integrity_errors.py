"""What an IntegrityError says, in the words of the models: SQLite's, PostgreSQL's and MySQL's errors made one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import IntegrityError
from django.db.models import BaseConstraint, Model, ProtectedError, RestrictedError

__all__ = ["Violation", "violation"]


@dataclass(frozen=True)
class Violation:
    """The constraint that a write broke.

    Attributes:
        kind: One of the keys of `DETAILS`.
        constraint: Its name: the models' where they declare it, else the database's; None where it tells none.
        fields: The model fields that it is about, where that is known.
        message: The `violation_error_message` that the models give it; None where they give none.
    """

    kind: str
    constraint: str | None = None
    fields: tuple[str, ...] = ()
    message: str | None = None

    @property
    def detail(self) -> str:
        """A sentence for the client: nothing of it comes from the database."""
        return self.message or DETAILS[self.kind]

    def __str__(self) -> str:
        """For the log: the kind, and which constraint or fields it is about. No values."""
        about = self.constraint or ", ".join(self.fields)
        return f"{self.kind}: {about}" if about else self.kind


DETAILS = {
    "unique": "There is such an object already.",
    "foreign_key": "An object that is referred to does not exist, or one is still referred to.",
    "not_null": "A value is missing.",
    "check": "A value breaks a rule.",
    "exclusion": "The values conflict with those of another object.",
    "protected": "The object is still referred to.",
    "integrity": "The change conflicts with what is stored.",
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, class 23
_POSTGRESQL = {
    "23001": "protected",
    "23502": "not_null",
    "23503": "foreign_key",
    "23505": "unique",
    "23514": "check",
    "23P01": "exclusion",
}
# "Key (title, author_id)=(...) already exists.", in whatever language: the columns are those before the "=".
_POSTGRESQL_KEY = re.compile(r"\(([^=]+)\)=\(")

_SQLITE = (
    (re.compile(r"UNIQUE constraint failed: index '(?P<name>.+)'"), "unique"),
    (re.compile(r"UNIQUE constraint failed: (?P<columns>.+)"), "unique"),
    (re.compile(r"NOT NULL constraint failed: (?P<columns>.+)"), "not_null"),
    (re.compile(r"CHECK constraint failed: (?P<name>.+)"), "check"),
    (re.compile(r"FOREIGN KEY constraint failed"), "foreign_key"),
)

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html; 4025 is MariaDB's
_MYSQL_KINDS = {
    1048: "not_null",
    1062: "unique",
    1216: "foreign_key",
    1217: "foreign_key",
    1364: "not_null",
    1451: "foreign_key",
    1452: "foreign_key",
    1557: "unique",
    1586: "unique",
    1761: "unique",
    1762: "unique",
    3819: "check",
    4025: "check",
}
_MYSQL_TEXTS = (
    re.compile(r"for key '(?:(?P<table>[^.']+)\.)?(?P<name>[^']+)'"),
    re.compile(
        r"(?:`[^`]+`\.)?`(?P<table>[^`]+)`, CONSTRAINT `(?P<name>[^`]+)`(?: FOREIGN KEY \(`(?P<columns>[^)]+)`\))?"
    ),
    re.compile(r"CONSTRAINT `(?:[^`]+\.)?(?P<name>[^`]+)` failed for (?:`[^`]+`\.)?`(?P<table>[^`]+)`"),
    re.compile(r"Check constraint '(?P<name>[^']+)'"),
    re.compile(r"(?:Column|Field) '(?P<columns>[^']+)'"),
)


def violation(error: IntegrityError) -> Violation:
    """Returns what `error` tells. Asks no database and raises nothing, whatever the error looks like."""
    # Django raises these before it asks the database: no driver's error is behind them.
    if isinstance(error, ProtectedError | RestrictedError):
        return Violation("protected")
    cause = error.__cause__ or error
    if (diagnosis := getattr(cause, "diag", None)) is not None:
        return _postgresql(diagnosis)
    if cause.args and isinstance(cause.args[0], int):
        return _mysql(cause.args[0], str(cause.args[-1]))
    return _sqlite(str(cause))


def _postgresql(diagnosis: Any) -> Violation:
    key = _POSTGRESQL_KEY.search(diagnosis.message_detail or "")
    # DETAIL tells values, too, which are other users' at times. Only the columns are taken out of it.
    columns = key[1].split(", ") if key else [diagnosis.column_name] if diagnosis.column_name else []
    kind = _POSTGRESQL.get(diagnosis.sqlstate or "", "integrity")
    return _named(kind, diagnosis.constraint_name, diagnosis.table_name, columns)


def _sqlite(text: str) -> Violation:
    # sqlite3 has no codes for columns and names: its texts are the only source.
    for pattern, kind in _SQLITE:
        if match := pattern.match(text):
            found = match.groupdict()
            places = [place.rpartition(".") for place in (found.get("columns") or "").split(", ") if place]
            table = places[0][0] if places else None
            return _named(kind, found.get("name"), table, [column for _, _, column in places])
    return Violation("integrity")


def _mysql(code: int, text: str) -> Violation:
    kind = _MYSQL_KINDS.get(code, "integrity")
    for pattern in _MYSQL_TEXTS:
        if match := pattern.search(text):
            found = match.groupdict()
            columns = found.get("columns")
            return _named(kind, found.get("name"), found.get("table"), columns.split("`, `") if columns else [])
    return Violation(kind)


# The models -------------------------------------------------------------------------------------------------------


def _named(kind: str, name: str | None, table: str | None, columns: Sequence[str]) -> Violation:
    """The violation in the models' words, as far as they know the table or the name."""
    models = [model for model in apps.get_models(include_auto_created=True) if table in (None, model._meta.db_table)]
    # MySQL names the index of a unique field after its column.
    sought = columns or [name or ""]
    # It may not tell the table; the fields are known all the same where all models call them so.
    named = {found for model in models if (found := _fields(model, sought))}
    fields = named.pop() if len(named) == 1 else ()
    # SQLite tells the columns of a unique constraint, and not its name.
    unique = name is None and kind == "unique"
    for constraint, about in _constraints(models):
        if constraint.name == name or (unique and fields and set(about) == set(fields)):
            return Violation(kind, constraint.name, fields or about, _message(constraint))
    return Violation(kind, _columns_told(table, columns) if unique else name, fields)


def _constraints(models: Iterable[type[Model]]) -> Iterator[tuple[BaseConstraint, tuple[str, ...]]]:
    """The constraints that models declare, each with the fields that it is about."""
    for model in models:
        for constraint in model._meta.constraints:
            yield constraint, _about(constraint, model)


def _message(constraint: BaseConstraint) -> str | None:
    """What the models say of a violation; None where Django would say it in its own words."""
    if constraint.violation_error_message == constraint.default_violation_error_message:
        return None
    return str(constraint.get_violation_error_message())


def _columns_told(table: str | None, columns: Sequence[str]) -> str | None:
    """The columns as SQLite tells them, in the place of a name."""
    return ", ".join(f"{table}.{column}" for column in columns) if table and columns else None


def _fields(model: type[Model], columns: Iterable[str]) -> tuple[str, ...]:
    names = {field.column: field.name for field in model._meta.concrete_fields}
    return tuple(names[column] for column in columns if column in names)


def _about(constraint: Any, model: type[Model]) -> tuple[str, ...]:
    known = {field.name for field in model._meta.concrete_fields}
    return tuple(name for name in getattr(constraint, "fields", ()) if name in known)
