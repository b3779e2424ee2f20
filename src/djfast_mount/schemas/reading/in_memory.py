"""What rows have in memory before anything is fetched for them: parents of inherited tables, and columns or none.

A child of an inherited table has all columns of its parents. So Django makes ``branch.company_ptr`` of what the branch
holds, changed or not, and asks no database, unless one of those columns was left out. A prefetch and a join would give
what the database has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from django.db import models

from djfast_mount.schemas.declaring.declaration import Member, Shape
from djfast_mount.schemas.declaring.mapping import is_forward, is_generic
from djfast_mount.schemas.reading import reasons

__all__ = ["are_as_stored", "is_left_out", "known_parents", "load_deferred", "parts_of", "take"]

Known = list[tuple[models.Model, str]]


def parts_of(shape: Shape) -> list[Shape]:
    """Returns `shape` in parts, of which each but the first begins with a parent.

    What is read before a parent loads columns that were left out, and what is read after it comes too late to change
    what it is made of.
    """
    links = [place for place, member in enumerate(shape.members) if place and _is_link(member)]
    ends = zip([0, *links], [*links, len(shape.members)], strict=True)
    return [replace(shape, members=shape.members[start:end]) for start, end in ends]


def _is_link(member: Member) -> bool:
    return member.kind == "one" and is_forward(member.field) and bool(member.field.remote_field.parent_link)


def known_parents(shape: Shape, rows: Iterable[models.Model]) -> Known:
    """Returns which of `rows` have the row of which relation of `shape` in memory, though they do not hold it yet.

    Call it before columns are loaded that were left out: Django asks for the parent's row where one of them is its.
    """
    members = [member for member in shape.members if member.kind == "one" and is_forward(member.field)]
    return [(row, member.source) for member in members for row in rows if _is_known(member, row)]


def take(known: Known) -> None:
    """Has each row hold what it knows."""
    for row, name in known:
        # A row without a parent raises RelatedObjectDoesNotExist, which is an AttributeError too.
        getattr(row, name, None)


def _is_known(member: Member, row: models.Model) -> bool:
    field = member.field
    if field.is_cached(row):
        return False
    # A relation of the parent's is taken from the parent, where the row holds one.
    link: Any = type(row)._meta.get_ancestor_link(field.model)
    if link is not None and link.is_cached(row):
        above = link.get_cached_value(row)
        if above is not None and field.get_cached_value(above, default=None) is not None:
            return True
    columns = (each.attname for each in field.related_model._meta.concrete_fields)
    return _is_link(member) and row.get_deferred_fields().isdisjoint(columns)


def are_as_stored(field: Any, model: type[models.Model]) -> bool:
    """Whether what `field` leads to, from fetched rows of `model`, is as the database has it.

    A parent is made of the child. Rows that point to a parent's table lead back to the child, if they came from it.
    """
    forward = is_forward(field)
    parent = field.related_model if forward else field.model
    if parent is model or (forward and not getattr(field.remote_field, "parent_link", False)):
        return True
    # Asked each time: receivers come and go.
    heard = reasons.of_receivers(model) or reasons.of_receivers(parent)
    return heard is None and _is_made_of_columns(model, parent)


@cache
def _is_made_of_columns(model: type[models.Model], parent: type[models.Model]) -> bool:
    """Whether instances of both have what the database has, and nothing that the model makes of it."""
    columns = [(kind, each) for kind in (model, parent) for each in parent._meta.concrete_fields]
    made = [reasons.of_model(model), reasons.of_model(parent), *(reasons.of_field(*each) for each in columns)]
    return not any(made)


def is_left_out(shape: Shape, rows: models.QuerySet[Any]) -> bool:
    """Whether columns were left out of `rows` that decide what a parent is made of: to load all would make another."""
    left_out, _ = rows.query.deferred_loading
    ones = (member.field for member in shape.members if member.kind == "one")
    return bool(left_out) and not all(are_as_stored(field, rows.model) for field in ones)


def load_deferred(shape: Shape, rows: list[models.Model]) -> None:
    """Loads the columns of `shape` that some of `rows` were fetched without: a query for each set of them."""
    needed = {name for member in shape.members for name in _columns(member)}
    lacking: defaultdict[tuple[str | None, frozenset[str]], list[models.Model]] = defaultdict(list)
    for row in rows:
        if missing := row.get_deferred_fields() & needed:
            lacking[row._state.db, frozenset(missing)].append(row)
    for (alias, names), group in lacking.items():
        # One query for all, where Django's own deferred loading asks for each row and each column.
        found = shape.model._base_manager.using(alias).only(*names).in_bulk([row.pk for row in group])
        for row in group:
            _copy(found.get(row.pk), row, names)


def _copy(found: models.Model | None, row: models.Model, names: Iterable[str]) -> None:
    """Gives `row` the columns that were `found`."""
    # A row that is gone by now is left to Django, which says so.
    if found is not None:
        for name in names:
            setattr(row, name, getattr(found, name))


def _columns_of_many(field: Any) -> Iterator[str]:
    """The columns that the table between points to; none of a relation that is made in a way of its own."""
    known = isinstance(field, models.ManyToManyField | models.ManyToManyRel)
    if not known:
        return
    many = field if is_forward(field) else field.field
    name = many.m2m_field_name() if many is field else many.m2m_reverse_field_name()
    key = many.remote_field.through._meta.get_field(name)
    yield from (pointed.attname for pointed in key.foreign_related_fields)


def _columns(member: Member) -> Iterator[str]:
    """The columns that `member` is read from, or is found by."""
    field = member.field
    if field is None or member.source == "pk":
        return
    if field.many_to_many:
        yield from _columns_of_many(field)
    elif is_forward(field):
        yield field.attname
    elif is_generic(field):
        yield field.model._meta.pk.attname
    else:
        yield from (pointed.attname for pointed in field.field.foreign_related_fields)
