"""What a query parameter may say about a field of a model: the type of its values, and the lookups that make sense.

Types are narrower than the database's where a wider value would be an error there: 64 bits for whole numbers, the
field's digits for decimals, no NUL in a text.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from django.conf import settings
from django.db import models
from django.utils import timezone
from pydantic import AfterValidator, Field

__all__ = [
    "MEASURES",
    "MOST_VALUES",
    "PARTS",
    "FieldKind",
    "Measure",
    "kind_of",
    "stored",
    "stored_type",
    "value_type",
    "year_type",
]

FieldKind = Literal["text", "choice", "integer", "number", "boolean", "date", "datetime", "time", "duration", "uuid"]

MOST_VALUES = 1000
"""How often one parameter may be repeated: databases limit the number of values of a statement."""

# A longer pattern is an error of SQLite's, whose limit for LIKE is 50,000 bytes.
_MOST_CHARACTERS = 2000

Measure = Literal["count", "sum", "avg", "min", "max"]
MEASURES: tuple[Measure, ...] = ("sum", "avg", "min", "max")
"""What is made of a field of related rows."""

PARTS = ("year", "quarter", "month", "day", "week", "week_day")
"""The parts of a date that can be asked for."""

AnyField: TypeAlias = "models.Field[Any, Any]"

_KINDS: tuple[tuple[type[AnyField], FieldKind], ...] = (
    (models.BooleanField, "boolean"),
    (models.DateTimeField, "datetime"),
    (models.DateField, "date"),
    (models.TimeField, "time"),
    (models.DurationField, "duration"),
    (models.UUIDField, "uuid"),
    (models.IntegerField, "integer"),
    (models.FloatField, "number"),
    (models.DecimalField, "number"),
    (models.CharField, "text"),
    (models.TextField, "text"),
    (models.GenericIPAddressField, "text"),
)
# SQLite's driver raises OverflowError for a larger number, which would be a 500.
_LARGEST = 2**63 - 1
# SQLite keeps durations in microseconds, of 64 bits.
_LONGEST = datetime.timedelta(days=10**8)


def stored(field: Any) -> AnyField:
    """Returns whose values the column holds: of a foreign key its target, of a generated field its output."""
    while True:
        if isinstance(field, models.ForeignKey):
            field = field.target_field
        elif isinstance(field, models.GeneratedField):
            field = field.output_field
        else:
            return field  # type: ignore[no-any-return]


def kind_of(field: Any) -> FieldKind | None:
    """Returns how values of `field` are compared; None where they cannot be, as those of files and of JSON."""
    field = stored(field)
    # JSON has no order that all databases share, and the names of files are a matter of the storage.
    if isinstance(field, models.FileField | models.BinaryField | models.JSONField):
        return None
    if field.choices:
        return "choice"
    return next((kind for cls, kind in _KINDS if isinstance(field, cls)), None)


def value_type(field: Any) -> Any:
    """Returns the type of one value of `field` in a URL, for a field that `kind_of` knows."""
    field = stored(field)
    if field.choices:
        # Choices that are made by a function may change: only what is known at the start is offered, and the check is
        # by value.
        return _one_of([value for value, _ in field.flatchoices if value not in (None, "")], _plain(field))
    return _plain(field)


def year_type(kind: FieldKind) -> Any:
    """Returns the type of a year in a URL, for a date or a datetime."""
    # Django makes dates of the year to compare by a range, and datetime has the years 1 to 9999.
    year = Annotated[int, Field(ge=1, le=9999)]
    return Annotated[year, AfterValidator(_in_years)] if kind == "datetime" else year


def stored_type(field: Any) -> Any:
    """Returns the type of what the column holds, without the limits of a URL: any stored value passes it."""
    field = stored(field)
    if isinstance(field, models.DecimalField):
        return decimal.Decimal
    return _STORED[_plain_kind(field)]


def _plain(field: AnyField) -> Any:
    if isinstance(field, models.DecimalField):
        # Django raises an error for a decimal of more digits than the column has, in `get_db_prep_value()`
        # (decimal.InvalidOperation).
        digits: dict[str, Any] = {"max_digits": field.max_digits, "decimal_places": field.decimal_places}
        return Annotated[decimal.Decimal, Field(**digits)]
    return _TYPES[_plain_kind(field)]


def _plain_kind(field: AnyField) -> FieldKind:
    return next((kind for cls, kind in _KINDS if isinstance(field, cls)), "text")


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("Null characters are not allowed.")
    return value


def _in_zone(value: datetime.datetime) -> datetime.datetime:
    """The moment as the database is asked for it; one without a zone is in the current one."""
    try:
        if not settings.USE_TZ:
            return timezone.make_naive(value) if timezone.is_aware(value) else value
        moment = value if timezone.is_aware(value) else timezone.make_aware(value)
        # Tried here: year 1 or 9999 with an offset overflows only when it is converted, deep in the driver.
        moment.astimezone(datetime.UTC)
        return moment
    except OverflowError as error:
        raise ValueError("The moment is out of range.") from error


def _in_years(value: int) -> int:
    """The year of a moment, whose ends in the current zone Django asks the database for."""
    _in_zone(datetime.datetime(value, 1, 1))  # noqa: DTZ001  (in the current zone)
    _in_zone(datetime.datetime(value, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001
    return value


def _without_zone(value: datetime.time) -> datetime.time:
    if value.tzinfo is not None:
        raise ValueError("A time has no time zone here.")
    return value


def _in_range(value: datetime.timedelta) -> datetime.timedelta:
    if abs(value) > _LONGEST:
        raise ValueError(f"The duration should be at most {_LONGEST.days} days.")
    return value


_STORED: dict[FieldKind, Any] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "uuid": uuid.UUID,
}
_TYPES: dict[FieldKind, Any] = {
    "text": Annotated[str, Field(max_length=_MOST_CHARACTERS), AfterValidator(_without_nul)],
    "integer": Annotated[int, Field(ge=-_LARGEST - 1, le=_LARGEST)],
    "number": Annotated[float, Field(allow_inf_nan=False)],
    "boolean": bool,
    "date": datetime.date,
    "datetime": Annotated[datetime.datetime, AfterValidator(_in_zone)],
    "time": Annotated[datetime.time, AfterValidator(_without_zone)],
    "duration": Annotated[datetime.timedelta, AfterValidator(_in_range)],
    "uuid": uuid.UUID,
}


def _one_of(values: list[Any], kind: Any) -> Any:
    def known(value: Any) -> Any:
        if value not in values:
            raise ValueError(f"Value should be one of {', '.join(map(repr, values))}.")
        return value

    check: Callable[[Any], Any] = known
    return Annotated[kind, AfterValidator(check), Field(json_schema_extra={"enum": list(values)})]
