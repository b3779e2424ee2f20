"""The code in docs/schemas.md, run."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.testing import Client
from harness import TESTS
from project import library
from project.library import models
from project.library.models import Author, Book

PAGE = (TESTS.parent / "docs" / "schemas.md").read_text()


@pytest.fixture
def client(db: None, root_path: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.setitem(sys.modules, "library.models", models)
    *code, _related = re.findall(r"^```python\n(.*?)^```$", PAGE, re.S | re.M)
    monkeypatch.setitem(sys.modules, "docs", ModuleType("docs"))
    names = vars(sys.modules["docs"])
    exec(compile("\n\n".join(code), "schemas.md", "exec", dont_inherit=True), names)
    api: FastAPI = names["api"]
    author = Author.objects.create(name="Virginia")
    for title, pages in {"Flush": 90, "Orlando": 300}.items():
        Book.objects.create(title=title, author=author, pages=pages)
    return Client(mount("/api", api), root_path=root_path)


@pytest.mark.parametrize("path", ["/api/authors", "/api/async/authors"])
def test_it_reads(client: Client, path: str, django_assert_num_queries: Any) -> None:
    """Authors come with their books, by two queries."""
    with django_assert_num_queries(2):
        [found] = client.get(path).json()
    assert (found["name"], [book["title"] for book in found["book_set"]]) == ("Virginia", ["Flush", "Orlando"])


def test_querysets_and_pages(client: Client) -> None:
    """A route may return a queryset, and a page says how many there are."""
    assert [book["title"] for book in client.get("/api/short").json()] == ["Flush"]
    assert client.get("/api/page").json()["total"] == 1


def test_it_writes(client: Client) -> None:
    """Rows are made with what is nested, changed, replaced, and refused, as the page says."""
    made = client.post("/api/authors", json={"name": "Joseph", "book_set": [{"title": "Job", "pages": 7}]}).json()
    assert Book.objects.get(title="Job").author_id == made["id"]
    books = [{"id": made["book_set"][0]["id"], "pages": 8}, {"title": "Tarabas", "pages": 9}]
    changed = client.patch(f"/api/authors/{made['id']}", json={"book_set": books}).json()
    assert [(book["title"], book["pages"]) for book in changed["book_set"]] == [("Job", 8), ("Tarabas", 9)]
    several = client.post(
        f"/api/authors/{made['id']}/books/all",
        json=[{"title": title, "pages": 9} for title in ("Rebellion", "Leviathan")],
    )
    assert [book["title"] for book in several.json()] == ["Rebellion", "Leviathan"], several.text
    assert client.put(f"/api/authors/{made['id']}", json={"name": "J. Roth"}).json()["name"] == "J. Roth"
    errors = client.patch(f"/api/authors/{made['id']}", json={"book_set": [{"title": "untitled", "pages": 1}]}).json()
    assert errors["detail"] == [{"type": "untitled", "loc": ["body", "book_set", 0], "msg": "A book needs a title."}]
    assert client.post("/api/authors", json={"name": "Virginia"}).status_code == 422
    assert client.post("/api/authors/with-books", json={"name": "Anna"}).status_code == 422
    assert client.post("/api/authors/with-books", json={"name": "Anna", "book_set": []}).json() == 0


def test_the_servers_own_values(client: Client) -> None:
    """A book is owned by who adds it, and counts as a sibling of the author's books."""
    user = User.objects.create_user("ann")
    client.force_login(user)
    path = f"/api/authors/{Author.objects.get().pk}/books"
    assert client.post(path, json={"title": "Night and Day", "pages": 400}).status_code == 201
    assert Book.objects.get(title="Night and Day").owner == user
    assert client.post(path, json={"title": "Flush", "pages": 1}).status_code == 422


def test_references(client: Client) -> None:
    """A reference says what it leads to, and with which parameters."""
    [flush, _] = client.get("/api/referring").json()
    key = Author.objects.get().pk
    assert flush["author"] == {"id": key, "$rel": "author-detail", "$rel_params": {"id": key}}


def test_every_option_is_on_the_page() -> None:
    """The table of Meta's options has each of them."""
    from djfast_mount.schemas.declaring.declaration import Options  # noqa: PLC0415

    table = PAGE.split("`Meta` has these options:")[1].split("A subclass inherits")[0]
    shown = {name for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert shown == set(Options.__dataclass_fields__)
