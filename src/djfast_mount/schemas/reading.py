"""Rows to schemas: which way they are read, and why."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from pydantic import BaseModel, TypeAdapter

from djfast_mount.schemas.declaration import declared, shape_of
from djfast_mount.schemas.instances import complete, fetched, values_of
from djfast_mount.schemas.queryset_door import gives_instances, is_plain

__all__ = ["explain", "of", "read"]


@cache
def lists_of(schema: type[BaseModel]) -> TypeAdapter[list[Any]]:
    """Returns what validates and serializes a list of `schema`."""
    return TypeAdapter(list[schema])  # type: ignore[valid-type]


def read(schema: type[BaseModel], rows: Any) -> list[BaseModel]:
    """Returns a schema for each of `rows`."""
    found = _instances(schema, _rows_of(schema, rows))
    return lists_of(schema).validate_python([values_of(schema, row) for row in found])


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


def _instances(schema: type[BaseModel], rows: QuerySet[Any] | list[Model]) -> list[Model]:
    shape = shape_of(schema)
    return fetched(shape, rows) if isinstance(rows, QuerySet) else complete(shape, rows)


def explain(schema: type[BaseModel]) -> str:
    """Returns how rows of `schema` are read."""
    return f"{schema.__name__}: instances"
