"""The JSON of the database, on PostgreSQL: the rows that the queryset asks for, each time.

Holds `schemas/reading/kept_sql.py`.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.db.models.lookups import Exact
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode
from django.utils import timezone

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.reading import kept_sql
from djfast_mount.schemas.reading.reasons import of_relation
from project.firm.models import Company, Department
from schemas.firm_schemas import CompanySchema

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("firm")]


class ByDatabase(CompanySchema):
    class Meta(CompanySchema.Meta):
        way = "database"
        keep_sql = True


class StatusAlone(ModelSchema[Company]):
    class Meta:
        fields = ["status"]
        way = "database"
        keep_sql = True


class NameAlone(ModelSchema[Company]):
    """No relation: the SQL of such a schema is made once."""

    class Meta:
        fields = ["name"]
        way = "database"
        keep_sql = True


class ChangedAlone(ModelSchema[Company]):
    class Meta:
        fields = ["changed"]
        way = "database"
        keep_sql = True


def test_all_of_djangos_own_is_djangos() -> None:
    """SQL is kept at all."""
    assert kept_sql._foreign_parts(connection.alias) == ()


def names(rows: QuerySet[Company]) -> list[str]:
    return [item["name"] for item in json.loads(ByDatabase.read_json(rows))]


def test_statements_that_are_known_give_the_rows_of_now() -> None:
    """What was asked for once is asked again, with the rows that there are by then."""
    assert names(Company.objects.all()) == ["Acme", "Bare", "Void"]
    Company.objects.create(name="New")
    assert names(Company.objects.all()) == ["Acme", "Bare", "Void", "New"]


def test_a_known_statement_is_no_other_querys() -> None:
    """Order, slice and conditions are each query's own, in whichever order they come."""
    rows = Company.objects.all()
    asked: dict[str, tuple[QuerySet[Company], list[str]]] = {
        "all": (rows, ["Acme", "Bare", "Void"]),
        "by name, backwards": (rows.order_by("-name"), ["Void", "Bare", "Acme"]),
        "reversed": (rows.reverse(), ["Void", "Bare", "Acme"]),
        "two": (rows[:2], ["Acme", "Bare"]),
        "the third": (rows[2:3], ["Void"]),
        "one by name": (rows.filter(name="Bare"), ["Bare"]),
        "another by name": (rows.filter(name="Void"), ["Void"]),
        "but one": (rows.exclude(name="Void"), ["Acme", "Bare"]),
        "none": (rows.none(), []),
    }
    for _ in range(2):
        assert {name: names(found) for name, (found, _) in asked.items()} == {
            name: expected for name, (_, expected) in asked.items()
        }


TENANT: ContextVar[str] = ContextVar("tenant")


get_compiler_of_django = Query.get_compiler


class QueryOfTenant(Query):
    """What packages for many tenants do: the condition comes with the SQL, and no attribute tells of it."""

    def get_compiler(self, *args: Any, **options: Any) -> Any:
        query = self.chain(Query)
        query.add_q(Q(name=TENANT.get()))
        return query.get_compiler(*args, **options)


def test_a_query_that_makes_its_conditions_late_is_asked_each_time() -> None:
    """The SQL of a query of another class is not kept: one tenant would read the rows of another."""
    for name in ("Acme", "Void", "Acme"):
        TENANT.set(name)
        rows: QuerySet[Company] = QuerySet(Company, query=QueryOfTenant(Company))
        assert json.loads(NameAlone.read_json(rows)) == [{"name": name}]


class RowsOfTenant(QuerySet[Company]):
    """The condition comes with each copy, so that the query itself has none yet."""

    def _clone(self) -> Any:
        found = super()._clone()  # type: ignore[misc]
        found.query.add_q(Q(name=TENANT.get()))
        return found


def test_a_queryset_that_adds_its_conditions_to_copies_is_asked_each_time() -> None:
    """Nor is the SQL of a queryset kept whose copies are other than Django's."""
    for name in ("Acme", "Void", "Acme"):
        TENANT.set(name)
        assert json.loads(NameAlone.read_json(RowsOfTenant(Company))) == [{"name": name}]


def get_compiler_of_tenant(query: Query, *args: Any, **options: Any) -> Any:
    query = query.chain()
    query.add_q(Q(name=TENANT.get()))
    return get_compiler_of_django(query, *args, **options)


def test_a_method_that_was_put_in_djangos_place_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is SQL kept where a package has replaced how Django makes it."""
    monkeypatch.setattr(Query, "get_compiler", get_compiler_of_tenant)
    kept_sql._looked_at.cache_clear()
    for name in ("Acme", "Void", "Acme"):
        TENANT.set(name)
        assert json.loads(NameAlone.read_json(Company.objects.all())) == [{"name": name}]
    monkeypatch.undo()
    kept_sql._looked_at.cache_clear()


def test_a_join_has_the_condition_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The condition that a foreign key adds to its joins is of one caller, and of no other who asks for that order."""
    code = Department._meta.get_field("code")

    def condition_of_tenant(alias: str, related_alias: str) -> WhereNode:
        return WhereNode([Exact(code.get_col(related_alias), TENANT.get())])

    monkeypatch.setattr(Department._meta.get_field("company"), "get_extra_restriction", condition_of_tenant)
    Company.objects.all().delete()  # Without a department they come first on SQLite, and last on PostgreSQL.
    for name, places in (("One", {"a": "1", "b": "2"}), ("Two", {"a": "2", "b": "1"})):
        company = Company.objects.create(name=name)
        for tenant, place in places.items():
            Department.objects.create(company=company, code=tenant, name=place)
    for tenant, expected in (("a", ["One", "Two"]), ("b", ["Two", "One"]), ("a", ["One", "Two"])):
        TENANT.set(tenant)
        rows = Company.objects.order_by("departments__name")[:2]
        assert [item["name"] for item in json.loads(NameAlone.read_json(rows))] == expected


@pytest.mark.parametrize("name", ["get_extra_restriction", "get_extra_descriptor_filter", "get_joining_fields"])
def test_a_foreign_key_with_a_condition_of_its_own_is_no_plans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relations of such a key are read through instances, which ask the key."""
    field = Department._meta.get_field("company")
    assert of_relation(field) is None
    monkeypatch.setattr(field, name, lambda *args: None)
    assert of_relation(field) == f"ForeignKey.{name} is overridden"
    assert of_relation(field.remote_field) == f"ForeignKey.{name} is overridden"


def test_a_queryset_that_counts() -> None:
    """It is read by the plan: the database cannot group rows by their JSON."""
    rows = Company.objects.annotate(many=Count("departments")).order_by("-many", "name")
    assert names(rows) == [item.name for item in ByDatabase.read(rows)]


def test_rows_that_look_alike_stay_apart() -> None:
    """distinct() is about rows, and not about what is shown of them."""
    assert len(json.loads(StatusAlone.read_json(Company.objects.order_by("status").distinct()))) == 3


def test_it_is_one_query(django_assert_num_queries: Any) -> None:
    """On PostgreSQL one statement makes all of it, and none where there can be no row."""
    if connection.vendor != "postgresql":
        pytest.skip("the database JSON is PostgreSQL's")
    with django_assert_num_queries(1):
        ByDatabase.read_json(Company.objects.all())
    with django_assert_num_queries(0):
        ByDatabase.read_json(Company.objects.none())


@pytest.mark.parametrize("moment", [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2020, 1, 2, 3, 4, 5, 6, UTC)])
def test_the_time_zone_of_the_caller_changes_nothing(moment: datetime) -> None:
    """A point in time is written as Pydantic does it, whatever the current time zone, and that of who asked first."""
    Company.objects.update(changed=moment)
    for zone in ("America/New_York", "UTC", "Asia/Kolkata"):
        with timezone.override(zone):
            by_python = [item.model_dump(mode="json") for item in ChangedAlone.read(Company.objects.all())]
            assert json.loads(ChangedAlone.read_json(Company.objects.all())) == by_python
