"""Querysets and bodies that nobody sends in good faith: a right answer, or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, F
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.schemas import ModelSchema, Update
from djfast_mount.testing import Client
from djfast_mount.transactions import Atomic
from project.firm.models import Branch, Company, Department, OpenCompany, Person, Tag, Team
from schemas.firm_schemas import CompanySchema

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("firm")]


class TeamSchema(ModelSchema[Team]):
    class Meta:
        fields = ["id", "name"]


class DepartmentSchema(ModelSchema[Department]):
    teams: list[TeamSchema]

    class Meta:
        fields = ["id", "name", "code", "size"]


class Nested(ModelSchema[Company]):
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "tags"]


class PersonSchema(ModelSchema[Person]):
    class Meta:
        fields = ["id", "name", "email", "friends"]


class Named(ModelSchema[Company]):
    class Meta:
        fields = ["name", "tags"]


api = FastAPI()


@api.get("/companies")
def companies() -> list[Nested]:
    return Nested.read(Company.objects.all())


@api.patch("/companies/{pk}")
def change(pk: int, body: Update[Nested], _: Atomic) -> Nested:
    return Nested.of(body.update(Company.objects.get(pk=pk)))


@api.patch("/people/{pk}")
def change_person(pk: int, body: Update[PersonSchema], _: Atomic) -> PersonSchema:
    return PersonSchema.of(body.update(Person.objects.get(pk=pk)))


ODD: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "raw": (lambda: Company.objects.raw("SELECT * FROM firm_company ORDER BY id"), ["Acme", "Bare", "Void"]),
    "raw, without columns": (
        lambda: Company.objects.raw("SELECT id FROM firm_company ORDER BY id"),
        ["Acme", "Bare", "Void"],
    ),
    "reverse": (Company.objects.reverse, ["Void", "Bare", "Acme"]),
    "sliced": (lambda: Company.objects.all()[1:2], ["Bare"]),
    "every second": (lambda: Company.objects.all()[::2], ["Acme", "Void"]),
    "an iterator": (Company.objects.iterator, ["Acme", "Bare", "Void"]),
    "a generator": (lambda: (row for row in Company.objects.all()), ["Acme", "Bare", "Void"]),
    "a related manager": (lambda: Tag.objects.get(name="big").companies, ["Acme"]),
    "a proxy, by its own order": (OpenCompany.objects.all, ["Void", "Bare", "Acme"]),
    "a child without rows": (Branch.objects.all, []),
    "an annotation": (
        lambda: Company.objects.annotate(many=Count("departments")).order_by("many", "id"),
        ["Void", "Bare", "Acme"],
    ),
    "in_bulk": (lambda: Company.objects.in_bulk().values(), ["Acme", "Bare", "Void"]),
    "locked": (Company.objects.select_for_update, ["Acme", "Bare", "Void"]),
    "all deferred": (lambda: Company.objects.defer("name", "status", "founded", "motto"), ["Acme", "Bare", "Void"]),
    "deep prefetches": (
        lambda: Company.objects.prefetch_related("departments__teams__members"),
        ["Acme", "Bare", "Void"],
    ),
    "an alias": (lambda: Company.objects.alias(other=F("name")).order_by("-other"), ["Void", "Bare", "Acme"]),
    "two, joined by or": (
        lambda: Company.objects.filter(name="Acme") | Company.objects.filter(name="Bare"),
        ["Acme", "Bare"],
    ),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("schema", [CompanySchema, Named], ids=["plan", "many-to-many"])
def test_odd_rows_are_read_as_they_are(schema: Any, what: str) -> None:
    """Whatever yields rows of the model is read, in its order."""
    make, expected = ODD[what]
    assert [each.name for each in schema.read(make())] == expected


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "values()": (lambda: Company.objects.values("id"), "queryset before values"),
    "values_list()": (lambda: Company.objects.values_list("id"), "queryset before values"),
    "dates()": (lambda: Company.objects.dates("founded", "year"), "queryset before values"),
    "rows of another model": (Person.objects.all, "was given Person"),
    "a dict": (lambda: {"id": 1}, "was given str"),
    "a list of None": (lambda: [None], "was given NoneType"),
    "a number": (lambda: 3, "Give it a queryset, or rows"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_rows_is_refused(what: str) -> None:
    """What has no rows of the model is a TypeError that says what to give instead."""
    make, told = REFUSED[what]
    with pytest.raises(TypeError, match=told):
        CompanySchema.read(make())


@pytest.fixture
def client() -> Client:
    return Client(mount("/api", api), headers={"content-type": "application/json"})


def department(**values: Any) -> dict[str, Any]:
    return {"name": "new", "code": "c", **values}


def keys() -> dict[str, int]:
    """The keys of the rows that bodies name."""
    acme, bare = Company.objects.get(name="Acme"), Company.objects.get(name="Bare")
    research, sales = acme.departments.all()
    return {
        "acme": acme.pk,
        "bare": bare.pk,
        "research": research.pk,
        "sales": sales.pk,
        "nothing": bare.departments.get().pk,
        "team": research.teams.all()[0].pk,
        "hidden": Team._base_manager.get(hidden=True).pk,
        "tag": Tag.objects.all()[0].pk,
    }


# For each body: where the first error of the answer is.
BODIES: dict[str, tuple[Callable[[dict[str, int]], Any], list[Any]]] = {
    "a child of another": (lambda key: {"departments": [department(id=key["nothing"])]}, ["departments", 0, "id"]),
    "a hidden grandchild": (
        lambda key: {"departments": [department(id=key["research"], teams=[{"id": key["hidden"], "name": "x"}])]},
        ["departments", 0, "teams", 0, "id"],
    ),
    "a child twice": (
        lambda key: {"departments": [department(id=key["sales"]), department(id=key["sales"], code="d")]},
        ["departments", 1, "id"],
    ),
    "one code twice": (lambda key: {"departments": [department(), department()]}, ["departments", 1]),
    "a key that no column holds": (lambda key: {"departments": [department(id=2**70)]}, ["departments", 0, "id"]),
    "a key that is null": (lambda key: {"departments": [department(id=None)]}, ["departments", 0, "id"]),
    "no list": (lambda key: {"departments": None}, ["departments"]),
    "no row": (lambda key: {"departments": [None]}, ["departments", 0]),
    "a list in a list": (lambda key: {"departments": [[]]}, ["departments", 0]),
    "a negative size": (lambda key: {"departments": [department(size=-1)]}, ["departments", 0, "size"]),
    "a tag that is not there": (lambda key: {"tags": [key["tag"], 99999]}, ["tags", 1]),
    "a tag that no column holds": (lambda key: {"tags": [key["tag"], 2**80]}, ["tags", 1]),
    "a tag that is null": (lambda key: {"tags": [None]}, ["tags", 0]),
    "a lone surrogate": (lambda key: {"name": "\ud800"}, ["name"]),
    "not a number": (lambda key: {"name": float("nan")}, ["name"]),
    "infinite": (lambda key: {"tags": [float("inf")]}, ["tags", 0]),
    "a broken constraint": (lambda key: {"name": "forbidden"}, []),
}


@pytest.mark.parametrize("what", BODIES)
def test_odd_bodies_are_422(client: Client, what: str) -> None:
    """Each is refused at its place, and nothing of it is stored."""
    make, place = BODIES[what]
    key = keys()
    before = client.get("/api/companies").json()
    response = client.patch(f"/api/companies/{key['acme']}", content=json.dumps(make(key)))
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"] == ["body", *place]
    assert client.get("/api/companies").json() == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"tags": [' + b"9" * 5000 + b"]}",
        # From Python 3.14 on, json goes as deep as the stack does.
        b'{"departments": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"name": "\xff"}',
    ],
    ids=["digits", "depth", "bytes"],
)
def test_bodies_that_are_no_json(client: Client, body: bytes) -> None:
    """What Python's JSON cannot read is FastAPI's 400."""
    assert client.patch(f"/api/companies/{keys()['acme']}", content=body).status_code == 400


def test_keys_in_a_body_move_nothing(client: Client) -> None:
    """The row is the path's, and its children stay its own, whatever keys a body has besides."""
    key = keys()
    child = department(id=key["sales"], company=key["bare"], company_id=key["bare"])
    response = client.patch(
        f"/api/companies/{key['acme']}",
        content=json.dumps({"id": key["bare"], "pk": key["bare"], "departments": [child]}),
    )
    assert response.json()["id"] == key["acme"]
    assert Department.objects.get(pk=key["sales"]).company_id == key["acme"]
    assert Company.objects.get(pk=key["bare"]).departments.get().pk == key["nothing"]


def test_a_friend_of_oneself(client: Client) -> None:
    """A symmetrical relation takes the row itself, and a key twice, once."""
    ann = Person.objects.get(name="ann")
    response = client.patch(f"/api/people/{ann.pk}", content=json.dumps({"friends": [ann.pk, ann.pk]}))
    assert response.json()["friends"] == [ann.pk]
    assert list(ann.friends.all()) == [ann]
