"""The query parameters of a resource, made from what it shows: one for each thing that can be asked of a field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from django.db import models
from pydantic import Field

from djfast_mount.crud.declaring.exposure import Exposure, is_to_many, relation
from djfast_mount.crud.query.fields import (
    MEASURES,
    MOST_VALUES,
    PARTS,
    FieldKind,
    Measure,
    kind_of,
    value_type,
    year_type,
)

__all__ = ["Parameter", "default_parameters", "parameters"]

_Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
_SEPARATOR = "__"
# Kinds of which several values may be given, any of which is enough.
_LISTED: set[FieldKind] = {"text", "choice", "integer", "uuid"}
_ORDERED: set[FieldKind] = {"integer", "number", "date", "datetime", "time", "duration"}
_SIDES = {"": "exactly", "__gte": "at least", "__lte": "at most"}


@dataclass(frozen=True)
class Parameter:
    """One query parameter.

    Args:
        name: As it stands in the URL. Its opposite has an exclamation mark before it.
        annotation: The type of its value; a list where it may be repeated.
        path: The relations that lead to the model that it speaks of.
        lookup: Django's lookup there, ``name__icontains``; for a `measure`, the lookup of its result.
        measure: What is made of the rows of a relation before they are compared: their number, or a field's sum.
        measured: The field of the measure; None for a count.
        basic: Whether it belongs to the few that are offered by default.
        is_key: Whether it speaks of the keys of the rows that a relation to many leads to.
        as_row: The foreign key that it speaks of, if answers show its row and not the key. One of a hidden row is null.
    """

    name: str
    annotation: Any
    path: tuple[str, ...]
    lookup: str
    description: str
    measure: Measure | None = None
    measured: str | None = None
    basic: bool = True
    is_key: bool = False
    as_row: str | None = None

    @property
    def repeated(self) -> bool:
        return self.lookup.endswith("__in")


def parameters(exposure: Exposure, *, skip: frozenset[str] = frozenset()) -> Iterator[Parameter]:
    """Every parameter that a resource of `exposure` can have, those of related rows too.

    Args:
        skip: Names that are left out: the foreign key to the parent in the path, and tenants.
    """
    for path, below in exposure.walk():
        for name, field in below.fields.items():
            # The key of a related row is asked for at the foreign key (`company__id`), where it needs no join.
            own_key = bool(path) and field.primary_key
            if name not in skip and field.name not in skip and not own_key:
                as_row = field.name if name in below.as_rows else None
                yield from (replace(each, as_row=as_row) for each in _of_field(path, name, field))
        for name, further in below.related.items():
            if is_to_many(relation(below.model, name)):
                yield from _of_key((*path, name), further)
                yield from _of_relation(path, name, further)


def default_parameters(exposure: Exposure, *, skip: frozenset[str] = frozenset()) -> Iterator[Parameter]:
    """The readable few: the resource's own fields, without the parts of dates, and the keys and numbers of related
    rows."""
    found = parameters(exposure, skip=skip)
    return (each for each in found if each.basic and len(each.path) == (1 if each.is_key else 0))


def _of_field(path: tuple[str, ...], name: str, field: models.Field[Any, Any]) -> Iterator[Parameter]:
    kind = kind_of(field)
    column = getattr(field, "attname", field.name)
    if field.null:
        yield _parameter(path, f"{name}__isnull", bool, f"{column}__isnull", f"Whether {name} is null.")
    if kind is None:
        return
    of_key = isinstance(field, models.ForeignKey)
    spelt = f"{field.name}__id" if of_key else name
    lookup = f"{field.name}__in" if of_key else column
    yield _exact(path, spelt, field, kind, lookup)
    if of_key:
        return
    if kind == "text":
        told = f"Text that {name} contains, in upper or lower case."
        yield _parameter(path, f"{name}__icontains", value_type(field), f"{column}__icontains", told)
    if kind in _ORDERED:
        for side in ("__gte", "__lte"):
            told = f"{name} is {_SIDES[side]} this."
            yield _parameter(path, name + side, value_type(field), column + side, told)
    if kind in ("date", "datetime"):
        yield from _parts(path, name, column, kind)


def _of_key(path: tuple[str, ...], below: Exposure) -> Iterator[Parameter]:
    """Which rows a relation to many leads to: ``labels__id=1``."""
    key = below.model._meta.pk
    kind = None if isinstance(key, models.CompositePrimaryKey) else kind_of(key)
    if kind is not None and key.name in below.fields:
        yield replace(_exact(path, key.name, key, kind, key.attname), is_key=True)


def _exact(path: tuple[str, ...], name: str, field: Any, kind: FieldKind, lookup: str) -> Parameter:
    if kind not in _LISTED:
        return _parameter(path, name, value_type(field), lookup, f"{name} is this.")
    several = Annotated[list[value_type(field)], Field(max_length=MOST_VALUES)]  # type: ignore[misc,valid-type]
    lookup = lookup if lookup.endswith("__in") else f"{lookup}__in"
    return _parameter(path, name, several, lookup, f"{name} is this. Repeat it for one of several.")


def _parts(path: tuple[str, ...], name: str, column: str, kind: FieldKind) -> Iterator[Parameter]:
    """What can be asked of a day: all of its parts, and of a datetime the day itself."""
    prefix = _SEPARATOR
    if kind == "datetime":
        prefix = "__date__"
        day = value_type(models.DateField())
        for side, words in _SIDES.items():
            told = f"The day of {name} is {words} this."
            yield _parameter(path, f"{name}__date{side}", day, f"{column}__date{side}", told, basic=False)
    for part in PARTS:
        for side, words in _SIDES.items():
            told = f"The {part.replace('_', ' ')} of {name} is {words} this."
            lookup = f"{column}__{part}{side}"
            number = year_type(kind) if part == "year" else _Integer
            yield _parameter(path, f"{name}{prefix}{part}{side}", number, lookup, told, basic=False)


def _of_relation(path: tuple[str, ...], name: str, below: Exposure) -> Iterator[Parameter]:
    for side, words in _SIDES.items():
        told = f"The number of {name} is {words} this."
        yield _measured(path, f"{name}__count{side}", _Integer, name, side, told, "count", None)
    for own, field in below.fields.items():
        if kind_of(field) not in ("integer", "number") or field.primary_key or field.is_relation:
            continue
        for measure in MEASURES:
            for side in ("__gte", "__lte"):
                told = f"The {measure} of {own} over {name} is {_SIDES[side]} this."
                spelt = f"{name}__{own}__{measure}{side}"
                yield _measured(path, spelt, float, name, side, told, measure, field.attname)


def _parameter(
    path: tuple[str, ...], name: str, annotation: Any, lookup: str, told: str, *, basic: bool = True
) -> Parameter:
    return Parameter(_SEPARATOR.join((*path, name)), annotation, path, lookup, told, basic=basic)


def _measured(
    path: tuple[str, ...],
    name: str,
    annotation: Any,
    relation_name: str,
    side: str,
    told: str,
    measure: Measure,
    measured: str | None,
) -> Parameter:
    # The default is what people read in the docs: numbers over related rows would be most of the page.
    basic = measure == "count"
    annotation = Annotated[float, Field(allow_inf_nan=False)] if annotation is float else annotation
    full = _SEPARATOR.join((*path, name))
    return Parameter(full, annotation, path, f"{relation_name}{side}", told, measure, measured, basic)
