"""What of a model an API shows: the only fields that its callers may filter, order, search and aggregate by.

A field that the schema leaves out, say a password's hash, could otherwise be read letter by letter through a filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

__all__ = ["Exposure", "is_to_many", "relation"]


@dataclass(frozen=True)
class Exposure:
    """The fields and relations of one model that a resource shows.

    Args:
        fields: Each concrete field by the name that the API gives it.
        related: What it shows of the rows that a relation leads to, by the relation's name on the model.
        as_rows: The names of the foreign keys in `fields` whose rows are shown, and not their keys.
        kept_back: The names of those that answers lack for some callers, or that the schema may change on the way.
    """

    model: type[models.Model]
    fields: Mapping[str, models.Field[Any, Any]]
    related: Mapping[str, Exposure] = field(default_factory=dict)
    kept_back: frozenset[str] = frozenset()
    as_rows: frozenset[str] = frozenset()

    def why_hidden(self, argument: str, name: str) -> str | None:
        """Returns what is wrong with an `argument` of the router that names `name`, of a value that is kept back."""
        if name.partition("__")[0] not in self.kept_back:
            return None
        return (
            f"{argument} names {name!r}, and the schema keeps that value back, or changes it by a validator or a "
            "serializer. A filter, an order and a cursor would tell it. Take it out. If everybody may know it, declare "
            "it plainly in the schema, or filter by filters=FilterSetFilters(...)."
        )

    # Models often point at one another: without an end the parameters of a resource would be endless. Their number
    # grows with each further relation.
    def walk(self, most: int = 3) -> Iterator[tuple[tuple[str, ...], Exposure]]:
        """What is shown of each model that can be reached over at most so many relations, and the way to it."""
        yield (), self
        if most:
            for name, below in self.related.items():
                yield from (((name, *path), found) for path, found in below.walk(most - 1))

    def countable(self) -> list[str]:
        """The relations whose rows can be counted."""
        return [name for name in self.related if is_to_many(relation(self.model, name))]


def relation(model: type[models.Model], name: str) -> Any:
    """Returns the relation `name` of `model`: a field, or the other side of one by its accessor's name."""
    # Schemas name the other side of a relation by its accessor (`department_set`), queries by its query name
    # (`department`). Both lead here.
    for found in model._meta.get_fields(include_hidden=False):
        if found.is_relation and name in (found.name, getattr(found, "get_accessor_name", lambda: None)()):
            return found
    raise LookupError(f"{model.__qualname__} has no relation {name!r}.")


def is_to_many(found: Any) -> bool:
    """Whether `found`, a relation, leads to any number of rows."""
    return bool(found.one_to_many or found.many_to_many)
