"""One schema and one queryset: all ways of reading, held against rows read attribute by attribute."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import FieldError
from django.db import DatabaseError, connections, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from hypothesis import event, note

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import Shape, shape_of
from djfast_mount.schemas.reading.bare_schemas import lists_of
from djfast_mount.schemas.reading.in_memory import is_left_out, parts_of
from djfast_mount.schemas.reading.instances import fetched, may_join, values_of
from djfast_mount.schemas.reading.plan import NoPlan
from djfast_mount.schemas.reading.ways import plan_for
from schemas.generated import one_by_one
from schemas.generated_querysets import Asked


def most_queries(shape: Shape, rows: Any, *, joined: bool) -> int:
    """One, one for each relation to many rows or to one that cannot be joined, and those that the caller asks for.

    Of rows in memory nothing is joined. What they were fetched without takes one, too, and one more after each parent
    that is made of them.
    """
    asked = rows._prefetch_related_lookups
    late = rows.query.deferred_loading[0] and (not joined or is_left_out(shape, rows))
    later = loads_of(shape) - (not joined) if late else 0
    joined = joined and not (
        rows.query.combinator
        or rows.query.select_for_update
        or asked
        or rows._known_related_objects
        or meets_itself(shape)
    )
    own = queries_below(shape, joined=joined)
    return 1 + own + later + sum(2 if isinstance(each, str) else most_of(each, rows.model) for each in asked)


def most_of(prefetch: Any, model: type[Model]) -> int:
    """For a caller's prefetch with only() and without the key that it matches on: that is N+1 in Django itself."""
    names, deferred = prefetch.queryset.query.deferred_loading
    relations = [each for each in model._meta.get_fields() if each.is_relation]
    [relation] = [
        each for each in relations if prefetch.prefetch_through in (each.name, getattr(each, "related_name", ""))
    ]
    pointing = getattr(relation, "field", None)
    lacks_key = pointing is not None and not relation.many_to_many and (pointing.attname in names) is deferred
    return 12 if lacks_key else 3


def meets_itself(shape: Shape) -> bool:
    """Whether rows may come up in themselves, by both sides of a one-to-one relation: one instance, of two shapes."""
    nested = [member for member in shape.relations() if member.shape is not None]
    return any(member.field.one_to_one or (member.shape and meets_itself(member.shape)) for member in nested)


def comes_back(shape: Shape) -> bool:
    """Whether a row holds one that holds it again: both sides of a one-to-one relation, one in the other."""
    nested = [(member.field, member.shape) for member in shape.relations() if member.shape is not None]
    back = [field.one_to_one and field.remote_field in {m.field for m in inner.members} for field, inner in nested]
    return any(back) or any(comes_back(inner) for _, inner in nested)


def loads_of(shape: Shape) -> int:
    """How often columns may be loaded that rows were fetched without: those of rows that are met again one by one."""
    nested = [(member.field, member.shape) for member in shape.relations() if member.shape is not None]
    again = [inner for field, inner in nested if getattr(field, "field", None) in {m.field for m in inner.members}]
    return len(parts_of(shape)) + sum(len(inner.members) for inner in again)


def queries_below(shape: Shape, *, joined: bool) -> int:
    found = 0
    for member in shape.relations():
        here = joined and may_join(member) if member.kind == "one" else joined
        found += member.kind != "one" or not here
        found += 0 if member.shape is None else queries_below(member.shape, joined=here)
    return found


def as_bytes(schema: type[ModelSchema[Any]], values: list[dict[str, Any]]) -> bytes:
    adapter = lists_of(schema)
    return adapter.dump_json(adapter.validate_python(values), by_alias=True)


def expected_of(schema: type[ModelSchema[Any]], make: Asked) -> bytes | None:
    """What rows give whose attributes are asked for one by one; None where Django itself cannot make the queryset.

    Nor is there one of rows in memory without all columns that come up in themselves: Django drops what such a row
    holds when it loads a column, and answers by when that is.
    """
    try:
        if make.changed and make().query.deferred_loading[0] and comes_back(shape_of(schema)):
            return None
        with transaction.atomic(using=make.using):
            return as_bytes(schema, [one_by_one(shape_of(schema), row) for row in make.rows()])
    except (DatabaseError, FieldError, TypeError, ValueError):
        return None


def check(schema: type[ModelSchema[Any]], make: Asked) -> None:
    """Raises AssertionError, where `schema` reads what `make` returns otherwise than its rows are."""
    if (expected := expected_of(schema, make)) is None:
        event("Django cannot make it")
        return
    note(written(shape_of(schema)))
    event(compare(schema, make, expected))


def compare(schema: type[ModelSchema[Any]], make: Asked, expected: bytes | None) -> str:
    """Returns whether there is a plan, or why not. Raises AssertionError, where a way does not give `expected`."""
    assert expected is not None
    shape = shape_of(schema)
    most = most_queries(shape, make(), joined=not make.changed)
    found, queries = counted(make, lambda rows: lists_of(schema).dump_json(schema.read(rows), by_alias=True))
    assert found == expected
    assert queries <= most
    if make.changed:
        return "rows in memory"
    assert as_bytes(schema, [values_of(schema, row) for row in fetched(shape, make())]) == expected
    assert json.loads(schema.read_json(make())) == json.loads(expected)
    try:
        found, queries = counted(make, lambda rows: as_bytes(schema, plan_for(schema, rows).read(rows)))
    except NoPlan as reason:
        return f"instances: {reason}"
    assert found == expected
    assert queries <= most
    check_first(schema, make, expected)
    return "plan"


def check_first(schema: type[ModelSchema[Any]], make: Asked, expected: bytes) -> None:
    """Raises AssertionError, where the first rows and their ends are not what all the rows begin and end with."""
    keys = [part.attname for part in make.rows().model._meta.pk_fields]
    whole = [tuple(getattr(row, key) for key in keys) for row in make()]
    for limit in {1, max(1, len(whole) - 1), len(whole) + 1}:
        first = plan_for(schema, make()).read_first(make(), limit, keys)
        shown = whole[:limit]
        assert [*json.loads(as_bytes(schema, first.items))] == json.loads(expected)[:limit]
        assert first.ends == ([shown[0], shown[-1]] if shown else [])
        assert first.more == (len(whole) > limit)


def counted(make: Asked, read: Callable[[Any], bytes]) -> tuple[bytes, int]:
    """What is read, and by how many queries."""
    rows = make.rows()
    with CaptureQueriesContext(connections[make.using]) as statements:
        found = read(rows)
    return found, len(statements)


def written(shape: Shape) -> str:
    """The shape as a text."""
    members = (f"{each.name}{f': {written(each.shape)}' if each.shape else ''}" for each in shape.members)
    return f"{shape.model.__name__}({', '.join(members)})"
