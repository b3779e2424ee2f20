"""The types of django.contrib.postgres, which is not imported for them: it needs the driver."""

from __future__ import annotations

import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from djfast_mount.schemas.declaring import values
from djfast_mount.schemas.declaring.type_registry import FieldType, Maker, field_type, makes

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


def _to_driver(field: Any, step: Any, value: Any) -> Any:
    """Returns the range as PostgreSQL will have it, so that a new row is answered as it is read later.

    Args:
        step: Between two values that follow each other; None: there are values between any two.

    Raises: ValueError, when the bounds are the wrong way round.
    """
    lower, upper, bounds = value.lower, value.upper, value.bounds
    if value.empty:
        return field.range_type(empty=True)
    # PostgreSQL refuses it with a DataError in the midst of the transaction, which would be a 500.
    if _is_above(lower, upper):
        raise ValueError("The lower bound is above the upper one.")
    if step is not None:
        lower = _next(lower, step) if bounds[0] == "(" else lower
        upper = _next(upper, step) if bounds[1] == "]" else upper
        bounds = "[)"
    if _is_above(lower, upper) or (lower is not None and lower == upper and bounds != "[]"):
        return field.range_type(empty=True)
    # What has no bound has none that belongs to it.
    return field.range_type(lower, upper, ("(" if lower is None else bounds[0]) + (")" if upper is None else bounds[1]))


def _is_above(lower: Any, upper: Any) -> bool:
    return lower is not None and upper is not None and lower > upper


def _next(value: Any, step: Any) -> Any:
    """Raises: ValueError, when there is none."""
    try:
        return None if value is None else value + step
    except OverflowError:
        raise ValueError("The bound is the last value that there is: no range has it between its bounds.") from None


def _range(inner: Any, written: Any = None, step: Any = None) -> Maker:
    def make(field: Any) -> FieldType:
        write: Any = Range.__class_getitem__(inner if written is None else written)
        driver = AfterValidator(partial(_to_driver, field, step))
        return FieldType(Range.__class_getitem__(inner), Annotated[write, driver])

    return make


def _simple(read: Any, write: Any) -> Maker:
    return lambda field: FieldType(read, write)


_STORED = Annotated[datetime.datetime, AfterValidator(values.stored_datetime)]
_EXACT = Annotated[Decimal, values.EXACT_DECIMAL]
_TEXT = dict[str, str | None]
_PACKAGE = "django.contrib.postgres"
for _path, _maker in {
    "fields.hstore.HStoreField": _simple(_TEXT, _TEXT),
    "fields.ranges.IntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**31), lt=2**31)], 1),
    "fields.ranges.BigIntegerRangeField": _range(int, Annotated[int, Field(ge=-(2**63), lt=2**63)], 1),
    "fields.ranges.DecimalRangeField": _range(Decimal, _EXACT),
    "fields.ranges.DateRangeField": _range(datetime.date, step=datetime.timedelta(days=1)),
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
