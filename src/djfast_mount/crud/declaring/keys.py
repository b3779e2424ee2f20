"""How paths name rows, and which foreign key leads from a child to its parent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from django.db import models
from django.db.models import Model
from fastapi import Path
from pydantic import Field

from djfast_mount.crud.query.fields import kind_of, stored, stored_type
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Key", "foreign_key", "keys_of", "singular_of"]


@dataclass(frozen=True)
class Key:
    """One part of the path that says which row is meant.

    Args:
        parameter: Its name in the path.
        column: The column that it is the value of.
        type: What FastAPI validates it as.
    """

    parameter: str
    column: str
    type: Any


def singular_of(model: type[Model], parent: str | None = None) -> str:
    """Returns what one row is called in paths: ``department`` for a CompanyDepartment below a company."""
    name = _snake(model.__name__)
    return name.removeprefix(f"{parent}_") if parent else name


def _snake(name: str) -> str:
    # The names become parameters of paths and parts of operation ids, so generators of clients see them: they must not
    # change with the version.
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def keys_of(model: type[Model], name: str, lookup: str | None) -> list[Key]:
    """Returns the parts of a path that name a row of `model`.

    Args:
        name: What one row is called.
        lookup: A unique field, say a slug; None for the primary key.

    Raises:
        ConfigurationError: The model has no such field, or it is not unique.
    """
    if lookup is not None:
        found = _unique(model, lookup)
        return [Key(f"{name}_{lookup}", lookup, _path_type(found))]
    key = model._meta.pk
    if isinstance(key, models.CompositePrimaryKey):
        parts: Any = key.fields
        return [Key(f"{name}_{part.name}", part.attname, _path_type(part)) for part in parts]
    return [Key(f"{name}_id", "pk", _path_type(key))]


def _unique(model: type[Model], name: str) -> Any:
    found = next((item for item in model._meta.concrete_fields if item.name == name), None)
    if found is None or not found.unique:
        unique = [item.name for item in model._meta.concrete_fields if item.unique]
        told = did_you_mean(name, unique, f"The unique fields are {', '.join(unique)}.")
        raise ConfigurationError(f"lookup= names {name!r}, which is no unique field of {model.__name__}. {told}")
    return found


def _path_type(found: Any) -> Any:
    found = stored(found)
    kind = stored_type(found)
    if kind is int:
        # What no column can hold is no row: 422, not an error of the database's.
        return Annotated[int, Path(), Field(ge=-(2**63), le=2**63 - 1)]
    if kind is str:
        # A NUL is an error of PostgreSQL's driver, and a text that is longer than the column names no row: 422 without
        # asking the database.
        length = found.max_length if kind_of(found) in ("text", "choice") else None
        return Annotated[str, Path(), Field(min_length=1, max_length=length or 255, pattern=r"^[^\x00]*$")]
    return Annotated[kind, Path()]


def foreign_key(model: type[Model], parent: type[Model], name: str | None) -> Any:
    """Returns the foreign key of `model` that leads to its parent.

    Raises: ConfigurationError, when there is none, or several and `name` says not which.
    """
    found = [
        item
        for item in model._meta.concrete_fields
        # A foreign key to a base of the parent leads to it as well (multi-table inheritance).
        if isinstance(item, models.ForeignKey) and issubclass(parent, item.related_model)
    ]
    names = [item.name for item in found]
    if not found:
        raise ConfigurationError(
            f"{model.__name__} is to be a child of {parent.__name__}, and has no foreign key to it. Take it out of "
            "children=, and include its router in the API by itself."
        )
    if name is not None and name not in names:
        told = did_you_mean(name, names, f"Those that do are {', '.join(names)}.")
        raise ConfigurationError(
            f"parent= names {name!r}, which is no foreign key of {model.__name__} to {parent.__name__}. {told}"
        )
    if name is None and len(found) > 1:
        raise ConfigurationError(
            f"{model.__name__} is to be a child of {parent.__name__}, and has several foreign keys to it: "
            f"{', '.join(names)}. Name the one that is meant, as in ModelRouter(..., parent={names[0]!r})."
        )
    return found[0 if name is None else names.index(name)]
