"""Values that JSON, pydantic and Django's databases do not agree on: each is kept as it is, or refused in words."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.utils import from_current_timezone
from django.utils import timezone
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError, PydanticSerializationError, to_json

__all__ = [
    "decoded",
    "encoded",
    "exact_decimal",
    "finite_json",
    "in_utc",
    "local_datetime",
    "naive_time",
    "padded",
    "stored_datetime",
    "to_bytes",
    "without_nul",
]

# As many significant digits survive the way through a binary floating-point number (IEEE 754, double precision).
_FLOAT_DIGITS = 15
# Levels of nesting that an answer may put around a value: lists, and rows in rows.
_ROOM = 40


def stored_datetime(value: datetime.datetime) -> datetime.datetime:
    """Returns `value` as Django reads it back: in UTC with USE_TZ, else naive in the default time zone.

    A naive value is one of the current time zone, as in a form. Raises: ValueError, when UTC has no such date, or when
    the clocks of the current time zone show it never or twice.
    """
    try:
        # Without USE_TZ the column has no zone, and Django's backends of SQLite and MySQL refuse a value that does.
        if not settings.USE_TZ:
            return timezone.make_naive(value, timezone.get_default_timezone()) if timezone.is_aware(value) else value
        return from_current_timezone(value).astimezone(datetime.UTC)
    except OverflowError:
        raise ValueError("The date is out of range.") from None
    except ValidationError as error:
        raise PydanticCustomError("ambiguous_timezone", error.messages[0]) from None


def local_datetime(value: datetime.datetime) -> datetime.datetime:
    """Returns what a form has for `value`, which `full_clean` and validators see: it is in the current time zone.

    Raises: ValueError, as `stored_datetime` does.
    """
    stored = stored_datetime(value)
    try:
        return timezone.localtime(stored) if timezone.is_aware(stored) else stored
    except OverflowError:  # On the first or the last day that there is.
        return stored


def in_utc(value: datetime.datetime) -> datetime.datetime:
    """Returns a moment in UTC, as the database gives it back. What has no time zone, or is out of range, stays."""
    try:
        return value if value.tzinfo in (None, datetime.UTC) else value.astimezone(datetime.UTC)
    except OverflowError:
        return value


def naive_time(value: datetime.time) -> datetime.time:
    """Returns `value`. Raises: ValueError, when it has a time zone, which a TimeField would lose."""
    if value.tzinfo is not None:
        raise ValueError("A time of day has no time zone here. Leave it out.")
    return value


def exact_decimal(value: Any) -> Any:
    """Returns `value`, a float as its shortest text. Raises: ValueError, where its digits may have been rounded."""
    if not isinstance(value, float):
        return value
    text = repr(value)
    digits = text.partition("e")[0].replace(".", "").lstrip("-0")
    if len(digits) > _FLOAT_DIGITS:
        # A JSON number has been through a float in most clients. Money that was rounded on the way is better refused.
        raise ValueError(f"A number of more than {_FLOAT_DIGITS} digits may have been rounded. Send it as a string.")
    return text


def padded(places: int, value: Decimal) -> Decimal:
    """Returns `value` with as many decimal places as its column has, if it has not more: as the database will."""
    try:
        # So that the answer to a write has the same text as a later read: `1.5` comes back from the database as `1.50`.
        longer = value.quantize(Decimal(1).scaleb(-places))
    except InvalidOperation:  # It has more digits than any column takes.
        return value
    # No column keeps the sign of a zero.
    return value if longer != value else longer or abs(longer)


EXACT_DECIMAL = BeforeValidator(exact_decimal)
"""Has pydantic refuse a float that is too long to be a decimal number."""


def to_bytes(value: Any) -> Any:
    """Returns the memoryview that PostgreSQL's driver makes of a BinaryField as bytes."""
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def encoded(value: bytes) -> str:
    """Returns `value` in the standard alphabet of base64 (RFC 4648, section 4)."""
    return base64.b64encode(value).decode("ascii")


def decoded(value: Any) -> Any:
    """Returns the bytes that a text in base64 stands for. Raises: ValueError, when it is none."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("This is no base64.") from None


def without_nul(value: str) -> str:
    """Returns `value`. Raises: PydanticCustomError, where it holds a NUL, as `django.forms.CharField` does.

    PostgreSQL refuses it, and names no column.
    """
    if "\0" in value:
        raise PydanticCustomError("null_characters_not_allowed", "Null characters are not allowed.")
    return value


def finite_json(value: Any) -> Any:
    """Returns `value`. Raises: ValueError, when it holds a number that JSON does not have (RFC 8259, section 6)."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("NaN and Infinity are no JSON.") from None
    # What is stored must come out again. Pydantic writes no half of a surrogate pair, and nothing that is nested too
    # deeply. A row that cannot be written would fail every list that it is in.
    around = value
    for _ in range(_ROOM):
        around = [around]
    try:
        to_json(around)
    except PydanticSerializationError:
        raise ValueError("This cannot be written as JSON: a text is no Unicode, or it is nested too deeply.") from None
    return value
