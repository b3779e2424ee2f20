"""Writes: each in one transaction, on a row that is locked, guarded before and looked at after.

Call them inside `transaction_of(call)`, and read there what is answered: outside it another call may have changed the
row already.

1. Whatever a body names must be visible before anything is written.
2. A row that the caller may not see is not written, deleted or unlinked by way of another row: `RowsInWrites`.
3. What was written must be visible afterwards, nested rows too, or it is undone: 403. So is what the caller may not do
   beside it.
4. Several rows are written all or not at all. They are looked up, locked and looked at together: what is asked of each
   alone is its own saving.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from djfast_mount.crud.access.call import Call, not_found
from djfast_mount.crud.access.rows_in_bodies import check_named
from djfast_mount.crud.access.rows_in_writes import RowsInWrites
from djfast_mount.crud.access.scopes import has_permission
from djfast_mount.crud.writing.changes import key_in
from djfast_mount.crud.writing.etags import check_if_match, check_if_none_match, etag_of, listed
from djfast_mount.crud.writing.paths import PathsOfTree, check_path, path_keys
from djfast_mount.crud.writing.side_effects import SideEffects, lock_nested
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.writing.keys import stored_keys
from djfast_mount.schemas.writing.row_rules import ruled_by

__all__ = ["change", "change_many", "check_row_permission", "create", "delete", "locked", "transaction_of"]

Keys = Mapping[str, Any]
Place = tuple[str | int, ...]


def transaction_of(call: Call) -> Any:
    """Returns the transaction in which `call` writes."""
    return transaction.atomic(using=call.using)


def create(call: Call, bodies: Sequence[BaseModel], *, several: bool = False) -> list[Model]:
    """Returns a new row for each of the `bodies`.

    Args:
        several: Whether they came in a list: places in errors have the number of the body then.
    """
    places = [(("body", number) if several else ("body",), body) for number, body in enumerate(bodies)]
    check_named(places, call.visibility)
    rows: list[Model] = []
    related = RowsInWrites(call.visibility, PathsOfTree(call.resource))
    for place, body in places:
        effects = SideEffects(call.resource, call.action, call.access, body, None)
        with _at(place), ruled_by(related):
            rows.append(_made(call, call.resource.hooks.create_row(call, body)))
            check_path(call.resource, rows[-1])
        effects.check(rows[-1])
    related.check(rows, call.written())
    return rows


def _made(call: Call, row: Any) -> Model:
    """Returns `row`, which the hook `create_row` has made. Raises: ConfigurationError, when it is none."""
    if isinstance(row, Model):
        return row
    # Django's errors would speak of a NoneType, and not of the hook that has no `return`.
    raise ConfigurationError(
        f"{call.resource.label}: the hook create_row returned {row!r}. Return the new row, as in return "
        "body.create(**call.values)."
    )


def change(call: Call, keys: Keys, body: BaseModel, *, whole: bool = False) -> Model:
    """Returns the row that `keys` name, changed as `body` says."""
    row = locked(call, {key.column: keys[key.parameter] for key in call.resource.keys})
    check_row_permission(call, row)
    if call.resource.if_match != "off" and listed(call.request.headers, "if-match") is not None:
        lock_nested(row, body)
    _check_unchanged(call, row)
    _change(call, [(("body",), row, body)], whole=whole)
    return row


def change_many(call: Call, changes: Sequence[BaseModel]) -> list[Model]:
    """Returns the rows that `changes` name, each changed.

    Raises: RequestValidationError, when one is named that may not be seen, or one twice; HTTPException 404, when one
        has gone while this call waited for its lock.
    """
    model = call.resource.model
    seen = list(stored_keys(call.rows(), [key_in(item, model) for item in changes]))
    rows = {row.pk: row for row in _locked(call, {"pk__in": seen})}
    if len(rows) != len(seen):
        raise not_found()
    for row in rows.values():
        check_row_permission(call, row)
    _check_keys(call, changes, rows)
    items = [(("body", n), rows[key_in(item, model)], item) for n, item in enumerate(changes)]
    _change(call, items, whole=False)
    return [rows[key_in(item, model)] for item in changes]


def delete(call: Call, keys: Keys) -> None:
    """Deletes the row that `keys` name."""
    row = locked(call, {key.column: keys[key.parameter] for key in call.resource.keys})
    check_row_permission(call, row)
    _check_unchanged(call, row)
    call.resource.hooks.delete_row(call, row)


def locked(call: Call, condition: Mapping[str, Any]) -> Model:
    """Returns a row that no other transaction changes until this one ends. Raises: HTTPException 404."""
    rows = _locked(call, condition)
    if not rows:
        raise not_found()
    return rows[0]


def _locked(call: Call, condition: Mapping[str, Any]) -> list[Model]:
    """Returns the visible rows that pass `condition`, locked."""
    visible = call.rows().filter(**condition).order_by().values("pk")
    # Rules may join other tables, which are not to be locked, and cannot be where they may lack a row.
    rows = call.resource.model._base_manager.using(visible.db).select_for_update()
    # In the order of their keys: of two calls that change the same rows, neither waits for one that the other holds.
    found = list(rows.filter(pk__in=visible).order_by("pk"))
    if not (found and connections[visible.db].features.has_select_for_update):
        return found
    # Asked again, once nobody else changes the rows: while this call waited for the lock, another may have moved a row
    # to where the caller does not see it. The subquery above is as old as the wait.
    keys = set(visible.values_list("pk", flat=True))
    return [row for row in found if row.pk in keys]


def check_row_permission(call: Call, row: Model) -> None:
    """Raises HTTPException 403 where Django's permissions do not allow the action on `row`; 404 where not even to see
    it."""
    if call.resource.permissions is None:
        return
    user = call.access
    wanted, view = call.resource.permission(call.action), call.resource.permission("read")
    if not has_permission(user, wanted, row):
        # A caller who may not even see the row is not told that it is there.
        raise HTTPException(403, "Forbidden") if has_permission(user, view, row) else not_found()
    if call.action == "read":
        call.resource.check_nested(user)


def _check_unchanged(call: Call, row: Model) -> None:
    """Raises HTTPException 412 where the client's ``If-Match`` is stale, or its ``If-None-Match`` is not; 428 where
    the first is needed and absent."""
    kind = call.resource.if_match
    if_match, if_none_match = (listed(call.request.headers, name) for name in ("if-match", "if-none-match"))
    if if_match is None and kind == "required":
        raise HTTPException(428, "Send If-Match with the ETag of the row as you know it.")
    if (if_match is None and if_none_match is None) or kind == "off":
        return
    etag = etag_of(call.json_of(row), shape_of(call.resource.schema))
    check_if_match(if_match, etag)
    check_if_none_match(if_none_match, etag)


def _change(call: Call, items: Sequence[tuple[Place, Model, BaseModel]], *, whole: bool) -> None:
    check_named([(place, body) for place, _, body in items], call.visibility)
    hook = call.resource.hooks.replace_row if whole else call.resource.hooks.update_row
    rows, done = [row for _, row, _ in items], []
    related = RowsInWrites(call.visibility, PathsOfTree(call.resource))
    for place, row, body in items:
        effects = SideEffects(call.resource, call.action, call.access, body, row)
        before = path_keys(call.resource, row)
        with _at(place), ruled_by(related):
            hook(call, row, related.kept(row, body, whole=whole))
            if path_keys(call.resource, row) != before:
                check_path(call.resource, row)
        effects.check(row)
        done.append(effects)
    related.check(rows, call.written())
    done[-1].check_marks(rows)


@contextmanager
def _at(place: Place) -> Iterator[None]:
    """Has errors say where in the whole body they are."""
    try:
        yield
    except RequestValidationError as error:
        if place == ("body",):
            raise
        told = [{**each, "loc": (*place, *each["loc"][1:])} for each in error.errors()]
        raise RequestValidationError(told) from error


def _check_keys(call: Call, changes: Sequence[BaseModel], rows: Mapping[Any, Model]) -> None:
    errors: list[dict[str, Any]] = []
    seen: set[Any] = set()
    for number, item in enumerate(changes):
        key = key_in(item, call.resource.model)
        if key not in rows or key in seen:
            what = "is there twice" if key in seen else "is not there"
            told = f"The {call.resource.model._meta.verbose_name} {key!r} {what}."
            errors.append({"type": "invalid_key", "loc": ("body", number), "msg": told, "input": key})
        seen.add(key)
    if errors:
        raise RequestValidationError(errors)
