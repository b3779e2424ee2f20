"""The JSON of the database, on PostgreSQL: the rows that the queryset asks for, each time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from djfast_mount.schemas import ModelSchema
from project.firm.models import Company
from schemas.firm_schemas import CompanySchema

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("firm")]


class ByDatabase(CompanySchema):
    class Meta(CompanySchema.Meta):
        way = "database"


class StatusAlone(ModelSchema[Company]):
    class Meta:
        fields = ["status"]
        way = "database"


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
