"""Which rows a body may name: those that the caller may see.

A key in a body that names a row which may not be seen is refused with the very words for one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from django.db.models import Model
from fastapi.exceptions import RequestValidationError
from pydantic import MISSING, BaseModel

from djfast_mount.crud.access.visibility import Visibility, has_rows_of
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.writing.keys import stored_keys
from djfast_mount.schemas.writing.slots import Slot, plan_of

__all__ = ["check_named", "check_once", "check_rules"]

Place = tuple[str | int, ...]
# What a body names: the model, the column of the value, the value, where it stands, and the field that it is for.
Named = tuple[type[Model], str, Any, Place, Any]


def check_named(bodies: Sequence[tuple[Place, BaseModel]], visibility: Visibility) -> None:
    """Raises RequestValidationError where one of the `bodies`, each at its place, names a row that may not be seen.

    Takes one query for each column that values are of, and one more for every few thousand values.
    """
    wanted: dict[tuple[type[Model], str], list[Named]] = {}
    for place, body in bodies:
        for named in _named(body, place):
            if visibility.restricts(named[0]):
                wanted.setdefault(named[:2], []).append(named)
    errors = []
    for (model, column), found in wanted.items():
        # One query for a column, however many rows a body names: a bulk request may hold a thousand, and one query for
        # each would be an N+1 that any client could cause.
        known = stored_keys(visibility.rows(model), {value for _, _, value, _, _ in found}, column)
        errors += [_refused(named) for named in found if named[2] not in known]
    if errors:
        raise RequestValidationError(errors)


def check_once(root: Resource) -> None:
    """Does what `check_rules` does, where it has not been done for `root`."""
    if not root.sound:
        check_rules(root)
        root.sound = True


def check_rules(root: Resource) -> None:
    """Raises ConfigurationError where the rules of the tree leave a way around them, or a row that cannot be shown.

    It says nothing where there are no rules at all: every row may be seen then.
    """
    ruled = {model for resource in root.walk() for model in resource.rows}
    hidden = ruled | {resource.model for resource in root.walk() if resource.deletion.gone}
    if hidden:
        _check_filters(root, _with_rows_below(root, hidden))
        _check_circles(root)
    # Rules are all or nothing in a tree: once one model has a rule, a body that names rows of a model without one is an
    # open way around it.
    if ruled:
        _check_named_models(root, _with_rows_below(root, ruled))


def _with_rows_below(root: Resource, models: set[type[Model]]) -> set[type[Model]]:
    return models | {each.model for each in root.walk() if any(above.model in models for above in each.parents())}


def _check_named_models(root: Resource, ruled: set[type[Model]]) -> None:
    for resource, action, place, model in _named_in(root):
        if not any(has_rows_of(model, each) for each in ruled):
            name = model.__name__
            raise ConfigurationError(
                f"The body of {action} of {resource.model.__name__} names rows of {name} in {place!r}, and no rows= "
                f"says which of them a caller may see. Give related_rows={{{name}: ...}}: a dependency that returns a "
                "Q, or every_row."
            )


def _check_circles(root: Resource) -> None:
    """A row is hidden if one is without which it cannot be shown: in a circle that would have no end."""
    needed = [each for resource in root.walk() for each in resource.needed]
    for model, relation in needed:
        reached = [relation.related_model]
        for each in reached:
            reached += [
                found.related_model for below, found in needed if below is each and found.related_model not in reached
            ]
        if model in reached:
            raise ConfigurationError(
                f"{root.label}: a {model.__name__} is not shown without its {relation.name}, whose row may be hidden, "
                f"and that leads back to a {model.__name__}. Annotate {relation.name} in the schema with | None."
            )


def _check_filters(root: Resource, hidden: set[type[Model]]) -> None:
    for resource in root.walk():
        own = resource.filters.own
        if own is None:
            continue
        # The queries of a FilterSet are its own: no rule can be put inside of them, so a filter over a ruled model
        # could find out what is in hidden rows.
        for name, model in own.models(resource.model):
            if any(has_rows_of(model, each) for each in hidden):
                raise ConfigurationError(
                    f"The filter {name!r} of {resource.label} asks for rows of {model.__name__}, of which a caller may "
                    "not see all. Take it out, or name filters of the schema, which ask for visible rows alone."
                )
        for name in own.unchecked():
            raise ConfigurationError(
                f"{name} of {resource.label} runs code of its own, and could find rows by related ones that are hidden "
                f"from the caller. If it does not, say so: FilterSetFilters(..., checked=[{name!r}])."
            )


def _named_in(root: Resource) -> Iterator[tuple[Resource, str, str, type[Model]]]:
    for resource in root.walk():
        for action, body in resource.bodies.items():
            yield from ((resource, action, place, model) for place, model in named_models(body))


def named_models(body: type[BaseModel]) -> Iterator[tuple[str, type[Model]]]:
    """Every model of which a body may name a row, with where it may."""
    for slot in plan_of(body).slots.values():
        if slot.field is None or not slot.field.is_relation:
            continue
        if slot.kind in ("column", "keys"):
            yield slot.key, slot.field.related_model
        elif slot.nested is not None:
            nested = nested_body(body.model_fields[slot.name].annotation)
            yield from () if nested is None else named_models(nested)


def nested_body(annotation: Any) -> type[BaseModel] | None:
    """Returns the body that is nested in a field of this annotation."""
    if isinstance(annotation, type) and hasattr(annotation, "__body_plan__"):
        return annotation
    return next((found for each in get_args(annotation) if (found := nested_body(each)) is not None), None)


def _named(body: BaseModel, place: Place) -> Iterator[Named]:
    for name, slot in plan_of(type(body)).slots.items():
        value = getattr(body, name)
        if value is None or value is MISSING or slot.field is None or not slot.field.is_relation:
            continue
        yield from _named_by(slot, value, (*place, slot.key))


def _named_by(slot: Slot, value: Any, place: Place) -> Iterator[Named]:
    model = slot.field.related_model
    if slot.kind == "column":
        yield model, slot.field.target_field.attname, value, place, slot.field
    elif slot.kind == "keys":
        for number, key in enumerate(value):
            yield model, "pk", key, (*place, number), slot.field
    else:
        several = isinstance(value, list)
        for number, item in enumerate(value if several else [value]):
            inner = (*place, number) if several else place
            key = getattr(item, "pk", MISSING)
            if key is not MISSING and key is not None:
                yield model, "pk", key, (*inner, model._meta.pk.name), slot.field
            yield from _named(item, inner)


def _refused(named: Named) -> dict[str, Any]:
    model, _, value, place, field = named
    if is_forward(field) and not field.many_to_many:
        # Django's own words for a key that is not there, translated. Words of ours would tell a hidden row from a
        # missing one.
        told = field.error_messages["invalid"] % {
            "model": model._meta.verbose_name,
            "pk": value,
            "field": field.remote_field.field_name,
            "value": value,
        }
        return {"type": "invalid", "loc": place, "msg": str(told), "input": value}
    return {"type": "invalid_choice", "loc": place, "msg": f"There is no {model._meta.verbose_name} {value!r}."}
