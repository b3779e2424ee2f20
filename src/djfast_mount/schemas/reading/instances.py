"""The way through model instances: what a schema takes is fetched beforehand, and read from their attributes.

It serves whatever the caller has: evaluated querysets, single rows, raw queries, prefetches with their own querysets.

A relation of which only some rows may be shown is never joined. What others have fetched of one row is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import models
from django.db.models import Prefetch, prefetch_related_objects
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, shape_of
from djfast_mount.schemas.declaring.mapping import is_forward, is_generic
from djfast_mount.schemas.queryset_internals import has_prefetches, own_prefetches, parents_known
from djfast_mount.schemas.reading import reasons
from djfast_mount.schemas.reading.in_memory import (
    are_as_stored,
    is_left_out,
    known_parents,
    load_deferred,
    parts_of,
    take,
)

__all__ = ["Chosen", "complete", "every_row", "fetched", "is_narrowed", "values_of"]

Values = dict[str, Any]
Chosen = Callable[[Any], models.QuerySet[Any] | None]
"""Says of a relation which of its rows are shown; None for all of them."""


def every_row(relation: Any) -> models.QuerySet[Any] | None:
    """Has all rows of every relation shown."""
    return None


def is_narrowed(shape: Shape, chosen: Chosen) -> bool:
    """Whether `chosen` may leave out rows of a relation in `shape`, at any depth."""
    nested = (member.shape for member in shape.members if member.shape is not None)
    own = any(chosen(member.field) is not None for member in shape.relations())
    return own or any(is_narrowed(inner, chosen) for inner in nested)


def values_of(schema: type[BaseModel], row: models.Model) -> Values:
    """Returns what `schema` takes of `row`, by the names that its validation knows."""
    return _reader(schema)(row)


@cache
def _reader(schema: type[BaseModel]) -> Callable[[models.Model], Values]:
    return _reader_of(shape_of(schema))


def _reader_of(shape: Shape) -> Callable[[models.Model], Values]:
    always = [(member.key, _getter(member)) for member in shape.members if not _may_lack(member)]
    sometimes = [(member.key, member.source) for member in shape.members if _may_lack(member)]

    def read(row: models.Model) -> Values:
        found = {key: get(row) for key, get in always}
        for key, source in sometimes:
            if hasattr(row, source):
                found[key] = _called(getattr(row, source))
        return found

    return read


def _may_lack(member: Member) -> bool:
    """Whether a row may be without it: an annotation for which the schema has a default."""
    return member.kind == "computed" and not member.required


def _getter(member: Member) -> Callable[[models.Model], Any]:
    if member.kind == "column":
        return attrgetter(member.source if member.source == "pk" else member.field.attname)
    if member.kind == "file":
        return lambda row: _url(getattr(row, member.source))
    if member.kind == "keys":
        return lambda row: [each.pk for each in getattr(row, member.source).all()]
    if member.shape is None:
        return lambda row: _called(getattr(row, member.source))
    inner = _reader_of(member.shape)
    if member.kind == "computed":
        return lambda row: _inner_of(_called(getattr(row, member.source)), member, inner)
    if member.kind == "many":
        return lambda row: [inner(each) for each in getattr(row, member.source).all()]
    # A one-to-one that nobody points back to raises RelatedObjectDoesNotExist, which is an AttributeError too.
    return lambda row: None if (one := getattr(row, member.source, None)) is None else inner(one)


def _inner_of(value: Any, member: Member, inner: Callable[[models.Model], Values]) -> Any:
    if value is None:
        return None
    return [inner(each) for each in value] if member.many else inner(value)


def _called(value: Any) -> Any:
    return value() if callable(value) and not isinstance(value, type | models.Manager) else value


def _url(file: Any) -> str | None:
    # An empty FieldFile raises ValueError for its URL.
    return file.url if file else None


def fetched(shape: Shape, rows: models.QuerySet[Any], chosen: Chosen = every_row) -> list[models.Model]:
    """Returns the instances of `rows`, with all that `shape` takes: one query, and one for each relation to many.

    A relation that `chosen` narrows takes one, too. A row that it leaves out is None, or not in the list.
    """
    # Django joins nothing to a union, and what is joined to locked rows would be locked too.
    if rows.query.combinator or is_left_out(shape, rows):
        return complete(shape, list(rows), chosen)
    # `FOR UPDATE` locks the rows of every joined table, and PostgreSQL refuses it on the side of an outer join that may
    # be null.
    if rows.query.select_for_update:
        return complete(shape, list(rows.defer(None)), chosen)
    known = parents_known(rows)
    # Django passes over a prefetch whose relation is joined: its queryset, which may leave rows out, would not count.
    joined = _but_for(known | own_prefetches(rows), _joined(shape, rows.model, chosen))
    found = rows.defer(None)
    if joined and not rows.query.is_empty():
        found = found.select_related(*joined)
    instances = list(found)
    _complete(shape, instances, chosen, as_stored=not known and not has_prefetches(rows))
    return instances


def complete(shape: Shape, rows: Iterable[models.Model], chosen: Chosen = every_row) -> list[models.Model]:
    """Returns `rows`, after fetching what they lack of `shape`: a query for each relation, at most."""
    found = list(rows)
    _complete(shape, found, chosen, as_stored=False)
    return found


def _complete(shape: Shape, rows: list[models.Model], chosen: Chosen, *, as_stored: bool) -> None:
    """Fetches what some of `rows` lack, level by level: Django's own nested lookups stop at what others have fetched.

    Args:
        as_stored: Whether the rows, and those that they hold, are as the database has them.
    """
    for part in parts_of(shape) if rows else ():
        known = known_parents(part, rows)
        load_deferred(part, rows)
        take(known)
        for member in part.members:
            _complete_member(member, rows, chosen, as_stored=as_stored)


def _complete_member(member: Member, rows: list[models.Model], chosen: Chosen, *, as_stored: bool) -> None:
    stored = as_stored and member.kind != "computed" and are_as_stored(member.field, type(rows[0]))
    if member.kind in ("one", "many", "keys"):
        shown = chosen(member.field)
        if member.kind == "one" and shown is not None:
            _hide_others(rows, member.field, shown)
        # Django passes over what is fetched already, so prefetches of the caller's own stay as they are.
        prefetch_related_objects(rows, _lookup(member, shown, chosen, as_stored=stored))
    if member.shape is not None:
        nested = [each for row in rows for each in _nested(member, row)]
        _complete(member.shape, nested, chosen, as_stored=stored)


def _hide_others(rows: list[models.Model], relation: Any, shown: models.QuerySet[Any]) -> None:
    """Has `rows` hold None in the place of the one row that others have fetched, where it is not among the `shown`."""
    held = [(row, relation.get_cached_value(row)) for row in rows if relation.is_cached(row)]
    keys = {value.pk for _, value in held if value is not None}
    found = set(shown.filter(pk__in=list(keys)).values_list("pk", flat=True)) if keys else set()
    for row, value in held:
        if value is not None and value.pk not in found:
            relation.set_cached_value(row, None)


def _lookup(
    member: Member, shown: models.QuerySet[Any] | None, chosen: Chosen, *, as_stored: bool
) -> str | Prefetch[Any]:
    """What `prefetch_related` is to fetch: rows with the relations to one row of theirs joined to them."""
    name = member.source
    if shown is None and (member.kind != "many" or member.shape is None):
        return name
    # Fetched rows get the very instance that they belong to, which may differ from its row: it is not joined then.
    known = set() if as_stored or _is_apart(member.field) else {member.field.field.name}
    joined = [] if member.shape is None else _but_for(known, _joined(member.shape, member.field.related_model, chosen))
    if shown is None:
        # The manager that Django itself would take.
        shown = member.field.related_model._default_manager.all() if joined else None
    return name if shown is None else Prefetch(name, shown.select_related(*joined) if joined else shown)


def _is_apart(field: Any) -> bool:
    """Whether the rows that `field` leads to do not have the row that they were reached from."""
    return not field.one_to_many or is_generic(field)


def _nested(member: Member, row: models.Model) -> Iterable[models.Model]:
    """The rows of `member`, which have been fetched."""
    if member.kind == "many":
        found: Iterable[models.Model] = getattr(row, member.source).all()
        return found
    value = _called(getattr(row, member.source, None))
    return [] if value is None else value if member.many else [value]


def _joined(shape: Shape, model: type[models.Model], chosen: Chosen, prefix: str = "") -> Iterator[str]:
    """The relations to one row that can be joined to the query of `shape`, which gives instances of `model`."""
    for member in shape.members:
        if member.kind == "one" and member.shape is not None and _is_joined(member, model, chosen):
            path = prefix + str(member.field.name)
            yield path
            yield from _joined(member.shape, member.field.related_model, chosen, path + "__")


def _is_joined(member: Member, model: type[models.Model], chosen: Chosen) -> bool:
    return may_join(member) and are_as_stored(member.field, model) and chosen(member.field) is None


def _but_for(known: Collection[str], paths: Iterable[str]) -> list[str]:
    """Returns the `paths` that lead neither to one of the `known` relations nor over it."""
    return [path for path in paths if not any(path == name or path.startswith(f"{name}__") for name in known)]


def may_join(member: Member) -> bool:
    """Whether a join loses no row, and gives none that the base manager hides.

    The database vouches that there is one, or the join is an outer one.
    """
    field = member.field
    loses_none = not is_forward(field) or field.null or getattr(field, "db_constraint", True)
    return loses_none and reasons.of_pointed(field.related_model) is None
