"""The rows of a many-to-many relation, named by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model

from djfast_mount.schemas.writing.invalid import Path

__all__ = ["set_rows"]


def set_rows(
    row: Model, field: Any, wanted: Sequence[Any], path: Path, kept: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Has the relation lead to the rows of the `wanted` and `kept` keys, and to no other. Returns what is wrong.

    As a ModelMultipleChoiceField does, it takes the rows that the default manager knows and `limit_choices_to` allows.
    """
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


def _may_be_key(field: Any, key: Any) -> bool:
    """Whether the column can hold `key`: asked for another, the database gives an error, and not no row."""
    while field.is_relation:
        field = field.target_field
    try:
        field.run_validators(key)
    except ValidationError:
        return False
    return not (isinstance(key, str) and "\0" in key)
