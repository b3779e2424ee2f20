"""What of a schema a body may hold, and where each value goes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.db import models
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import (
    declared,
    model_field,
    nested_schema,
    place_of,
    shape_of,
    source_of,
)
from djfast_mount.schemas.declaring.mapping import Orm, is_forward, is_generic, orm_of
from djfast_mount.schemas.declaring.type_registry import field_type

__all__ = ["BodyPlan", "Purpose", "Slot", "has_plan", "is_made", "keep_plan", "may_be_left_out", "plan_of", "slots_of"]

Kind = Literal["column", "keys", "one", "many", "attribute", "method"]
_UNGUARDED = Orm()


@dataclass(frozen=True)
class Slot:
    """One name of a body.

    Attributes:
        name: The attribute of the body.
        key: The name in what the client sends.
        kind: Where the value goes: a ``"column"``, the ``"keys"`` of a many-to-many, a nested body for ``"one"`` row or
            ``"many"``, a settable ``"attribute"`` of the model, or a ``"method"`` that takes it.
        target: The attribute or method of the instance.
        field: The model field or relation; None for an attribute or a method.
        nested: The schema of a nested body.
        info: The field of the schema that it comes from; None for the key of a relation that is read nested.
        orm: What the annotation in the schema says of its place on the model, and of who may see and set it.
    """

    name: str
    key: str
    kind: Kind
    target: str
    field: Any = None
    nested: type[BaseModel] | None = None
    info: FieldInfo | None = None
    # Not by way of `info`: the key of a relation that is read nested is guarded as the relation is.
    orm: Orm = _UNGUARDED


Purpose = Literal["create", "update", "item"]
"""An item is one of a nested list of an update: it may have the key of the row that it stands for."""


@dataclass(frozen=True)
class BodyPlan:
    """What a body's class was made of.

    Attributes:
        schema: The schema that it is a body of.
        purpose: What it is for.
        slots: What it may hold, by attribute.
        required: The attributes that a new row needs.
        parent: For what is nested, the relation's field that leads back to the row it is nested in.
    """

    schema: type[BaseModel]
    purpose: Purpose
    slots: dict[str, Slot]
    required: frozenset[str]
    parent: Any = None

    @property
    def model(self) -> type[models.Model]:
        """The model of the rows."""
        return declared(self.schema).model


_ATTRIBUTE = "__body_plan__"


def keep_plan(body: type[BaseModel], plan: BodyPlan) -> None:
    """Keeps `plan` on the class that was made by it."""
    setattr(body, _ATTRIBUTE, plan)


def is_made(body: type[BaseModel]) -> bool:
    """Whether `body` was made of a schema, and is no subclass of such a class."""
    return _ATTRIBUTE in vars(body)


def has_plan(body: type[BaseModel]) -> bool:
    """Whether `body` was made of a schema, or is a subclass of such a class."""
    return hasattr(body, _ATTRIBUTE)


def plan_of(body: type[BaseModel]) -> BodyPlan:
    """Returns what `body`, or the class that it was made from, is made of."""
    found: BodyPlan = getattr(body, _ATTRIBUTE)
    return found


def slots_of(schema: type[BaseModel]) -> list[Slot]:
    """Returns what a body of `schema` may hold, in the order of the schema. Raises: ConfigurationError."""
    shape_of(schema)  # All that is nested is known, and sound.
    declaration = declared(schema)
    _check_names(schema)
    found: dict[str, Slot] = {}
    for name, info in {**schema.model_fields, **declaration.write_only}.items():
        if name in declaration.options.read_only or orm_of(info).skipped:
            continue
        slot = _slot(schema, declaration.model, name, info)
        if slot is None or slot.name in declaration.options.read_only:
            continue
        first = found.setdefault(slot.name, slot)
        if not first.orm.guards_writes:
            # `company_id` beside a nested `company` is one value, and guarded if either of them is.
            found[slot.name] = replace(first, orm=slot.orm)
    return list(found.values())


def _check_names(schema: type[BaseModel]) -> None:
    options, known = declared(schema).options, {**schema.model_fields, **declared(schema).write_only}
    for option in ("read_only", "write_only", "optional", "nested"):
        for name in getattr(options, option):
            if name not in known:
                raise ConfigurationError(
                    f"{place_of(schema)}: Meta.{option} names {name!r}, which is no field of the schema. "
                    f"Its fields are {', '.join(known)}."
                )


def _slot(schema: type[BaseModel], model: type[models.Model], name: str, info: FieldInfo) -> Slot | None:
    key = info.alias if isinstance(info.alias, str) else name
    source, orm = source_of(model, name, info), orm_of(info)
    if orm.write_method is not None:
        made = Slot(name, key, "method", orm.write_method, info=info, orm=orm)
        return made if _takes_value(model, orm.write_method) else None
    found = model_field(model, source)
    if found is None:
        settable = isinstance(attribute := inspect.getattr_static(model, source, None), property) and attribute.fset
        return Slot(name, key, "attribute", source, info=info, orm=orm) if settable else None
    column, _ = found
    nested, _ = nested_schema(info.annotation)
    if not column.is_relation:
        made = Slot(name, key, "column", column.attname, column, info=info, orm=orm)
        return made if is_written(column) else None
    return _relation(schema, Slot(name, key, "column", source, column, nested, info, orm))


def _takes_value(model: type[models.Model], method: str) -> bool:
    """Whether the method can be called with a value: one that computes takes none."""
    function = inspect.getattr_static(model, method, None)
    if not inspect.isfunction(function):
        return False
    try:
        # Called with the value alone: a method that wants more is one that computes.
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True


def is_written(field: Any) -> bool:
    """Whether clients may write what `field` holds: it is editable, and neither made by the database nor a file."""
    # `editable=False` is what keeps a field from ModelForms as well.
    if isinstance(field, models.AutoField) or not field.editable or field.auto_created:
        return False
    return bool(field.many_to_many) or field_type(field).write is not None


def _relation(schema: type[BaseModel], slot: Slot) -> Slot | None:
    field, nested = slot.field, slot.nested
    _check_not_generic(schema, slot)
    if not is_forward(field):  # These rows belong to the one that is written.
        kind: Kind = "many" if field.one_to_many or field.many_to_many else "one"
        if nested is None or (field.many_to_many and slot.name not in declared(schema).options.nested):
            return None
        return replace(slot, kind=kind)
    if not is_written(field):
        _check_not_nested(schema, slot)
        return None
    if nested is not None and slot.name in declared(schema).options.nested:
        return replace(slot, kind="many" if field.many_to_many else "one", target=field.name)
    if field.many_to_many:
        return replace(slot, kind="keys", target=field.name, nested=None, info=None if nested else slot.info)
    if nested is None:
        return replace(slot, target=field.attname)
    # Shown as an object, written by key: `company` is read, and `company_id` sent.
    return Slot(field.attname, field.attname, "column", field.attname, field, orm=slot.orm)


def _check_not_nested(schema: type[BaseModel], slot: Slot) -> None:
    if slot.name in declared(schema).options.nested:
        raise ConfigurationError(
            f"{place_of(schema)}: Meta.nested names {slot.name!r}, which no body writes: Django makes it, or it is not "
            "editable. Take it out of Meta.nested. Columns of a parent's table are written by their own names."
        )


def _check_not_generic(schema: type[BaseModel], slot: Slot) -> None:
    if is_generic(slot.field):
        raise ConfigurationError(
            f"{place_of(schema)}: {slot.name} is a GenericRelation, whose rows no body writes. Put {slot.name!r} into "
            "Meta.read_only, and give its rows a schema of their own."
        )


def may_be_left_out(slot: Slot) -> bool:
    """Whether a new row needs no value for `slot`: the model has a default, or takes the lack of one."""
    field = slot.field
    if slot.kind in ("attribute", "method"):
        return slot.info is not None and not slot.info.is_required()
    if slot.kind in ("keys", "many") or not is_forward(field):
        return slot.kind != "keys" or bool(field.blank)
    if field.has_default() or field.has_db_default():
        return True
    return bool(field.blank and (field.null or field.empty_strings_allowed))
