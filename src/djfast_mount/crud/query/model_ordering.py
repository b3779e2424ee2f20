"""The ordering of a model, as columns: Django's own rules for names, relations and expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, ForeignKey, Model
from django.db.models.expressions import OrderBy

from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.mapping import is_forward

__all__ = ["OrderedColumn", "as_own_column", "behind_own_column", "ordering_of"]

Path = tuple[str, ...]
# As far as a schema leads; a model whose ordering leads back to itself would never end.
_FURTHEST = 3


class OrderedColumn(NamedTuple):
    """One column of an ordering, and the relations that lead to it."""

    path: Path
    column: str
    descending: bool
    nulls_first: bool = False


def as_own_column(model: type[Model], ordered: OrderedColumn) -> OrderedColumn:
    """Returns `ordered` by the foreign key itself, where it is what the foreign key points to."""
    *before, last = ordered.path or ("",)
    for name in before:
        model = relation(model, name).related_model
    found: Any = relation(model, last) if last else None
    if not isinstance(found, ForeignKey) or found.target_field.attname != ordered.column:
        return ordered
    return ordered._replace(path=tuple(before), column=found.attname)


def behind_own_column(model: type[Model], ordered: OrderedColumn) -> OrderedColumn:
    """Returns `ordered` by what its foreign key points to, where it is by the foreign key itself."""
    for name in ordered.path:
        model = relation(model, name).related_model
    for found in model._meta.concrete_fields:
        if isinstance(found, ForeignKey) and found.attname == ordered.column:
            return ordered._replace(path=(*ordered.path, found.name), column=found.target_field.attname)
    return ordered


def ordering_of(model: type[Model]) -> Iterator[OrderedColumn]:
    """Yields the columns of ``Meta.ordering``; those behind a foreign key by the ordering of its model.

    Raises: ConfigurationError, for what is no column.
    """
    for item in model._meta.ordering or ():
        try:
            yield from _columns(model, (), item, turned=False)
        except (FieldDoesNotExist, NotImplementedError) as error:
            raise ConfigurationError(
                f"{model.__name__}.Meta.ordering has {item!r}, and a list goes on behind the values of columns alone. "
                'Name the order by order_by=, as in order_by=["name"], or order_by=[] for that of the keys.'
            ) from error


def _columns(model: type[Model], path: Path, item: Any, *, turned: bool) -> Iterator[OrderedColumn]:
    if isinstance(item, str):
        descending = item.startswith("-") != turned
        yield from _named(model, path, item.removeprefix("-").split("__"), descending)
        return
    order: Any = item if isinstance(item, OrderBy) else OrderBy(item)
    if not isinstance(order.expression, F):
        raise NotImplementedError
    named: Any = order.expression
    # Not turned by a `-` before the relation, and no further than the column: so does Django (`find_ordering_name()`).
    *steps, name = named.name.split("__")
    for step in steps:
        model, path = _behind(model._meta.get_field(step), path)
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    yield OrderedColumn(path, field.attname, order.descending, bool(order.nulls_first))


def _named(model: type[Model], path: Path, names: list[str], descending: bool) -> Iterator[OrderedColumn]:
    name, *further = names
    if name == "pk":
        yield from (OrderedColumn(path, field.attname, descending) for field in model._meta.pk_fields)
        return
    field: Any = model._meta.get_field(name)
    if not further and (not field.is_relation or (is_forward(field) and name == field.attname)):
        yield OrderedColumn(path, field.attname, descending)
        return
    below, way = _behind(field, path)
    if further:
        yield from _named(below, way, further, descending)
    elif below._meta.ordering and len(way) <= _FURTHEST:
        for item in below._meta.ordering:
            yield from _columns(below, way, item, turned=descending)
    else:
        yield from ([OrderedColumn(path, field.attname, descending)] if is_forward(field) else ())


def _behind(field: Any, path: Path) -> tuple[type[Model], Path]:
    """The model that a relation leads to, and the way there."""
    if not field.is_relation or field.related_model is None:
        raise NotImplementedError
    return field.related_model, (*path, field.name if is_forward(field) else field.get_accessor_name())
