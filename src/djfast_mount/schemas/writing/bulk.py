"""Many bodies to rows by one INSERT: each is validated as `create` does it, and against those before it in the list.

`full_clean` asks the database alone: it does not know of rows that are yet to be saved. What is unique here is what the
model says without conditions and expressions; the rest is the database's to refuse.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model, UniqueConstraint
from django.utils import timezone
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import model_field
from djfast_mount.schemas.writing.invalid import InvalidRow, Path
from djfast_mount.schemas.writing.rows import Snapshot, refresh_all
from djfast_mount.schemas.writing.saving import Writing, check_values
from djfast_mount.schemas.writing.slots import BodyPlan, has_plan, plan_of

__all__ = ["bulk_create"]


def bulk_create(kind: type[BaseModel], bodies: Iterable[BaseModel], values: Mapping[str, Any]) -> list[Model]:
    """Returns a new row for each of `bodies`, which are of the class `kind`."""
    plan = _checked_plan(kind, values)
    writing = Writing(router.db_for_write(plan.model, instance=plan.model()))
    seen: set[Hashable] = set()
    rows: list[Model] = []
    with transaction.atomic(using=writing.using):
        for place, body in enumerate(bodies):
            if not isinstance(body, kind):
                raise TypeError(f"{kind.__name__}.bulk_create() takes bodies of that class, and was given {body!r}.")
            row = plan.model()
            path: Path = ("body", place)
            known = len(writing.errors)
            sent = writing.fill(body, plan, row, path, values, Snapshot(row))
            for error in _repeated(row, sent, seen) if len(writing.errors) == known else ():
                writing.refuse(error, plan, path)
            rows.append(row)
        if writing.errors:
            raise InvalidRow(writing.errors)
        plan.model._default_manager.using(writing.using).bulk_create(rows)
        refresh_all(rows)
    return rows


def _checked_plan(kind: type[BaseModel], values: Mapping[str, Any]) -> BodyPlan:
    """The plan of `kind`. Raises: TypeError, when one INSERT cannot save what such a body may hold."""
    if not has_plan(kind):
        raise TypeError(
            f"{kind.__name__} is of no schema. Call bulk_create() of the bodies' class: Create[YourSchema]."
        )
    plan = plan_of(kind)
    check_values(plan, values)
    nested = [name for name, slot in plan.slots.items() if slot.kind in ("one", "many", "keys")]
    nested += [name for name in values if _is_to_many(plan.model, name)]
    if nested:
        raise TypeError(
            f"{kind.__name__}.bulk_create() saves the columns of one table, and {', '.join(nested)} would need more. "
            "Call create() of each body, or take a schema that has them in Meta.read_only."
        )
    return plan


def _is_to_many(model: type[Model], name: str) -> bool:
    found = model_field(model, name)
    return found is not None and bool(found[0].many_to_many or found[0].one_to_many)


def _repeated(row: Model, sent: set[str], seen: set[Hashable]) -> list[ValidationError]:
    """Returns what a row before this one has already, and notes what this one has."""
    found = [*_unique_values(row, sent), *_unique_in_dates(row, sent)]
    known = [error for key, error in found if _is_hashable(key) and key in seen]
    seen.update(key for key, _ in found if _is_hashable(key))
    return known


def _is_hashable(key: Any) -> bool:
    """Whether a set can hold `key`. Lists and the like are left to the database."""
    try:
        hash(key)
    except TypeError:
        return False
    return True


Found = Iterator[tuple[Any, ValidationError]]


def _unique_values(row: Model, sent: set[str]) -> Found:
    """Yields the values of `row` that are unique by themselves or together, with the error of a second one."""
    meta = type(row)._meta.concrete_model._meta  # type: ignore[union-attr]
    together: list[tuple[str, ...]] = [(field.name,) for field in meta.concrete_fields if field.unique]
    together += [tuple(field.name for field in meta.pk_fields), *map(tuple, meta.unique_together)]
    for names in dict.fromkeys(together):
        # Nulls are distinct in SQL, unless the constraint says otherwise.
        if (values := _values(row, names, sent)) is not None and None not in values:
            yield (names, values), _under_its_field(names, row.unique_error_message(type(row), names))
    for constraint in meta.total_unique_constraints:
        values = _values(row, constraint.fields, sent)
        if values is not None and (constraint.nulls_distinct is False or None not in values):
            yield (constraint.fields, values), _of_constraint(constraint, row)


def _values(row: Model, names: Iterable[str], sent: set[str]) -> tuple[Any, ...] | None:
    """What `row` has in these fields; None where one was not sent, and is not validated."""
    if not sent.issuperset(names):
        return None
    fields: list[Any] = [row._meta.get_field(name) for name in names]
    return tuple(getattr(row, field.attname) for field in fields)


def _of_constraint(constraint: UniqueConstraint, row: Model) -> ValidationError:
    """What the constraint itself says, or Django's message about fields where it has no message of its own."""
    if constraint.violation_error_message != constraint.default_violation_error_message:
        message = constraint.get_violation_error_message()
        return ValidationError(message, code=constraint.violation_error_code)
    return _under_its_field(constraint.fields, row.unique_error_message(type(row), constraint.fields))


def _under_its_field(names: Sequence[str], error: ValidationError) -> ValidationError:
    return ValidationError({names[0]: [error]}) if len(names) == 1 else error


def _unique_in_dates(row: Model, sent: set[str]) -> Found:
    """Yields the values that are unique for a date, a month or a year: no database knows of these."""
    for field in row._meta.concrete_fields:
        # No constraint of the database stands behind `unique_for_date`.
        for part in ("date", "month", "year"):
            name = getattr(field, f"unique_for_{part}")
            if name and sent.issuperset((field.name, name)) and (day := getattr(row, name)) is not None:
                day = _of_current_zone(day)
                when = (day.year, day.month, day.day) if part == "date" else getattr(day, part)
                error = row.date_error_message(part, field.name, name)
                yield (field.name, part, getattr(row, field.attname), when), ValidationError({field.name: [error]})


def _of_current_zone(day: Any) -> Any:
    """The date, or the moment as Django's look-ups by date have it."""
    return timezone.localtime(day) if isinstance(day, datetime) and timezone.is_aware(day) else day
