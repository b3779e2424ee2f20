"""Writes of several rows: what they ask the database, and that all are written or none.

Holds `crud/writing/writes.py`.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crud.resources import SCOPES, api_of, caller, companies, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ActionScopes, Cursor, LimitOffset, ModelRouter, SoftDelete
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, Label, Rate

pytestmark = pytest.mark.django_db


class FlatCompany(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name", "slug", "size", "status", "tenant_id"]


class RateSchema(ModelSchema[Rate]):
    class Meta:
        fields = ["country", "year", "percent"]


def flat(**options: Any) -> Api:
    every = {"create": True, "update": True, "delete": SoftDelete(status="closed"), "rows": visible, **options}
    scopes = ActionScopes(**{name: [name] for name in SCOPES})
    return Api(served(ModelRouter(FlatCompany, prefix="/companies", security=caller, scopes=scopes, **every)))


def looking(queries: CaptureQueriesContext) -> list[str]:
    """The queries but for those of saving: `full_clean()` asks for what is unique of each row, and each is written."""
    saving = ("INSERT", "UPDATE", "SELECT 1 ", "SAVEPOINT", "RELEASE")
    return [each["sql"] for each in queries.captured_queries if not each["sql"].startswith(saving)]


def test_the_number_of_queries_is_constant() -> None:
    """Twenty rows are looked up, locked and looked at in as many queries as two, and each is saved in one."""
    client, asked, saved = flat(), {}, {}
    for many in (2, 20):
        bodies = [{"name": "a", "slug": f"{many}-{n}", "tenant_id": 1} for n in range(many)]
        with CaptureQueriesContext(connection) as made:
            rows = ok(client.post("/companies/bulk", json=bodies), 201)
        with CaptureQueriesContext(connection) as changed:
            answer = ok(client.patch("/companies", json=[{"id": row["id"], "name": "b"} for row in reversed(rows)]))
        assert [row["id"] for row in answer] == [row["id"] for row in reversed(rows)]
        assert {row["name"] for row in answer} == {"b"}
        asked[many] = [len(looking(each)) for each in (made, changed)]
        saved[many] = sum(each["sql"].startswith("UPDATE") for each in changed.captured_queries)
    assert asked[2] == asked[20]
    assert max(asked[20]) <= 6
    assert saved == {2: 2, 20: 20}


def test_all_or_none() -> None:
    """One row that may not be seen, is moved out of sight, or is marked without the scope to delete, undoes all."""
    client = flat()
    own = [Company.objects.create(name="a", slug=f"c{n}", tenant_id=1) for n in range(3)]
    other = Company.objects.create(name="a", slug="other", tenant_id=2)
    first = {"id": own[0].pk, "name": "b"}
    for item, scopes, status in (
        ({"id": other.pk, "name": "b"}, "", 422),
        ({"id": 10**9, "name": "b"}, "", 422),
        ({"id": own[0].pk, "name": "c"}, "", 422),
        ({"id": own[1].pk, "tenant_id": 2}, "", 403),
        ({"id": own[1].pk, "status": "closed"}, "update", 403),
        ({"id": own[1].pk, "slug": own[2].slug}, "", 422),
    ):
        for items in ([first, item], [item, first]):
            answer = client.patch("/companies", json=items, **client.of(f"1:{scopes}"))
            assert answer.status_code == status, answer.text
            assert {(row.name, row.status, row.tenant_id) for row in Company.objects.exclude(slug="other")} == {
                ("a", "open", 1)
            }
    new = {"name": "n", "slug": "n", "tenant_id": 1}
    assert client.post("/companies/bulk", json=[new, {**new, "slug": "m", "tenant_id": 2}]).status_code == 403
    assert Company.objects.count() == 4


def test_the_place_of_what_is_refused() -> None:
    """The error of a row has its place in the list."""
    client, row = flat(), Company.objects.create(name="a", slug="a", tenant_id=1)
    for items, place in (
        ([{"id": 10**9}, {"id": row.pk}], 0),
        ([{"id": row.pk}, {"id": row.pk}], 1),
        ([{"id": row.pk}, {"id": 2**63}], 1),
        ([{"id": row.pk}, {"id": -(10**30)}], 1),
    ):
        [error] = client.patch("/companies", json=items).json()["detail"]
        assert error["loc"] == ["body", place]


def test_composite_keys() -> None:
    """Rows of a composite key are changed together too."""
    client = Api(served(ModelRouter(RateSchema, prefix="/rates", update=True)))
    rows = [Rate.objects.create(country=country, year=2000, percent=1) for country in ("b", "a")]
    answer = ok(client.patch("/rates", json=[{"country": row.country, "year": 2000, "percent": 2} for row in rows]))
    assert [(row["country"], row["percent"]) for row in answer] == [("b", 2.0), ("a", 2.0)]


def test_as_many_composite_keys_as_are_taken() -> None:
    """As many rows of a composite key as OpenAPI says are made and changed at once, and one more is 422."""
    router = ModelRouter(RateSchema, prefix="/rates", create=True, update=True)
    client, paths = Api(served(router)), api_of(router).openapi()["paths"]
    bodies = [paths[path][method]["requestBody"] for path, method in (("/rates/bulk", "post"), ("/rates", "patch"))]
    [many] = {each["content"]["application/json"]["schema"]["maxItems"] for each in bodies}
    rows = [{"country": f"c{number}", "year": number, "percent": 1.0} for number in range(many)]
    assert len(ok(client.post("/rates/bulk", json=rows), 201)) == many
    changed = ok(client.patch("/rates", json=[{**row, "percent": 2.0} for row in rows]))
    assert {row["percent"] for row in changed} == {2.0}
    assert client.patch("/rates", json=[*rows, {"country": "x", "year": 1}]).status_code == 422


@pytest.mark.parametrize("page", [Cursor(), LimitOffset()], ids=["cursor", "offset"])
def test_a_page_of_composite_keys(page: Any) -> None:
    """A list of rows with a composite key has as many on a page as another, each once and in order."""
    Rate.objects.bulk_create(Rate(country=f"c{number}", year=number) for number in range(1050))
    client = Api(served(ModelRouter(RateSchema, prefix="/rates", page=page)))
    asked = {"limit": 1000, "order_by": "year"}
    first = ok(client.get("/rates", params=asked))
    where = "cursor" if isinstance(page, Cursor) else "offset"
    last = ok(client.get("/rates", params={**asked, where: first["next"]}))
    assert [row["year"] for row in (*first["items"], *last["items"])] == list(range(1050))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the limit is SQLite's")
def test_more_keys_than_a_statement_takes() -> None:
    """A body may name more rows than the database takes values in one statement: each that is not there is told."""
    row, label = Company.objects.create(name="a", slug="a"), Label.objects.create(name="l")
    client, path = Api(served(companies())), f"/companies/{row.pk}"
    limit = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 6000)
    try:
        labels = [label.pk] * 7000 + [label.pk + number for number in range(7000)]
        assert ok(client.patch(path, json={"labels": labels}), 422)["detail"][0]["loc"] == ["body", "labels", 7001]
        departments = [{"id": number, "name": "d"} for number in range(7000)]
        told = ok(client.patch(path, json={"departments": departments}), 422)["detail"]
        assert told[-1]["loc"] == ["body", "departments", 6999, "id"]
        assert ok(client.patch(path, json={"labels": [label.pk] * 7000}))["labels"] == [label.pk]
    finally:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)


@pytest.mark.parametrize("key", [2**63, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("place", [("owner",), ("labels", 0), ("departments", 0, "id")], ids=str)
def test_keys_that_no_column_holds(key: int, place: tuple[Any, ...]) -> None:
    """A key that is too large for any column is as unknown as another, and is told with its place in the body."""
    row = Company.objects.create(name="a", slug="a")
    value: Any = {1: key, 2: [key], 3: [{"id": key, "name": "d"}]}[len(place)]
    [error] = ok(Api(served(companies())).patch(f"/companies/{row.pk}", json={place[0]: value}), 422)["detail"]
    assert error["loc"] == ["body", *place]
