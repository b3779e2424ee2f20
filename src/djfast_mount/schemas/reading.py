"""Rows to schemas: which way they are read, and why."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from pydantic import BaseModel, TypeAdapter

from djfast_mount.schemas.declaration import declared, shape_of
from djfast_mount.schemas.instances import complete, fetched, values_of
from djfast_mount.schemas.plan import NoPlan, Plan, plan_of_schema
from djfast_mount.schemas.queryset_door import gives_instances, is_plain

__all__ = ["explain", "of", "read"]


@cache
def lists_of(schema: type[BaseModel]) -> TypeAdapter[list[Any]]:
    """Returns what validates and serializes a list of `schema`."""
    return TypeAdapter(list[schema])  # type: ignore[valid-type]


def read(schema: type[BaseModel], rows: Any) -> list[BaseModel]:
    """Returns a schema for each of `rows`."""
    return lists_of(schema).validate_python(_values(schema, _rows_of(schema, rows)))


def _values(schema: type[BaseModel], rows: QuerySet[Any] | list[Model]) -> list[dict[str, Any]]:
    """What `schema` takes of `rows`: by the plan where that is what the instances have."""
    shape = shape_of(schema)
    if isinstance(rows, QuerySet) and declared(schema).options.way != "instances":
        with suppress(NoPlan):
            return plan_for(schema, rows).read(rows)
    instances = fetched(shape, rows) if isinstance(rows, QuerySet) else complete(shape, rows)
    return [values_of(schema, row) for row in instances]


def plan_for(schema: type[BaseModel], rows: QuerySet[Any]) -> Plan:
    """Returns the plan for `rows`. Raises: NoPlan."""
    computed = {member.source for member in shape_of(schema).members if member.kind == "computed"}
    model: Any = rows.model
    found = plan_of_schema(schema, model, frozenset(computed & rows.query.annotation_select.keys()))
    if isinstance(found, str):
        raise NoPlan(found)
    return found


def of(schema: type[BaseModel], row: Model) -> BaseModel:
    """Returns the schema of one row."""
    _check_model(schema, type(row))
    [found] = complete(shape_of(schema), [row])
    return schema.model_validate(values_of(schema, found))


def _rows_of(schema: type[BaseModel], rows: Any) -> QuerySet[Any] | list[Model]:
    """`rows` as a queryset that has not been asked, or as a list. Raises: TypeError."""
    if isinstance(rows, Manager):
        rows = rows.all()
    if isinstance(rows, QuerySet):
        _check_model(schema, rows.model)
        if not gives_instances(rows):
            raise TypeError(
                f"{schema.__name__}.read() got a queryset of values(). Give it the queryset before values(): the "
                "schema says which columns are read."
            )
        return rows if is_plain(rows) else list(rows)
    if isinstance(rows, Model | BaseModel | str | bytes) or not isinstance(rows, Iterable | RawQuerySet):
        raise TypeError(f"{schema.__name__}.read() got {rows!r}. Give it a queryset, or rows; of() takes one row.")
    found = list(rows)
    for row in found:
        _check_model(schema, type(row))
    return found


def _check_model(schema: type[BaseModel], model: type) -> None:
    wanted = declared(schema).model
    if not issubclass(model, wanted):
        raise TypeError(f"{schema.__name__} is a schema of {wanted.__name__}, and was given {model.__name__}.")


def explain(schema: type[BaseModel]) -> str:
    """Returns how rows of `schema` are read."""
    return f"{schema.__name__}: instances"
