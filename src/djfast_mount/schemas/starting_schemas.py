"""A schema to start from, written for a model; and what the schemas of a project do not say of their models."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, get_args, get_origin

from django.db import models
from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.annotations import or_none
from djfast_mount.schemas.declaring.declaration import declared, is_declared, shape_of
from djfast_mount.schemas.declaring.fields import python_name
from djfast_mount.schemas.declaring.secrets import is_called_like_a_secret
from djfast_mount.schemas.declaring.type_registry import field_type
from djfast_mount.schemas.model_schema import ModelSchema

__all__ = ["all_schemas", "draft", "unsaid", "unusable"]


def draft(*chosen: type[models.Model]) -> str:
    """Returns Python code with a schema for each of the models, annotated; run ruff or black over it."""
    blocks, imports = [], {("djfast_mount.schemas", "ModelSchema")}
    for model in chosen:
        imports.add((model.__module__, model.__name__))
        blocks.append(_class_of(model, imports))
    by_module: dict[str, list[str]] = {}
    for module, name in sorted(imports):
        by_module.setdefault(module, []).append(name)
    lines = [f"from {module} import {', '.join(names)}" for module, names in by_module.items()]
    return "\n".join([*lines, *(f"\n\n{block}" for block in blocks)]) + "\n"


def _class_of(model: type[models.Model], imports: set[tuple[str, str]]) -> str:
    lines = [f"class {model.__name__}Schema(ModelSchema[{model.__name__}]):"]
    meta: dict[str, list[str]] = {"fields": [], "exclude": []}
    for field in model._meta.concrete_fields:
        if is_called_like_a_secret(field.attname):
            meta["exclude"].append(field.attname)
        elif python_name(field.attname) != field.attname:  # A method of schemas has that name.
            meta["fields"].append(field.attname)
        else:
            lines.append(f"    {field.attname}: {_annotation_of(field, imports)}")
    options = [f"        {name} = {names!r}" for name, names in meta.items() if names]
    return "\n".join([*lines, *(["", "    class Meta:", *options] if options else [])])


def _annotation_of(field: Any, imports: set[tuple[str, str]]) -> str:
    try:
        return _written(or_none(field_type(field).read, field.null), imports)
    except ConfigurationError:  # A custom field that nobody has registered.
        imports.add(("djfast_mount.schemas", "Auto"))
        return "Auto"


def _written(annotation: Any, imports: set[tuple[str, str]]) -> str:
    """The annotation as one writes it, with what has to be imported for it."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _written(get_args(annotation)[0], imports)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_written(item, imports) for item in get_args(annotation))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_written(item, imports) for item in get_args(annotation))}]"
    if annotation is type(None):
        return "None"
    name: str = getattr(annotation, "__name__", "Any")
    if annotation is Any or annotation.__module__ != "builtins":
        imports.add((getattr(annotation, "__module__", "typing"), name))
    return name


def all_schemas() -> list[type[BaseModel]]:
    """Returns the schemas that have been declared in this process, each once."""

    def below(schema: type[BaseModel]) -> Iterator[type[BaseModel]]:
        # Python holds subclasses weakly, so that schemas of a test that has ended are not found.
        for each in schema.__subclasses__():
            if is_declared(each):
                yield each
            yield from below(each)

    return list(dict.fromkeys(below(ModelSchema)))


def unsaid(schemas: Iterable[type[BaseModel]]) -> dict[type[models.Model], list[str]]:
    """Returns, for each model of `schemas`, the columns that none of its schemas shows, takes or excludes."""
    said: dict[type[models.Model], set[str]] = {}
    for schema in schemas:
        names = said.setdefault(declared(schema).model, set())
        options = declared(schema).options
        # An excluded column was thought of. The report lists the columns that nobody has mentioned.
        names.update((*options.exclude, *options.write_only))
        # A schema that cannot be used mentions no column.
        with suppress(ConfigurationError, PydanticUndefinedAnnotation):
            names.update(member.field.name for member in shape_of(schema).members if member.field is not None)
    return {model: missing for model, names in said.items() if (missing := _missing(model, names))}


def _missing(model: type[models.Model], names: set[str]) -> list[str]:
    return [each.name for each in model._meta.concrete_fields if names.isdisjoint((each.name, each.attname))]


def unusable(schemas: Iterable[type[BaseModel]]) -> Iterator[str]:
    """Yields why some of `schemas` cannot be used: they hold each other, or name classes that are not there."""
    for schema in schemas:
        try:
            shape_of(schema)
        except (ConfigurationError, PydanticUndefinedAnnotation) as error:
            yield str(error)
