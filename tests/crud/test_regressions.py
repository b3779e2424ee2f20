"""Defects of an older library of this kind, which must not come back here: G1 to G11."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from django.core.signals import request_finished, request_started

from crud.resources import CompanySchema, api_of, companies
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.crud import Call, ModelRouter
from djfast_mount.testing import Client
from project.companies.models import Company

pytestmark = pytest.mark.django_db


def company(name: str = "a", **values: Any) -> Company:
    return Company.objects.create(**{"name": name, "slug": f"c{Company.objects.count()}", "tenant_id": 1, **values})


def test_g1_it_is_written_for_pydantic_2() -> None:
    """Its models are those of Pydantic 2."""
    assert issubclass(companies().resource.bodies["create"], pydantic.BaseModel)
    assert pydantic.VERSION.startswith("2.")


def test_g2_signals_come_in_pairs(api: Api) -> None:
    """request_finished is sent after a 404, a 422 and a 500 as after a 200."""
    sent: list[str] = []

    def started(**_: Any) -> None:
        sent.append("start")

    def finished(**_: Any) -> None:
        sent.append("finish")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        for path in ("/companies", "/companies/0", "/companies?size=x"):
            sent.clear()
            api.get(path)
            assert sent == ["start", "finish"]
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)


def test_g3_documented_filters_work(api: Api) -> None:
    """Every documented parameter of the list is answered, those of numbers of related rows and their order too."""
    row = company()
    row.departments.create(name="d", size=5)
    row.departments.create(name="e", size=6)
    company("b")
    paths = ok(api.get("/openapi.json"))["paths"]
    assert "departments__count__gte" in [each["name"] for each in paths["/companies"]["get"]["parameters"]]
    assert [i["id"] for i in ok(api.get("/companies?departments__count__gte=2"))["items"]] == [row.pk]
    assert [i["id"] for i in ok(api.get("/companies?departments__size__sum__gte=11"))["items"]] == [row.pk]
    assert ok(api.get("/companies?order_by=departments__count"))["items"][-1]["id"] == row.pk


def test_g4_security_without_scopes_demands_a_caller() -> None:
    """Without a token it is 401 everywhere."""
    router = companies(scopes=None)
    client = Api(served(router))
    assert ok(client.get("/companies"))["items"] == []
    del client.headers["X-Token"]
    for path in ("/companies", "/companies/1", "/companies/aggregate/count/*", "/companies/1/departments"):
        assert client.get(path).status_code == 401
    assert client.post("/companies", json={}).status_code == 401


def test_g5_a_child_of_no_parent(api: Api) -> None:
    """A child cannot be made below a parent that is not there, is another's, or counts as deleted."""
    foreign, closed = company("f", tenant_id=2), company("c", status="closed")
    for key in (0, foreign.pk, closed.pk):
        assert api.post(f"/companies/{key}/departments", json={"name": "x"}).status_code == 404
        assert api.post(f"/companies/{key}/departments/bulk", json=[{"name": "x"}]).status_code == 404
    assert foreign.departments.count() == closed.departments.count() == 0


def test_g6_a_foreign_key_of_any_name(api: Api) -> None:
    """A grandchild is made though its foreign key is not called like its parent."""
    department = company().departments.create(name="d")
    path = f"/companies/{department.company_id}/departments/{department.pk}/teams"
    assert ok(api.post(path, json={"name": "t"}), 201)["name"] == "t"
    assert department.teams.count() == 1


def test_g7_nothing_but_nulls(api: Api) -> None:
    """Numbers over nulls alone, and over no rows, are null; their count is 0."""
    for _ in range(2):
        for function in ("sum", "avg", "min", "max"):
            assert ok(api.get(f"/companies/aggregate/{function}/size"))["values"] == [{"value": None}]
        assert ok(api.get("/companies/aggregate/count/size"))["values"] == [{"value": 0}]
        assert ok(api.get("/companies/aggregate/count/departments"))["values"] == [{"value": 0}]
        company(size=None)


def test_g8_a_deleted_row_is_gone(api: Api) -> None:
    """After a soft delete its path is 404."""
    row = company()
    assert api.delete(f"/companies/{row.pk}").status_code == 204
    assert api.get(f"/companies/{row.pk}").status_code == 404


def test_g9_constraints_of_any_database(root_path: str) -> None:
    """What the database refuses is 409 on every database."""

    def create_row(call: Call, body: Any) -> Any:
        return Company.objects.create(name=body.name, slug="taken")

    router = ModelRouter(CompanySchema, prefix="/companies", create=True, hooks={"create_row": create_row})
    client = Client(mount("/api", api_of(router)), root_path=root_path)
    company(slug="taken")
    assert client.post("/api/companies", json={"name": "x", "slug": "y", "labels": []}).status_code == 409


def test_g10_no_row_comes_twice(api: Api) -> None:
    """A company with two departments that match is there once, and counted once."""
    row = company()
    row.departments.create(name="da")
    row.departments.create(name="db")
    found = ok(api.get("/companies?departments__name__icontains=d&total=true"))
    assert ([item["id"] for item in found["items"]], found["total"]) == ([row.pk], 1)


def test_g11_as_many_queries_for_one_as_for_many(api: Api, django_assert_num_queries: Any) -> None:
    """A list takes two queries, and one for each relation to many."""
    for _ in range(5):
        row = company()
        row.departments.create(name="d")
    with django_assert_num_queries(4):
        assert len(ok(api.get("/companies"))["items"]) == 5
