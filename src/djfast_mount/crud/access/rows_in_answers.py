"""The related rows that are shown: those that the caller may see.

1. A relation shows no row that may not be seen: not where a hook has joined or prefetched it either.
2. A hook may narrow what a relation shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.db.models import Model, Prefetch, QuerySet

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.schemas.queryset_internals import prefetches

__all__ = ["items_of"]


def items_of(schema: Any, rows: QuerySet[Any], visibility: Visibility) -> list[Any]:
    """Returns the schemas of `rows`, with no related row that may not be seen."""
    # Without rules the schema reads as it is, by whatever a project has made of its `read()`.
    if not visibility.has_rules:
        return schema.read(rows)  # type: ignore[no-any-return]
    asked = prefetches(rows)
    # Cleared in any case: should Django have another name for them, none must pass that nobody has looked at.
    rows = rows.prefetch_related(None)
    if asked:
        rows = rows.prefetch_related(*_Narrowed(rows.model, visibility).all(asked))
    return schema.read(rows, chosen=visibility.nested)  # type: ignore[no-any-return]


class _Narrowed:
    """The prefetches of a hook, with those rows alone that may be seen at each step of their ways."""

    def __init__(self, model: type[Model], visibility: Visibility) -> None:
        self._visibility = visibility
        # By path: `to_attr` makes attributes that no relation of the model has.
        self._models: dict[str, Any] = {"": model}
        self._found: dict[str, Prefetch[Any]] = {}

    def all(self, asked: Iterable[str | Prefetch[Any]]) -> Iterable[Prefetch[Any]]:
        for lookup in asked:
            own = lookup if isinstance(lookup, Prefetch) else Prefetch(lookup)
            names = own.prefetch_through.split("__")
            for number in range(1, len(names)):
                self._add(Prefetch("__".join(names[:number])))
            self._add(own)
        return self._found.values()

    def _add(self, asked: Prefetch[Any]) -> None:
        above, _, name = asked.prefetch_through.rpartition("__")
        model, shown = self._models.get(above), None
        # What no relation is, Django refuses itself.
        with suppress(LookupError):
            found = relation(model, name) if model is not None else None
            self._models[asked.prefetch_to] = None if found is None else found.related_model
            shown = None if found is None else self._visibility.nested(found, asked.queryset)
        # Never in place: a hook may return a constant that all calls share.
        made = asked if shown is None else Prefetch(asked.prefetch_through, shown, asked.to_attr)
        # The one with rows of its own stays: the others name it on the way to more.
        if asked.prefetch_to not in self._found or asked.queryset is not None:
            self._found[asked.prefetch_to] = made
