"""When SQL may be kept from one request to the next: where nobody but Django has a hand in it.

Nothing is kept unless the project says so, by ``Meta.keep_sql``. What follows stands behind it.

Packages for many tenants add the condition of the current tenant late, while the SQL is made: in a class of query, a
compiler or a backend of their own, in the copies of a queryset, in a column, a transform or a join, or by a method put
in the place of Django's. No attribute of the query tells of it beforehand. Kept SQL would then show one tenant the rows
of another. So everything that has a part in the SQL is compared with what Django has there, and what is not known to be
Django's own is asked each time:

1. The SQL of an object is kept for columns of Django's own field classes, and for nested rows of one table by Django's
   own manager.
2. A whole statement is kept for a query of one table that says nothing but its order and its slice. It is made from
   these alone, never from the query of a caller.

Classes, fields and managers are looked at once. Some packages replace a method later, with the first row of a model.
So the classes that make each statement are compared, each time, with what they were then. Querysets, their queries and
the connection are looked at each time, too.
"""

from __future__ import annotations

import functools
import os
from base64 import b64encode
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

import django
from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db.models import (
    Manager,
    QuerySet,
    expressions,
    fields,
    lookups,
    manager,
    options,
    query,
    query_utils,
)
from django.db.models.expressions import Col
from django.db.models.fields import json, related, reverse_related
from django.db.models.functions import comparison
from django.db.models.options import Options
from django.db.models.sql import Query, compiler, datastructures, where
from django.db.models.sql import query as sql_query
from django.utils.functional import cached_property, classproperty
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, declared, shape_of

__all__ = ["Asked", "asked", "is_made_by_django", "may_keep"]


class Asked(NamedTuple):
    """All that a query says whose statement is kept.

    Attributes:
        order: The names of columns, with a minus before those that descend.
        forwards: Whether the order is not reversed.
        low: The first row of the slice.
        high: The row after its last one; None where it has no end.
    """

    order: tuple[str, ...]
    forwards: bool
    low: int
    high: int | None


def is_made_by_django(rows: QuerySet[Any], using: str) -> bool:
    """Whether Django alone makes the SQL of `rows` for the database `using`, from what their query holds."""
    connection: Any = connections[using]
    operations = connection.ops
    return (
        _has_djangos_methods(type(rows))
        and vars(rows).keys() <= _OF_QUERYSETS
        and type(rows.query) is Query
        and rows.query.model is rows.model
        and not any(map(_is_shadowed, (rows.query, rows.query.where, operations, rows.model._meta)))
        and operations.compiler("SQLCompiler") is _compiler_of(using)
        and _is_as_it_was(using)
    )


def asked(rows: QuerySet[Any]) -> Asked | None:
    """Returns what the query of `rows` says; None where it says more than an order of columns and a slice."""
    query: Any = rows.query
    model, said = query.model, vars(query)
    order = query.order_by or (tuple(model._meta.ordering or ()) if query.default_ordering else ())
    found = Asked(order, query.standard_ordering, query.low_mark, query.high_mark)
    fresh = _fresh(model)
    if type(order) is not tuple or tuple(map(type, found[1:])) not in _SLICES or not _is_plain_order(model, order):
        return None
    return found if all(_is_said_by_nobody(name, said[name], fresh) for name in said.keys() - _ASKED) else None


_ASKED = {"order_by", "default_ordering", "standard_ordering", "low_mark", "high_mark"}
_SLICES = {(bool, int, int), (bool, int, type(None))}
_UNKNOWN: Any = object()


def _is_said_by_nobody(name: str, value: Any, fresh: dict[str, Any]) -> bool:
    """Whether a query has the value from the beginning."""
    before = fresh.get(name, _UNKNOWN)
    if before is _UNKNOWN:
        before = getattr(Query, name, _UNKNOWN)
    if type(value) is not type(before):
        return False
    return vars(value) == vars(before) if name == "where" else bool(value == before)


@functools.cache
def _fresh(model: type[models.Model]) -> dict[str, Any]:
    return vars(Query(model))


@functools.cache
def _columns(model: type[models.Model]) -> frozenset[str]:
    """The names by which rows of `model` can be put in order without a join, and by Django's own SQL."""
    # The columns of a parent are in another table.
    if type(model._meta) is not Options or model._meta.parents or type(model._meta.db_table) is not str:
        return frozenset()
    plain = {field.name for field in model._meta.concrete_fields if _is_plain_field(field)}
    return frozenset({*plain, "pk"} if model._meta.pk.name in plain else plain)


def _is_plain_order(model: type[models.Model], order: Iterable[Any]) -> bool:
    return all(type(name) is str and name.removeprefix("-") in _columns(model) for name in order)


def _is_plain_field(field: Any) -> bool:
    column = vars(field).get("cached_col")
    return (
        type(field) in _FIELDS
        and type(field.column) is str
        and not _is_shadowed(field)
        and (column is None or (type(column) is Col and not _is_shadowed(column)))
    )


@functools.cache
def may_keep(schema: type[BaseModel]) -> bool:
    """Whether the project lets SQL of `schema` be kept, and what makes an object is the same for any caller."""
    return declared(schema).options.keep_sql and _is_plain_shape(shape_of(schema))


def _is_plain_shape(shape: Shape) -> bool:
    columns = _columns(shape.model)
    return bool(columns) and all(_is_plain_member(member, columns) for member in shape.members)


def _is_plain_member(member: Member, columns: frozenset[str]) -> bool:
    if member.kind == "column":
        return member.field.name in columns or _is_plain_key(member.field)
    # A relation to one row is a join, to which a foreign key may add a condition.
    if member.kind != "many" or member.shape is None or type(member.field) is not models.ManyToOneRel:
        return False
    target = member.field.related_model
    ordered = _is_plain_order(target, target._meta.ordering or ())
    plain = _is_plain_key(member.field.field) and not _is_shadowed(member.field) and not _is_shadowed(target._meta)
    return ordered and plain and _gives_djangos_rows(target._default_manager) and _is_plain_shape(member.shape)


def _is_plain_key(field: Any) -> bool:
    kinds = (models.ForeignKey, models.OneToOneField)
    plain = type(field) in kinds and type(field.column) is str and not _is_shadowed(field)
    return plain and _is_plain_field(field.target_field)


def _gives_djangos_rows(found: Any) -> bool:
    """Whether `found` is Django's own manager, of which an instance has nothing but its name and its model."""
    fresh, given = vars(Manager()), ("model", "name", "creation_counter", "auto_created")
    own = {name: value for name, value in vars(found).items() if name not in given}
    expected = {name: value for name, value in fresh.items() if name not in given}
    return type(found) is Manager and own == expected and type(found.all()) is QuerySet


def _is_shadowed(found: object) -> bool:
    """Whether an object has an attribute of its own in the place of a method of its class."""
    kind: Any = type(found)
    return not vars(found).keys().isdisjoint(_methods(kind))


@functools.cache
def _methods(kind: type) -> frozenset[str]:
    # A cached property is meant to be shadowed, by its value.
    names = ((name, value) for above in kind.__mro__ for name, value in vars(above).items())
    return frozenset(
        name
        for name, value in names
        if hasattr(value, "__get__") and not isinstance(value, (functools.cached_property, cached_property, type))
    ) - {"__dict__", "__weakref__"}


@functools.cache
def _has_djangos_methods(kind: type) -> bool:
    """Whether a class of querysets has methods beside those of Django's, and none in their place."""
    own = {name for above in kind.__mro__[: kind.__mro__.index(QuerySet)] for name in vars(above)}
    return not any(hasattr(QuerySet, name) for name in own - _OF_CLASSES)


_OF_QUERYSETS = vars(QuerySet(None)).keys()
# What Python gives each class, in some version.
_OF_CLASSES = {
    *("__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__", "__doc__"),
    *("__firstlineno__", "__module__", "__orig_bases__", "__parameters__", "__qualname__", "__static_attributes__"),
    "__weakref__",
}
# Of these classes alone, not of their subclasses.
_FIELDS = {json.JSONField, *(each for each in vars(fields).values() if isinstance(each, type))}
# With the separator: `django_multitenant` stands beside `django`.
_DJANGO = str(Path(django.__file__).parent) + os.sep
_MODULES: tuple[ModuleType, ...] = (
    *(compiler, datastructures, where, sql_query, query, query_utils, manager, options, expressions, lookups),
    *(fields, json, related, reverse_related, comparison),
)


@functools.cache
def _compiler_of(using: str) -> type:
    """The class that makes SQL for the database `using`, at which `_foreign_parts` looks."""
    found: type = connections[using].ops.compiler("SQLCompiler")
    return found


# What makes each statement, or a part of it.
_EACH_TIME = (
    *(Query, where.WhereNode, datastructures.BaseTable, Col, Options, fields.Field, related.ForeignKey),
    *(QuerySet, manager.BaseManager, Manager, expressions.BaseExpression, expressions.Expression, expressions.Func),
    *(expressions.RawSQL, expressions.Subquery, expressions.OrderBy),
)


def _is_as_it_was(using: str) -> bool:
    """Whether Django's alone makes the SQL for the database `using`, and nothing was put in its place since."""
    looked_at = _looked_at(using)
    try:
        return bool(looked_at) and all(look.read(vars(look.kind)) == look.found for look in looked_at)
    except KeyError:
        return False


class _Look(NamedTuple):
    """What a class had at the first look: its methods, and how many attributes. `read` gives those of now."""

    kind: type
    read: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    found: tuple[Any, ...]


@functools.cache
def _looked_at(using: str) -> tuple[_Look, ...]:
    """The classes that make each statement, with what they have; nothing where a part is not Django's."""
    kinds = dict.fromkeys((*_EACH_TIME, *_backend(using)))
    # Before the look at their parts: what is replaced meanwhile differs from it.
    found = tuple(map(_look_at, kinds))
    return () if _foreign_parts(using) else found


def _look_at(kind: type) -> _Look:
    # Functions alone: a class of fields counts its fields. The length tells of methods that are new.
    names = [name for name, value in vars(kind).items() if _functions(value)]
    # With two names at least, `itemgetter` gives a tuple.
    read = itemgetter("__module__", "__module__", *names)

    def now(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
        return len(attributes), *read(attributes)

    return _Look(kind, now, now(vars(kind)))


def _backend(using: str) -> list[type]:
    connection: Any = connections[using]
    lines = (type(connection), type(connection.ops), _compiler_of(using))
    return [kind for line in lines for kind in line.__mro__[:-1]]


def _foreign_parts(using: str) -> tuple[str, ...]:
    """Returns the classes and methods that make SQL for the database `using`, and are not Django's."""
    backend = _backend(using)
    kinds = [each for module in _MODULES for each in vars(module).values() if isinstance(each, type)]
    written = [kind for kind in kinds if kind.__module__.startswith("django.") and not issubclass(kind, (tuple, Enum))]
    methods = (name for kind in dict.fromkeys((*backend, *written)) for name in _foreign(kind))
    classes = (kind.__name__ for kind in backend if not kind.__module__.startswith("django."))
    functions = ((name, each) for module in _MODULES for name, each in vars(module).items())
    replaced = (name for name, each in functions if type(each) is FunctionType and not _is_djangos(each))
    return (*classes, *methods, *replaced)


def _foreign(kind: type) -> Iterator[str]:
    for name, value in vars(kind).items():
        if not all(map(_is_djangos, _functions(value))):
            yield f"{kind.__name__}.{name}"


def _functions(value: Any) -> list[Any]:
    """The functions that an attribute of a class is made of; what can be called otherwise is its own."""
    if isinstance(value, property):
        return [each for each in (value.fget, value.fset, value.fdel) if each is not None]
    if isinstance(value, (functools.cached_property, cached_property)):
        return [value.func]
    if isinstance(value, (classmethod, staticmethod)):
        return [value.__func__]
    if isinstance(value, classproperty):
        return [value.fget]
    if isinstance(value, query_utils.class_or_instance_method):
        return [value.class_method, value.instance_method]
    # The place of a name in `__slots__` holds a value, as `__dict__` does.
    if isinstance(value, (type, GetSetDescriptorType, MemberDescriptorType)):
        return []
    # A descriptor, such as `functools.partialmethod`, gives a method without being one.
    return [value] if callable(value) or hasattr(value, "__get__") else []


_CACHED = type(functools.cache(len))
# What Django takes of Python and asgiref.
_TAKEN = (b64encode, contextmanager, functools.total_ordering, import_module, namedtuple, sync_to_async)
_OTHERS = {each.__code__.co_filename for each in _TAKEN}


def _is_djangos(function: Any) -> bool:
    """Whether Django has written `function`, and what it is put around."""
    if type(function) is _CACHED:
        return _is_djangos(function.__wrapped__)
    if type(function) is not FunctionType:
        return False
    # `functools.wraps` copies the names of a function, and not the place where its code was written.
    file = function.__code__.co_filename
    inner = getattr(function, "__wrapped__", None)
    return (file.startswith(_DJANGO) or file in _OTHERS) and (inner is None or _is_djangos(inner))
