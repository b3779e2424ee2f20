"""What a queryset will do, of which Django's public API does not tell.

Names that are not public: `QuerySet._fields`, `_result_cache`, `_iterable_class`, `_prefetch_related_lookups`,
`_known_related_objects`, `_fetch_all` and `_db`, `Query._filtered_relations`; of a model,
`_prefetched_objects_cache`. Where one of a queryset's is gone, it is taken as evaluated: its rows are fetched as it
fetches them, and what they lack after that. It costs speed, and never a row.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model, Prefetch, QuerySet
from django.db.models.query import ModelIterable

__all__ = [
    "chosen_database",
    "forget",
    "gives_instances",
    "has_filtered_relations",
    "has_own_prefetches",
    "has_prefetches",
    "is_plain",
    "overridden",
    "own_prefetches",
    "parents_known",
    "prefetches",
]

_GONE: Any = object()


def gives_instances(rows: QuerySet[Any]) -> bool:
    """Whether its items are rows of the model, and not what `values()` and its kin make of them."""
    # Without the name every queryset is taken for one of instances. One of `values()` is then refused by its rows.
    return getattr(rows, "_fields", None) is None


def is_plain(rows: QuerySet[Any]) -> bool:
    """Whether it has not been evaluated, and makes its instances as Django does."""
    # If it cannot be known, the queryset is fetched in its own way.
    if any(getattr(rows, name, _GONE) is _GONE for name in ("_prefetch_related_lookups", "_db")):
        return False
    fresh = getattr(rows, "_result_cache", _GONE) is None
    return fresh and getattr(rows, "_iterable_class", _GONE) is ModelIterable


_MAKES_ROWS = ("__iter__", "_fetch_all", "iterator", "values_list")


def overridden(rows: QuerySet[Any]) -> str | None:
    """Returns which method of its class makes its rows otherwise than Django's does; None where none does."""
    kind = type(rows)
    return next(
        (name for name in _MAKES_ROWS if getattr(kind, name, _GONE) is not getattr(QuerySet, name, _GONE)), None
    )


def chosen_database(rows: QuerySet[Any]) -> str | None:
    """Returns the alias that `using()` was told; None where Django asks the routers."""
    # A queryset without the name is not plain, and is not read by a plan.
    return getattr(rows, "_db", None)


def has_prefetches(rows: QuerySet[Any]) -> bool:
    """Whether the caller has asked for relations to be fetched with the rows."""
    return bool(getattr(rows, "_prefetch_related_lookups", ()))


def prefetches(rows: QuerySet[Any]) -> tuple[str | Prefetch[Any], ...]:
    """Returns what the caller has asked to be fetched with the rows."""
    return tuple(getattr(rows, "_prefetch_related_lookups", ()))


def has_own_prefetches(rows: QuerySet[Any]) -> bool:
    """Whether one of the caller's prefetches is more than the name of a relation."""
    return any(not isinstance(lookup, str) for lookup in prefetches(rows))


def own_prefetches(rows: QuerySet[Any]) -> set[str]:
    """Returns the relations, as lookups, that the caller's own querysets are to fetch."""
    return {
        _query_name(rows.model, lookup.prefetch_through.split("__"))
        for lookup in prefetches(rows)
        if not isinstance(lookup, str) and lookup.queryset is not None and not lookup.to_attr
    }


def _query_name(model: Any, names: list[str]) -> str:
    """The path of a prefetch, which names attributes, as one of `select_related`, which names relations."""
    found: list[str] = []
    for name in names:
        relations = [] if model is None else model._meta.get_fields()
        named = {_accessor_name(each): each for each in relations if each.is_relation}
        relation = named.get(name) or next((each for each in relations if each.name == name), None)
        found.append(name if relation is None else relation.name)
        model = None if relation is None else relation.related_model
    return "__".join(found)


def _accessor_name(relation: Any) -> str | None:
    """The attribute of a relation that another model has made; None for a field of the model's own."""
    found: str | None = getattr(relation, "get_accessor_name", lambda: None)()
    return found


def has_filtered_relations(rows: QuerySet[Any]) -> bool:
    """Whether joins of the query have conditions of their own."""
    return bool(getattr(rows.query, "_filtered_relations", None))


def parents_known(rows: QuerySet[Any]) -> set[str]:
    """Returns the relations whose one row is known beforehand, as to ``company.departments.all()`` the company is."""
    known: Any = getattr(rows, "_known_related_objects", {})
    return {field.name for field in known}


def forget(row: Model, relation: Any) -> None:
    """Has `row` ask the database anew for what it has fetched of `relation`, a relation that leads back to it."""
    # Django clears it for writes through the manager, and not for rows that are saved one by one.
    fetched: dict[str, Any] = getattr(row, "_prefetched_objects_cache", {})
    fetched.pop(relation.name, None)
    fetched.pop(_accessor_name(relation) or relation.name, None)
    if relation.one_to_one and relation.is_cached(row):
        relation.delete_cached_value(row)
