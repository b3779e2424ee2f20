"""The URLs of rows whose keys are any text: what stands in headers, and which keys no path can name.

Holds `crud/writing/paths.py`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from crud.resources import RateSchema
from crud.serving import Api, ok, served
from djfast_mount.crud import LimitOffset, ModelRouter
from djfast_mount.schemas import ModelSchema
from project.companies.models import Rate
from project.library.models import Author, Book

pytestmark = pytest.mark.django_db


class AuthorSchema(ModelSchema[Author]):
    class Meta:
        fields = ["id", "name"]


class BookSchema(ModelSchema[Book]):
    class Meta:
        fields = ["id", "title", "pages"]


def authors(**options: Any) -> ModelRouter:
    books = ModelRouter(BookSchema, prefix="/books", create=True, page=LimitOffset(limit=1))
    every: dict[str, Any] = {"lookup": "name", "page": LimitOffset(), "create": True, "update": True, **options}
    return ModelRouter(AuthorSchema, prefix="/authors", children=[books], **every)


def test_any_text_is_a_key_in_urls(root_path: str) -> None:
    """`Location` and `Link` lead to the row and to the pages of its children, whatever text its key is."""
    client = Api(served(authors()), root_path)
    for name in ("東京", "a>b", "a?b", "a b", "50% off", "a;b,c", 'a"b', "ü#1", "a\\b", "..."):
        check_urls(client, root_path, name)


def check_urls(client: Api, root_path: str, name: str) -> None:
    created = client.post("/authors", json={"name": name})
    ok(created, 201)
    assert ok(client.get(url_of(created.headers["Location"], root_path)))["name"] == name
    path = f"/authors/{quote(name, safe='')}/books"
    for title in ("x", "y"):
        made = client.post(path, json={"title": title, "pages": 1})
        ok(made, 201)
        assert ok(client.get(url_of(made.headers["Location"], root_path)))["title"] == title
    page = client.get(path)
    following = client.get(url_of(page.links["next"]["url"], root_path))
    assert [each["title"] for each in (*ok(page)["items"], *ok(following)["items"])] == ["x", "y"]


def url_of(header: str, root_path: str) -> str:
    """The URL of a header, as the client takes it: below its base URL."""
    assert header.isascii()
    assert header.startswith(f"{root_path}/api/")
    return header.removeprefix(f"{root_path}/api")


def test_a_key_that_no_path_names_is_refused() -> None:
    """No row is created or renamed whose own URL would be 404: the answer is 422 at the field."""
    client = Api(served(authors(), ModelRouter(RateSchema, prefix="/rates", create=True)))
    row = Author.objects.create(name="x")
    for name in ("a/b", "/", ".", ".."):
        check_refused(client, row, name)


def check_refused(client: Api, row: Author, name: str) -> None:
    answers = [
        (client.post("/authors", json={"name": name}), ["body", "name"]),
        (client.post("/authors/bulk", json=[{"name": "fine"}, {"name": name}]), ["body", 1, "name"]),
        (client.patch("/authors/x", json={"name": name}), ["body", "name"]),
        (client.put("/authors/x", json={"name": name}), ["body", "name"]),
        (client.patch("/authors", json=[{"id": row.pk, "name": name}]), ["body", 0, "name"]),
        (client.post("/rates", json={"country": name, "year": 1, "percent": 1}), ["body", "country"]),
    ]
    for answer, place in answers:
        [error] = ok(answer, 422)["detail"]
        assert error["loc"] == place
        assert "'/'" in error["msg"]
    assert list(Author.objects.values_list("name", flat=True)) == ["x"]
    assert not Rate.objects.exists()


def test_a_row_that_no_path_names_is_changed_by_its_id() -> None:
    """A bulk change of another field does not fail at a key that was there before."""
    row = Author.objects.create(name="a/b")
    client = Api(served(authors()))
    assert ok(client.patch("/authors", json=[{"id": row.pk}]))[0]["name"] == "a/b"
