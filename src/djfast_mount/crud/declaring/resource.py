"""What a resource is: all that is known of it before a request comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from django.db import models
from django.db.models import Model
from fastapi import Path
from pydantic import BaseModel, Field

from djfast_mount.crud.access.scopes import Action, ActionScopes
from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.crud.pages.paging import Paging
from djfast_mount.crud.query.fields import kind_of, stored, stored_type
from djfast_mount.crud.query.filters import Filters
from djfast_mount.crud.query.ordering import Ordering
from djfast_mount.crud.query.searching import Search
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.crud.writing.etags import IfMatch
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Key", "Resource", "foreign_key", "keys_of", "label_of", "singular_of"]


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


@dataclass(eq=False)
class Resource:
    """The declaration of one resource. `ModelRouter` makes it.

    Args:
        make_bodies: Makes the class of each body, by action.
        rows: By model, the dependency that says which of its rows a call may see.
        server_values: A dependency that returns what the server sets on creation.
        hooks: Has the methods of `ModelRouter` that a project may override.
        parent_key: The foreign key to the parent's model.
        sound: Whether the rules of the tree have been looked at; of the outermost resource.
    """

    schema: Any
    model: type[Model]
    exposure: Exposure
    name: str
    plural: str
    keys: Sequence[Key]
    filters: Filters
    ordering: Ordering
    paging: Paging
    search: Search | None
    deletion: Deletion
    deletes: bool
    make_bodies: Callable[[], Mapping[str, type[BaseModel]]]
    hooks: Any
    rows: Mapping[type[Model], Callable[..., Any]]
    server_values: Callable[..., Any] | None = None
    caller: Callable[..., Any] | None = None
    scopes: ActionScopes = field(default_factory=ActionScopes)
    permissions: Literal["django"] | None = None
    if_match: IfMatch = "optional"
    cache_control: str | None = None
    parent: Resource | None = None
    parent_key: Any = None
    children: list[Resource] = field(default_factory=list)
    sound: bool = False
    prefix: str = ""

    @property
    def label(self) -> str:
        """The router, as messages of errors name it."""
        return label_of(self.schema, self.prefix)

    @cached_property
    def bodies(self) -> Mapping[str, type[BaseModel]]:
        """The class of each body, by action. They are made when they are asked for, since that takes a while."""
        return self.make_bodies()

    def parents(self) -> list[Resource]:
        """The resources above it in the path, the outermost first."""
        return [] if self.parent is None else [*self.parent.parents(), self.parent]

    def root(self) -> Resource:
        """The outermost resource."""
        return self if self.parent is None else self.parent.root()

    def walk(self) -> Iterator[Resource]:
        """It, and all resources below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def permission(self, action: Action) -> str:
        """Django's permission for `action`."""
        verb = {"create": "add", "update": "change", "replace": "change", "delete": "delete"}.get(action, "view")
        return f"{self.model._meta.app_label}.{verb}_{self.model._meta.model_name}"


def label_of(schema: Any, prefix: str) -> str:
    """Returns how messages of errors name the router of `schema` at `prefix`."""
    return f"ModelRouter({schema.__name__}, prefix={prefix!r})"


def singular_of(model: type[Model], parent: str | None = None) -> str:
    """Returns what one row is called in paths: ``department`` for a CompanyDepartment below a company."""
    name = _snake(model.__name__)
    return name.removeprefix(f"{parent}_") if parent else name


def _snake(name: str) -> str:
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
