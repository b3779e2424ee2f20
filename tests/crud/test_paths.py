"""The URLs of rows whose keys are any text: what stands in headers, and which keys no path can name.

Holds `crud/writing/paths.py`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User

from crud.resources import RateSchema
from crud.serving import Api, ok, served
from djfast_mount.crud import LimitOffset, ModelRouter
from djfast_mount.schemas import ModelSchema
from project.companies.models import Rate
from project.library.models import Author, Book, Key

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
    for name in ("a/b", "/", ".", "..", "a\nb", "\x7f"):
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
        assert "'/' or a control character" in error["msg"]
    assert list(Author.objects.values_list("name", flat=True)) == ["x"]
    assert not Rate.objects.exists()


class KeySchema(ModelSchema[Key]):
    class Meta:
        fields = ["id", "key"]


class UserSchema(ModelSchema[User]):
    key_set: list[KeySchema]

    class Meta:
        fields = ["id", "username"]


def test_a_nested_row_has_a_key_that_a_path_names() -> None:
    """A nested row that has a resource of its own is refused as at its path; one that stays as it is, is not."""
    keys = ModelRouter(KeySchema, prefix="/keys", lookup="key")
    client = Api(served(ModelRouter(UserSchema, prefix="/users", create=True, update=True, children=[keys])))
    body = {"username": "x", "key_set": [{"key": "fine"}, {"key": "a/b"}]}
    [error] = ok(client.post("/users", json=body), 422)["detail"]
    assert (error["loc"], error["type"]) == (["body", "key_set", 1, "key"], "invalid_key")
    assert not User.objects.exists()
    row = User.objects.create(username="x")
    key = row.key_set.create(key="a/b")
    for method in (client.patch, client.put):
        for item in ({"key": "c/d"}, {"id": key.pk, "key": ".."}):
            changed = {"username": "x", "key_set": [{"key": "fine"}, item]}
            [error] = ok(method(f"/users/{row.pk}", json=changed), 422)["detail"]
            assert error["loc"] == ["body", "key_set", 1, "key"]
        kept = {"username": "x", "key_set": [{"id": key.pk, "key": "a/b"}]}
        assert ok(method(f"/users/{row.pk}", json=kept))["key_set"] == kept["key_set"]
    without = ModelRouter(UserSchema, prefix="/users", create=True)
    ok(Api(served(without)).post("/users", json={"username": "y", "key_set": [{"key": "e/f"}]}), 201)


def test_a_row_that_no_path_names_is_changed_by_its_id() -> None:
    """A bulk change of another field does not fail at a key that was there before."""
    row = Author.objects.create(name="a/b")
    client = Api(served(authors()))
    assert ok(client.patch("/authors", json=[{"id": row.pk}]))[0]["name"] == "a/b"
