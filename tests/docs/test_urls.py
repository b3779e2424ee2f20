"""The code in docs/urls.md and docs/fallthrough.md, run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import Client
from django.urls import path

from api_client import ApiClient, committed_rows
from djfast_mount import mount
from harness import TESTS
from project import library
from project.library import models
from project.library.models import Author, Book

pytestmark = pytest.mark.once

DOCS = TESTS.parent / "docs"


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.setitem(sys.modules, "library.models", models)
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def book() -> Book:
    user = User.objects.create_user("ada")
    return Book.objects.create(title="Flush", author=Author.objects.create(name="V"), pages=7, owner=user)


@pytest.fixture
def names() -> dict[str, Any]:
    """What the first example of docs/urls.md defines."""
    names: dict[str, Any] = {"__name__": "docs"}
    exec(blocks("urls.md")[0], names)
    return names


class URLs:
    site = AdminSite()
    site.register(Book, ModelAdmin)
    urlpatterns = [path("", site.index, name="home"), path("admin/", site.urls)]


def test_urls(names: dict[str, Any], book: Book, root_path: str, settings: Any) -> None:
    """Every endpoint of the first example answers with URLs of both halves."""
    settings.ROOT_URLCONF = URLs
    client = ApiClient(mount("/api", names["api"]), root_path)
    assert client.get(f"/api/books/{book.pk}").status_code == 401
    site = Client()
    site.force_login(book.owner)
    client.set_cookie("sessionid", site.cookies["sessionid"].value)
    assert client.get(f"/api/books/{book.pk}").json() == {
        "title": "Flush",
        "self": f"{root_path}/api/books/{book.pk}",
        "edit": f"{root_path}/admin/library/book/{book.pk}/change/",
    }
    host = f"http://testserver{root_path}"
    assert client.get("/api/links").json() == [f"{host}/api/pages/Flush", f"{host}/"]
    assert client.get("/api/pages/Flush").json() == 7


def test_templates(names: dict[str, Any], book: Book) -> None:
    """Both tags of the page lead to the same endpoint."""
    mount("/api", names["api"])
    page = Template(blocks("urls.md", "html+django")[0]).render(Context({"book": book}))
    assert re.findall('href="(.*?)"', page) == [f"/api/books/{book.pk}"] * 2


def test_route_table(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The last example prints a line for each route."""
    exec(blocks("urls.md")[1], names)
    printed = capsys.readouterr().out.splitlines()
    assert "/api/books/{id} GET api:book user" in printed
    assert "/admin/ admin:index staff" in printed


def test_fallthrough(root_path: str, settings: Any) -> None:
    """One prefix, and the routes of both."""
    names: dict[str, Any] = {"__name__": "docs"}
    for block in blocks("fallthrough.md"):
        exec(block, names)
    settings.ROOT_URLCONF = tuple(names["urlpatterns"])
    client = ApiClient(names["app"], root_path)
    assert client.get("/api/books").json() == ["Flush"]
    assert client.get("/api/authors/").json() == ["Virginia"]
    assert client.get("/api/docs").status_code == 200
