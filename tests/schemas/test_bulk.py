"""Many bodies at once: what is validated, what is saved, and what is not called.

Holds `schemas/writing/bulk.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.schemas import Create, InvalidRow, ModelSchema
from djfast_mount.testing import Client
from project.firm.models import Branch, Company, Department, Person, Saved
from project.zoo.models import Feeding, Ticket
from schemas.firm_schemas import CompanySchema
from schemas.zoo_schemas import TicketSchema

pytestmark = pytest.mark.django_db


class FeedingSchema(ModelSchema[Feeding]):
    class Meta:
        fields = "__all__"


class DepartmentRow(ModelSchema[Department]):
    class Meta:
        fields = ["id", "name", "code"]


class PersonRow(ModelSchema[Person]):
    class Meta:
        fields = ["id", "name", "email"]


class SavedRow(ModelSchema[Saved]):
    class Meta:
        fields = ["id", "name", "slug"]


class BranchRow(ModelSchema[Branch]):
    class Meta:
        fields = ["id", "name", "city"]


class DepartmentIn(Create[DepartmentRow]):
    """Takes the place of the class that is made."""


api = FastAPI()


@api.post("/companies/{company_id}/departments", status_code=201)
def add(company_id: int, bodies: list[Create[DepartmentRow]]) -> list[DepartmentRow]:
    company = Company.objects.get(pk=company_id)
    return DepartmentRow.read(Create[DepartmentRow].bulk_create(bodies, company=company))


@api.post("/async/{company_id}", status_code=201)
async def add_async(company_id: int, bodies: list[DepartmentIn]) -> list[DepartmentRow]:
    company = await Company.objects.aget(pk=company_id)
    return await DepartmentRow.aread(await DepartmentIn.abulk_create(bodies, company=company))


@pytest.fixture
def client(root_path: str) -> Client:
    return Client(mount("/api", api), root_path=root_path)


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """The rows that `post_save` was sent for."""
    found: list[Any] = []

    def receive(instance: Any, **_: Any) -> None:
        found.append(instance)

    post_save.connect(receive)
    yield found
    post_save.disconnect(receive)


def feedings(*values: dict[str, Any]) -> list[Any]:
    """A body for each of `values`, of different keepers and foods."""
    kind = Create[FeedingSchema]
    return [
        kind.model_validate({"day": "2026-01-01", "keeper": f"k{n}", "food": [n], **each})
        for n, each in enumerate(values)
    ]


def errors_of(bodies: list[Any]) -> list[tuple[str, tuple[Any, ...]]]:
    with pytest.raises(InvalidRow) as caught:
        Create[FeedingSchema].bulk_create(bodies)
    assert not Feeding.objects.exists()
    return [(error["type"], error["loc"]) for error in caught.value.errors()]


@pytest.mark.parametrize("place", ["companies/{}/departments", "async/{}"])
def test_a_list_is_saved_by_one_insert(client: Client, place: str) -> None:
    """Rows of a list are saved by one INSERT, with the server's values, and answered with their keys."""
    company = Company.objects.create(name="Acme")
    sent = [{"name": f"name {number}", "code": f"c{number}"} for number in range(20)]
    with CaptureQueriesContext(connection) as statements:
        response = client.post(f"/api/{place.format(company.pk)}", json=sent)
    assert response.status_code == 201, response.text
    stored = Department.objects.filter(company=company).order_by("code")
    assert {each["id"] for each in response.json()} == {row.pk for row in stored}
    assert sorted(row.code for row in stored) == sorted(each["code"] for each in sent)
    assert sum(query["sql"].startswith("INSERT") for query in statements.captured_queries) == 1


def test_errors_are_answered_with_their_places(client: Client) -> None:
    """Errors of several bodies are one 422 with the place of each in the list, and nothing is saved."""
    company = Company.objects.create(name="Acme")
    company.departments.create(name="old", code="old")
    sent = [{"name": "a", "code": "old"}, {"name": "b", "code": "new"}, {"name": "c", "code": "new"}]
    response = client.post(f"/api/companies/{company.pk}/departments", json=sent)
    assert response.status_code == 422
    told = [(error["type"], error["loc"]) for error in response.json()["detail"]]
    assert told == [("unique_together", ["body", 0]), ("unique_together", ["body", 2])]
    assert company.departments.count() == 1


def test_neither_save_nor_signals(told: list[Any]) -> None:
    """`save()` is not called and no signal is sent: that is what bulk means."""
    [row] = Create[SavedRow].bulk_create([Create[SavedRow](name="Loud")])
    assert (row.pk, row.slug, told) == (Saved.objects.get().pk, "", [])
    Create[SavedRow](name="Loud").create()
    assert len(told) == 1  # The receiver does hear of what is saved.


def test_what_is_unique_is_unique_in_the_list() -> None:
    """Two bodies with a value that is unique, for a field, a date or a constraint, are refused at the second one."""
    assert errors_of(feedings({"slot": 1}, {"slot": 2}, {"slot": 1})) == [("unique", ("body", 2, "slot"))]
    assert errors_of(feedings({"bucket": 1}, {"bucket": 1})) == [("taken", ("body", 1))]
    assert errors_of(feedings({"keeper": "ann"}, {"keeper": "ann"})) == [("unique_for_date", ("body", 1, "keeper"))]


def test_nulls_and_other_days_are_not_alike() -> None:
    """None is no value that another row could have, and what is unique for a date may come again on another day."""
    bodies = feedings({"slot": None, "keeper": "ann"}, {"slot": None, "keeper": "ann", "day": date(2026, 1, 2)})
    assert len(Create[FeedingSchema].bulk_create(bodies)) == Feeding.objects.count() == 2


def test_what_cannot_be_compared_is_left_to_the_database() -> None:
    """Two JSON values alike are refused by the database, and nothing is saved."""
    with pytest.raises(IntegrityError):
        Create[FeedingSchema].bulk_create(feedings({"food": [{"a": 1}]}, {"food": [{"a": 1}]}))


def test_composite_keys_are_unique_in_the_list() -> None:
    """The parts of a composite key are unique together."""
    body = Create[TicketSchema](day=date(2026, 1, 1), number=1, price="1.00")
    with pytest.raises(InvalidRow) as caught:
        Create[TicketSchema].bulk_create([body, body])
    assert [error["loc"][:2] for error in caught.value.errors()] == [("body", 1)]
    assert not Ticket.objects.exists()


def test_columns_of_the_database_are_loaded() -> None:
    """What the database makes is there when the rows are returned."""
    rows = Create[FeedingSchema].bulk_create(feedings({"slot": 1}, {"slot": 2}))
    with CaptureQueriesContext(connection) as statements:
        assert [row.twice for row in rows] == [2, 4]
        assert [row.noted.year > 2000 and row.changed.year > 2000 for row in rows] == [True, True]
    assert not statements.captured_queries


def test_columns_that_an_insert_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where INSERT returns nothing, rows whose keys are known have all columns by one query; others have no key."""
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    [row] = Create[FeedingSchema].bulk_create(feedings({"slot": 1}), id=7_000_000)
    with CaptureQueriesContext(connection) as statements:
        assert (row.pk, row.twice, row.noted.year > 2000) == (7_000_000, 2, True)
    assert not statements.captured_queries
    [other] = Create[FeedingSchema].bulk_create(feedings({"slot": 2, "keeper": "bob", "food": "bread"}))
    assert (other.pk, Feeding.objects.count()) == (None, 2)


def test_full_clean_of_each() -> None:
    """What `clean()` and the validators of the model refuse is refused here, as by `create()`."""

    class CompanyRow(ModelSchema[Company]):
        class Meta:
            fields = ["id", "name", "status"]

    with pytest.raises(ValidationError, match="A company is somebody"):
        Create[CompanyRow].bulk_create([Create[CompanyRow](name="fine"), Create[CompanyRow](name="nobody")])
    assert not Company.objects.exists()
    assert Create[CompanyRow].bulk_create([]) == []


def test_misuse_is_told_with_the_remedy() -> None:
    """Nested rows, other bodies, unknown values and models of several tables are errors of the developer's."""
    with pytest.raises(TypeError, match=r"departments would need more. Call create\(\) of each body"):
        Create[CompanySchema].bulk_create([])
    with pytest.raises(TypeError, match=r"friends would need more"):
        Create[PersonRow].bulk_create([], friends=[])
    with pytest.raises(TypeError, match=r"Person has no field 'nam'.*name"):
        Create[PersonRow].bulk_create([], nam="x")
    with pytest.raises(TypeError, match=r"PersonRowCreate.bulk_create\(\) takes bodies of that class"):
        Create[PersonRow].bulk_create([Create[SavedRow](name="x")])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"Create\[YourSchema\]"):
        Create.bulk_create([])
    with pytest.raises(ValueError, match="multi-table inherited"):
        Create[BranchRow].bulk_create([Create[BranchRow](name="north", city="Oslo")])
