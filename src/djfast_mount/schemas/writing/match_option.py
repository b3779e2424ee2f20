"""What ``Meta.match`` says, looked at when the class is made.

An item whose row no field tells is a new row, and the row that was meant is deleted.
"""

from __future__ import annotations

from typing import Any

from django.db.models import CompositePrimaryKey
from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import declared, model_field, nested_schema, place_of, source_of
from djfast_mount.schemas.declaring.mapping import is_generic
from djfast_mount.schemas.writing.slots import Slot, slots_of
from djfast_mount.spelling import did_you_mean

__all__ = ["check_match"]


def check_match(schema: type[BaseModel]) -> None:
    """Raises ConfigurationError where ``Meta.match`` of `schema` names what tells no item of a list from another.

    A list of a class that is not there yet, and one that no body writes, is not looked at.
    """
    declaration = declared(schema)
    if not declaration.options.match or not schema.__pydantic_fields_complete__:
        return
    fields = {**schema.model_fields, **declaration.write_only}
    for name, names in declaration.options.match.items():
        if name in fields and name not in declaration.options.read_only:
            _check_list(schema, name, fields[name], names)


def _check_list(schema: type[BaseModel], name: str, info: FieldInfo, names: tuple[str, ...]) -> None:
    model = declared(schema).model
    found = model_field(model, source_of(model, name, info))
    nested, many = nested_schema(info.annotation)
    if found is None or not _is_to_many(found[0]) or nested is None or not many:
        raise _refused(schema, repr(name), "which is no list of nested rows. Take it out of Meta.match")
    if found[0].many_to_many and name not in declared(schema).options.nested:
        told = f"whose rows a body names by key. Add {name!r} to Meta.nested, or take it out"
        raise _refused(schema, repr(name), told)
    if not names:
        raise _refused(schema, repr(name), "and no fields for it. Name some, or leave it out")
    _check_names(schema, name, nested, None if found[0].many_to_many else found[0].field, names)


def _is_to_many(field: Any) -> bool:
    return bool(field.is_relation and (field.one_to_many or field.many_to_many) and not is_generic(field))


def _check_names(
    schema: type[BaseModel], name: str, nested: type[BaseModel], parent: Any, names: tuple[str, ...]
) -> None:
    try:
        slots = slots_of(nested)
    except (ConfigurationError, PydanticUndefinedAnnotation):  # It is raised where a body is made.
        return
    telling = _telling(nested, slots, parent)
    for each in names:
        if each not in telling:
            known = f"Name some of {', '.join(dict.fromkeys(telling.values()))}." if telling else "Leave it out."
            remedy = did_you_mean(each, telling, known)
            raise _refused(schema, f"{each!r} for {name}", f"{_why_not(nested, slots, parent, each)}. {remedy}")


def _refused(schema: type[BaseModel], what: str, told: str) -> ConfigurationError:
    return ConfigurationError(f"{place_of(schema)}: Meta.match names {what}, {told.removesuffix('.')}.")


def _telling(nested: type[BaseModel], slots: list[Slot], parent: Any) -> dict[str, str]:
    """The names by which an item can tell its row, each with that of the attribute."""
    key = declared(nested).model._meta.pk
    # The key of a row tells it without being named. The parts of a composite one are fields like others.
    whole_key = None if isinstance(key, CompositePrimaryKey) else key
    found = [
        each
        for each in slots
        if each.kind in ("column", "attribute") and (each.field is None or each.field not in (parent, whole_key))
    ]
    by_field = {each.field.name: each.name for each in found if each.field is not None}
    return {**by_field, **{each.name: each.name for each in found}}


def _why_not(nested: type[BaseModel], slots: list[Slot], parent: Any, name: str) -> str:
    options, model = declared(nested).options, declared(nested).model
    found = model_field(model, name)
    if parent is not None and name in (parent.name, parent.attname):
        return "which is the row that they belong to, and the same for all"
    if found is not None and found[0].primary_key:
        return "which is their key, and tells an item where it is sent"
    if name in options.read_only:
        return f"which is in Meta.read_only of {nested.__name__}, so no item has it"
    if any(name in (each.name, each.field.name if each.field is not None else "") for each in slots):
        return "which holds rows or keys, and is no single value"
    known = {**nested.model_fields, **declared(nested).write_only}
    if name in known:
        return "which no body writes, so no item has it"
    return f"and {nested.__name__} has no such field"
