"""Which row an item of a nested list stands for: by its key, by chosen fields, or by the one unique constraint.

Only rows that the parent already has are found: a key of another parent's row is as unknown as one of no row.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from django.db import models
from django.db.models import Model
from pydantic import MISSING, BaseModel

from djfast_mount.schemas.writing.invalid import Path
from djfast_mount.schemas.writing.rows import plain

__all__ = ["Match", "match_items", "unique_fields"]

Fault = dict[str, Any]


class Match:
    """The items of a nested list, each with its row, and the rows that no item stands for.

    Attributes:
        pairs: Each item with its place in the list and its row; None for a new one.
        left: The rows that the list does not have.
        faults: What is wrong with the keys that were sent.
    """

    def __init__(self, rows: Iterable[Model]) -> None:
        self.left: dict[Any, Model] = {row.pk: row for row in rows}
        self.pairs: list[tuple[int, BaseModel, Model | None]] = []
        self.faults: list[Fault] = []

    def add(self, place: int, item: BaseModel, row: Model | None) -> None:
        """Notes that `item` stands for `row`, which no other item can then."""
        self.pairs.append((place, item, row))
        if row is not None:
            del self.left[row.pk]


def match_items(
    rows: Iterable[Model], items: Sequence[BaseModel], names: Mapping[str, str], key: str, path: Path
) -> Match:
    """Returns which of `rows` each of `items` stands for.

    Args:
        names: The attributes of an item that identify a row, with those of the row; none where only its key does.
        key: The name under which the key of a row is sent.
        path: Where in the body the list is.
    """
    found = Match(rows)
    keyed = [(place, item, getattr(item, "pk", MISSING)) for place, item in enumerate(items)]
    for place, item, pk in keyed:
        if pk is MISSING:
            continue
        if pk in found.left:
            found.add(place, item, found.left[pk])
        else:
            fault = {"type": "not_found", "loc": (*path, place, key), "msg": f"There is no such row here: {pk!r}."}
            found.faults.append(fault)
    alike = _Alike(found.left, names.values())
    for place, item, pk in keyed:
        if pk is MISSING:
            wanted = tuple(plain(getattr(item, name, MISSING)) for name in names)
            found.add(place, item, None if MISSING in wanted else alike.take(wanted))
    found.pairs.sort(key=lambda pair: pair[0])
    return found


class _Alike:
    """The rows that are left, by the values that tell them apart: a list is as long as a client makes it."""

    def __init__(self, left: Mapping[Any, Model], names: Collection[str]) -> None:
        self._rows: dict[Hashable, list[tuple[tuple[Any, ...], Model]]] = {}
        for row in left.values() if names else ():
            values = tuple(getattr(row, name) for name in names)
            self._rows.setdefault(_hashable(values), []).append((values, row))

    def take(self, values: tuple[Any, ...]) -> Model | None:
        """Returns the first row with these values that nobody has taken; None where there is none."""
        rows = self._rows.get(_hashable(values), [])
        place = next((place for place, (known, _) in enumerate(rows) if known == values), None)
        return None if place is None else rows.pop(place)[1]


def _hashable(values: tuple[Any, ...]) -> Hashable:
    try:
        hash(values)
    except TypeError:
        # Lists and dicts, as JSON has them, are compared one by one.
        return None
    return values


def unique_fields(model: type[models.Model], parent: Any) -> tuple[str, ...]:
    """Returns the fields that tell the rows of one parent apart: those of the only unique constraint of `model`.

    Constraints with a condition or an expression do not count; where several are left, nobody can say which is meant.
    """
    meta = model._meta
    found: set[tuple[str, ...]] = {
        (field.name,) for field in meta.concrete_fields if field.unique and not field.primary_key
    }
    found |= {tuple(names) for names in meta.unique_together}
    found |= {
        tuple(constraint.fields)
        for constraint in meta.constraints
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields and constraint.condition is None
    }
    if isinstance(meta.pk, models.CompositePrimaryKey):
        found.add(tuple(field.name for field in meta.pk_fields))
    parent_name = None if parent is None else parent.name
    told_apart = {tuple(name for name in names if name != parent_name) for names in found} - {()}
    return told_apart.pop() if len(told_apart) == 1 else ()
