"""What of a model an API shows: the only fields that its callers may filter, order, search and aggregate by.

A field that the schema leaves out, say a password's hash, could otherwise be read letter by letter through a filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from djfast_mount.schemas.declaring.declaration import Shape, shape_of
from djfast_mount.schemas.declaring.mapping import orm_of

__all__ = ["Exposure", "exposure_of", "is_to_many", "relation"]


@dataclass(frozen=True)
class Exposure:
    """The fields and relations of one model that a resource shows.

    Args:
        fields: Each concrete field by the name that the API gives it.
        related: What it shows of the rows that a relation leads to, by the relation's name on the model.
    """

    model: type[models.Model]
    fields: Mapping[str, models.Field[Any, Any]]
    related: Mapping[str, Exposure] = field(default_factory=dict)

    def walk(self, most: int = 3) -> Iterator[tuple[tuple[str, ...], Exposure]]:
        """What is shown of each model that can be reached over at most so many relations, and the way to it."""
        yield (), self
        if most:
            for name, below in self.related.items():
                yield from (((name, *path), found) for path, found in below.walk(most - 1))


def relation(model: type[models.Model], name: str) -> Any:
    """Returns the relation `name` of `model`: a field, or the other side of one by its accessor's name."""
    for found in model._meta.get_fields(include_hidden=False):
        if found.is_relation and name in (found.name, getattr(found, "get_accessor_name", lambda: None)()):
            return found
    raise LookupError(f"{model.__qualname__} has no relation {name!r}.")


def is_to_many(found: Any) -> bool:
    """Whether `found`, a relation, leads to any number of rows."""
    return bool(found.one_to_many or found.many_to_many)


def exposure_of(schema: Any, children: Mapping[str, Exposure] | None = None) -> Exposure:
    """Returns what `schema` shows. What it shows to some callers alone is left out: a filter would tell it to all.

    Args:
        children: What the children of the resource show, by the relation that leads to them.
    """
    found = _of_shape(shape_of(schema))
    return Exposure(found.model, found.fields, {**(children or {}), **found.related})


def _of_shape(shape: Shape) -> Exposure:
    fields: dict[str, models.Field[Any, Any]] = {}
    related: dict[str, Exposure] = {}
    for member in shape.members:
        if orm_of(shape.schema.model_fields[member.name]).read_scopes:
            continue
        found = member.field
        if member.kind == "column" or (member.kind == "one" and found.concrete):
            fields[member.key] = found
        if member.shape is not None:
            related[member.source] = _of_shape(member.shape)
        elif member.kind == "keys":
            key = found.related_model._meta.pk
            related[member.source] = Exposure(found.related_model, {key.name: key})
    return Exposure(shape.model, fields, related)
