"""Numbers of related rows, by subqueries of their own: two in one statement do not multiply each other."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Avg, Count, Max, Min, Model, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.crud.query.fields import Measure
from djfast_mount.schemas.declaring.mapping import is_forward

__all__ = ["AGGREGATES", "count_of", "measure_of"]

AGGREGATES = {"avg": Avg, "count": Count, "max": Max, "min": Min, "sum": Sum}


def count_of(visibility: Visibility, model: type[Model], name: str) -> Any:
    """An expression: how many visible rows the relation `name` of a row of `model` has. Never null."""
    # A grouped subquery without rows gives no row, and so null: `count=0` would find nothing.
    return Coalesce(_measured(visibility, model, name, Count("*")), Value(0), output_field=models.IntegerField())


def measure_of(visibility: Visibility, model: type[Model], name: str, measure: Measure, measured: str | None) -> Any:
    """An expression: a measure of the visible rows of a relation; null where it has no rows, but for their number.

    Args:
        measured: The field that is summed, say; None for a count.
    """
    if measured is None:
        return count_of(visibility, model, name)
    found = relation(model, name)
    column = measured
    if found.many_to_many:
        # Asked of the table between, whose foreign key leads on to the rows.
        far = found.m2m_reverse_field_name() if is_forward(found) else found.field.m2m_field_name()
        column = f"{far}__{measured}"
    return _measured(visibility, model, name, AGGREGATES[measure](column))


def _measured(visibility: Visibility, model: type[Model], name: str, aggregate: Any) -> Subquery:
    rows = visibility.related(model, name)
    key = visibility.joined_by(model, name)
    # The default ordering must go: Django adds its columns to GROUP BY, and each group would be a single row.
    return Subquery(rows.order_by().values(key).annotate(_measure=aggregate).values("_measure"))
