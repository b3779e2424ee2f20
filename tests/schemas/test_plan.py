"""The read plan is held against the way through instances, byte for byte, on generated schemas and querysets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import NotSupportedError, connection
from django.db.models import QuerySet
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import declared, shape_of
from djfast_mount.schemas.reading.instances import fetched, values_of
from djfast_mount.schemas.reading.plan import NoPlan
from djfast_mount.schemas.reading.ways import lists_of, plan_for
from project.firm.models import Company
from schemas.firm_schemas import CompanySchema, DepartmentWithCompany
from schemas.generated import querysets, schemas

pytestmark = pytest.mark.django_db

ROUNDS = int(os.environ.get("DJFAST_MOUNT_ROUNDS", "40"))
generated = settings(
    max_examples=ROUNDS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def by_plan(schema: type[ModelSchema[Any]], rows: QuerySet[Any]) -> list[dict[str, Any]]:
    return plan_for(schema, rows).read(rows)


def by_instances(schema: type[ModelSchema[Any]], rows: QuerySet[Any]) -> list[dict[str, Any]]:
    return [values_of(schema, row) for row in fetched(shape_of(schema), rows)]


def as_bytes(schema: type[ModelSchema[Any]], values: list[dict[str, Any]]) -> bytes:
    adapter = lists_of(schema)
    return adapter.dump_json(adapter.validate_python(values), by_alias=True)


def query_count(read: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as statements:
        read()
    return len(statements)


def relations_to_many(schema: type[ModelSchema[Any]]) -> int:
    def count(shape: Any) -> int:
        return sum(
            (member.kind != "one") + (count(member.shape) if member.shape else 0) for member in shape.relations()
        )

    return count(shape_of(schema))


@generated
@given(data=st.data(), schema=schemas())
def test_the_plan_is_what_the_instances_are(firm: None, data: st.DataObject, schema: type[ModelSchema[Any]]) -> None:
    """Both ways give the same bytes, the plan with no more queries than relations to many rows, and one."""
    make = data.draw(querysets(declared(schema).model))
    try:
        expected = as_bytes(schema, by_instances(schema, make()))
    except (TypeError, NotSupportedError, FieldError):  # Django itself does not do these steps one after the other.
        assume(False)
    most = 1 + relations_to_many(schema)
    assert as_bytes(schema, [row.model_dump() for row in schema.read(make())]) == expected
    assert query_count(lambda: schema.read(make())) <= most + any_joinless(make())
    try:
        found = by_plan(schema, make())
    except NoPlan as reason:
        event(f"instances: {reason}")
        return
    event("plan")
    assert as_bytes(schema, found) == expected
    assert query_count(lambda: by_plan(schema, make())) <= most


def any_joinless(rows: QuerySet[Any]) -> int:
    """How many queries more a queryset may take that can be joined to nothing: one for each relation to one row."""
    lookups: Any = rows._prefetch_related_lookups  # type: ignore[attr-defined]
    return 9 if rows.query.combinator or lookups else 0


def test_routers_are_asked_as_django_asks(firm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router may choose the database of nested rows by the row that they belong to."""
    asked: list[tuple[str, str]] = []

    class Router:
        def db_for_read(self, model: Any, instance: Any = None, **_: Any) -> str:
            asked.append((model.__name__, "" if instance is None else instance._state.db))
            return "default"

    monkeypatch.setattr("django.db.router.routers", [Router()])
    assert len(CompanySchema.read(Company.objects.all())) == 3
    assert {("Department", "default"), ("Team", "default")} <= set(asked)


def test_receivers_that_are_connected_later(firm: None) -> None:
    """From when somebody listens to the making of instances on, they are made."""

    def loud(sender: type, instance: Any, **_: Any) -> None:
        instance.name = instance.name.upper()

    assert CompanySchema.read(Company.objects.all())[0].name == "Acme"
    post_init.connect(loud, sender=Company)
    try:
        assert CompanySchema.read(Company.objects.all())[0].name == "ACME"
    finally:
        post_init.disconnect(loud, sender=Company)


def test_rows_know_the_parent_in_memory(firm: None) -> None:
    """What a related manager's rows know of their parent is shown, as instances show it."""
    acme = Company.objects.get(name="Acme")
    acme.name = "Unsaved"
    assert {row.company.name for row in DepartmentWithCompany.read(acme.departments.all())} == {"Unsaved"}
