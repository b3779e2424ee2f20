"""Whether Pydantic does nothing with the values of a schema but write them: the database may do that in its place.

Pydantic's core schema is the whole of what it does: validators, masks, what is excluded, and what the configuration
says stand there, whichever way they were declared. Each part of it is compared with the few that are known to change
nothing. Any other part is a reason to leave the rows to Python, whatever it does.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import models
from pydantic import BaseModel, TypeAdapter

from djfast_mount.schemas.declaring.declaration import Member, Shape, declared, shape_of
from djfast_mount.schemas.declaring.mapping import is_forward

__all__ = ["lists_of", "reason_to_validate", "written_name"]

Core = Mapping[str, Any]


class _More(Exception):
    """What Pydantic does besides."""


@cache
def lists_of(schema: type[BaseModel]) -> TypeAdapter[list[Any]]:
    """Returns what validates and serializes a list of `schema`."""
    return TypeAdapter(list[schema])  # type: ignore[valid-type]


@cache
def reason_to_validate(schema: type[BaseModel]) -> str | None:
    """Returns what Pydantic does for `schema` besides writing the values of its columns; None where it is nothing."""
    try:
        _check(lists_of(schema).core_schema, shape_of(schema), many=True)
    except _More as reason:
        return str(reason)
    return None


def written_name(schema: type[BaseModel], name: str) -> str:
    """Returns the name under which the value of the attribute `name` is written."""
    info = schema.model_fields[name]
    return info.serialization_alias or info.alias or name


_INTEGERS = (
    models.AutoField,
    models.BigAutoField,
    models.BigIntegerField,
    models.IntegerField,
    models.PositiveBigIntegerField,
    models.PositiveIntegerField,
    models.PositiveSmallIntegerField,
    models.SmallAutoField,
    models.SmallIntegerField,
)
_TEXTS = (models.CharField, models.EmailField, models.SlugField, models.TextField, models.URLField)
# Of these classes alone, not of their subclasses.
_CORES: dict[type, Core] = {
    **{kind: {"type": "int"} for kind in _INTEGERS},
    **{kind: {"type": "str"} for kind in _TEXTS},
    models.BooleanField: {"type": "bool"},
    models.DateField: {"type": "date"},
    models.DateTimeField: {"type": "datetime", "microseconds_precision": "truncate"},
    models.DecimalField: {"type": "decimal"},
    models.FloatField: {"type": "float"},
    models.JSONField: {"type": "any"},
    models.UUIDField: {"type": "uuid"},
}
# Told to clients, in OpenAPI, or for other schemas to refer to.
_TOLD = {"type", "metadata", "ref"}
_DEFAULTS = {"default", "default_factory", "default_factory_takes_data"}
# A row has a value for each name, so that none is taken from the default, and all names are known.
_CONFIG = {"title", "from_attributes", "validate_by_alias", "validate_by_name", "frozen"}
# What Pydantic, Python and this package put into the class of any schema. Another name that ModelSchema has, too, is
# overridden by the project.
_MADE = {
    *vars(ABC),
    *("Meta", "__model_schema__", "model_config"),
    *("__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__"),
    *("__class_vars__", "__dict__", "__doc__", "__firstlineno__", "__module__", "__orig_bases__", "__parameters__"),
    *("__private_attributes__", "__qualname__", "__signature__", "__static_attributes__", "__weakref__"),
    *("__pydantic_complete__", "__pydantic_computed_fields__", "__pydantic_core_schema__", "__pydantic_custom_init__"),
    *("__pydantic_decorators__", "__pydantic_extra_info__", "__pydantic_fields__", "__pydantic_generic_metadata__"),
    *("__pydantic_parent_namespace__", "__pydantic_post_init__", "__pydantic_serializer__"),
    *("__pydantic_setattr_handlers__", "__pydantic_validator__"),
    # The project's own, too: nobody asks for them to write JSON. Pydantic makes the second for frozen schemas.
    *("__eq__", "__hash__", "__repr__", "__str__"),
}


def _check(core: Core, shape: Shape, *, many: bool) -> None:
    """Raises: _More, where `core` is more than that of rows of `shape`, or of a list of them."""
    if many:
        core = _inner(core, "list", "items_schema", shape)
    _check_class(core, shape)
    fields = _fields(core, shape)
    if [member.name for member in shape.members] != list(fields):
        raise _unlike(shape, "has fields that no row has")
    aliases = {name: field.get("validation_alias", name) for name, field in fields.items()}
    # Taken by its alias, a value would be that of the field whose name the alias is.
    if not all(isinstance(alias, str) and (alias == name or alias not in fields) for name, alias in aliases.items()):
        raise _unlike(shape, "has an alias that is a path, or the name of a field")
    for member in shape.members:
        _check_member(fields[member.name], shape, member)


def _check_class(core: Core, shape: Shape) -> None:
    schema: Any = shape.schema
    known = core.get("type") == "model" and core["cls"] is schema and core.keys() <= {*_TOLD, *_OF_MODELS}
    if not known or any(core.get(name) for name in ("custom_init", "root_model")) or core["config"].keys() - _CONFIG:
        raise _unlike(shape, "has a configuration or methods of its own")
    root = declared(schema).root
    for kind in schema.__mro__[: schema.__mro__.index(root)]:
        for name in vars(kind).keys() - _MADE:
            if hasattr(root, name):
                raise _unlike(shape, f"overrides {name}")


_OF_MODELS = {"cls", "config", "custom_init", "root_model", "schema"}


def _fields(core: Core, shape: Shape) -> dict[str, Core]:
    before = core["schema"]
    # One validator is that of ModelSchema itself, which reads rows.
    own: Any = declared(shape.schema).root._from_row  # type: ignore[attr-defined]
    function = before.get("function", {}).get("function")
    if before.get("type") != "function-before" or getattr(function, "__func__", None) is not own.__func__:
        raise _unlike(shape, "has validators or serializers")
    _check_keys(before, {"function", "schema"}, shape)
    found = before["schema"]
    if found.get("type") != "model-fields" or found.get("computed_fields"):
        raise _unlike(shape, "has model validators, serializers or computed fields")
    _check_keys(found, {"fields", "computed_fields", "model_name"}, shape)
    return dict(found["fields"])


def _check_member(field: Core, shape: Shape, member: Member) -> None:
    keys = {"schema", "validation_alias", "serialization_alias", "frozen"}
    _check_keys(field, keys, shape, member)
    if field.get("serialization_alias", member.name) != written_name(shape.schema, member.name):
        raise _unlike(shape, "is written under another name", member)
    core = field["schema"]
    if core["type"] == "default":
        _check_keys(core, {"schema", *_DEFAULTS}, shape, member)
        core = core["schema"]
    if core["type"] == "nullable":
        core = _inner(core, "nullable", "schema", shape, member)
    elif _may_be_none(member):
        raise _unlike(shape, "is None for some rows, and is not annotated so", member)
    if member.shape is not None and member.kind in ("one", "many"):
        _check(core, member.shape, many=member.many)
        return
    stored = member.field.target_field if member.kind == "column" and member.field.is_relation else member.field
    wanted = _CORES.get(type(stored)) if member.kind == "column" else None
    if {name: value for name, value in core.items() if name not in ("metadata", "ref")} != wanted:
        raise _unlike(shape, "is written by Python", member)


def _may_be_none(member: Member) -> bool:
    if member.kind == "one":
        return not is_forward(member.field) or bool(member.field.null)
    return member.kind == "column" and bool(member.field.null)


def _inner(core: Core, kind: str, inside: str, shape: Shape, member: Member | None = None) -> Core:
    if core.get("type") != kind:
        raise _unlike(shape, "is validated or written by Python", member)
    _check_keys(core, {inside}, shape, member)
    found: Core = core[inside]
    return found


def _check_keys(core: Core, known: set[str], shape: Shape, member: Member | None = None) -> None:
    if more := core.keys() - _TOLD - known:
        raise _unlike(shape, f"has {', '.join(sorted(more))} of its own", member)


def _unlike(shape: Shape, what: str, member: Member | None = None) -> _More:
    name = shape.schema.__name__
    return _More(f"{name} {what}" if member is None else f"{name}.{member.name} {what}")
