"""The condition that the filters of a request make.

1. Relations are asked by EXISTS: no row comes twice, and no DISTINCT is needed.
2. All parameters of one relation speak of the same related row: ``departments__name=a&departments__size__gte=5`` finds
   companies with a department that is both.
3. The opposite of a filter is true for nulls too: ``!name=x`` finds whatever is not `x`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import BooleanField, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.crud.query.filters import NOT, Filters
from djfast_mount.crud.query.measures import measure_of
from djfast_mount.crud.query.parameters import Parameter

__all__ = ["condition_of"]

_COMPARISONS = {"gte": GreaterThanOrEqual, "lte": LessThanOrEqual}


def condition_of(filters: Filters, values: Mapping[str, Any], visibility: Visibility) -> Q:
    """Returns what `values`, by parameter, ask for. None stands for a parameter that was not sent."""
    asked = [
        (filters.parameters[name.removeprefix(NOT)], value, name.startswith(NOT))
        for name, value in values.items()
        if value is not None and name.removeprefix(NOT) in filters.parameters
    ]
    model = filters.exposure.model
    condition = _joined(model, [(parameter, value) for parameter, value, opposite in asked if not opposite], visibility)
    for parameter, value, opposite in asked:
        # Each opposite by itself: `!a__x=1&!a__y=2` leaves out rows with either, where one EXISTS for both would leave
        # out only those that have both in one related row.
        if opposite:
            condition &= ~_joined(model, [(parameter, value)], visibility)
    return condition


def _joined(model: Any, asked: list[tuple[Parameter, Any]], visibility: Visibility) -> Q:
    return _conditions(model, [(parameter, parameter.path, value) for parameter, value in asked], visibility)


def _conditions(model: Any, asked: list[tuple[Parameter, tuple[str, ...], Any]], visibility: Visibility) -> Q:
    """The condition for rows of `model`; the paths are what is left of each parameter's way."""
    condition = Q()
    below: dict[str, list[tuple[Parameter, tuple[str, ...], Any]]] = {}
    for parameter, path, value in asked:
        if path:
            below.setdefault(path[0], []).append((parameter, path[1:], value))
        elif parameter.measure is not None:
            condition &= Q(_comparison(model, parameter, value, visibility))
        else:
            condition &= _of_column(model, parameter, value, visibility)
    for name, further in below.items():
        inner = _conditions(relation(model, name).related_model, further, visibility)
        # Through `behind()`, so that a filter finds nothing by a related row that the caller may not see.
        condition &= Q(visibility.behind(model, name, inner))
    return condition


def _of_column(model: Any, parameter: Parameter, value: Any, visibility: Visibility) -> Q:
    condition = Q((parameter.lookup, value))
    if parameter.as_row is None or visibility.nested(relation(model, parameter.as_row)) is None:
        return condition
    shown = Q(visibility.behind(model, parameter.as_row))
    if parameter.lookup.endswith("__isnull"):
        return ~shown if value else shown
    return condition & shown


def _comparison(model: Any, parameter: Parameter, value: Any, visibility: Visibility) -> Any:
    name, _, side = parameter.lookup.partition("__")
    measured = measure_of(visibility, model, name, parameter.measure or "count", parameter.measured)
    comparison = _COMPARISONS.get(side, Exact)(measured, value)
    if parameter.measured is None:
        return comparison
    # A sum over no rows is null, of which the opposite would be null too.
    # Null is neither true nor false: NOT of it would leave the row out of both the filter and its opposite.
    return Coalesce(comparison, Value(False), output_field=BooleanField())
