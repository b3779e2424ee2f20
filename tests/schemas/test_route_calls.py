"""Routes that return rows as they are: read by the schema, on the right thread, with the right error.

Holds `apis/preparation_hooks.py` and `schemas/reading/route_calls.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.db.models import QuerySet
from fastapi import APIRouter, Depends, FastAPI

from djfast_mount import mount
from djfast_mount.apis import tree
from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import declared
from djfast_mount.testing import Client
from project.firm.models import Company, Department, OpenTeams
from schemas.firm_schemas import CompanySchema, DepartmentSchema, TeamSchema


class ByDatabase(ModelSchema[Company]):
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "founded", "changed", "owner_id"]
        way = "database"


class ByPlan(ModelSchema[Company]):
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "founded", "changed", "owner_id"]
        name = "CompanyByPlan"


def open_companies() -> QuerySet[Company]:
    return Company.objects.filter(status="open")


api, router, inner = FastAPI(), APIRouter(prefix="/included"), FastAPI()
Open = Annotated[QuerySet[Company], Depends(open_companies)]


@api.get("/sync", response_model=list[CompanySchema])
def sync(rows: Open) -> Any:
    return rows


@api.get("/async", response_model=list[CompanySchema])
async def asynchronous(rows: Open) -> Any:
    return rows


@api.get("/instances", response_model=list[CompanySchema])
async def instances() -> Any:
    return [company async for company in Company.objects.all()]


@api.get("/one/{name}", response_model=CompanySchema | None)
async def one(name: str) -> Any:
    return await Company.objects.filter(name=name).afirst()


SHAPES: dict[str, Any] = {
    "list or none": list[CompanySchema] | None,
    "tuple": tuple[CompanySchema, ...],
    "sequence": Sequence[CompanySchema],
    "iterable": Iterable[CompanySchema],
    "annotated": Annotated[list[CompanySchema] | None, "of a project's own"],
}
for name, shape in SHAPES.items():
    api.get(f"/def/{name}", response_model=shape)(sync)
    api.get(f"/async-def/{name}", response_model=shape)(asynchronous)


@router.get("", response_model=list[CompanySchema])
async def included(rows: Open) -> Any:
    return rows


@inner.get("/", response_model=list[CompanySchema])
async def mounted() -> Any:
    return Company.objects


@api.get("/plain", response_model=list[CompanySchema])
async def plain(rows: Open) -> Any:
    return await CompanySchema.aread(rows)


@api.get("/broken", response_model=list[CompanySchema])
async def broken() -> Any:
    return Company.objects.extra(where=["no_such_column = 1"])


@api.get("/wrong", response_model=list[CompanySchema])
def wrong() -> Any:
    return Department.objects.all()


@api.get("/database", response_model=list[ByDatabase])
async def database() -> Any:
    return Company.objects.all()


@api.get("/by-plan", response_model=list[ByPlan])
async def by_plan() -> Any:
    return Company.objects.all()


@api.get("/without", response_model=list[ByDatabase], response_model_exclude={"__all__": {"name"}})
async def without() -> Any:
    return Company.objects.all()


api.include_router(router)
api.mount("/mounted", inner)


@pytest.fixture(params=[True, False], ids=["by plans of routes", "by FastAPI"])
def client(firm: None, root_path: str, request: pytest.FixtureRequest) -> Client:
    return Client(mount("/api", api, fast_path=request.param), root_path=root_path)


@pytest.mark.parametrize("path", ["sync", "async", "included", "instances", "mounted/", "plain"])
def test_rows_are_read(client: Client, django_assert_num_queries: Any, path: str) -> None:
    """Whatever the kind of the endpoint and the place of the route, rows are read with as many queries as by `read`."""
    with django_assert_num_queries(3):
        found = client.get(f"/api/{path}").json()
    names = [company["name"] for company in found]
    assert names == (["Acme", "Bare", "Void"] if path in ("instances", "mounted/") else ["Acme", "Void"])
    assert [team["name"] for team in found[0]["departments"][0]["teams"]] == ["two", "one"]


@pytest.mark.parametrize("kind", ["def", "async-def"])
@pytest.mark.parametrize("name", SHAPES)
def test_rows_are_read_in_every_shape_of_a_list(
    client: Client, django_assert_num_queries: Any, kind: str, name: str
) -> None:
    """A list that may be None, a tuple and a sequence are read by as many queries as a list."""
    expected = client.get("/api/sync").json()
    with django_assert_num_queries(3):
        assert client.get(f"/api/{kind}/{name}").json() == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["plain", "read"])
def test_rows_are_read_without_a_mount(client: Client, path: str) -> None:
    """`read` and `aread` give the same in an API that nobody has mounted, on threads that are nobody's."""
    bare = FastAPI()

    @bare.get("/read")
    def read(rows: Open) -> list[CompanySchema]:
        try:
            return CompanySchema.read(rows)
        finally:
            connections.close_all()  # Nobody else closes those of the thread that AnyIO has chosen.

    @bare.get("/plain")
    async def plain(rows: Open) -> list[CompanySchema]:
        try:
            return await CompanySchema.aread(rows)
        finally:
            await sync_to_async(connections.close_all)()

    async def call() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bare), base_url="http://test") as alone:
            return (await alone.get(f"/{path}")).json()

    assert asyncio.run(call()) == client.get("/api/plain").json()


def test_rows_are_read_though_the_included_router_has_another_name(firm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes of an included router read their rows, whatever FastAPI calls what holds that router."""
    outer, within = FastAPI(), APIRouter()
    within.get("/companies", response_model=list[CompanySchema])(asynchronous)
    outer.include_router(within)
    name = "original_router"
    assert [route for route in outer.routes if hasattr(route, name)]
    # Deleted for us alone: FastAPI goes on to use it.
    hidden = lambda found, asked, *default: getattr(found, "nothing" if asked == name else asked, *default)  # noqa: E731
    monkeypatch.setattr(tree, "getattr", hidden, raising=False)
    with Client(mount("/api", outer)) as client:
        assert len(client.get("/api/companies").json()) == Company.objects.filter(status="open").count() > 0


def test_one_row_is_read(client: Client) -> None:
    """A coroutine may return an instance whose relations nobody has fetched, or None."""
    assert len(client.get("/api/one/Acme").json()["departments"]) == 2
    assert client.get("/api/one/None").json() is None


def test_a_database_error_is_one(client: Client) -> None:
    """What the database says is raised as it is, and is no invalid list."""
    with pytest.raises(Exception, match="no_such_column"):
        client.get("/api/broken")


def test_rows_of_another_model(client: Client) -> None:
    """A queryset of another model is told as that."""
    with pytest.raises(TypeError, match="CompanySchema is a schema of Company, and was given Department"):
        client.get("/api/wrong")


def test_a_second_mount_changes_nothing(client: Client, root_path: str, django_assert_num_queries: Any) -> None:
    """An app that is mounted again reads its rows once."""
    again = Client(mount("/api", api), root_path=root_path)
    with django_assert_num_queries(3):
        assert len(again.get("/api/async").json()) == 2


def test_the_databases_json(client: Client, django_assert_num_queries: Any) -> None:
    """PostgreSQL makes the answer in one statement, equal to the plan's; elsewhere the plan does it."""
    postgresql = connection.vendor == "postgresql"
    with django_assert_num_queries(1 if postgresql else 3):
        response = client.get("/api/database")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == client.get("/api/by-plan").json()
    assert b'" : ' in response.content or not postgresql
    assert "name" not in client.get("/api/without").json()[0]
    assert "database's JSON" in ByDatabase.explain()


@pytest.mark.parametrize("way", ["plan", "instances", "database"])
def test_a_manager_is_asked_each_time(firm: None, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Nested rows are those that their manager shows this caller, whatever it showed the one before."""

    class Teams(ModelSchema[Department]):
        teams: list[TeamSchema]

        class Meta:
            fields = ["name"]

    Teams.__name__ = f"Teams{way}"
    declared(Teams).options = replace(declared(Teams).options, way=way)  # type: ignore[arg-type]
    rows = Department.objects.filter(name="Research")

    def names() -> list[str]:
        [department] = json.loads(Teams.read_json(rows.all()))
        return [team["name"] for team in department["teams"]]

    assert names() == ["two", "one"]
    everybodys = OpenTeams.get_queryset
    monkeypatch.setattr(OpenTeams, "get_queryset", lambda self: everybodys(self).filter(name="one"))
    assert names() == ["one"]
