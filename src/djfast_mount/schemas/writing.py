"""Bodies to rows: validated as Django does, saved with all that is nested in them, or not at all.

1. `full_clean` sees what was sent, and the server's own values; what was not sent is excluded, uniqueness included.
2. Every row is saved by its own `save()`, so that signals are sent, in one transaction where there are several.
3. All errors of one level are told at once, each with its path into the body.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model
from pydantic import MISSING, BaseModel

from djfast_mount.schemas import keys
from djfast_mount.schemas.access import check_write
from djfast_mount.schemas.declaration import model_field
from djfast_mount.schemas.invalid import InvalidRow, Path, told
from djfast_mount.schemas.options import has_attribute
from djfast_mount.schemas.rows import Snapshot, plain, refresh, save_changes, unsent
from djfast_mount.schemas.slots import BodyPlan, Slot, plan_of
from djfast_mount.spelling import did_you_mean

__all__ = ["create", "update"]


def create(body: BaseModel, values: Mapping[str, Any]) -> Model:
    """Returns a new row for `body`."""
    plan = plan_of(type(body))
    return _write(body, plan, plan.model(), values)


def update(body: BaseModel, row: Model, values: Mapping[str, Any]) -> Model:
    """Returns `row`, changed."""
    plan = plan_of(type(body))
    if not isinstance(row, plan.model):
        raise TypeError(f"{type(body).__name__}.update() changes a {plan.model.__name__}, and was given {row!r}.")
    return _write(body, plan, row, values)


def _write(body: BaseModel, plan: BodyPlan, row: Model, values: Mapping[str, Any]) -> Model:
    _check_values(plan, values)
    writing = Writing(router.db_for_write(plan.model, instance=row))
    several = any(slot.kind in ("one", "many", "keys") for slot in sent_slots(body, plan))
    with transaction.atomic(using=writing.using) if several else contextlib.nullcontext():
        writing.write(body, plan, row, ("body",), values)
        if writing.errors:
            raise InvalidRow(writing.errors)
    return row


def _check_values(plan: BodyPlan, values: Mapping[str, Any]) -> None:
    for name in values:
        if model_field(plan.model, name) is None and not has_attribute(plan.model, name):
            known = [field.name for field in plan.model._meta.get_fields()]
            hint = did_you_mean(name, known, f"Its fields are {', '.join(known)}.")
            raise TypeError(f"{plan.model.__name__} has no field {name!r}. {hint}")


def sent_slots(body: BaseModel, plan: BodyPlan) -> list[Slot]:
    """Returns the slots of which `body` has a value."""
    return [slot for name, slot in plan.slots.items() if getattr(body, name) is not MISSING]


class Writing:
    """One call of `create` or `update`, with all rows that it writes."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.errors: list[dict[str, Any]] = []

    def write(self, body: BaseModel, plan: BodyPlan, row: Model, path: Path, values: Mapping[str, Any]) -> bool:
        """Writes `row` and what is nested in it. Returns whether it was valid; else `errors` has why."""
        slots = sent_slots(body, plan)
        check_write(slots, path)
        before, adding = Snapshot(row), row._state.adding
        sent = self._assign(body, row, slots, path)
        for name, value in values.items():
            if not _is_many_to_many(row, name):
                setattr(row, name, value)
                sent |= _field_names(row, name)
        sent |= {field.name for field in before.changed(row)} if not adding else set()
        if not self._is_valid(plan, row, sent, path):
            return False
        if adding:
            row.save(using=self.using)
            refresh(row)
        else:
            save_changes(row, before.changed(row))
        self._relate(body, row, slots, path, values)
        return True

    def _assign(self, body: BaseModel, row: Model, slots: list[Slot], path: Path) -> set[str]:
        """Gives `row` the values of its columns. Returns the names of the fields that now have one."""
        sent: set[str] = set()
        for slot in slots:
            value = getattr(body, slot.name)
            if slot.kind == "column":
                setattr(row, slot.target, plain(value))
                sent.add(slot.field.name)
            elif slot.kind == "attribute":
                setattr(row, slot.target, plain(value))
            elif slot.kind == "method":
                getattr(row, slot.target)(plain(value))
        return sent

    def _is_valid(self, plan: BodyPlan, row: Model, sent: set[str], path: Path) -> bool:
        names = {slot.field.name: slot.key for slot in plan.slots.values() if slot.field is not None}
        try:
            row.full_clean(exclude=unsent(row, sent))
        except ValidationError as error:
            self.errors += told(error, path, lambda name: names.get(name, name))
            return False
        return True

    def _relate(self, body: BaseModel, row: Model, slots: list[Slot], path: Path, values: Mapping[str, Any]) -> None:
        """Writes what needs the key of `row`."""
        for slot in slots:
            if slot.kind in ("one", "many"):
                raise NotImplementedError("Nested rows are not written yet.")
            if slot.kind == "keys":
                self.errors += keys.set_rows(row, slot.field, getattr(body, slot.name), (*path, slot.key))
        for name, value in values.items():
            if _is_many_to_many(row, name):
                getattr(row, name).set(value)


def _is_many_to_many(row: Model, name: str) -> bool:
    found = model_field(type(row), name)
    return found is not None and bool(found[0].many_to_many or found[0].one_to_many)


def _field_names(row: Model, name: str) -> set[str]:
    found = model_field(type(row), name)
    return set() if found is None else {found[0].name}
