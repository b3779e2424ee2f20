"""The way through model instances: what a schema takes is fetched beforehand, and read from their attributes.

It serves whatever the caller has: evaluated querysets, single rows, raw queries, prefetches with their own querysets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import models
from django.db.models import Prefetch, prefetch_related_objects
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, shape_of
from djfast_mount.schemas.queryset_door import filled_by_caller, parents_known

__all__ = ["complete", "fetched", "values_of"]

Values = dict[str, Any]


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
    return lambda row: None if (one := getattr(row, member.source, None)) is None else inner(one)


def _inner_of(value: Any, member: Member, inner: Callable[[models.Model], Values]) -> Any:
    if value is None:
        return None
    return [inner(each) for each in value] if member.many else inner(value)


def _called(value: Any) -> Any:
    return value() if callable(value) and not isinstance(value, type | models.Manager) else value


def _url(file: Any) -> str | None:
    return file.url if file else None


def fetched(shape: Shape, rows: models.QuerySet[Any]) -> list[models.Model]:
    """Returns the instances of `rows`, with all that `shape` takes: one query, and one for each relation to many."""
    if rows.query.combinator:  # Django joins nothing to a union.
        return complete(shape, list(rows))
    asked, known = filled_by_caller(rows), parents_known(rows)
    joined = [path for path in _joined(shape) if path.split("__")[0] not in known]
    found = rows.defer(None)
    if joined and not rows.query.is_empty():
        found = found.select_related(*joined)
    lookups = list(_lookups(shape, "", asked, joined=True, apart=known))
    instances = list(found.prefetch_related(*lookups) if lookups else found)
    _load_rest(shape, instances)
    return instances


def complete(shape: Shape, rows: Iterable[models.Model]) -> list[models.Model]:
    """Returns `rows`, after fetching what they lack of `shape`: a query for each relation, at most."""
    found = list(rows)
    lookups = list(_lookups(shape, "", set(), joined=False))
    if found and lookups:
        prefetch_related_objects(found, *lookups)
    _load_rest(shape, found)
    return found


def _load_rest(shape: Shape, rows: list[models.Model]) -> None:
    """Loads what `rows`, and the rows nested in them, were fetched without by somebody's `only()` or `defer()`."""
    if not rows:
        return
    _load_deferred(shape, rows)
    for member in shape.members:
        if member.shape is not None:
            nested = [each for row in rows for each in _nested(member, row)]
            (complete if member.kind == "computed" else _load_rest)(member.shape, nested)


def _nested(member: Member, row: models.Model) -> Iterable[models.Model]:
    """The rows of `member`, which have been fetched."""
    if member.kind == "many":
        found: Iterable[models.Model] = getattr(row, member.source).all()
        return found
    value = _called(getattr(row, member.source, None))
    return [] if value is None else value if member.many else [value]


def _joined(shape: Shape, prefix: str = "") -> Iterator[str]:
    """The relations to one row that can be joined to the query of `shape`."""
    for member in shape.members:
        if member.kind == "one" and member.shape is not None and may_join(member):
            path = prefix + str(member.field.name)
            yield path
            yield from _joined(member.shape, path + "__")


def may_join(member: Member) -> bool:
    """Whether a join loses no row: the database vouches that there is one, or the join is an outer one."""
    field = member.field
    return not field.concrete or field.null or getattr(field, "db_constraint", True)


def _lookup(member: Member) -> str:
    return str(member.source if member.field.concrete else member.field.get_accessor_name())


def _lookups(
    shape: Shape, prefix: str, asked: set[str], *, joined: bool, apart: Container[str] = ()
) -> Iterator[str | Prefetch[Any]]:
    """What `prefetch_related` is to fetch. `joined`: what can be joined has been, but for the names in `apart`."""
    for member in shape.relations():
        path = prefix + _lookup(member)
        if member.kind == "one":
            here = joined and may_join(member) and member.field.name not in apart
            if not here:
                yield path
            inner_joined = here
        elif path in asked:
            inner_joined = False
        else:
            inner_joined = member.shape is not None
            yield Prefetch(path, _queryset(member)) if inner_joined else path
        if member.shape is not None:
            yield from _lookups(member.shape, path + "__", asked, joined=inner_joined)


def _queryset(member: Member) -> models.QuerySet[Any]:
    """What Django itself would fetch, with the relations to one row joined to it."""
    assert member.shape is not None
    found: models.QuerySet[Any] = member.field.related_model._default_manager.all()
    joined = list(_joined(member.shape))
    return found.select_related(*joined) if joined else found


def _load_deferred(shape: Shape, rows: list[models.Model]) -> None:
    """Loads the columns of `shape` that some of `rows` were fetched without: a query for each set of them."""
    needed = {member.field.attname for member in shape.members if member.field is not None and _stored(member)}
    lacking: defaultdict[tuple[str | None, frozenset[str]], list[models.Model]] = defaultdict(list)
    for row in rows:
        if missing := row.get_deferred_fields() & needed:
            lacking[row._state.db, frozenset(missing)].append(row)
    for (alias, names), group in lacking.items():
        found = shape.model._base_manager.using(alias).only(*names).in_bulk([row.pk for row in group])
        for row in group:
            _copy(found.get(row.pk), row, names)


def _copy(found: models.Model | None, row: models.Model, names: Iterable[str]) -> None:
    """Gives `row` the columns that were `found`. A row that is gone by now is left to Django, which says so."""
    if found is not None:
        for name in names:
            setattr(row, name, getattr(found, name))


def _stored(member: Member) -> bool:
    return bool(member.field.concrete) and member.source != "pk" and not member.field.many_to_many
