"""Requests that nobody means well with: each is refused in words, and none is a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crud.resources import RateSchema, companies
from crud.serving import Api, ok, served
from djfast_mount.crud import LimitOffset, ModelRouter
from project.companies.models import Company, Rate

pytestmark = pytest.mark.django_db

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def app() -> Any:
    every: dict[str, Any] = {"create": True, "update": True, "delete": True}
    return served(companies(), ModelRouter(RateSchema, prefix="/rates", page=LimitOffset(), **every))


@pytest.fixture
def client(app: Any, root_path: str) -> Iterator[Api]:
    with Api(app, root_path) as client:
        yield client


@pytest.fixture
def row(client: Api) -> str:
    return f"/companies/{ok(client.post('/companies', json={'name': 'a', 'slug': 'a'}), 201)['id']}"


BODIES = {
    "duplicate keys": b'{"name": "x", "name": "y", "slug": "s"}',
    "NaN": b'{"name": "x", "slug": "s", "rating": NaN}',
    "Infinity": b'{"name": "x", "slug": "s", "size": Infinity}',
    "huge number": b'{"name": "x", "slug": "s", "size": 1' + b"0" * 5000 + b"}",
    "huge exponent": b'{"name": "x", "slug": "s", "size": 1e999}',
    "huge decimal": b'{"name": "x", "slug": "s", "rating": "1' + b"0" * 5000 + b'"}',
    "deep nesting": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep departments": b'{"name":"x","slug":"s","departments":'
    + b'[{"departments":' * 500
    + b"1"
    + b"}]" * 500
    + b"}",
    "half a surrogate": b'{"name": "\\ud800", "slug": "s"}',
    "NUL": b'{"name": "\\u0000", "slug": "s"}',
    "no UTF-8": b'{"name": "\xff\xfe", "slug": "s"}',
    "UTF-16": '{"name": "x", "slug": "s"}'.encode("utf-16"),
    "null": b"null",
    "list": b"[]",
    "text": b'"name"',
    "nothing": b"",
    "null in PATCH": b'{"name": null}',
    "null list": b'{"departments": null}',
    "id": b'{"id": 5, "name": "x", "slug": "s"}',
    "private": b'{"pk": 5, "tenant_id": 2, "_state": 1, "__class__": 1, "name": "x", "slug": "s"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(client: Api, row: str, body: bytes) -> None:
    """Whatever a body is, it is answered: below 500, and in JSON that can be read."""
    before = ok(client.get(row))
    for method, path in (("POST", "/companies"), ("POST", "/companies/bulk"), ("PUT", row), ("PATCH", row)):
        answer = client.request(method, path, content=body, headers=JSON)
        assert answer.status_code < 500, (method, answer.text[:200])
        json.loads(answer.text)
    several = client.patch("/companies", content=b"[" + body + b"]", headers=JSON)
    assert several.status_code in (400, 422), several.text[:200]
    after = Company.objects.get(pk=before["id"])
    assert (after.tenant_id, Company.objects.exclude(tenant_id=1).count()) == (1, 0)


QUERIES = [
    "size__gte=NaN",
    "size__gte=1e999",
    "size=" + "9" * 5000,
    "rating__gte=NaN",
    "rating=1e99999",
    "name=%00",
    "name=%ff",
    "name=" + "x" * 60000,
    "name__icontains=%25_%5C",
    "search=%00",
    "search=" + "a+" * 99,
    "founded=0000-00-00",
    "founded__year=99999999999999999999",
    "created__gte=9999-12-31T23:59:59-23:59",
    "order_by=secret",
    "order_by=tenant_id",
    "order_by=owner__secret",
    "secret=s3cr3t",
    "secret__startswith=s",
    "tenant_id=2",
    "owner__tenant_id=2",
    "departments__company__secret=s",
    "name__regex=(a%2B)%2B$",
    "limit=-1",
    "limit=0",
    "limit=" + "9" * 30,
    "cursor=",
    "cursor=%00",
    "cursor=" + "A" * 20000,
    "total=maybe",
    "!total=true",
    "!!name=a",
    "%21order_by=name",
    "=a",
    "&&&",
    "order_by=" + "&order_by=".join(["name"] * 50),
]


@pytest.mark.parametrize("query", QUERIES, ids=[query[:24] for query in QUERIES])
def test_queries(client: Api, row: str, query: str) -> None:
    """Whatever a query is, it is 200 or 422, for the list and for aggregates; a hidden field is no parameter."""
    for path in ("/companies", "/companies/aggregate/count/*"):
        answer = client.get(f"{path}?{query}")
        assert answer.status_code in (200, 422), answer.text[:200]
        if "secret" in query or "tenant" in query:
            assert answer.status_code == 422


@pytest.mark.parametrize("field", ["secret", "tenant_id", "owner__secret", "departments__company", "pk", "id", "-size"])
def test_aggregates_of_hidden_fields(client: Api, row: str, field: str) -> None:
    """There is no number of a field that the schema hides, nor a group by one."""
    for function in ("max", "min", "count", "sum", "avg"):
        assert client.get(f"/companies/aggregate/{function}/{field}").status_code in (404, 422)
    assert client.get("/companies/aggregate/count/*", params={"group_by": field}).status_code == 422


@pytest.mark.parametrize(
    "country", ["a/b", "a%2Fb", "%", "é", "..", ".", "a b", "?", "#", ";", "+", "\\", "a\tb", "\u202e", "日本"]
)
def test_composite_keys_of_any_text(client: Api, country: str) -> None:
    """A row whose key has what URLs escape is found at its Location; one that no path can name is not made."""
    made = client.post("/rates", json={"country": country, "year": 1, "percent": 1})
    if "/" in country or country in (".", "..", "a\tb"):
        # Servers decode the path before it is divided, clients take dots away (RFC 3986, section 5.2.4), and the root
        # takes no control character in a path.
        assert ok(made, 422)["detail"][0]["loc"] == ["body", "country"]
        return
    assert made.status_code == 201, made.text
    assert ok(client.get("/rates"))["items"][0]["country"] == country
    found = client.get(made.headers["location"].partition("/api")[2])
    assert ok(found)["country"] == country
    assert Rate.objects.count() == 1


def test_a_bulk_change_names_each_row_once(client: Api, row: str) -> None:
    """Two items with one key are 422, and neither is applied; so with an item whose row cannot be seen."""
    key = int(row.rpartition("/")[2])
    foreign = Company.objects.create(name="f", slug="f", tenant_id=2)
    for other in (key, foreign.pk, 10**9, str(key)):
        answer = client.patch("/companies", json=[{"id": key, "size": 5}, {"id": other, "size": 6}])
        assert answer.status_code == 422, answer.text
    assert ok(client.get(row))["size"] is None


def test_put_without_what_is_required(client: Api, row: str) -> None:
    """PUT without a required field is 422, and changes nothing."""
    before = ok(client.get(row))
    for sent in ({}, {"name": "b"}, {"slug": "b"}):
        assert client.put(row, json=sent).status_code == 422
    assert ok(client.get(row)) == before


def test_a_tag_after_a_related_change(client: Api, row: str) -> None:
    """The ETag is of what is shown: a change of a nested row makes another, and the old one is 412."""
    tag = client.get(row).headers["etag"]
    made = ok(client.post(f"{row}/departments", json={"name": "d"}), 201)
    assert client.patch(row, json={"size": 1}, headers={"If-Match": tag}).status_code == 412
    tag = client.get(row).headers["etag"]
    ok(client.patch(f"{row}/departments/{made['id']}", json={"name": "e"}))
    assert client.get(row, headers={"If-None-Match": tag}).status_code == 200
    assert client.delete(row, headers={"If-Match": tag}).status_code == 412


@pytest.mark.parametrize("tag", ["", "*", '"', 'W/"a"', '"a", "b"', ",,,", '"' + "x" * 30000 + '"', "\x7f", '"é"'])
def test_tags(client: Api, row: str, tag: str) -> None:
    """Whatever a client sends as a tag, a write is done for `*` alone, else 412."""
    headers = {"If-Match": tag.encode("latin-1")}
    answer = client.patch(row, json={"size": 1}, headers=headers)
    assert answer.status_code == (200 if tag == "*" else 412), answer.text
    assert client.get(row, headers={"If-None-Match": tag.encode("latin-1")}).status_code == (304 if tag == "*" else 200)


def test_other_methods(client: Api, row: str) -> None:
    """HEAD is answered as GET without a body wherever there is GET; what a path does not take is 405 with Allow."""
    for path in ("/companies", row, f"{row}/departments", "/companies/aggregate/count/*", f"{row}/employees"):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert {name: value for name, value in head.headers.items() if name != "server-timing"} == dict(got.headers)
        options = client.options(path)
        assert options.status_code == 405
        assert "GET" in options.headers["allow"]
    assert client.head("/companies/999999").status_code == 404
    assert client.delete("/companies").status_code == 405
    assert client.request("TRACE", row).status_code == 405


def test_cursors_of_others(client: Api, row: str) -> None:
    """A cursor of another order, filter, key or list is 422."""
    for number in range(3):
        ok(client.post("/companies", json={"name": f"c{number}", "slug": f"c{number}"}), 201)
    cursor = ok(client.get("/companies?limit=2&order_by=name"))["next"]
    assert cursor
    wrong = [f"/companies?limit=2&cursor={cursor}", f"/companies?limit=2&order_by=-name&cursor={cursor}"]
    wrong += [f"/companies?limit=2&order_by=name&name=c0&cursor={cursor}", f"{row}/departments?cursor={cursor}"]
    wrong += [f"/companies?limit=2&order_by=name&cursor={cursor[:-1]}", f"/companies?order_by=name&cursor=x{cursor}"]
    for url in wrong:
        assert client.get(url).status_code == 422, url


def test_a_cursor_of_another_key(client: Api, row: str, settings: Any) -> None:
    """A cursor that was signed by another SECRET_KEY is 422."""
    ok(client.post("/companies", json={"name": "c", "slug": "c"}), 201)
    cursor = ok(client.get("/companies?limit=1"))["next"]
    settings.SECRET_KEY = "another"
    assert client.get(f"/companies?limit=1&cursor={cursor}").status_code == 422


def test_paths_that_are_no_rows(client: Api, row: str) -> None:
    """A key that no row can have is 404 or 422, with a control character 400; never an error of the database's."""
    for key in ("0", "-1", "9" * 19, "9" * 40, "a", "1e3", "%00", "1%00", "%F0%9F%92%A9", "null"):
        wanted = (400,) if "%00" in key else (404, 422)
        assert client.get(f"/companies/{key}").status_code in wanted, key
        assert client.patch(f"{row}/departments/{key}", json={}).status_code in wanted, key
