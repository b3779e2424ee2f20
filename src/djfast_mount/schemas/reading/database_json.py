"""JSON that PostgreSQL makes itself: one statement, of which Python sees nothing but the text.

It is what Pydantic would write but for the spaces, and for floats, which the database writes in digits of its own.
Nothing of Python's runs on the values, so it is for schemas alone of which Pydantic does nothing but write them: see
`djfast_mount.schemas.reading.bare_schemas`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connections, models, router
from django.db.models import Case, Expression, F, Func, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, shape_of
from djfast_mount.schemas.queryset_internals import chosen_database
from djfast_mount.schemas.reading import reasons
from djfast_mount.schemas.reading.bare_schemas import reason_to_validate, written_name
from djfast_mount.schemas.reading.kept_sql import Asked, asked, is_made_by_django, may_keep
from djfast_mount.schemas.reading.reasons import NoPlan

__all__ = ["check_database", "json_of", "object_of"]


class _Object(Func):
    """An object of JSON, made by the database."""

    # `json_build_object` keeps the order of the names, which `jsonb_build_object` does not. The names are written into
    # the SQL: as parameters they would double the expressions that Django resolves.

    output_field = models.JSONField()

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: Any, **_: Any
    ) -> tuple[str, list[Any]]:
        parts: list[str] = []
        parameters: list[Any] = []
        for name, expression in zip(self.extra["names"], self.get_source_expressions(), strict=True):
            sql, more = compiler.compile(expression)
            parts.append(f"{_quoted(name)}, {sql}")
            parameters += more
        return f"json_build_object({', '.join(parts)})", parameters


def _quoted(name: str) -> str:
    """`name` as a text in SQL, whose percent signs stand for themselves."""
    # Quotes are doubled, as the SQL standard has it: names of fields are the project's, and an alias may hold any
    # character.
    return "'" + name.replace("'", "''").replace("%", "%%") + "'"


class _Array(Subquery):
    """The rows of a query of one JSON column, as a JSON array."""

    template = "array_to_json(ARRAY(%(subquery)s))"
    output_field = models.JSONField()


Statement = tuple[str, tuple[Any, ...]]
# Of all schemas: a list is asked for in few orders, and its first pages more often than others.
_KNOWN = 1024

_SECONDS = 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
_MICROSECONDS = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


def _utc(value: Any) -> Expression:
    """A point in time as Pydantic writes it: microseconds where there are any."""

    def text(form: str) -> Func:
        moved: Any = Func(Value("UTC"), value, function="timezone", output_field=models.DateTimeField())
        return Func(moved, Value(form), function="to_char", output_field=models.TextField())

    # Pydantic leaves microseconds out that are zero, and the bytes of both ways are to be the same. Django's Trunc
    # moves the value to the time zone of the caller.
    whole: Any = Func(Value("second"), value, function="date_trunc", output_field=models.DateTimeField())
    return Case(When(**{value.name: whole}, then=text(_SECONDS)), default=text(_MICROSECONDS))


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> Expression:
    return Cast(value, models.TextField())


_WRITERS: dict[type, Callable[[Any], Any]] = {models.DecimalField: _text, models.DateTimeField: _utc}


def check_database(shape: Shape, using: str) -> None:
    """Raises: NoPlan, when just now the database `using` cannot make JSON of rows of `shape`."""
    # SQLite has functions for JSON, too, but its decimals are floats.
    if (vendor := connections[using].vendor) != "postgresql":
        raise NoPlan(f"the database {using!r} is {vendor}, not postgresql")
    _check_nested(shape)


def _check_nested(shape: Shape) -> None:
    """Raises: NoPlan, when somebody has a say in the nested rows of just now."""
    for member in shape.members:
        if member.shape is None:
            continue
        if (reason := reasons.of_receivers(member.field.related_model)) is not None:
            raise NoPlan(reason)
        # By a router the rows may be those of another database, which this one knows nothing of.
        if member.kind == "many" and router.routers:
            raise NoPlan("routers choose the database of its nested rows")
        _check_nested(member.shape)


def object_of(shape: Shape) -> Expression:
    """Returns the expression of one row of `shape`. Raises: NoPlan, with what the database cannot make.

    It is made anew for each caller, whom a manager may show other rows than the last.
    """
    if (reason := reason_to_validate(shape.schema)) is not None:
        raise NoPlan(reason)
    return _object(shape, "")


def json_of(shape: Shape, rows: QuerySet[Any]) -> bytes:
    """Returns the JSON array of `rows`. Raises: NoPlan, with what the database cannot make."""
    # Asked once: a router may choose another replica each time.
    using = rows.db
    check_database(shape, using)
    if rows.query.distinct:
        raise NoPlan("it is distinct, and rows may be alike in what is shown of them")
    # PostgreSQL cannot group by JSON, which has no equality.
    if rows.query.group_by is not None:
        raise NoPlan("it counts or sums, and its rows would be grouped by their JSON")
    try:
        sql, parameters = _statement(shape, rows, using)
    except EmptyResultSet:
        return b"[]"
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT array_to_json(ARRAY({sql}))::text", parameters)
        [(text,)] = cursor.fetchall()
    return str(text).encode()


def _statement(shape: Shape, rows: QuerySet[Any], using: str) -> Statement:
    """The SQL that gives the objects of `rows`, one a row, with its parameters."""
    keeps = may_keep(shape.schema) and rows.model is shape.model and is_made_by_django(rows, using)
    if not keeps:
        return _sql_of(rows.values_list(object_of(shape)), using)
    if (found := asked(rows)) is not None:
        return _known_statement(shape.schema, using, found)
    # The kept SQL names the table, and not another name that a query may have for it.
    if rows.query.get_initial_alias() != shape.model._meta.db_table:
        return _sql_of(rows.values_list(object_of(shape)), using)
    return _sql_of(rows.values_list(RawSQL(*_compiled(shape.schema, using))), using)


def _sql_of(rows: QuerySet[Any], using: str) -> Statement:
    sql, parameters = rows.query.get_compiler(using).as_sql()
    return sql, tuple(parameters)


# Where the database makes the JSON, most of what is left to Python is to make the SQL.
@functools.lru_cache(maxsize=_KNOWN)
def _known_statement(schema: type[BaseModel], using: str, found: Asked) -> Statement:
    """The statement of a list that nobody says more of than `found`. It is made of this, and of no caller's query."""
    rows: QuerySet[Any] = QuerySet(shape_of(schema).model, using=using).order_by(*found.order)
    rows = rows if found.forwards else rows.reverse()
    return _sql_of(rows[found.low : found.high].values_list(RawSQL(*_compiled(schema, using))), using)


@functools.cache
def _compiled(schema: type[BaseModel], using: str) -> Statement:
    """The SQL of an object, which is the same for all querysets."""
    shape = shape_of(schema)
    rows: QuerySet[Any] = QuerySet(shape.model, using=using).order_by()
    made = rows.values_list(object_of(shape)).query.get_compiler(using)
    made.pre_sql_setup()
    [(_, (sql, parameters), _)] = made.select
    return sql, tuple(parameters)


def _object(shape: Shape, prefix: str) -> Expression:
    names = tuple(written_name(shape.schema, member.name) for member in shape.members)
    return _Object(*(_value(shape, member, prefix) for member in shape.members), names=names)


def _value(shape: Shape, member: Member, prefix: str) -> Any:
    if member.kind == "many":
        return _rows(member, prefix)
    if member.kind == "one" and member.shape is not None:
        if (reason := reasons.of_relation(member.field)) is not None:
            raise NoPlan(reason)
        path = f"{prefix}{member.field.name}__"
        key = f"{path}{member.field.related_model._meta.pk.attname}"
        return Case(When(**{f"{key}__isnull": False}, then=_object(member.shape, path)), default=Value(None))
    if member.kind == "column":
        return _column(shape, member, prefix)
    raise NoPlan(f"{shape.schema.__name__}.{member.name} is made in Python")


def _column(shape: Shape, member: Member, prefix: str) -> Any:
    field = member.field
    if (reason := reasons.of_field(shape.model, field)) is not None:
        raise NoPlan(reason)
    stored = field.target_field if field.is_relation else field
    writer = _WRITERS.get(type(stored), _as_it_is)
    if writer is _utc and not settings.USE_TZ:
        raise NoPlan(f"{shape.schema.__name__}.{member.name} is written by Python")
    return writer(F(prefix + field.attname))


def _rows(member: Member, prefix: str) -> Any:
    field, target = member.field, member.field.related_model
    if (reason := reasons.of_relation(field)) is not None or field.many_to_many or member.shape is None:
        raise NoPlan(reason or f"{target.__name__} is reached through another table")
    [pointed] = field.field.foreign_related_fields
    rows: QuerySet[Any] = target._default_manager.all()
    if (reason := reasons.of_queryset(rows, set())) is not None:
        raise NoPlan(reason)
    if chosen_database(rows) is not None:
        raise NoPlan(f"{target.__name__}'s manager chooses the database")
    chosen = rows.filter(**{field.field.attname: OuterRef(prefix + pointed.attname)})
    return _Array(chosen.values_list(_object(member.shape, "")))
