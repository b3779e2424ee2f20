"""The code in docs/crud.md and docs/tokens.md, run; and what its recipes do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import DjangoFilterBackend
from fastapi import FastAPI
from ninja import ModelSchema as NinjaSchema
from ninja import PatchDict, Router, Status
from ninja.testing import TestClient as NinjaClient
from rest_framework import serializers, viewsets
from rest_framework.test import APIRequestFactory, force_authenticate

from crud.resources import api_of, companies
from crud.serving import ok
from djfast_mount import mount
from djfast_mount.testing import Client
from djfast_mount.tokens.models import APIToken
from harness import TESTS
from project.companies import models

pytestmark = pytest.mark.django_db

DOCS = TESTS.parent / "docs"


def code_of(page: str) -> str:
    return "\n\n".join(re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page defines. Its models are those of the tests."""
    shown = ModuleType("companies.models")
    shown.Company, shown.Department = models.Company, models.CompanyDepartment  # type: ignore[attr-defined]
    shown.Document = models.Document  # type: ignore[attr-defined]
    sys.modules["companies.models"] = shown
    sys.modules["companies"] = ModuleType("companies")
    found = ModuleType("docs_crud")
    sys.modules["docs_crud"] = found
    try:
        exec(compile(code_of("crud.md"), "docs/crud.md", "exec"), found.__dict__)
    finally:
        del sys.modules["companies.models"], sys.modules["companies"]
    return found.__dict__


def client_of(*routers: Any, api: FastAPI | None = None) -> Client:
    client = Client(mount("/api", api or api_of(*routers)))
    client.base_url = client.base_url.join("/api")
    return client


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def bearer(user: User, *scopes: str) -> str:
    return f"Bearer {APIToken.objects.issue(user, 'test', scopes).text}"


def test_the_first_example(page: dict[str, Any]) -> None:
    """It reads and writes companies with their departments."""
    client = client_of(api=page["api"])
    sent = {"name": "a", "slug": "a", "departments": [{"name": "IT"}]}
    made = ok(client.post("/companies", json=sent), 201)
    assert [each["name"] for each in made["departments"]] == ["IT"]
    assert ok(client.get(f"/companies/{made['id']}/departments"))["items"][0]["name"] == "IT"
    assert ok(client.get("/companies?!name=a"))["items"] == []


def test_the_secured_example(page: dict[str, Any], ada: User) -> None:
    """A token sees the rows of its owner, with the scopes that it has."""
    client = client_of(page["secured"])
    assert client.get("/companies").status_code == 401
    client.headers["Authorization"] = bearer(ada, "companies.read", "companies.write")
    made = ok(client.post("/companies", json={"name": "a", "slug": "a"}), 201)
    assert models.Company.objects.get(pk=made["id"]).tenant_id == ada.pk
    client.headers["Authorization"] = bearer(User.objects.create_user("bob"), "companies.read")
    assert ok(client.get("/companies"))["items"] == []
    assert client.post("/companies", json={"name": "b", "slug": "b"}).status_code == 403


def test_every_page(page: dict[str, Any]) -> None:
    """The client of the page follows `Link` to the end, and the numbers are answered as their table says."""
    client = client_of(api=page["api"])
    for number in range(5):
        founded = f"202{number % 2}-01-01"
        models.Company.objects.create(name=f"c{number}", slug=f"c{number}", size=number, founded=founded)
    found = [item["name"] for item in page["every_item"](client, "companies?limit=2&order_by=-name")]
    assert found == ["c4", "c3", "c2", "c1", "c0"]
    numbers = "/companies/aggregate"
    assert ok(client.get(f"{numbers}/count/*?name__icontains=c"))["values"] == [{"value": 5}]
    years = ok(client.get(f"{numbers}/count/*?group_by=founded__year&order_by=-value"))["values"]
    assert years == [{"value": 3, "founded__year": 2020}, {"value": 2, "founded__year": 2021}]
    large = ok(client.get(f"{numbers}/sum/size?group_by=founded__year&size__sum__gte=6"))["values"]
    assert large == [{"value": 6, "founded__year": 2020}]


def test_scopes_from_elsewhere(page: dict[str, Any], ada: User) -> None:
    """They are asked of the object that a dependency of one's own returns."""
    client = client_of(page["by_store"])
    client.headers["Authorization"] = bearer(ada)
    assert client.get("/stored").status_code == 403
    page["stored"][str(APIToken.objects.get().pk)] = {"companies.read"}
    assert ok(client.get("/stored"))["items"] == []


def test_validators_of_ones_own(page: dict[str, Any]) -> None:
    """A body's subclass takes its place, in OpenAPI too."""
    client = client_of(page["validated"])
    refused = client.post("/validated", json={"name": "a", "slug": "UPPER"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "slug"]
    assert ok(client.post("/validated", json={"name": "a", "slug": "a"}), 201)["slug"] == "a"


def test_forms(page: dict[str, Any], settings: Any, tmp_path: Path) -> None:
    """The form of the page takes a file."""
    settings.MEDIA_ROOT = tmp_path
    client = client_of(page["documents"])
    sent = client.post("/documents", data={"title": "Report"}, files={"file": ("report.txt", b"text")})
    assert ok(sent, 201)["file"] == "/documents/report.txt"


def test_the_same_resource_elsewhere(page: dict[str, Any], ada: User) -> None:
    """The resource of the page, those of DRF and of django-ninja list, find and make the same companies."""
    models.Company.objects.create(name="theirs", slug="theirs", tenant_id=ada.pk + 1)
    models.Company.objects.create(name="paused", slug="paused", status="paused", tenant_id=ada.pk)
    theirs: dict[str, Any] = {"Company": models.Company, "serializers": serializers, "viewsets": viewsets}
    theirs |= {"DjangoFilterBackend": DjangoFilterBackend, "NinjaSchema": NinjaSchema, "PatchDict": PatchDict}
    theirs |= {"ninja": Router(), "Status": Status, "get_object_or_404": get_object_or_404}
    for block in re.findall(r"```py\n(.*?)```", (DOCS / "crud.md").read_text(), re.DOTALL):
        exec(compile(block, "docs/crud.md", "exec", dont_inherit=True), theirs)
    views, ninja = theirs["CompanyViewSet"], NinjaClient(theirs["ninja"])
    client = client_of(page["here"])
    client.headers["Authorization"] = bearer(ada)

    def drf(method: str, action: str, data: Any = None) -> Any:
        asked = getattr(APIRequestFactory(), method)("/companies?status=open", data, format="json")
        force_authenticate(asked, ada)
        return views.as_view({method: action})(asked).data

    made = [
        ok(client.post("/here", json={"name": "h", "slug": "h"}), 201),
        drf("post", "create", {"name": "d", "slug": "d"}),
        ninja.post("/companies", json={"name": "n", "slug": "n"}, user=ada).json(),
    ]
    assert [(each["name"], each["status"]) for each in made] == [("h", "open"), ("d", "open"), ("n", "open")]
    assert set(models.Company.objects.filter(slug__in="hdn").values_list("tenant_id", flat=True)) == {ada.pk}
    lists = [
        ok(client.get("/here?status=open"))["items"],
        drf("get", "list"),
        ninja.get("/companies?status=open", user=ada).json(),
    ]
    assert [sorted(each["name"] for each in found) for found in lists] == [["d", "h", "n"]] * 3


def test_own_code(page: dict[str, Any]) -> None:
    """Overridden methods and routes by hand do what the page says."""
    client = client_of(page["companies"])
    made = ok(client.post("/own", json={"name": "a", "slug": "a"}), 201)
    assert made["size"] == 1
    assert ok(client.get("/own/export")) == ["a"]
    assert ok(client.post(f"/own/{made['id']}/close")) == "closed"


def test_the_docs_tell_of_scopes() -> None:
    """Each operation says which scopes it needs, and that it may be 401 and 403."""
    paths = api_of(companies()).openapi()["paths"]
    operation = paths["/companies"]["post"]
    assert operation["description"].startswith("Scopes: `create`")
    assert {"401", "403"} <= set(operation["responses"])
    assert paths["/companies/{company_id}/departments"]["post"]["description"] == "Scopes: `update`"
    assert "unless there is a filter of status" in paths["/companies"]["get"]["description"]


def test_the_page_about_tokens(ada: User) -> None:
    """Its code makes, revokes, and serves tokens."""
    code = code_of("tokens.md").replace("INSTALLED_APPS = [..., ", "INSTALLED_APPS = [")
    found: dict[str, Any] = {"user": ada}
    exec(compile(code, "docs/tokens.md", "exec", dont_inherit=True), found)
    client = client_of(api=found["api"])
    client.headers["Authorization"] = f"Bearer {found['text']}"
    assert client.get("/whoami").status_code == 401
    client.headers["Authorization"] = bearer(ada)
    assert ok(client.get("/whoami")) == "ada"
    assert ok(client.post("/tokens/transaction", json={}), 201)["expires_in"] == 300


def table_of_the_sample() -> str:
    readme = (TESTS.parent / "examples" / "companies" / "README.md").read_text()
    return readme.partition("| | djfapi |")[2].partition("##")[0]


def ids_in(cell: str) -> Iterator[str]:
    """Each id of a cell such as ``A4, A5`` or ``D1 to D10``."""
    if " to " not in cell:
        yield from cell.split(", ")
        return
    first, last = cell.split(" to ")
    yield from (f"{first[0]}{number}" for number in range(int(first[1:]), int(last[1:]) + 1))


def test_every_feature_of_djfapi_has_a_test() -> None:
    """The README of examples/companies has a row for each, and for each defect, with the test of it; B9 is not built,
    and F has none."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table_of_the_sample().splitlines()[2:]]
    tested = {each: row[3] for row in rows if len(row) == 4 for each in ids_in(row[0])}
    last = {"A": 24, "B": 9, "D": 13, "E": 10, "G": 11}
    assert tested.keys() == {"C", "F", *(f"{part}{n + 1}" for part, most in last.items() for n in range(most))}
    assert {each for each, test in tested.items() if not test} == {"B9", "F"}


def test_the_table_of_the_sample_names_tests() -> None:
    """Every test that the README of examples/companies names is there."""
    table = table_of_the_sample()
    named = re.findall(r"`(test_\w+)(?:\.(test_\w+))?`", table)
    assert len(named) > 40
    for module, test in named:
        source = (TESTS / "crud" / f"{module}.py").read_text()
        assert not test or f"def {test}(" in source, f"{module}.{test}"
    for path in re.findall(r"`(tests/[\w/]+\.py)`", table):
        assert (TESTS.parent / path).is_file()
