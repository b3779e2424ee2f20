"""The items of a bulk change: each names its row by the key, beside what is changed."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import models
from pydantic import BaseModel, Field, create_model

from djfast_mount.schemas.declaring.annotations import told
from djfast_mount.schemas.declaring.type_registry import field_type

__all__ = ["change_model", "key_in"]


@cache
def change_model(update: type[BaseModel], model: type[models.Model]) -> type[BaseModel]:
    """Returns one item of a bulk change: the row's key, and what is changed."""
    key = model._meta.pk
    parts = key.fields if isinstance(key, models.CompositePrimaryKey) else [key]
    fields: dict[str, Any] = {}
    for part in parts:
        named = Field(alias=part.name, json_schema_extra=told("Which {} is changed.", model))
        # Under a name of its own: the body may have the same field, as something that is changed.
        fields[f"key_{part.name}"] = (field_type(part).read, named)
    name = f"{update.__name__.removesuffix('Update')}Change"
    return create_model(name, __base__=update, __module__=update.__module__, **fields)


def key_in(change: BaseModel, model: type[models.Model]) -> Any:
    """Returns the primary key that an item of a bulk change names."""
    key = model._meta.pk
    if isinstance(key, models.CompositePrimaryKey):
        return tuple(getattr(change, f"key_{part.name}") for part in key.fields)
    return getattr(change, f"key_{key.name}")
