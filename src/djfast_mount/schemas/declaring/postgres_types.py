"""The types of django.contrib.postgres, which is not imported for them: it needs the driver."""

from __future__ import annotations

import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from djfast_mount.schemas.declaring import values
from djfast_mount.schemas.declaring.field_types import FieldType, Maker, field_type, makes

__all__ = ["Range"]

T = TypeVar("T")


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
        # psycopg 2 and 3 have range classes of their own, both with this attribute.
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
    # PostgreSQL refuses it with a DataError in the midst of the transaction, which would be a 500.
    if value.lower is not None and value.upper is not None and value.lower > value.upper:
        raise ValueError("The lower bound is above the upper one.")
    return field.range_type(value.lower, value.upper, value.bounds)


def _range(inner: Any, written: Any = None) -> Maker:
    def make(field: Any) -> FieldType:
        write: Any = Range.__class_getitem__(inner if written is None else written)
        return FieldType(Range.__class_getitem__(inner), Annotated[write, AfterValidator(partial(_to_driver, field))])

    return make


def _simple(read: Any, write: Any) -> Maker:
    return lambda field: FieldType(read, write)


_STORED = Annotated[datetime.datetime, AfterValidator(values.stored_datetime)]
_EXACT = Annotated[Decimal, values.EXACT_DECIMAL]
_TEXT = dict[str, str | None]
_PACKAGE = "django.contrib.postgres"
for _path, _maker in {
    "fields.hstore.HStoreField": _simple(_TEXT, _TEXT),
    "fields.ranges.IntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**31), lt=2**31)]),
    "fields.ranges.BigIntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**63), lt=2**63)]),
    "fields.ranges.DecimalRangeField": _range(Decimal, _EXACT),
    "fields.ranges.DateRangeField": _range(datetime.date),
    "fields.ranges.DateTimeRangeField": _range(datetime.datetime, _STORED),
    "search.SearchVectorField": _simple(str, None),
}.items():
    makes(f"{_PACKAGE}.{_path}")(_maker)


@makes(f"{_PACKAGE}.fields.array.ArrayField")
def _array(field: Any) -> FieldType:
    item, null = field_type(field.base_field), field.base_field.null
    read = list[item.read | None if null else item.read]  # type: ignore[misc, valid-type]
    write: Any = list[item.write | None if null else item.write]  # type: ignore[misc]
    return FieldType(read, Annotated[write, Field(max_length=field.size)] if field.size else write)
