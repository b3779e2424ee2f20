"""What a model says of its rows beside its fields: constraints of every kind, and columns that the database makes.

Each is checked by `full_clean` where all that it names was sent, and is the database's to check where it was not.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.schemas import Create, ModelSchema, Update
from djfast_mount.testing import Client
from djfast_mount.transactions import Atomic
from project.zoo.models import Berth

pytestmark = pytest.mark.django_db


class BerthSchema(ModelSchema[Berth]):
    class Meta:
        fields = "__all__"


api = FastAPI()


@api.post("/berths", status_code=201)
def add(body: Create[BerthSchema], _: Atomic) -> BerthSchema:
    return BerthSchema.of(body.create())


@api.post("/berths/all", status_code=201)
def add_all(bodies: list[Create[BerthSchema]], _: Atomic) -> list[BerthSchema]:
    return BerthSchema.read(Create[BerthSchema].bulk_create(bodies))


@api.patch("/berths/{code}")
def change(code: str, body: Update[BerthSchema], _: Atomic) -> BerthSchema:
    return BerthSchema.of(body.update(Berth.objects.get(code=code)))


@pytest.fixture
def client() -> Client:
    if not connection.features.supports_partial_indexes:
        pytest.skip("the database has no constraints with a condition")
    Berth.objects.create(code="a", slug="One", pier=1)
    return Client(mount("/api", api))


def berth(**values: Any) -> dict[str, Any]:
    return {"code": "new", "slug": "new", "pier": 9, **values}


# What is sent, and what of it is refused: by `full_clean` with its words, or by the database alone.
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "the condition was sent": ({"code": "a", "active": True}, 422, "one_active_berth"),
    "the condition was not sent": ({"code": "a"}, 409, ""),
    "by an expression": ({"slug": "oNE"}, 422, "The slug is taken."),
    "what is checked": ({"depth": 0}, 422, "berth_has_water"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_constraint_is_checked(client: Client, what: str) -> None:
    """What breaks a constraint is 422 in Django's words, or 409 where only the database knows, and is not stored."""
    sent, status, told = REFUSED[what]
    answer = client.post("/api/berths", json=berth(**sent))
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert Berth.objects.count() == 1


def test_a_condition_that_does_not_hold(client: Client) -> None:
    """A row for which the condition of a constraint does not hold may have the value of another, until it holds."""
    assert client.post("/api/berths", json=berth(code="a", active=False)).status_code == 201
    assert client.post("/api/berths", json=berth(code="b", slug="b", pier=10)).status_code == 201
    answer = client.patch("/api/berths/b", json={"code": "a", "active": True})
    assert (answer.status_code, Berth.objects.filter(code="b").count()) == (422, 1)
    assert client.patch("/api/berths/b", json={"code": "a", "active": False}).status_code == 200


def test_nulls_that_are_alike(client: Client) -> None:
    """With ``nulls_distinct=False`` two nulls are alike, where the database has such constraints."""
    if not connection.features.supports_nulls_distinct_unique_constraints:
        pytest.skip("the database has no such constraints")
    assert client.post("/api/berths", json=berth(pier=1, place=None)).status_code == 422
    assert client.post("/api/berths", json=berth(pier=1)).status_code == 409
    alike = [berth(code=code, slug=code, place=None) for code in ("b", "c")]
    assert client.post("/api/berths/all", json=alike).status_code == 422
    assert Berth.objects.count() == 1


def test_columns_of_the_database_are_answered(client: Client) -> None:
    """A default of the database's and a generated column are in the answer, and new where what they are made of is."""
    assert client.post("/api/berths", json=berth()).json()["double"] == 18
    made = client.patch("/api/berths/new", json={"pier": 10}).json()
    assert (made["depth"], made["double"]) == (7, 20)
    assert client.patch("/api/berths/new", json={"double": 1, "depth": 3}).json()["double"] == 20
    assert Berth.objects.get(code="new").depth == 3


def test_two_of_one_list(client: Client) -> None:
    """Two of one list that break a constraint with a condition or an expression are 409, and none is stored."""
    for alike in ({"code": "x"}, {"slug": "Xx"}):
        both = [berth(**{"code": f"c{place}", "slug": f"s{place}", "pier": place, **alike}) for place in (20, 21)]
        assert client.post("/api/berths/all", json=both).status_code == 409
    assert Berth.objects.count() == 1
