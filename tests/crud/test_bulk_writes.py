"""Writes of several rows: what they ask the database, and that all are written or none.

Holds `crud/writing/writes.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crud.resources import SCOPES, caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ActionScopes, ModelRouter, SoftDelete
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, Rate

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
    for items, place in (([{"id": 10**9}, {"id": row.pk}], 0), ([{"id": row.pk}, {"id": row.pk}], 1)):
        [error] = client.patch("/companies", json=items).json()["detail"]
        assert error["loc"] == ["body", place]


def test_composite_keys() -> None:
    """Rows of a composite key are changed together too."""
    client = Api(served(ModelRouter(RateSchema, prefix="/rates", update=True)))
    rows = [Rate.objects.create(country=country, year=2000, percent=1) for country in ("b", "a")]
    answer = ok(client.patch("/rates", json=[{"country": row.country, "year": 2000, "percent": 2} for row in rows]))
    assert [(row["country"], row["percent"]) for row in answer] == [("b", 2.0), ("a", 2.0)]
