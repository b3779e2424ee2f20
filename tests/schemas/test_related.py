"""Schemas that read models and what these are related to; the code in docs/schemas.md, run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from api_client import ApiClient, committed_rows
from djfast_mount import mount
from harness import TESTS
from project import library
from project.library import models
from project.library.models import Author, Book


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.setitem(sys.modules, "library.models", models)
    with committed_rows(django_db_blocker):
        for name, titles in {"Virginia": ["Flush", "Orlando"], "Joseph": ["Job"], "Nobody": []}.items():
            author = Author.objects.create(name=name)
            for title in titles:
                Book.objects.create(title=title, author=author, pages=7)
        yield


@pytest.fixture
def names() -> dict[str, Any]:
    """What the example of docs/schemas.md defines, and two endpoints more."""
    *_, code = re.findall(r"^```python\n(.*?)^```$", (TESTS.parent / "docs" / "schemas.md").read_text(), re.S | re.M)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(compile(code, "schemas.md", "exec", dont_inherit=True), names)
    api: FastAPI = names["api"]
    schema = names["AuthorWithBooks"]

    async def prefetched() -> list[Author]:
        return [author async for author in Author.objects.prefetch_related("book_set__author")]

    async def forgotten() -> list[Author]:
        return [author async for author in Author.objects.all()]

    def plain() -> list[dict[str, Any]]:
        return [{"name": "Anna", "book_set": [{"title": "Transit", "author": {"name": "Anna"}}]}]

    for endpoint in (prefetched, forgotten, plain):
        api.get(f"/{endpoint.__name__}", response_model=list[schema])(endpoint)
    return names


@pytest.fixture
def client(names: dict[str, Any], root_path: str) -> ApiClient:
    return ApiClient(mount("/api", names["api"]), root_path)


def titles_of(answer: Any) -> dict[str, list[str]]:
    return {author["name"]: sorted(book["title"] for book in author["book_set"]) for author in answer}


@pytest.mark.parametrize("path", ["/api/authors", "/api/prefetched"])
def test_a_relation_to_many_is_a_list(client: ApiClient, path: str) -> None:
    """A function reads the rows when its answer is made, and a coroutine has fetched them before."""
    found = client.get(path).json()
    assert titles_of(found) == {"Virginia": ["Flush", "Orlando"], "Joseph": ["Job"], "Nobody": []}


def test_a_foreign_key_is_nested(client: ApiClient) -> None:
    """What a coroutine has joined is in its answer."""
    found = client.get("/api/books").json()
    assert {book["title"]: book["author"]["name"] for book in found} == {
        "Flush": "Virginia",
        "Orlando": "Virginia",
        "Job": "Joseph",
    }


def test_what_was_not_fetched_is_an_error(client: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that has not fetched the rows gets no answer that lacks them; the log names it and the remedy."""
    assert client.get("/api/forgotten").status_code == 500
    [logged] = [record for record in caplog.records if record.name == "django.request"]
    assert logged.exc_info
    assert "/api/forgotten" in logged.getMessage()
    assert "'Book' were asked for on the event loop" in str(logged.exc_info[1])
    assert "prefetch_related()" in str(logged.exc_info[1])


def test_a_query_on_the_event_loop(
    names: dict[str, Any], client: ApiClient, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of a coroutine that asks the database itself names the endpoint, and what to write instead."""

    async def blocked() -> int:
        return Author.objects.count()

    names["api"].get("/blocked/{name}")(blocked)
    assert client.get("/api/blocked/one").status_code == 500
    assert f"GET {root_path}/api/blocked/{{name}} (" in caplog.text
    assert "blocked) ran a query on the event loop. Write it as a plain def" in caplog.text


def test_lists_are_taken_as_they_are(client: ApiClient) -> None:
    """Rows that come from elsewhere than a manager are read too."""
    assert titles_of(client.get("/api/plain").json()) == {"Anna": ["Transit"]}


def test_the_schema_says_array(names: dict[str, Any]) -> None:
    """OpenAPI has a list of the nested schema."""
    shown = names["api"].openapi()["components"]["schemas"]["AuthorWithBooks"]["properties"]["book_set"]
    assert shown == {"items": {"$ref": "#/components/schemas/BookOut"}, "type": "array", "title": "Book Set"}
