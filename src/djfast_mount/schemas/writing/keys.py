"""Rows that are named by their keys: of a many-to-many relation, and of a foreign key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import ForeignKey, Model

from djfast_mount.schemas.writing.invalid import Path

__all__ = ["but_for_stored", "set_rows"]


def set_rows(
    row: Model, field: Any, wanted: Sequence[Any], path: Path, kept: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Has the relation lead to the rows of the `wanted` and `kept` keys, and to no other. Returns what is wrong.

    As a ModelMultipleChoiceField does, it takes the rows that the default manager knows and `limit_choices_to` allows.
    """
    if not wanted and not kept and not getattr(field, "blank", True):
        return [{"type": "blank", "loc": path, "msg": str(field.error_messages["blank"])}]
    related = field.related_model._default_manager.using(row._state.db).complex_filter(field.get_limit_choices_to())
    possible = [key for key in wanted if _may_be_key(field.related_model._meta.pk, key)]
    known = set(related.filter(pk__in=possible).values_list("pk", flat=True)) if possible else set()
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
        getattr(row, field.name).set({*known, *kept})
    return errors


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


def _may_be_key(field: Any, key: Any) -> bool:
    """Whether the column can hold `key`: asked for another, the database gives an error, and not no row."""
    while field.is_relation:
        field = field.target_field
    try:
        field.run_validators(key)
    except ValidationError:
        return False
    return not (isinstance(key, str) and "\0" in key)
