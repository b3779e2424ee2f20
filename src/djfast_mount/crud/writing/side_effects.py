"""What a write does beside the action of its route, and whether the caller may do that too.

1. To set the mark of `SoftDelete` is to delete: it needs what DELETE needs.
2. Callers create, change and delete a nested row who may do so at the resource of its model in the tree. A model
   without a resource belongs to the row that it is nested in; Django's permissions are asked for it all the same.
3. A row that a nested list leaves out is deleted from the database. Where its resource keeps deleted rows, that is 409.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Model
from fastapi import HTTPException
from pydantic import MISSING, BaseModel

from djfast_mount.crud.access.scopes import Action, has_permission, has_scopes, permission_of
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.writing.slots import Slot, plan_of, slots_of

__all__ = ["SideEffects", "lock_nested"]

_WRITES: Sequence[Action] = ("create", "update", "delete")
# By model and key: the resources that say who may write the row, and the row as it was read.
_Rows = dict[tuple[type[Model], Any], tuple[list[Resource], Model]]


class SideEffects:
    """What one body does to nested rows, and to the mark of the row itself.

    Make it before the row is written, and call `check()` afterwards, both in one transaction.

    Args:
        action: The action of the route.
        access: What `security` returned.
        row: The row as it is; None where it is created.
    """

    def __init__(self, resource: Resource, action: Action, access: Any, body: BaseModel, row: Model | None) -> None:
        self._resource = resource
        self._action = action
        self._access = access
        self._is_new = row is None
        self._slots = [
            slot
            for name, slot in plan_of(type(body)).slots.items()
            if slot.nested is not None and getattr(body, name) is not MISSING and self._is_guarded(slot)
        ]
        # Read before the write, since afterwards nobody can tell a row that was there from one that the body has made.
        self._before: _Rows = {} if row is None else dict(self._nested(row, self._slots))

    def check(self, row: Model) -> None:
        """Raises HTTPException 403 where the caller may not do what was done to `row` and below it; 409 where a nested
        row was deleted that is to be kept."""
        after = dict(self._nested(row, self._slots))
        for key, (resources, found) in after.items():
            if key not in self._before:
                self._demand(resources, "create", found)
            # By the columns: a body that sends a nested row back as it was asks for no permission to change it.
            elif _values(found) != _values(self._before[key][1]):
                gone = any(_is_gone(each, found) for each in resources)
                self._demand(resources, "delete" if gone else "update", found)
        # Gone from the list is not gone from the table: a row of a nullable relation is only unlinked.
        for key in self._before.keys() - after.keys():
            resources, found = self._before[key]
            if not _exists(found):
                _check_kept(resources)
                self._demand(resources, "delete", found)

    def check_marks(self, rows: Sequence[Model]) -> None:
        """Raises HTTPException 403 where one of the changed `rows` counts as deleted now, and the caller may not delete
        it."""
        gone = self._resource.deletion.gone
        if not gone:
            return
        # Otherwise a caller who may update and not delete deletes by PATCH.
        stored = type(rows[0])._base_manager.using(rows[0]._state.db)
        marked = set(stored.filter(gone, pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
        for row in rows:
            if row.pk in marked:
                self._demand([self._resource], "delete", row)

    def _demand(self, resources: list[Resource], action: Action, row: Model) -> None:
        allowed = (self._may(each, action, row) for each in resources) if resources else [self._has(action, row)]
        if not any(allowed):
            name = type(row)._meta.verbose_name
            raise HTTPException(403, f"Forbidden: you may not {action} a {name}.")

    def _has(self, action: Action, row: Model) -> bool:
        """Whether the caller has Django's permission for a nested row whose model has no resource."""
        return has_permission(self._access, permission_of(type(row), action), row)

    def _may(self, resource: Resource, action: Action, row: Model) -> bool:
        if self._passes_anyway(resource, action):
            return True
        access = self._access
        if access is None or not has_scopes(access, self._wanted(resource, action)):
            return False
        return resource.permissions is None or has_permission(access, resource.permission(action), row)

    def _passes_anyway(self, resource: Resource, action: Action) -> bool:
        """Whether every caller whom the route lets in may do `action`, too."""
        if resource.permissions is not None:
            return False
        passed = self._resource.wanted_scopes(self._action)
        # Any one scope is enough, and the caller has shown one of each list of `passed`: only if all of such a list are
        # among those that are wanted is that a proof.
        return all(any(set(each) <= set(scopes) for each in passed) for scopes in self._wanted(resource, action))

    def _wanted(self, resource: Resource, action: Action) -> Sequence[Sequence[str]]:
        if not (self._is_new and action == "create"):
            return resource.wanted_scopes(action)
        # What comes with a new row is part of it, unless its resource has scopes of its own: an order with its items is
        # created in one call by a caller who may create orders. There is no parent yet that could be updated.
        own = () if resource.takes_scopes_over else resource.scopes.of(action)
        return [own] if own else []

    def _is_guarded(self, slot: Slot) -> bool:
        resources = self._resources(slot)
        if self._asks_for(resources) and not any(self._is_open(each) for each in resources):
            return True
        return any(self._is_guarded(inner) for inner in _nested_slots(slot))

    def _asks_for(self, resources: Sequence[Resource]) -> bool:
        """Whether nested rows of a model with these `resources` need anything."""
        return bool(resources) or self._resource.permissions is not None

    def _is_open(self, resource: Resource) -> bool:
        return not resource.deletion.gone and all(self._passes_anyway(resource, action) for action in _WRITES)

    def _resources(self, slot: Slot) -> list[Resource]:
        model = slot.field.related_model
        every = self._resource.root().walk()
        # A proxy is the same table: a nested list of the proxy must not pass the resource of the model by.
        return [each for each in every if each.model._meta.concrete_model is model._meta.concrete_model]

    def _nested(self, row: Model, slots: Sequence[Slot]) -> Iterator[tuple[Any, tuple[list[Resource], Model]]]:
        for slot in slots:
            resources = self._resources(slot)
            for found in _related(row, slot):
                if self._asks_for(resources):
                    yield (type(found)._meta.concrete_model, found.pk), (resources, found)
                yield from self._nested(found, list(_nested_slots(slot)))


def lock_nested(row: Model, body: BaseModel) -> None:
    """Locks the rows that `body` may write by way of `row`, at every depth, as they are part of the tag of `row`."""
    slots = plan_of(type(body)).slots.items()
    _lock(row, [slot for name, slot in slots if slot.nested is not None and getattr(body, name) is not MISSING])


def _lock(row: Model, slots: Sequence[Slot]) -> None:
    for slot in slots:
        found = _related(row, slot)
        # By the base manager, and by keys: a manager that joins or has DISTINCT cannot lock.
        rows = slot.field.related_model._base_manager.using(row._state.db).select_for_update()
        for each in rows.filter(pk__in=[each.pk for each in found]).order_by("pk") if found else ():
            _lock(each, list(_nested_slots(slot)))


def _nested_slots(slot: Slot) -> Iterator[Slot]:
    assert slot.nested is not None
    return (inner for inner in slots_of(slot.nested) if inner.nested is not None)


def _related(row: Model, slot: Slot) -> list[Model]:
    field, using = slot.field, row._state.db
    if field.many_to_many:
        return list(getattr(row, slot.target).using(using))
    rows = field.related_model._base_manager.using(using)
    if is_forward(field):
        return list(rows.filter(**{field.target_field.attname: getattr(row, field.attname)}))
    return list(rows.filter(**{field.field.name: row}))


def _values(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _exists(row: Model) -> bool:
    return type(row)._base_manager.using(row._state.db).filter(pk=row.pk).exists()


def _is_gone(resource: Resource, row: Model) -> bool:
    gone = resource.deletion.gone
    return bool(gone) and type(row)._base_manager.using(row._state.db).filter(gone, pk=row.pk).exists()


def _check_kept(resources: Sequence[Resource]) -> None:
    kept = next((each for each in resources if each.deletion.gone), None)
    if kept is not None:
        many = kept.model._meta.verbose_name_plural
        raise HTTPException(
            409, f"The list leaves out {many}, and deleted {many} are kept: DELETE each at its own path."
        )
