"""What a schema class is made of, how its types are called, and what is read and written by them through an API.

Holds `schemas/declaring/annotations.py`, `schemas/declaring/declaration.py`, `schemas/declaring/fields.py`,
`schemas/declaring/options.py`, `schemas/pages.py` and `schemas/reading/instances.py`.
"""

from __future__ import annotations

import inspect
import pickle
from typing import Annotated, Any

import pytest
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.schemas import Create, ModelSchema, Page, Update
from djfast_mount.testing import Client
from djfast_mount.urls import get_object_or_404
from project.firm.models import Company
from schemas.firm_schemas import CompanySchema

api = FastAPI()
ACompany = Annotated[Company, get_object_or_404(Company, "company_id", field="id")]


@api.get("/companies")
def companies() -> list[CompanySchema]:
    return CompanySchema.read(Company.objects.all())


@api.get("/acompanies")
async def acompanies() -> list[CompanySchema]:
    return await CompanySchema.aread(Company.objects.all())


def some(relation: Any) -> Any:
    return relation.related_model.objects.none() if relation.name == "departments" else None


@api.get("/some")
def some_departments() -> list[CompanySchema]:
    return CompanySchema.read(Company.objects.all(), chosen=some)


@api.get("/asome")
async def asome_departments() -> list[CompanySchema]:
    return await CompanySchema.aread(Company.objects.all(), chosen=some)


@api.get("/page")
def page() -> Page[CompanySchema]:
    return Page[CompanySchema](items=CompanySchema.read(Company.objects.all()[:1]), next="more", total=3)


@api.post("/companies", status_code=201)
def add(body: Create[CompanySchema]) -> CompanySchema:
    return CompanySchema.of(body.create(motto="The server's own."))


@api.post("/acompanies", status_code=201)
async def aadd(body: Create[CompanySchema]) -> CompanySchema:
    return await CompanySchema.aof(await body.acreate(motto="The server's own."))


@api.patch("/companies/{company_id}")
def change(company: ACompany, body: Update[CompanySchema]) -> CompanySchema:
    return CompanySchema.of(body.update(company))


@api.patch("/acompanies/{company_id}")
async def achange(company: ACompany, body: Update[CompanySchema]) -> CompanySchema:
    return await CompanySchema.aof(await body.aupdate(company))


@pytest.fixture
def client(firm: None, root_path: str) -> Client:
    return Client(mount("/api", api), root_path=root_path)


BARE = {"id": 2, "name": "Bare", "status": "closed", "founded": None, "motto": ""}


@pytest.mark.parametrize("path", ["/api/companies", "/api/acompanies"])
def test_rows_are_read(client: Client, django_assert_num_queries: Any, path: str) -> None:
    """An endpoint of either kind answers all rows with what is nested in them, by a query for each table."""
    with django_assert_num_queries(3):
        found = client.get(path).json()
    assert [company["name"] for company in found] == ["Acme", "Bare", "Void"]
    bare = found[1]
    assert list(bare) == ["id", "name", "status", "founded", "motto", "departments"]
    [department] = bare["departments"]
    assert department["teams"] == []
    assert [team["name"] for team in found[0]["departments"][0]["teams"]] == ["two", "one"]


@pytest.mark.parametrize("path", ["/some", "/asome"])
def test_some_rows_of_a_relation_are_read(client: Client, path: str) -> None:
    """What `chosen` leaves out is not shown, and the rest is."""
    every, found = (client.get(f"/api{each}").json() for each in ("/companies", path))
    assert any(item["departments"] for item in every)
    assert found == [{**item, "departments": []} for item in every]


def test_coroutines_take_what_functions_take() -> None:
    """Each method that has a coroutine beside it has the same parameters and defaults."""
    pairs = [
        (getattr(each, name), getattr(each, f"a{name}"))
        for each in (ModelSchema, Create, Update)
        for name in vars(each)
        if hasattr(each, f"a{name}")
    ]
    assert len(pairs) == 7
    for function, coroutine in pairs:
        assert inspect.signature(function).parameters == inspect.signature(coroutine).parameters


def test_a_page_is_read(client: Client) -> None:
    """A page has its items, and what was said of the rest."""
    found = client.get("/api/page").json()
    assert [company["name"] for company in found["items"]] == ["Acme"]
    assert (found["next"], found["total"]) == ("more", 3)


@pytest.mark.parametrize("path", ["/api/companies", "/api/acompanies"])
def test_a_row_is_created(client: Client, path: str) -> None:
    """What was sent, what has a default, and the server's own values make the row."""
    response = client.post(path, json={"name": "New", "motto": "The client's.", "founded": "2026-11-30"})
    assert response.status_code == 201
    created = Company.objects.get(name="New")
    assert (created.status, str(created.founded), created.motto) == ("open", "2026-11-30", "The server's own.")
    assert response.json()["id"] == created.pk


@pytest.mark.parametrize("path", ["/api/companies", "/api/acompanies"])
def test_a_row_is_changed(client: Client, path: str) -> None:
    """What was not sent stays, and None is a value."""
    acme = Company.objects.get(name="Acme")
    found = client.patch(f"{path}/{acme.pk}", json={"founded": None, "motto": "Less."}).json()
    assert (found["name"], found["founded"], found["motto"]) == ("Acme", None, "Less.")
    acme.refresh_from_db()
    assert (acme.name, acme.founded, acme.motto) == ("Acme", None, "Less.")


def test_what_django_refuses_is_told_as_fastapi_does(client: Client) -> None:
    """An error of `full_clean` has type, place and message; so has one of pydantic, by the model's constraints."""
    found = client.post("/api/companies", json={"name": "nobody"})
    assert (found.status_code, found.json()) == (
        422,
        {"detail": [{"type": "nobody", "loc": ["body"], "msg": "A company is somebody."}]},
    )
    errors = client.post("/api/companies", json={"name": "x" * 31, "status": "no"}).json()["detail"]
    assert [error["loc"] for error in errors] == [["body", "name"], ["body", "status"]]
    [error] = client.post("/api/companies", json={"name": "forbidden"}).json()["detail"]
    assert "name_is_allowed" in error["msg"]


def test_names_in_openapi(client: Client) -> None:
    """The types are called after the class, and a description of the model is theirs."""
    shown = client.get("/api/openapi.json").json()["components"]["schemas"]
    assert {"Company", "CompanyCreate", "CompanyUpdate", "CompanyPage", "Department", "Team"} <= set(shown)
    assert shown["CompanyCreate"]["required"] == ["name"]
    assert "required" not in shown["CompanyUpdate"]
    assert shown["CompanyCreate"]["properties"]["name"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 30,
        "title": "Legal name",
        "description": "As it is registered.",
    }
    status = shown["CompanyCreate"]["properties"]["status"]
    assert (status["enum"], status["x-enum-descriptions"]) == (["open", "closed"], ["Open for business", "Closed"])
    assert status["default"] == "open"
    assert "maxLength" not in shown["Company"]["properties"]["name"]


def test_two_schemas_of_one_name_are_told_apart() -> None:
    """Classes of one name in two places have two names in OpenAPI."""

    def declare(field: str) -> type[ModelSchema[Company]]:
        class CompanySchema(ModelSchema[Company]):
            class Meta:
                fields = [field]

        return CompanySchema

    other = FastAPI()
    other.get("/a", response_model=declare("name"))(lambda: None)
    other.get("/b", response_model=declare("id"))(lambda: None)
    names = set(other.openapi()["components"]["schemas"])
    assert len([name for name in names if "Company" in name]) == 2


class Whatever(ModelSchema[Company]):
    class Meta:
        fields = ["name"]
        name = "Firm"


def test_the_name_can_be_set() -> None:
    """Meta.name is the name in OpenAPI, for what is made of the schema too."""
    other = FastAPI()

    @other.post("/", response_model=Whatever)
    def post(body: Create[Whatever]) -> None: ...

    assert {"Firm", "FirmCreate"} <= set(other.openapi()["components"]["schemas"])


def test_objects_are_pickled(firm: None) -> None:
    """An object of a schema comes back from pickle, nested ones with it."""
    [found, *_] = CompanySchema.read(Company.objects.all())
    assert pickle.loads(pickle.dumps(found)) == found


def test_bodies_are_pickled() -> None:
    """A body comes back from pickle, with what was and was not sent; so does one that is nested."""
    body = Update[CompanySchema].model_validate({"name": "A", "departments": [{"code": "x"}]})
    again = pickle.loads(pickle.dumps(body))
    assert (again, type(again), again.changes()) == (body, type(body), body.changes())
