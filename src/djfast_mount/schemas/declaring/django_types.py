"""The types of Django's own model fields."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, NamedTuple

from django.core.validators import MaxLengthValidator, MaxValueValidator, MinLengthValidator, MinValueValidator
from django.db import models
from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from djfast_mount.schemas.declaring import values
from djfast_mount.schemas.declaring.type_registry import FieldType, Maker, ModelField, field_type, makes

__all__ = ["constraints"]


@dataclass(frozen=True)
class Format:
    """An annotation that gives the JSON schema of a text its ``format``."""

    name: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "format": self.name}


def constraints(field: ModelField) -> list[Any]:
    """What the validators of `field` ask for and pydantic can tell a client: lengths and bounds.

    Where the project has a message of its own, the JSON schema alone tells of it: `full_clean` says the message.
    """
    checked: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for validator in field.validators:
        bound = _BOUNDS.get(type(validator))
        # Exactly these classes: a subclass may compare otherwise, and a limit that is called may change.
        if bound is None or callable(limit := validator.limit_value):
            continue
        if "message" in vars(validator) or _has_own_message(field, validator.code):
            told[bound.keyword] = limit
        else:
            checked[bound.name] = bound.tighter(checked.get(bound.name, limit), limit)
    if not _is_text(field):
        return _annotations(checked, told)
    # Django refuses an empty text where `blank` is False, though no validator of the field says so.
    if not field.blank and field.empty_strings_allowed and checked.get("min_length", 0) < 1:
        if _has_own_message(field, "blank"):
            told.setdefault("minLength", 1)
        else:
            checked["min_length"] = 1
    return [*_annotations(checked, told), AfterValidator(values.without_nul)]


def _annotations(checked: dict[str, Any], told: dict[str, Any]) -> list[Any]:
    return [*([Field(**checked)] if checked else []), *([_Told(tuple(told.items()))] if told else [])]


class _Bound(NamedTuple):
    """A bound: its argument of pydantic's `Field`, its keyword in JSON schema, and which of two holds."""

    name: str
    keyword: str
    tighter: Callable[[Any, Any], Any]


_BOUNDS: dict[type, _Bound] = {
    MinValueValidator: _Bound("ge", "minimum", max),
    MaxValueValidator: _Bound("le", "maximum", min),
    MinLengthValidator: _Bound("min_length", "minLength", max),
    MaxLengthValidator: _Bound("max_length", "maxLength", min),
}


def _has_own_message(field: ModelField, code: str) -> bool:
    """Whether `error_messages` of the field, or of a class of the project's own, have a message for `code`."""
    of_django = [kind for kind in type(field).__mro__ if kind.__module__.startswith("django.")]
    known = (vars(kind).get("default_error_messages", {}) for kind in of_django)
    expected = next((messages[code] for messages in known if code in messages), None)
    return field.error_messages.get(code) is not expected


@dataclass(frozen=True)
class _Told:
    """An annotation that gives the JSON schema of a number or a text what pydantic does not check."""

    # A tuple, as annotations are hashed in unions.
    bounds: tuple[tuple[str, Any], ...]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            **handler(schema),
            **{name: value for name, value in self.bounds if isinstance(value, int | float)},
        }


def _is_text(field: ModelField) -> bool:
    return isinstance(field, models.CharField | models.TextField | models.GenericIPAddressField | models.FilePathField)


def _annotated(plain: Any, *metadata: Any) -> Any:
    return Annotated[(plain, *metadata)] if metadata else plain


def _simple(plain: type, *metadata: Any) -> Maker:
    """A type that Django's validators constrain, and nothing else."""

    def make(field: ModelField) -> FieldType:
        return FieldType(plain, _annotated(plain, *metadata, *constraints(field)), plain)

    return make


def _formatted(json_format: str) -> Maker:
    def make(field: ModelField) -> FieldType:
        # The empty text is of no format.
        shown = [] if field.blank else [Format(json_format)]
        return FieldType(_annotated(str, *shown), _annotated(str, *constraints(field), *shown), str)

    return make


for _field_class, _maker in {
    models.CharField: _simple(str),
    models.TextField: _simple(str),
    models.FilePathField: _simple(str),
    models.EmailField: _formatted("email"),
    models.URLField: _formatted("uri"),
    models.BooleanField: _simple(bool),
    models.IntegerField: _simple(int),
    # JSON has neither (RFC 8259, section 6), and MySQL stores neither.
    models.FloatField: _simple(float, Field(allow_inf_nan=False)),
    models.DateField: _simple(datetime.date),
    models.DateTimeField: _simple(datetime.datetime, AfterValidator(values.local_datetime)),
    models.TimeField: _simple(datetime.time, AfterValidator(values.naive_time)),
    models.UUIDField: _simple(uuid.UUID),
}.items():
    makes(_field_class)(_maker)


@makes(models.DurationField)
def _duration(field: ModelField) -> FieldType:
    # Pydantic writes "P9Y320D" for nine years and more, and a sign before what is negative. Neither is of the format
    # "duration" (RFC 3339, appendix A), which it tells of all the same.
    shown = WithJsonSchema({"type": "string"})
    return FieldType(
        Annotated[datetime.timedelta, shown], _annotated(datetime.timedelta, *constraints(field)), datetime.timedelta
    )


@makes(models.DecimalField)
def _decimal(field: ModelField) -> FieldType:
    # Without pydantic's own max_digits: the two count trailing zeros differently.
    stored = AfterValidator(partial(values.padded, field.decimal_places))
    return FieldType(Decimal, Annotated[Decimal, values.EXACT_DECIMAL, stored], Decimal)


@makes(models.GenericIPAddressField)
def _address(field: ModelField) -> FieldType:
    protocol = field.protocol.lower()
    shown = Format(protocol if protocol in ("ipv4", "ipv6") else "ipvanyaddress")
    return FieldType(Annotated[str, shown], _annotated(str, *constraints(field), shown), str)


_BASE64 = {"type": "string", "contentEncoding": "base64"}


@makes(models.BinaryField)
def _binary(field: ModelField) -> FieldType:
    shown = WithJsonSchema(_BASE64)
    written = PlainSerializer(values.encoded, return_type=str)
    return FieldType(
        Annotated[bytes, BeforeValidator(values.to_bytes), written, shown],
        Annotated[bytes, BeforeValidator(values.decoded), written, shown],
        bytes,
    )


@makes(models.JSONField)
def _json(field: ModelField) -> FieldType:
    # What is stored already is shown as it is: only what comes in is looked at.
    checks = [AfterValidator(values.finite_json)]
    if not field.null:
        checks.append(AfterValidator(partial(_not_null, field)))
    return FieldType(Any, _annotated(Any, *checks))


def _not_null(field: ModelField, value: Any) -> Any:
    # Django stores null in JSON as NULL, and `full_clean` passes over it where the field may be blank.
    if value is None:
        raise PydanticCustomError("null", str(field.error_messages["null"]))
    return value


@makes(models.FileField)
def _file(field: ModelField) -> FieldType:
    """The URL of the file, relative where MEDIA_URL is; None where there is none. Never written: uploads are forms."""
    shown = Format("uri-reference")
    return FieldType(Annotated[str | None, shown], None)


@makes(models.GeneratedField)
def _generated(field: ModelField) -> FieldType:
    found = field_type(field.output_field)
    # The database makes it.
    return FieldType(found.read, None, found.plain)


@makes(models.ForeignKey)
def _key(field: ModelField) -> FieldType:
    """The type of what it points to, without that field's own constraints: Django asks whether there is such a row."""
    found = field_type(field.target_field)
    return FieldType(found.read, _without_constraints(field.target_field, found), found.plain)


def _without_constraints(target: ModelField, found: FieldType) -> Any:
    # A key that violates a validator of its own model, an older row's, can still be pointed to.
    if found.plain is str and isinstance(target, models.CharField):
        return Annotated[str, AfterValidator(values.without_nul)]
    return found.plain if found.plain is not None and isinstance(target, _PLAIN_KEYS) else found.write


_PLAIN_KEYS = (models.IntegerField, models.UUIDField)


@makes(models.CompositePrimaryKey)
def _composite(field: ModelField) -> FieldType:
    members = tuple(field_type(member).read for member in field.fields)
    # Its parts are columns of their own, and are written there.
    return FieldType(tuple[members], None, tuple)  # type: ignore[valid-type]
