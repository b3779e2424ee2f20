"""One row: validated as far as it was sent, and saved as far as it changed.

Name used here that is not public, with a canary test: ``_committed`` of a file of a FileField. Without it a file counts
as changed.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models
from django.db.models import Model
from django.db.models.expressions import BaseExpression
from django.db.models.fields.files import FieldFile
from django.db.models.signals import pre_save
from pydantic import BaseModel

from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.declaring.values import in_utc, padded

__all__ = [
    "Snapshot",
    "changed",
    "insert",
    "key_fields",
    "plain",
    "refresh",
    "refresh_all",
    "save_changes",
    "take_stored_form",
    "unsent",
]

_ABSENT: Any = object()


def plain(value: Any) -> Any:
    """Returns `value` as a model field takes it: schemas as what JSON has, members of an Enum by value."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    return value.value if isinstance(value, Enum) else value


class Snapshot:
    """The columns of a row as they were. What was deferred is not asked for, and counts as changed."""

    def __init__(self, row: Model) -> None:
        columns = {field: row.__dict__.get(field.attname, _ABSENT) for field in row._meta.concrete_fields}
        self._columns = {field: _as_it_is_now(value) for field, value in columns.items()}

    def pointed(self, relation: Any, row: Model) -> dict[str, Any]:
        """What the rows of `relation`, which points to `row`, have as their key: it may be another in `row` by now."""
        pairs = zip(relation.local_related_fields, relation.foreign_related_fields, strict=True)
        return {own.attname: self._stored(row, there) for own, there in pairs}

    def _stored(self, row: Model, field: Any) -> Any:
        was = self._columns.get(field, _ABSENT)
        return getattr(row, field.attname) if was is _ABSENT else was

    def changed(self, row: Model) -> list[Any]:
        """Returns the fields whose values are others by now."""
        return [field for field, was in self._columns.items() if changed(was, row.__dict__.get(field.attname, _ABSENT))]


def _as_it_is_now(value: Any) -> Any:
    """Returns `value`, or a copy of what can be changed in place, as JSON and arrays can."""
    value = _comparable(value)
    kind: Any = type(value)
    # A copy of what is equal to itself alone would count as changed.
    if value is _ABSENT or isinstance(value, _UNCHANGEABLE) or kind.__eq__ is object.__eq__:
        return value
    try:
        return copy.deepcopy(value)
    except TypeError:
        return value


# The types of nearly all columns, left out to be fast.
_UNCHANGEABLE = (str, int, float, bytes, type(None), Decimal, UUID, date, timedelta, time)


def changed(was: Any, now: Any) -> bool:
    """Whether `now` is another value than `was`: to JSON, 1, 1.0 and True are three."""
    if isinstance(was, dict) and isinstance(now, dict):
        return list(was) != list(now) or any(changed(was[key], now[key]) for key in was)
    if isinstance(was, list | tuple) and isinstance(now, list | tuple):
        return len(was) != len(now) or any(map(changed, was, now))
    was, now = _comparable(was), _comparable(now)
    if type(was) is not type(now) and not (isinstance(was, str) and isinstance(now, str)):
        return True
    return bool(was != now) or (isinstance(now, float) and repr(was) != repr(now))


def _comparable(value: Any) -> Any:
    """Without what a driver or a descriptor puts around the stored value."""
    if isinstance(value, memoryview):
        return bytes(value)
    # Moments of two zones are never equal in an hour that comes twice.
    if isinstance(value, datetime) and value.tzinfo is not None:
        return in_utc(value)
    return value.name if isinstance(value, FieldFile) else value


def take_stored_form(row: Model, sent: Collection[str]) -> None:
    """Gives `row` its values as the database will give them back.

    Defaults have their column's type, decimals all places, and moments are in UTC.

    Args:
        sent: The names of the fields that `full_clean` has brought into their type.
    """
    for field in row._meta.concrete_fields:
        value = row.__dict__.get(field.attname, _ABSENT)
        if value is _ABSENT or value is None or isinstance(value, BaseExpression):
            continue
        # A default is what the model says, as in `DecimalField(default=1)`.
        if row._state.adding and field.has_default() and field.name not in sent:
            with suppress(ValidationError):
                value = field.to_python(value)
        if isinstance(field, models.DecimalField) and isinstance(value, Decimal):
            value = padded(field.decimal_places, value)
        if isinstance(field, models.DateTimeField) and isinstance(value, datetime):
            value = in_utc(value)
        if value is not row.__dict__[field.attname]:
            setattr(row, field.attname, value)


def unsent(row: Model, sent: Collection[str]) -> set[str]:
    """Returns the names of the fields that `full_clean` is to leave out: all but those that were `sent`."""
    return {field.name for field in row._meta.get_fields() if is_forward(field) and field.name not in sent}


def key_fields(model: type[Model]) -> set[Any]:
    """Returns the fields of the primary keys of `model`, and of the models whose tables it inherits."""
    return {field for each in (model, *model._meta.get_parent_list()) for field in each._meta.pk_fields}


def insert(row: Model, using: str, given: Collection[str]) -> None:
    """Saves a new row by INSERT alone.

    `save()` of a row whose key is set begins with an UPDATE, by the base manager: it would write over a row that the
    caller may not see, or that another request has made just now. `QuerySet.create()` forces the INSERT, too.

    Args:
        given: The names that the server has set itself. A link to a row of an inherited table is taken from it alone.

    Raises: django.db.IntegrityError, when there is a row of that key.
    """
    tables = [type(row), *type(row)._meta.get_parent_list()]
    chosen = [model for model in tables if _is_key_chosen(row, model)]
    if not chosen:
        row.save(using=using)
        return
    if type(row).save is not Model.save and _is_stored(row, chosen, using):
        # An override that hands no arguments on would save by UPDATE.
        raise IntegrityError(f"There is a {row._meta.verbose_name} of that key already.")
    links = {name for model in tables for link in model._meta.parents.values() if link for name in _names(link)}
    # A tuple forces the INSERT into inherited tables as well; True does not (Model.save, "force_insert").
    every = len(tables) > 1 and links.isdisjoint(given)
    row.save(using=using, force_insert=(Model,) if every else True)


def _names(field: Any) -> tuple[str, str]:
    return field.name, field.attname


def _is_key_chosen(row: Model, model: type[Model]) -> bool:
    """Whether the key of `row` in the table of `model` is set, and is none that Django inserts by itself."""
    key = model._meta.pk_fields
    # With a default there is no UPDATE, and a `save` of a project's own that saves twice goes on to work.
    inserts = all(field.has_default() or field.has_db_default() for field in key)
    return not inserts and all(getattr(row, field.attname) is not None for field in key)


def _is_stored(row: Model, tables: Iterable[type[Model]], using: str) -> bool:
    keys = [({field.attname: getattr(row, field.attname) for field in each._meta.pk_fields}, each) for each in tables]
    return any(model._base_manager.using(using).filter(**key).exists() for key, model in keys)


def save_changes(row: Model, fields: Collection[Any]) -> None:
    """Saves the changed `fields` of a row that is stored, and those that change with each save; nothing for none.

    A model that overrides `save`, or has a receiver of `pre_save`, gets a plain one: what they set is to be saved too.
    """
    if not fields:
        return
    if type(row).save is not Model.save:
        row.save()
    else:
        names = {field.name for field in fields} | {field.name for field in _set_by_saving(row)}
        # Only an UPDATE: a row that another request has deleted is not to come back.
        how: Any = {"force_update": True} if pre_save.has_listeners(type(row)) else {"update_fields": names}
        try:
            row.save(**how)
        except DatabaseError as error:
            if not _found_none(row, error):
                raise
            raise row.DoesNotExist(f"There is no such {row._meta.verbose_name} any more.") from error
    refresh(row, changed_by_update=True)


def _found_none(row: Model, error: DatabaseError) -> bool:
    """Whether `save()` says that it has found no row to change: another request has deleted it."""
    # Django 6.0 has a class for it. The drivers' errors are subclasses of Django's, and never DatabaseError itself.
    not_updated: type[Exception] | None = getattr(row, "NotUpdated", None)
    return type(error) is DatabaseError if not_updated is None else isinstance(error, not_updated)


def _set_by_saving(row: Model) -> list[Any]:
    return [field for field in row._meta.concrete_fields if not field.generated and _changes_when_saved(row, field)]


def _changes_when_saved(row: Model, field: Any) -> bool:
    """Whether `pre_save` of `field` gives it another value: Django's own say when, of others it is assumed."""
    method = type(field).pre_save
    if method in (models.DateField.pre_save, models.DateTimeField.pre_save, models.TimeField.pre_save):
        return bool(field.auto_now)
    if method is models.FileField.pre_save:
        file = getattr(row, field.attname)
        return bool(file) and not getattr(file, "_committed", False)
    return method is not models.Field.pre_save


def refresh(row: Model, *, changed_by_update: bool = False) -> None:
    """Loads what the database alone knows after a write: defaults that it gives, and generated columns.

    Args:
        changed_by_update: Whether generated columns that have a value may have another by now.
    """
    if stale := _stale(row, changed_by_update=changed_by_update):
        # From where it was saved: by `db_for_read` a router may name a replica, which has not got the row yet.
        row.refresh_from_db(using=row._state.db, fields=stale)


def refresh_all(rows: Sequence[Model]) -> None:
    """Does the same for new rows of one model, in one query. Rows whose keys the database did not tell stay."""
    stale = {row.pk: names for row in rows if row.pk is not None and (names := _stale(row))}
    if not stale:
        return
    manager = type(rows[0])._base_manager.using(rows[0]._state.db)
    stored = manager.only(*set().union(*stale.values())).in_bulk(list(stale))
    for row in rows:
        for name in stale.get(row.pk, ()):
            setattr(row, name, getattr(stored[row.pk], name))


def _stale(row: Model, *, changed_by_update: bool = False) -> list[str]:
    return [field.attname for field in row._meta.concrete_fields if _is_stale(row, field, changed_by_update)]


def _is_stale(row: Model, field: Any, changed_by_update: bool) -> bool:
    value = row.__dict__.get(field.attname, _ABSENT)
    return isinstance(value, BaseExpression) or (field.generated and (changed_by_update or value is _ABSENT))
