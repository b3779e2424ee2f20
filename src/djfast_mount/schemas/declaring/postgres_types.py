"""The types of django.contrib.postgres, which is not imported for them: it needs the driver."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from djfast_mount.schemas.declaring import values

__all__ = ["Range", "postgres_type"]

T = TypeVar("T")
Types = Callable[[Any], tuple[Any, Any]]
"""Takes a field, and returns the annotations of what is read and what is written."""


class Range(BaseModel, Generic[T]):
    """A range of PostgreSQL.

    Attributes:
        lower: The lower bound. None: there is none.
        upper: The upper bound. None: there is none.
        bounds: Which of them belong to the range: a square bracket says that one does, a round one that it does not.
        empty: Whether there is nothing in it. It has no bounds then.
    """

    model_config = ConfigDict(extra="forbid")

    lower: T | None = None
    upper: T | None = None
    bounds: Literal["[)", "(]", "[]", "()"] = "[)"
    empty: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_driver(cls, value: Any) -> Any:
        if not hasattr(value, "lower_inc"):
            return value
        if value.isempty:
            return {"empty": True}
        bounds = ("[" if value.lower_inc else "(") + ("]" if value.upper_inc else ")")
        return {"lower": value.lower, "upper": value.upper, "bounds": bounds}


def _to_driver(field: Any, value: Any) -> Any:
    """Returns the range of the driver. Raises: ValueError, when the bounds are the wrong way round."""
    if value.empty:
        return field.range_type(empty=True)
    if value.lower is not None and value.upper is not None and value.lower > value.upper:
        raise ValueError("The lower bound is above the upper one.")
    return field.range_type(value.lower, value.upper, value.bounds)


def _range(inner: Any, written: Any = None) -> Types:
    def make(field: Any) -> tuple[Any, Any]:
        write: Any = Range.__class_getitem__(inner if written is None else written)
        return Range.__class_getitem__(inner), Annotated[write, AfterValidator(partial(_to_driver, field))]

    return make


_STORED = Annotated[datetime.datetime, AfterValidator(values.stored_datetime)]
_EXACT = Annotated[Decimal, values.EXACT_DECIMAL]
_TEXT = dict[str, str | None]
_PACKAGE = "django.contrib.postgres.fields."
_TYPES: dict[str, Types] = {
    f"{_PACKAGE}hstore.HStoreField": lambda field: (_TEXT, _TEXT),
    f"{_PACKAGE}ranges.IntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**31), lt=2**31)]),
    f"{_PACKAGE}ranges.BigIntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**63), lt=2**63)]),
    f"{_PACKAGE}ranges.DecimalRangeField": _range(Decimal, _EXACT),
    f"{_PACKAGE}ranges.DateRangeField": _range(datetime.date),
    f"{_PACKAGE}ranges.DateTimeRangeField": _range(datetime.datetime, _STORED),
    "django.contrib.postgres.search.SearchVectorField": lambda field: (str, None),
}


def postgres_type(field_class: type, inner: Callable[[Any], Any]) -> Types | None:
    """Returns what makes the types of `field_class`; None where it is no field of PostgreSQL's.

    Args:
        inner: Returns the types of the field that an array is of.
    """
    path = f"{field_class.__module__}.{field_class.__qualname__}"
    if path == f"{_PACKAGE}array.ArrayField":
        return partial(_array, inner)
    return _TYPES.get(path)


def _array(inner: Callable[[Any], Any], field: Any) -> tuple[Any, Any]:
    item, null = inner(field.base_field), field.base_field.null
    read = list[item.read | None if null else item.read]  # type: ignore[misc, valid-type]
    write: Any = list[item.write | None if null else item.write]  # type: ignore[misc]
    return read, Annotated[write, Field(max_length=field.size)] if field.size else write
