"""Rows to schemas: which way they are read, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, declared, shape_of
from djfast_mount.schemas.queryset_internals import gives_instances, is_plain
from djfast_mount.schemas.reading.bare_schemas import lists_of
from djfast_mount.schemas.reading.database_json import check_database, json_of, object_of
from djfast_mount.schemas.reading.first import First
from djfast_mount.schemas.reading.instances import Chosen, complete, every_row, fetched, is_narrowed, values_of
from djfast_mount.schemas.reading.plan import Plan, plan_of_schema
from djfast_mount.schemas.reading.reasons import NoPlan

__all__ = ["explain", "of", "read", "read_first", "read_json"]


def read(schema: type[BaseModel], rows: Any, chosen: Chosen = every_row) -> list[BaseModel]:
    """Returns a schema for each of `rows`, with the rows of each relation that are `chosen`."""
    return lists_of(schema).validate_python(_values(schema, _rows_of(schema, rows), chosen))


def _values(
    schema: type[BaseModel], rows: QuerySet[Any] | list[Model], chosen: Chosen = every_row
) -> list[dict[str, Any]]:
    """What `schema` takes of `rows`: by the plan where that is what the instances have."""
    shape = shape_of(schema)
    if isinstance(rows, QuerySet):
        with suppress(NoPlan):
            return _chosen_plan(schema, rows, chosen).read(rows)
    instances = fetched(shape, rows, chosen) if isinstance(rows, QuerySet) else complete(shape, rows, chosen)
    return [values_of(schema, row) for row in instances]


def read_first(
    schema: type[BaseModel], rows: QuerySet[Any], limit: int, names: Sequence[str], chosen: Chosen
) -> First | None:
    """Returns a schema for each of the first `limit` of `rows`; None where rows must be made into instances."""
    _check_model(schema, rows.model)
    try:
        found = _chosen_plan(schema, rows, chosen).read_first(rows, limit, names)
    except NoPlan:
        return None
    return found._replace(items=lists_of(schema).validate_python(found.items))


def _chosen_plan(schema: type[BaseModel], rows: QuerySet[Any], chosen: Chosen) -> Plan:
    """The plan for `rows`, if it may be taken. Raises: NoPlan."""
    if declared(schema).options.way == "instances":
        raise NoPlan("Meta.way says so")
    # A plan asks for all rows of a relation.
    if is_narrowed(shape_of(schema), chosen):
        raise NoPlan("not all related rows are shown")
    return plan_for(schema, rows)


def plan_for(schema: type[BaseModel], rows: QuerySet[Any]) -> Plan:
    """Returns the plan for `rows`. Raises: NoPlan."""
    # Plans are kept by what the queryset annotates of these alone: other annotations would only make more of them.
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
        # What is evaluated already is not asked again: the caller may have changed the instances.
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


def read_json(schema: type[BaseModel], rows: Any) -> bytes:
    """Returns the JSON of `rows`: by the database where Meta.way says so and it can."""
    found = _rows_of(schema, rows)
    if isinstance(found, QuerySet) and declared(schema).options.way == "database":
        with suppress(NoPlan):
            plan_for(schema, found).check(found, "the queryset")
            return json_of(shape_of(schema), found)
    # Validated first, as FastAPI does with a response model: masks and validators of the schema have their say.
    validated = lists_of(schema).validate_python(_values(schema, found))
    return lists_of(schema).dump_json(validated, by_alias=True)


def explain(schema: type[BaseModel]) -> str:
    """Returns how rows of `schema` are read, as a text."""
    model = declared(schema).model
    title = f"{schema.__name__} reads {model.__name__}"
    try:
        plan = _chosen_plan(schema, model._default_manager.all(), every_row)
        plan.check(model._default_manager.all(), "its manager")
    except NoPlan as reason:
        count = 1 + sum(member.kind != "one" for member in _relations(shape_of(schema)))
        queries = "1 query" if count == 1 else f"{count} queries"
        return f"{title} by instances: {reason}.\n  {queries}, to-one relations joined"
    lines = [f"{title} by the plan.", *_queries(plan, "  ")]
    if declared(schema).options.way == "database":
        lines[0] = f"{title} by {_database_or_plan(schema)}."
    return "\n".join(lines)


def _database_or_plan(schema: type[BaseModel]) -> str:
    try:
        check_database(shape_of(schema), DEFAULT_DB_ALIAS)
        object_of(shape_of(schema))
    except NoPlan as reason:
        return f"the plan, and not by the database's JSON: {reason}"
    return "the database's JSON, and by the plan where objects are asked for"


def _relations(shape: Shape) -> Iterator[Member]:
    for member in shape.members:
        if member.kind in ("many", "keys", "one"):
            yield member
        if member.shape is not None:
            yield from _relations(member.shape)


def _queries(plan: Plan, indent: str) -> Iterator[str]:
    yield f"{indent}{plan.model.__name__}: {', '.join(plan.columns)}"
    for branch in plan.branches:
        yield from _queries(branch.plan, indent + "  ")
