"""Related rows that a write leaves alone: those that the caller may not see, at every depth.

1. A hidden row is neither written, deleted nor unlinked by a write to the row that leads to it, and gets no rows below.
2. A body that would do so is 409. One that sends back what was shown, null or a list of keys, changes nothing there.
3. Every row that was written must be visible afterwards, or all is undone: 403.
4. One that has a resource in the tree must have a key that a path can name, or all is undone: 422.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from django.db.models import Model, QuerySet
from fastapi import HTTPException
from pydantic import MISSING, BaseModel

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.declaring.mapping import is_forward, may_write
from djfast_mount.schemas.writing.invalid import Path
from djfast_mount.schemas.writing.keys import stored_keys
from djfast_mount.schemas.writing.slots import Slot, plan_of, slots_of

__all__ = ["RowsInWrites"]


class Paths(Protocol):
    """The paths of rows that have a resource of their own in the tree."""

    def of(self, row: Model, /) -> Any:
        """Returns the values by which they name `row`."""

    def check(self, row: Model, place: Path, /) -> None:
        """Raises RequestValidationError where none can name `row`, which stands at `place` in the body."""


class RowsInWrites:
    """The rules of one call that writes: what the writing of each body asks, and what was written."""

    def __init__(self, visibility: Visibility, paths: Paths) -> None:
        self._visibility = visibility
        self._paths = paths
        self._checked: set[tuple[type[Model], Any, str]] = set()
        self._written: dict[tuple[type[Model], Any], set[Any]] = {}

    def kept(self, row: Model, body: BaseModel, *, whole: bool) -> BaseModel:
        """Returns `body` with what leads to hidden rows of `row` as it is, for a hook that writes relations itself.

        Args:
            whole: Whether what was not sent gets its default.

        Raises: HTTPException 409, where a nested list would delete hidden rows.
        """
        plan = plan_of(type(body))
        kept: dict[str, Any] = {}
        for name, slot in plan.slots.items():
            value = getattr(body, name)
            if value is MISSING and not whole:
                continue
            if slot.kind == "keys" and isinstance(value, list):
                kept[name] = [*value, *self.kept_keys(row, slot)]
            elif slot.kind == "many" and isinstance(value, list):
                self.check_list(row, slot)
            elif (value is None or value is MISSING) and self._keeps_key(row, slot, plan.schema):
                kept[name] = getattr(row, slot.field.attname)
        return body.model_copy(update=kept) if kept else body

    def passes_over(self, row: Model, body: BaseModel | None, slot: Slot) -> bool:
        """Whether what `row` leads to stays, as it is hidden. Raises: HTTPException 409, where there is a `body`."""
        if not self._is_hidden(row, slot.field):
            return False
        # Null is what the caller was shown: a client that sends it back means no harm, and does none.
        if body is not None:
            raise HTTPException(409, f"{slot.key} leads to a row that is not shown, which cannot be changed here.")
        return True

    def check_list(self, row: Model, slot: Slot) -> None:
        """Raises HTTPException 409 where the rows of the relation, or rows below them, are not all shown."""
        place = (type(row), row.pk, slot.name)
        if place in self._checked:
            return
        self._checked.add(place)
        field = slot.field
        back = field.related_query_name() if is_forward(field) else field.field.name
        for lookup, relation in _below(slot.nested, back, field):
            shown = self._visibility.nested(relation)
            if shown is None:
                continue
            # The base manager: a default manager that leaves rows out would leave out the very rows that must not be
            # deleted unseen.
            rows = relation.related_model._base_manager.using(row._state.db).filter(**{lookup: row})
            if rows.exclude(pk__in=shown.values("pk")).exists():
                told = f"{slot.key} has rows that are not shown: change the others one by one, at their own paths."
                raise HTTPException(409, told)

    def kept_keys(self, row: Model, slot: Slot) -> Sequence[Any]:
        """Returns the keys of the linked rows that are hidden."""
        shown = self._visibility.nested(slot.field)
        if shown is None:
            return ()
        # Django's `set()` unlinks whatever the list lacks. A client that cannot see a link would cut it by sending back
        # the list that it was shown.
        linked = getattr(row, slot.target).using(row._state.db)
        return list(linked.exclude(pk__in=shown.values("pk")).values_list("pk", flat=True))

    def path_of(self, row: Model) -> Any:
        """Returns the values by which paths name `row`."""
        return self._paths.of(row)

    def wrote(self, row: Model, below: Any, path: Path, before: Any) -> None:
        """Notes a nested row that was written. Raises: RequestValidationError, where no path names it."""
        # One that had such a key before may be sent back as it is.
        if self._paths.of(row) != before:
            self._paths.check(row, path)
        self._written.setdefault((type(row), below), set()).add(row.pk)

    def check(self, rows: Sequence[Model], visible: QuerySet[Any]) -> None:
        """Raises HTTPException 403 where one of `rows` is not among the `visible` ones now, or one that was written
        with them may not be seen."""
        # Asked of the database after the write, in its transaction: a trigger, a generated column or `save()` may have
        # changed what the rule reads. The error rolls the write back.
        _check(visible, {row.pk for row in rows})
        for (model, below), keys in self._written.items():
            if self._visibility.restricts(model, below=below):
                # Rows that count as deleted are among them: who may mark them is another question.
                _check(self._visibility.rows(model, gone=True, below=below), keys)

    def _keeps_key(self, row: Model, slot: Slot, schema: Any) -> bool:
        """Whether `slot` is the key of a hidden row that is shown as null, and the caller would cut it off."""
        # Where the key itself is shown, null is said knowingly. What a caller may not write others see to.
        shown = [member for member in shape_of(schema).members if member.field is slot.field]
        as_null = slot.kind == "column" and bool(shown) and all(member.shape is not None for member in shown)
        return as_null and may_write(slot.orm) and self._is_hidden(row, slot.field)

    def _is_hidden(self, row: Model, relation: Any) -> bool:
        """Whether the one row that `relation` leads to is hidden."""
        shown = None if row._state.adding else self._visibility.nested(relation)
        if shown is None:
            return False
        if is_forward(relation):
            key = getattr(row, relation.attname)
            return key is not None and not shown.filter(**{relation.target_field.attname: key}).exists()
        rows = relation.related_model._base_manager.using(row._state.db).filter(**{relation.field.name: row})
        return bool(rows.exclude(pk__in=shown.values("pk")).exists())


def _check(visible: QuerySet[Any], keys: Collection[Any]) -> None:
    if len(stored_keys(visible, keys)) != len(keys):
        raise HTTPException(403, "Forbidden: you may not write a row that you could not see.")


def _below(schema: Any, lookup: str, relation: Any) -> Iterator[tuple[str, Any]]:
    """The relations to the rows that a nested list owns, at every depth, and how each leads back to the outer row."""
    yield lookup, relation
    for inner in slots_of(schema):
        if inner.nested is not None and not is_forward(inner.field) and not inner.field.many_to_many:
            yield from _below(inner.nested, f"{inner.field.field.name}__{lookup}", inner.field)
