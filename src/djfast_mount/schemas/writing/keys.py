"""Rows that are named by their keys: of a many-to-many relation, and of a foreign key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, router
from django.db.models import CompositePrimaryKey, ForeignKey, Model, QuerySet

from djfast_mount.schemas.writing.invalid import Path

__all__ = ["MOST_COMPOSITE", "but_for_stored", "in_parts", "set_rows", "stored_keys"]

MOST_COMPOSITE = 400
"""How many composite keys one statement names: to SQLite each is a step of an expression, which has 1,000 at most."""

# SQLite takes 32,766 values in one statement where it is built without more (https://www.sqlite.org/limits.html).
_MOST = 5000


def set_rows(
    row: Model, field: Any, wanted: Sequence[Any], path: Path, kept: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Has the relation lead to the rows of the `wanted` and `kept` keys, and to no other. Returns what is wrong.

    As a ModelMultipleChoiceField does, it takes the rows that the default manager knows and `limit_choices_to` allows.
    """
    if not wanted and not kept and not getattr(field, "blank", True):
        return [{"type": "blank", "loc": path, "msg": str(field.error_messages["blank"])}]
    related = field.related_model._default_manager.using(row._state.db).complex_filter(field.get_limit_choices_to())
    known = stored_keys(related, wanted)
    errors = [
        {
            "type": "invalid_choice",
            "loc": (*path, place),
            "msg": f"There is no {field.related_model._meta.verbose_name} {key!r}.",
        }
        for place, key in enumerate(wanted)
        if key not in known and key not in kept
    ]
    if not errors:
        keys = {*known, *kept}
        # To `set()`, a plain value is one of the column that the table between points to.
        by_key = field.target_field.primary_key or not keys
        rows = keys if by_key else field.related_model._base_manager.using(row._state.db).filter(pk__in=keys)
        getattr(row, field.name).set(rows)
    return errors


def stored_keys(rows: QuerySet[Any], keys: Collection[Any], column: str = "pk") -> set[Any]:
    """Returns those of `keys` that one of `rows` has in `column`. Keys that the column cannot hold no row has."""
    meta = rows.model._meta
    field: Any = meta.pk if column == "pk" else meta.get_field(column)
    parts = field.fields if isinstance(field, CompositePrimaryKey) else [field]
    connection = connections[rows.db]
    possible = [key for key in dict.fromkeys(keys) if _may_be_key(parts, key, connection)]
    found: set[Any] = set()
    # A client may send as many as its body holds.
    for some in in_parts(possible, composite=len(parts) > 1):
        found.update(rows.filter(**{f"{column}__in": some}).order_by().values_list(column, flat=True))
    return found


def in_parts(keys: Sequence[Any], *, composite: bool) -> Iterator[Sequence[Any]]:
    """Yields `keys`, in their order, in as many parts as databases need, which limit what one statement may name."""
    most = MOST_COMPOSITE if composite else _MOST
    return (keys[start : start + most] for start in range(0, len(keys), most))


def _may_be_key(parts: Sequence[Any], key: Any, connection: Any) -> bool:
    values = key if len(parts) > 1 else [key]
    return all(_fits(field, value, connection) for field, value in zip(parts, values, strict=True))


def _fits(field: Any, value: Any, connection: Any) -> bool:
    """Whether the column can hold `value`: asked for another, the database gives an error, and not no row."""
    # Not by the validators of the field: they are of new values, and a row may be older.
    while field.is_relation:
        field = field.target_field
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    try:
        field.get_db_prep_value(value, connection)
    except (ValidationError, ArithmeticError, ValueError, TypeError):
        return False
    return not (isinstance(value, str) and "\0" in value)


def but_for_stored(error: ValidationError, row: Model, using: str) -> ValidationError:
    """Returns `error` without what it says of foreign keys whose rows are there in the database `using`.

    `full_clean()` asks `db_for_read` for these rows: a replica lacks one that was written just now, as the row that a
    nested one belongs to.
    """
    if not hasattr(error, "error_dict"):
        return error
    keys = {field.name: field for field in row._meta.concrete_fields if isinstance(field, ForeignKey)}
    left = {
        name: [each for each in errors if name not in keys or not _is_stored(keys[name], row, each, using)]
        for name, errors in error.error_dict.items()
    }
    return ValidationError({name: errors for name, errors in left.items() if errors})


def _is_stored(field: Any, row: Model, error: ValidationError, using: str) -> bool:
    asked_there = router.db_for_read(field.related_model, instance=row) == using
    if error.code != "invalid" or asked_there:
        return False
    rows = field.related_model._base_manager.using(using).complex_filter(field.get_limit_choices_to())
    return bool(rows.filter(**{field.target_field.attname: getattr(row, field.attname)}).exists())
