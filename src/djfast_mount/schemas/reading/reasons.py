"""Why values would not be what instances have: each function returns the reason, or None where there is none.

What is not known to be safe is a reason. The way through instances is always right.
"""

from __future__ import annotations

import inspect
from typing import Any, Generic

from django.db import models
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile, FileDescriptor, ImageFieldFile, ImageFileDescriptor
from django.db.models.fields.related_descriptors import (
    ForeignKeyDeferredAttribute,
    ForwardManyToOneDescriptor,
    ForwardOneToOneDescriptor,
    ManyToManyDescriptor,
    ReverseManyToOneDescriptor,
    ReverseOneToOneDescriptor,
)
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init

from djfast_mount.schemas import queryset_internals
from djfast_mount.schemas.declaring.mapping import is_forward

__all__ = [
    "NoPlan",
    "of_field",
    "of_model",
    "of_pointed",
    "of_queryset",
    "of_receivers",
    "of_relation",
]


class NoPlan(Exception):
    """Rows cannot be read by values alone: the message is the reason."""


_FILES = {FileDescriptor: FieldFile, ImageFileDescriptor: ImageFieldFile}


def of_model(model: type[models.Model]) -> str | None:
    """Why rows of `model` must be made into instances."""
    name = model.__name__
    # Django's documentation has models keep what was loaded there, and it may change values.
    if getattr(model.from_db, "__func__", None) is not models.Model.from_db.__func__:  # type: ignore[attr-defined]
        return f"{name}.from_db is overridden"
    # A project's own attributes are often set there, which a schema may show.
    if model.__init__ is not models.Model.__init__:
        return f"{name}.__init__ is overridden"
    if model.__getattribute__ is not object.__getattribute__ or hasattr(model, "__getattr__"):
        return f"{name} computes its attributes"
    if model.__new__ is not object.__new__ or type(model).__call__ is not type.__call__:
        return f"{name} makes its instances in a way of its own"
    # By it Django sets the columns of a new instance.
    if model.__setattr__ is not object.__setattr__:
        return f"{name}.__setattr__ is overridden"
    if inspect.getattr_static(model, "pk") is not inspect.getattr_static(models.Model, "pk"):
        return f"{name}.pk is overridden"
    return None


def of_receivers(model: type[models.Model]) -> str | None:
    """Why rows of `model` must be made into instances just now: somebody may have connected to a signal."""
    # Asked each time: receivers come and go. ImageField connects one for its dimensions.
    if post_init.has_listeners(model) or pre_init.has_listeners(model):
        return f"receivers listen to the making of {model.__name__}"
    return None


def of_pointed(model: type[models.Model]) -> str | None:
    """Why a join may give another row of `model` than the instances that point to it have."""
    # They ask it for the row, and a join asks no manager.
    if type(model._meta.base_manager) is not models.Manager:
        return f"{model.__name__} has a base manager of its own"
    return None


def of_field(model: type[models.Model], field: Any) -> str | None:
    """Why the column of `field` is not what an instance has as its attribute."""
    attribute = inspect.getattr_static(model, field.attname, None)
    kind = type(attribute)
    # Any other descriptor may decrypt, parse or wrap what the column holds.
    if kind in (DeferredAttribute, ForeignKeyDeferredAttribute):
        return None
    if kind in _FILES and field.attr_class is _FILES[kind]:
        return None
    if isinstance(field, models.CompositePrimaryKey):
        return None
    return f"{model.__name__}.{field.name} has a descriptor of its own"


def of_relation(field: Any, model: type[models.Model] | None = None) -> str | None:
    """Why what `field` leads to cannot be fetched by one column. `model`: of the rows, if not that of the field."""
    name, known = f"{field.model.__name__}.{field.name}", (models.ForeignKey, models.ManyToManyField)
    if not isinstance(field, known) and type(field) not in _REVERSE:
        return f"{name} is a {type(field).__name__}"
    forward: Any = _forward(field)
    if type(forward.remote_field) not in _REVERSE:
        return f"{name} is a {type(forward.remote_field).__name__} from the other side"
    if (reason := _of_accessor(field, model or field.model)) is not None:
        return reason
    if field.many_to_many:
        return _of_many_to_many(forward)
    if not field.one_to_many and (reason := of_pointed(field.related_model)) is not None:
        return reason
    # A foreign key of a tenant's adds a condition to each join and to each look-up, and not in the same places as a
    # plan.
    if (method := _own_method(forward)) is not None:
        return f"{type(forward).__name__}.{method} is overridden"
    if len(forward.foreign_related_fields) != 1:
        return f"{name} has several columns"
    # Django joins a foreign key that is not null by INNER JOIN: a row that points to nothing would vanish from the
    # list.
    if is_forward(field) and not field.null and not forward.db_constraint:
        return f"{name} has no constraint in the database: a join might lose rows"
    return None


_REVERSE = (models.ManyToOneRel, models.OneToOneRel, models.ManyToManyRel)
_TO_ONE = (ForwardManyToOneDescriptor, ForwardOneToOneDescriptor, ReverseOneToOneDescriptor)
_TO_MANY = (ReverseManyToOneDescriptor, ManyToManyDescriptor)


def _of_accessor(field: Any, model: type[models.Model]) -> str | None:
    """Why the attribute by which instances have their related rows may give others than the query does."""
    name = field.name if is_forward(field) else field.get_accessor_name()
    accessor: Any = inspect.getattr_static(model, name or "", None)
    if type(accessor) in _TO_ONE:
        return None
    if type(accessor) not in _TO_MANY:
        return f"{model.__name__}.{name} has an accessor of its own"
    made = accessor.related_manager_cls
    if made.__module__ != ManyToManyDescriptor.__module__ or made.all is not models.Manager.all:
        return f"{model.__name__}.{name} has related rows of its own"
    return None


# What a foreign key may say of itself, of forms, of checks and of the values of its column.
_HARMLESS = {
    *("__init__", "check", "clean", "contribute_to_class", "contribute_to_related_class", "deconstruct"),
    *("db_parameters", "db_type", "default_error_messages", "description", "formfield", "from_db_value"),
    *("get_db_prep_save", "get_db_prep_value", "get_default", "get_prep_value", "pre_save", "save_form_data"),
    *("to_python", "validate", "value_to_string"),
    # What they make is looked at.
    *("forward_related_accessor_class", "rel_class", "related_accessor_class"),
}


class _Empty:
    """What Python itself puts into a class."""

    annotated: int


_OF_CLASSES = {*dir(_Empty), *vars(Generic)}


def _own_method(field: Any) -> str | None:
    """What a foreign key has in the place of Django's, and may add to its joins and look-ups; None for nothing."""
    kind = type(field)
    own = next(place for place, above in enumerate(kind.__mro__) if above in _DJANGOS)
    overridden = {name for above in kind.__mro__[:own] for name in vars(above) if hasattr(kind.__mro__[own], name)}
    methods = {name for name in vars(field) if inspect.isfunction(inspect.getattr_static(kind, name, None))}
    return min((overridden | methods) - _HARMLESS - _OF_CLASSES, default=None)


_DJANGOS = (models.ForeignKey, models.OneToOneField)


def _forward(relation: Any) -> Any:
    """The field of a relation, seen from whichever side."""
    return relation if is_forward(relation) else relation.field


def _of_many_to_many(field: Any) -> str | None:
    through = field.remote_field.through
    keys: Any = [through._meta.get_field(name) for name in (field.m2m_field_name(), field.m2m_reverse_field_name())]
    for key in keys:
        if (method := _own_method(key)) is not None:
            return f"{type(key).__name__}.{method} is overridden"
    if all(key.target_field.primary_key for key in keys):
        return None
    return f"{through.__name__} points to other columns than primary keys"


def of_queryset(rows: QuerySet[Any], relations: set[str]) -> str | None:
    """Why the rows of `rows` must be made into instances. `relations`: those to one row that would be joined."""
    query: Any = rows.query
    if not queryset_internals.is_plain(rows):
        return "it makes its instances in a way of its own"
    if (name := queryset_internals.overridden(rows)) is not None:
        return f"{type(rows).__name__}.{name} is overridden"
    if query.combinator:
        return "it is a union"
    if query.extra or query.select_for_update or queryset_internals.has_filtered_relations(rows):
        return "it has extra(), select_for_update() or a FilteredRelation"
    # The columns that are selected decide what is distinct, and a plan selects others.
    if query.distinct and query.annotations:
        return "it is distinct over annotations"
    if queryset_internals.has_own_prefetches(rows):
        return "it has prefetches with querysets or attributes of their own"
    if (reason := _of_selected(rows.model, query.select_related)) is not None:
        return reason
    if relations & queryset_internals.parents_known(rows):
        return "its rows know the row that they belong to"
    return None


def _of_selected(model: Any, selected: bool | dict[str, Any]) -> str | None:
    """Why the joins that a caller's `select_related` makes, and no plan does, may lose rows."""
    if selected is True:
        return "its select_related() names no relation"
    relations = {each.name: each for each in model._meta.get_fields() if each.is_relation}
    for name, below in (selected or {}).items():
        if (field := relations.get(name)) is None:
            return f"its select_related() joins {name}"
        reason = of_relation(field, model)
        if (found := reason or _of_selected(field.related_model, below)) is not None:
            return found
    return None
