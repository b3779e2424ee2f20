"""The related rows that are shown: those that the caller may see.

1. A relation shows no row that may not be seen: not where a hook has joined or prefetched it either.
2. A hook may narrow what a relation shows.
3. A call that writes reads related rows where it writes: Django asks the routers for each prefetch anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import router
from django.db.models import F, Model, Prefetch, QuerySet

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.queryset_internals import overridden, prefetches
from djfast_mount.schemas.reading.first import First, ends_of
from djfast_mount.schemas.writing.keys import in_parts

__all__ = ["first_items_of", "items_of"]


def items_of(schema: Any, rows: QuerySet[Any], visibility: Visibility) -> list[Any]:
    """Returns the schemas of `rows`, with no related row that may not be seen."""
    rows, choice = _guarded(rows, visibility)
    return schema.read(rows, **choice)  # type: ignore[no-any-return]


def first_items_of(schema: Any, rows: QuerySet[Any], visibility: Visibility, limit: int, names: Sequence[str]) -> First:
    """Returns the schemas of the first `limit` of `rows`. A row that was deleted meanwhile may be among the ends alone.

    Args:
        names: The columns and annotations that the ends are asked for.
    """
    guarded, choice = _guarded(rows, visibility)
    whole: First | None = schema.read_first(guarded, limit, names, **choice)
    if whole is not None:
        return whole
    # The values come first: read with the rows or after them, these could have changed since.
    found = list(rows.values_list("pk", *map(F, names))[: limit + 1])
    shown = found[:limit]
    parts = in_parts([row[0] for row in shown], composite=len(rows.model._meta.pk_fields) > 1)
    items = [item for keys in parts for item in items_of(schema, rows.filter(pk__in=keys), visibility)]
    return First(items, [row[1:] for row in ends_of(shown)], len(found) > limit)


def _guarded(rows: QuerySet[Any], visibility: Visibility) -> tuple[QuerySet[Any], dict[str, Any]]:
    """Returns `rows` with those prefetches alone that may be seen, and what `read()` is told to choose of relations."""
    asked = prefetches(rows)
    # Then Django fetches related rows, and not a plan of the schema's, which stays in one database.
    by_django = visibility.using is not None and bool(asked or router.routers or overridden(rows))
    # Without rules the schema reads as it is, by whatever a project has made of its `read()`.
    if not (visibility.has_rules or by_django):
        return rows, {}
    # Cleared in any case: should Django have another name for them, none must pass that nobody has looked at.
    rows = rows.prefetch_related(None)
    if asked:
        rows = rows.prefetch_related(*_Narrowed(rows.model, visibility).all(asked))
    return rows, {"chosen": partial(_shown, visibility) if by_django else visibility.nested}


def _shown(visibility: Visibility, found: Any, rows: QuerySet[Any] | None = None) -> QuerySet[Any] | None:
    """As `Visibility.nested`, with the database where the call writes, if it does."""
    shown = visibility.nested(found, rows)
    if visibility.using is None or found.related_model is None:
        return shown
    if shown is None and rows is None:
        # What Django takes by itself: the base manager towards one row, else the default manager.
        of_one = is_forward(found) and not found.many_to_many
        rows = (found.related_model._base_manager if of_one else found.related_model._default_manager).all()
    return (rows if shown is None else shown).using(visibility.using)  # type: ignore[union-attr]


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
            shown = None if found is None else _shown(self._visibility, found, asked.queryset)
        # Never in place: a hook may return a constant that all calls share.
        made = asked if shown is None else Prefetch(asked.prefetch_through, shown, asked.to_attr)
        # The one with rows of its own stays: the others name it on the way to more.
        if asked.prefetch_to not in self._found or asked.queryset is not None:
            self._found[asked.prefetch_to] = made
