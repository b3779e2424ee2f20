"""Bodies to rows: validated as Django does, saved with all that is nested in them, or not at all.

1. `full_clean` sees what was sent, and the server's own values; what was not sent is excluded, uniqueness included.
2. Every row is saved by its own `save()`, so that signals are sent, in one transaction where there are several.
3. All errors of one level are told at once, each with its path into the body.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import router, transaction
from django.db.models import NOT_PROVIDED, Model, QuerySet
from pydantic import MISSING, BaseModel

from djfast_mount.schemas.declaring.declaration import declared, model_field
from djfast_mount.schemas.declaring.mapping import is_forward, is_mask, may_read, may_write
from djfast_mount.schemas.declaring.options import has_attribute
from djfast_mount.schemas.queryset_internals import forget
from djfast_mount.schemas.writing import keys
from djfast_mount.schemas.writing.defaults import lasting_default
from djfast_mount.schemas.writing.invalid import InvalidRow, Path, told
from djfast_mount.schemas.writing.matching import match_items, unique_fields
from djfast_mount.schemas.writing.row_rules import row_rules
from djfast_mount.schemas.writing.rows import (
    Snapshot,
    insert,
    key_fields,
    plain,
    refresh,
    save_changes,
    take_stored_form,
    unsent,
)
from djfast_mount.schemas.writing.slots import BodyPlan, Slot, plan_of, slots_of
from djfast_mount.spelling import did_you_mean

__all__ = ["Writing", "check_values", "create", "replace", "reset_values", "update"]


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


def replace(body: BaseModel, row: Model, values: Mapping[str, Any]) -> Model:
    """Returns `row`, changed to what a new row of `body` would be, as far as `reset_values` says."""
    return update(body, row, {**reset_values(body), **values})


def reset_values(body: BaseModel) -> dict[str, Any]:
    """Returns what a replacement by `body` sets that was not sent: columns whose default stays the same.

    What the caller may not see or set stays as it is: it could not be sent. So do lists of keys and nested rows.
    """
    found = {}
    for name, slot in plan_of(type(body)).slots.items():
        if slot.kind == "column" and not is_sent(body, name) and may_write(slot.orm) and may_read(slot.orm):
            default = lasting_default(slot.field)
            if default is not NOT_PROVIDED:
                found[slot.target] = default
    return found


def _write(body: BaseModel, plan: BodyPlan, row: Model, values: Mapping[str, Any]) -> Model:
    check_values(plan, values)
    writing = Writing(router.db_for_write(plan.model, instance=row))
    several = any(slot.kind in ("one", "many", "keys") for slot in sent_slots(body, plan))
    with transaction.atomic(using=writing.using) if several else contextlib.nullcontext():
        writing.write(body, plan, row, ("body",), values)
        if writing.errors:
            raise InvalidRow(writing.errors)
    return row


def check_values(plan: BodyPlan, values: Mapping[str, Any]) -> None:
    """Raises TypeError when the model has nothing of the name of one of `values`."""
    for name in values:
        if model_field(plan.model, name) is None and not has_attribute(plan.model, name):
            known = [field.name for field in plan.model._meta.get_fields()]
            hint = did_you_mean(name, known, f"Its fields are {', '.join(known)}.")
            raise TypeError(f"{plan.model.__name__} has no field {name!r}. {hint}")


def sent_slots(body: BaseModel, plan: BodyPlan) -> list[Slot]:
    """Returns the slots of which `body` has a value."""
    return [slot for name, slot in plan.slots.items() if is_sent(body, name)]


def is_sent(body: BaseModel, name: str) -> bool:
    """Whether `body` has a value for its attribute `name`."""
    return getattr(body, name) is not MISSING


class Writing:
    """One call of `create` or `update`, with all rows that it writes.

    Attributes:
        using: The database.
        errors: What Django's validation refused, each with its path.
    """

    def __init__(self, using: str) -> None:
        self.using = using
        self.errors: list[dict[str, Any]] = []

    def write(self, body: BaseModel, plan: BodyPlan, row: Model, path: Path, values: Mapping[str, Any]) -> bool:
        """Writes `row` and what is nested in it. Returns whether it was valid; else `errors` has why."""
        before, adding, known = Snapshot(row), row._state.adding, len(self.errors)
        self.fill(body, plan, row, path, values, before)
        if len(self.errors) > known:
            return False
        if adding:
            insert(row, self.using, values)
            refresh(row)
            before = Snapshot(row)
        else:
            save_changes(row, before.changed(row))
        self._relate(body, row, sent_slots(body, plan), path, values, before)
        return len(self.errors) == known

    def fill(
        self, body: BaseModel, plan: BodyPlan, row: Model, path: Path, values: Mapping[str, Any], before: Snapshot
    ) -> set[str]:
        """Gives `row` its columns, and validates them. Returns the names of the fields that have got a value.

        Where something is invalid, `errors` has more than before.
        """
        # Checked before anything is assigned: a body with one field that the caller may not write changes nothing.
        slots = sent_slots(body, plan)
        _check_access(slots, path)
        if not row._state.adding:
            _check_masks(body, slots, path)
        sent = self._assign(body, row, slots, path)
        for name, value in values.items():
            if not _is_to_many(row, name):
                setattr(row, name, value)
                sent |= _field_names(row, name)
        changed = set() if row._state.adding else set(before.changed(row))
        for field in changed & key_fields(type(row)):
            # Saved under another key, it would write over the row that has it.
            self.refuse(ValidationError({field.name: "The key of a row cannot be changed."}), plan, path)
        sent |= {field.name for field in changed}
        self._validate(plan, row, sent, path)
        take_stored_form(row, sent)
        return sent

    def _assign(self, body: BaseModel, row: Model, slots: list[Slot], path: Path) -> set[str]:
        """Gives `row` the values of its columns. Returns the names of the fields that now have one."""
        sent: set[str] = set()
        for slot in slots:
            value = getattr(body, slot.name)
            if slot.kind == "method":
                getattr(row, slot.target)(plain(value))
            elif slot.kind in ("column", "attribute"):
                setattr(row, slot.target, plain(value))
            elif slot.kind == "one" and is_forward(slot.field):
                # Rows that this one points to come first, as it needs their keys; rows that point to it come after it
                # is saved.
                self._write_target(row, slot, value, (*path, slot.key))
            if slot.field is not None and is_forward(slot.field) and slot.kind in ("column", "one"):
                sent.add(slot.field.name)
        return sent

    def _validate(self, plan: BodyPlan, row: Model, sent: set[str], path: Path) -> None:
        try:
            # What was not sent is not validated: an older row that breaks a newer rule elsewhere can still be changed,
            # as in the admin with fewer fields.
            row.full_clean(exclude=unsent(row, sent))
        except ValidationError as error:
            self.refuse(keys.but_for_stored(error, row, self.using), plan, path)

    def refuse(self, error: ValidationError, plan: BodyPlan, path: Path) -> None:
        """Notes `error`, under the names that clients send."""
        names = {slot.field.name: slot.key for slot in plan.slots.values() if slot.field is not None}
        self.errors += told(error, path, lambda name: names.get(name, name))

    def _relate(
        self,
        body: BaseModel,
        row: Model,
        slots: list[Slot],
        path: Path,
        values: Mapping[str, Any],
        before: Snapshot,
    ) -> None:
        """Writes what needs the key of `row`."""
        for slot in slots:
            value, place = getattr(body, slot.name), (*path, slot.key)
            if slot.kind == "keys":
                self.errors += keys.set_rows(row, slot.field, value, place, row_rules().kept_keys(row, slot))
            elif slot.kind == "many":
                self._write_rows(body, row, slot, value, place, before)
            elif slot.kind == "one" and not is_forward(slot.field):
                self._write_owned(row, slot, value, place, before)
        for name, value in values.items():
            if _is_to_many(row, name):
                getattr(row, name).set(value)

    # Nested bodies ---------------------------------------------------------------------------------------------------

    def _write_target(self, row: Model, slot: Slot, body: BaseModel | None, path: Path) -> None:
        """Writes the row that a foreign key leads to: the one that it has, or a new one."""
        if row_rules().passes_over(row, body, slot):
            return
        if body is None:
            setattr(row, slot.target, None)
            return
        current = None if row._state.adding else self._target(row, slot)
        if self._is_other(body, current, path):
            return
        found = self._write_nested(body, current, path, {})
        setattr(row, slot.target, found)

    def _target(self, row: Model, slot: Slot) -> Model | None:
        """The row that a foreign key leads to, in the database that is written: the descriptor asks `db_for_read`."""
        field = slot.field
        if field.is_cached(row) or getattr(row, field.attname) is None:
            return getattr(row, slot.target)  # type: ignore[no-any-return]
        rows = field.related_model._base_manager.using(self.using)
        return rows.get(**{field.target_field.attname: getattr(row, field.attname)})  # type: ignore[no-any-return]

    def _write_owned(self, row: Model, slot: Slot, body: BaseModel | None, path: Path, before: Snapshot) -> None:
        """Writes the one row that leads back to `row` by a one-to-one relation, or deletes it."""
        if row_rules().passes_over(row, body, slot):
            return
        current: Model | None = self._owned(row, slot, before).first()
        if body is None:
            if current is not None:
                current.delete()
        elif not self._has_no_key(row, slot, path) and not self._is_other(body, current, path):
            self._write_nested(body, current, path, {slot.field.field.name: row})
        forget(row, slot.field)

    def _is_other(self, body: BaseModel, current: Model | None, path: Path) -> bool:
        """Notes, and says, that `body` has the key of another row than the `current` one."""
        match = match_items([] if current is None else [current], [body], {}, _key_name(body), path[:-1])
        for fault in match.faults:
            self.errors.append({**fault, "loc": (*path, _key_name(body))})
        return bool(match.faults)

    def _write_rows(
        self, body: BaseModel, row: Model, slot: Slot, items: Sequence[BaseModel], path: Path, before: Snapshot
    ) -> None:
        """Makes the rows of the relation those of the list."""
        row_rules().check_list(row, slot)
        owned = not slot.field.many_to_many
        if items and owned and self._has_no_key(row, slot, path):
            return
        parent = slot.field.field if owned else None
        names = self._matching_names(body, slot, parent)
        rows = self._owned(row, slot, before) if owned else getattr(row, slot.target).using(self.using).all()
        match = match_items(rows, items, names, _key_name(items[0]) if items else "", path)
        self.errors += match.faults
        self._part_with(match.left.values(), row, slot, path)
        values = {} if parent is None else {parent.name: row}
        for place, item, current in match.pairs:
            found = self._write_nested(item, current, (*path, place), values)
            if found is not None and current is None and not owned:
                getattr(row, slot.target).add(found)
        forget(row, slot.field)

    def _part_with(self, left: Iterable[Model], row: Model, slot: Slot, path: Path) -> None:
        """Deletes the rows that belong to `row` and are `left`, or unlinks them where they stand on their own."""
        for each in left:
            if slot.field.many_to_many:
                getattr(row, slot.target).remove(each)
            elif each == row:
                self.errors.append({"type": "self", "loc": path, "msg": "The row is in this list itself. Send it."})
            else:
                # One by one, not by the queryset: an overridden `delete()` has its say.
                each.delete()

    def _has_no_key(self, row: Model, slot: Slot, path: Path) -> bool:
        """Notes, and says, that no row can point to `row`, whose column for it is null."""
        empty = [each.name for each in slot.field.field.foreign_related_fields if getattr(row, each.attname) is None]
        if empty:
            text = f"Nothing can belong to a row without {', '.join(empty)}."
            self.errors.append({"type": "null", "loc": path, "msg": text})
        return bool(empty)

    def _owned(self, row: Model, slot: Slot, before: Snapshot) -> QuerySet[Any]:
        """The rows that point to `row`, by the key that it had: only they themselves are given another one."""
        field = slot.field.field
        found: QuerySet[Any] = field.model._default_manager.using(self.using)
        pointed = before.pointed(field, row)
        # A row without a key owns none, and not those that point nowhere.
        return found.none() if None in pointed.values() else found.filter(**pointed)

    def _matching_names(self, body: BaseModel, slot: Slot, parent: Any) -> dict[str, str]:
        """The attributes of an item that tell its row, with those of the row."""
        assert slot.nested is not None
        plan = plan_of(type(body))
        names = declared(plan.schema).options.match.get(slot.name) or unique_fields(slot.field.related_model, parent)
        inner = slots_of(slot.nested)
        by_name = {each.field.name: each for each in inner if each.field is not None} | {
            each.name: each for each in inner
        }
        # The schema may lack a field of the unique constraint: no item is told by it then.
        return {by_name[name].name: by_name[name].target for name in names} if by_name.keys() >= set(names) else {}

    def _write_nested(self, body: BaseModel, row: Model | None, path: Path, values: Mapping[str, Any]) -> Model | None:
        """Writes one nested row. Returns it; None where it is not valid."""
        plan, rules = plan_of(type(body)), row_rules()
        before = None if row is None else rules.path_of(row)
        if row is None:
            missing = [plan.slots[name] for name in plan.slots if name in plan.required and not is_sent(body, name)]
            self.errors += [{"type": "missing", "loc": (*path, slot.key), "msg": "Field required"} for slot in missing]
            if missing:
                return None
            row = plan.model()
        if not self.write(body, plan, row, path, values):
            return None
        rules.wrote(row, plan.parent, path, before)
        return row


def _check_access(slots: Sequence[Slot], path: Path) -> None:
    for slot in slots:
        if not may_write(slot.orm):
            place = ".".join(map(str, (*path, slot.key)))
            # Refused, not ignored: a client would take its 200 for a write.
            raise PermissionDenied(f"{place} may not be written by this caller.")


def _check_masks(body: BaseModel, slots: Sequence[Slot], path: Path) -> None:
    # Whatever the column has: to be let pass where nothing would change would tell what it has.
    for slot in slots:
        if not may_read(slot.orm) and is_mask(plain(getattr(body, slot.name))):
            place = ".".join(map(str, (*path, slot.key)))
            raise PermissionDenied(f"{place} has what is shown to a caller who may not see it. Leave it out.")


def _key_name(body: BaseModel) -> str:
    """The name under which `body` has the key of its row."""
    info = type(body).model_fields.get("pk")
    return "pk" if info is None else info.alias or "pk"


def _is_to_many(row: Model, name: str) -> bool:
    found = model_field(type(row), name)
    return found is not None and bool(found[0].many_to_many or found[0].one_to_many)


def _field_names(row: Model, name: str) -> set[str]:
    found = model_field(type(row), name)
    return set() if found is None else {found[0].name}
