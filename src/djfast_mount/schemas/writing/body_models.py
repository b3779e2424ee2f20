"""The Pydantic models of bodies, made of a schema's slots when they are first asked for."""

from __future__ import annotations

from functools import cache, partial
from typing import Annotated, Any, Union, get_args, get_origin

from django.core.exceptions import ValidationError
from django.db import models
from pydantic import MISSING, AfterValidator, BaseModel, Field, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from djfast_mount.schemas.declaring.annotations import or_none, shown, told
from djfast_mount.schemas.declaring.declaration import declared
from djfast_mount.schemas.declaring.django_types import constraints
from djfast_mount.schemas.declaring.mapping import is_forward, orm_of
from djfast_mount.schemas.declaring.type_registry import field_type
from djfast_mount.schemas.writing.match_option import check_match
from djfast_mount.schemas.writing.rows import key_fields
from djfast_mount.schemas.writing.slots import BodyPlan, Purpose, Slot, keep_plan, may_be_left_out, slots_of

__all__ = ["body_model"]

_SUFFIXES = {"create": "Create", "update": "Update", "item": "Item"}


@cache
def body_model(base: type[BaseModel], schema: type[BaseModel], purpose: Purpose, parent: Any) -> type[BaseModel]:
    """Returns the class of a body of `schema`, a subclass of `base`. Raises: ConfigurationError."""
    check_match(schema)  # Again: a class that the schema nests may have come after it.
    options = declared(schema).options
    slots = {slot.name: slot for slot in slots_of(schema) if parent is None or slot.field is not parent}
    key, is_composite = key_fields(declared(schema).model), len(declared(schema).model._meta.pk_fields) > 1
    # A new item of a list needs the parts of its composite key that do not come from its parent.
    if purpose == "update" or (purpose == "item" and not is_composite):
        # A row whose key is changed would be another row, for the parts of a composite key too.
        # `save()` with another key inserts a second row (django.db.models.Model.save).
        slots = {name: slot for name, slot in slots.items() if slot.field is None or slot.field not in key}
    required = {n for n, slot in slots.items() if n not in options.optional and not may_be_left_out(slot)}
    made = {
        name: _field(base, slot, purpose, optional=purpose != "create" or name not in required)
        for name, slot in slots.items()
    }
    if purpose == "item" and declared(schema).model._meta.pk is not parent:
        made["pk"] = _key_of_row(declared(schema).model)
    found = create_model(_name(schema, purpose, parent), __base__=base, __module__=schema.__module__, **made)
    keep_plan(found, BodyPlan(schema, purpose, slots, frozenset(required), parent))
    return found


def _name(schema: type[BaseModel], purpose: Purpose, parent: Any) -> str:
    declaration = declared(schema)
    owner = "" if parent is None or purpose == "item" else parent.related_model.__name__
    return f"{owner}{declaration.public_name}{_SUFFIXES[purpose]}"


def _key_of_row(model: type[models.Model]) -> Any:
    key = model._meta.pk
    # Without the constraints of a new key: it names a row that is there, however old.
    annotation: Any = _or_missing(field_type(key).read)
    described = told("The key of the {} that is meant. Without it, it is looked for, or made.", model)
    return annotation, Field(default=MISSING, alias="pk" if key.name == "pk" else key.name, json_schema_extra=described)


def _or_missing(annotation: Any) -> Any:
    return Union[annotation, MISSING]  # noqa: UP007


def _field(base: type[BaseModel], slot: Slot, purpose: Purpose, *, optional: bool) -> Any:
    annotation = _annotation(base, slot, purpose)
    settings: dict[str, Any] = {"alias": slot.key if slot.key != slot.name else None}
    if slot.field is not None and slot.kind == "column":
        settings["json_schema_extra"] = partial(_complete, slot.field, purpose)
    if slot.info is not None and slot.info.description:
        settings["description"] = slot.info.description
    if optional:
        annotation, settings["default"] = _or_missing(annotation), MISSING
    return annotation, Field(**settings)


def _complete(field: Any, purpose: Purpose, schema: dict[str, Any]) -> None:
    """Completes the JSON schema of a column."""
    shown(field)(schema)
    # A client that is offered null, and sends it, would get a 422.
    if not takes_none(field) and None in schema.get("enum", ()):
        place = schema["enum"].index(None)
        del schema["enum"][place], schema["x-enum-descriptions"][place]
    if purpose == "create" and field.has_default() and isinstance(field.default, str | int | float):
        schema.setdefault("default", field.default)


def takes_none(field: Any) -> bool:
    """Whether Django's validation takes None for `field`: of a field that is not blank it asks a value."""
    # `full_clean()` passes over None only where the field is blank.
    return bool(field.null and field.blank)


def _annotation(base: type[BaseModel], slot: Slot, purpose: Purpose) -> Any:
    if slot.nested is not None:
        inner_purpose: Purpose = "create" if purpose == "create" else "item"
        parent = slot.field.field if not is_forward(slot.field) and not slot.field.many_to_many else None
        inner = body_model(base, slot.nested, inner_purpose, parent)
        if slot.kind == "many":
            return list[inner]  # type: ignore[valid-type]
        return or_none(inner, slot.field.null or not is_forward(slot.field))
    if slot.kind == "keys":
        return list[field_type(slot.field.related_model._meta.pk).read]  # type: ignore[misc]
    if slot.field is None:
        assert slot.info is not None
        return _by_hand(slot.info)
    return _of_column(slot)


def _of_column(slot: Slot) -> Any:
    field, info = slot.field, slot.info
    annotation = field_type(field).write
    if info is not None and not _is_models_own(field, info):
        annotation = _without_none(_by_hand(info))
        if checks := constraints(field) if field_type(field).plain is annotation else []:
            annotation = Annotated[(annotation, *checks)]
    if field.choices:
        annotation = Annotated[annotation, AfterValidator(partial(_choice, field))]
    return or_none(annotation, takes_none(field))


def _is_models_own(field: Any, info: FieldInfo) -> bool:
    """Whether the annotation of the schema is no other than the model's."""
    own = _by_hand(info)
    kind = field_type(field)
    return own in (kind.read, or_none(kind.read, True)) or _without_none(own) is kind.plain


def _by_hand(info: FieldInfo) -> Any:
    """The annotation as it was written, without what it says of its place on the model."""
    metadata = [item for item in info.metadata if item is not orm_of(info)]
    return Annotated[(info.annotation, *metadata)] if metadata else info.annotation


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, type(int | str)):
        return annotation
    rest = tuple(item for item in get_args(annotation) if item is not type(None))
    return Union[rest]  # noqa: UP007


def _choice(field: Any, value: Any) -> Any:
    """Returns `value`, which Django's own validation will find among the choices. Raises: PydanticCustomError."""
    stored = getattr(value, "value", value)
    if stored in field.empty_values or stored in dict(field.flatchoices):
        return value
    # Before Django's own check: the error names the place in a nested body.
    error = ValidationError(field.error_messages["invalid_choice"], params={"value": stored})
    # A value may hold braces, which stand for parameters.
    raise PydanticCustomError("invalid_choice", "{message}", {"message": error.messages[0]})
