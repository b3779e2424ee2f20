"""Whether a row can be created at all: something sets each field that is required."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from django.db.models import NOT_PROVIDED, Model
from django.db.models.fields.proxy import OrderWrt
from django.db.models.signals import post_init, pre_save

from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.writing.forms import needed_files
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import declared, source_of
from djfast_mount.schemas.declaring.mapping import orm_of

__all__ = ["check_creation"]

# What the creation of a row calls of its model, where a project may set a field.
_OVERRIDDEN = ("__init__", "clean_fields", "clean", "full_clean", "save", "save_base")


def check_creation(resource: Resource, options: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when no row can be created, since nothing sets a required field or file.

    A model that overrides `save()` or `clean()`, say, or has a receiver of `pre_save` or `post_init`, may set it.
    """
    model = resource.model
    if options.get("create") is not True or options.get("server_values") is not None:
        return
    # Their code could set the field, and nobody can tell from outside: a false alarm would refuse the start of a
    # project that works.
    overrides = any(getattr(model, name) is not getattr(Model, name) for name in _OVERRIDDEN)
    if overrides or any(signal.has_listeners(model) for signal in (post_init, pre_save)):
        return
    if not resource.form and (files := needed_files(resource.schema)):
        raise ConfigurationError(
            f"{resource.label}: create=True, and the file {files[0]!r} is required, which no JSON holds. Take forms by "
            f"form=True, or give {model.__name__}.{files[0]} blank=True."
        )
    if not _sets_more(resource.schema):
        _check_fields(resource)


def _check_fields(resource: Resource) -> None:
    read_only, sent = set(declared(resource.schema).options.read_only), _sent(resource.schema)
    for field in resource.model._meta.concrete_fields:
        names = {field.name, field.attname}
        if field is resource.parent_key or not _must_be_set(field) or names & (sent - read_only):
            continue
        why, remedy = "not in the schema", "add it to the schema"
        if names & read_only:
            why, remedy = "in Meta.read_only", "take it out of read_only"
        raise ConfigurationError(
            f"{resource.label}: create=True, and nothing sets the field {field.name!r}, which is required and {why}. "
            f"Set it by server_values=, give {resource.model.__name__}.{field.name} a default, or {remedy}."
        )


def _fields(schema: Any) -> dict[str, Any]:
    return {**schema.model_fields, **declared(schema).write_only}


def _sent(schema: Any) -> set[str]:
    """The names of the model that a body of `schema` may set."""
    return {source_of(declared(schema).model, name, info) for name, info in _fields(schema).items()}


def _sets_more(schema: Any) -> bool:
    """Whether a body of `schema` calls code of the model, which may set any field: a method or a property."""
    properties = (inspect.getattr_static(declared(schema).model, name, None) for name in _sent(schema))
    return any(getattr(each, "fset", None) for each in properties) or any(
        orm_of(info).write_method is not None for info in _fields(schema).values()
    )


def _must_be_set(field: Any) -> bool:
    sets_itself = field.primary_key or field.generated or getattr(field, "auto_now", False)
    if sets_itself or getattr(field, "auto_now_add", False) or field.db_default is not NOT_PROVIDED:
        return False
    # Django sets these as it saves: the key to the row of the parent class, and `Meta.order_with_respect_to`.
    if isinstance(field, OrderWrt) or (field.is_relation and field.remote_field.parent_link):
        return False
    # A field class of a project's own may fill itself in `pre_save()`, as `auto_now` does.
    own = type(field).pre_save.__module__.startswith("django.db.models.")
    return bool(own and not field.null and field.get_default() is None)
