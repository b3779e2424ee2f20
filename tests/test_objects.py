"""get_object_or_404: the function, and the dependency with an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from fastapi import FastAPI

from api_client import ApiClient, both, committed_rows
from djfast_mount import mount
from djfast_mount.auth import require_perm
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.urls import aget_object_or_404, get_object_or_404
from project.library.models import Author, Book

my_book = get_object_or_404(Book, "book_id", field="pk", owner="owner")
MyBook = Annotated[Book, my_book]
ByAuthor = Annotated[Author, get_object_or_404(Author, "name")]
LongBook = Annotated[Book, get_object_or_404(Book.objects.filter(pages__gt=100), "title")]
AuthorOfMine = get_object_or_404(Author.objects, "id", owner="book__owner")
ByAuthorsName = Annotated[Book, get_object_or_404(Book, "author", field="author__name")]


def title(book: Book) -> str:
    return book.title


def the_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/mine/{book_id}")
    def mine(book: MyBook) -> str:
        return title(book)

    @both(
        api,
        "GET",
        "/twice/{book_id}",
        dependencies=[require_perm("library.lend_book", obj=my_book.dependency)],
    )
    def twice(book: MyBook) -> str:
        return title(book)

    @both(api, "GET", "/authors/{name}")
    def author(author: ByAuthor) -> str:
        return str(author)

    @both(api, "GET", "/long/{title}")
    def long(book: LongBook) -> int:
        return book.pages

    @both(api, "GET", "/of/{author}")
    def of(book: ByAuthorsName) -> str:
        return title(book)

    @both(api, "GET", "/by-query")
    def by_query(author: ByAuthor) -> str:
        return str(author)

    @both(api, "GET", "/by-id/{id}")
    def by_id(author: Annotated[Author, AuthorOfMine]) -> str:
        return str(author)

    @api.get("/function/{pk}")
    def function(pk: int) -> str:
        return title(get_object_or_404(Book, models.Q(pk=pk), pages__gt=0, owner=None))

    @api.get("/async-function/{pk}")
    async def async_function(pk: int) -> str:
        return title(await aget_object_or_404(Book, pk=pk))

    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", the_api()), root_path)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def book(title: str = "Flush", owner: User | None = None, pages: int = 200) -> Book:
    author, _ = Author.objects.get_or_create(name="Virginia")
    return Book.objects.create(title=title, author=author, pages=pages, owner=owner)


def log_in(client: ApiClient, user: User) -> None:
    site = Client()
    site.force_login(user)
    client.set_cookie("sessionid", site.cookies["sessionid"].value)


def test_an_owner_gets_it(client: ApiClient, kind: str, ada: User) -> None:
    """The object of the user who calls is handed to the endpoint."""
    log_in(client, ada)
    assert client.get(f"/api/{kind}/mine/{book(owner=ada).pk}").json() == "Flush"


def test_another_gets_404(client: ApiClient, kind: str, ada: User) -> None:
    """Another's object, nobody's, and none are the same to the user: 404, which tells nothing of them."""
    log_in(client, ada)
    others = [book(owner=User.objects.create_user("bob")).pk, book("Orlando").pk, 0, 10**30]
    answers = [client.get(f"/api/{kind}/mine/{pk}") for pk in others]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, '{"detail":"Not Found"}')}


def test_nobody_gets_401(client: ApiClient, kind: str, ada: User) -> None:
    """Without a user nothing is looked up."""
    assert client.get(f"/api/{kind}/mine/{book(owner=ada).pk}").status_code == 401


def test_a_lookup_of_the_owner(client: ApiClient, kind: str, ada: User) -> None:
    """The owner may be a lookup, and the parameter the field's own name."""
    log_in(client, ada)
    author = book("Orlando").author
    assert client.get(f"/api/{kind}/by-id/{author.pk}").status_code == 404
    book(owner=ada)
    assert client.get(f"/api/{kind}/by-id/{author.pk}").json() == "Virginia"


def test_a_value_that_is_no_key(client: ApiClient, kind: str, ada: User) -> None:
    """A parameter has the type of its field, so that a wrong one is 422, as with FastAPI's own parameters."""
    log_in(client, ada)
    answer = client.get(f"/api/{kind}/mine/one")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "book_id"]


def test_the_schema_has_the_parameter(client: ApiClient) -> None:
    """OpenAPI names the path's parameter, with its type."""
    operation = client.app.routes[0].app.openapi()["paths"]["/sync/mine/{book_id}"]["get"]  # type: ignore[attr-defined]
    assert [(item["name"], item["in"], item["schema"]["type"]) for item in operation["parameters"]] == [
        ("book_id", "path", "integer")
    ]


def test_other_fields(client: ApiClient, kind: str) -> None:
    """Any field does, a lookup too; where the path lacks the parameter it is taken from the query."""
    book()
    assert client.get(f"/api/{kind}/authors/Virginia").json() == "Virginia"
    assert client.get(f"/api/{kind}/by-query?name=Virginia").json() == "Virginia"
    assert client.get(f"/api/{kind}/of/Virginia").json() == "Flush"
    assert client.get(f"/api/{kind}/authors/Vita").status_code == 404


def test_a_queryset(client: ApiClient, kind: str) -> None:
    """A queryset is asked anew for each call."""
    assert client.get(f"/api/{kind}/long/Flush").status_code == 404
    book()
    book("Kew Gardens", pages=20)
    assert client.get(f"/api/{kind}/long/Flush").json() == 200
    assert client.get(f"/api/{kind}/long/Kew%20Gardens").status_code == 404


def test_with_a_permission(client: ApiClient, kind: str, ada: User) -> None:
    """require_perm() takes the dependency for its object: 404 comes before 403."""
    log_in(client, ada)
    assert client.get(f"/api/{kind}/twice/{book('Orlando').pk}").status_code == 404
    assert client.get(f"/api/{kind}/twice/{book(owner=ada).pk}").status_code == 403


def test_the_function(client: ApiClient) -> None:
    """In an endpoint it is Django's, with Q objects and lookups, and so is its async twin."""
    found = book()
    assert client.get(f"/api/function/{found.pk}").json() == "Flush"
    assert client.get(f"/api/async-function/{found.pk}").json() == "Flush"
    assert client.get("/api/function/0").status_code == 404
    assert client.get("/api/async-function/0").status_code == 404


def test_types_of_parameters() -> None:
    """Whole numbers and UUIDs are declared as such, also where they are another model's key; all else is text."""

    def declared(model: type[models.Model], field: str) -> type:
        dependency: Any = get_object_or_404(model, "x", field=field).dependency
        kind: type = dependency.__signature__.parameters["x"].annotation
        return kind

    own = ["pk", "number", "number__gt", "uuid", "day", "day__year"]
    assert [declared(Everything, field) for field in own] == [int, int, int, UUID, str, str]
    related = ["author", "author__name", "author__name__iexact", "owner__groups__id"]
    assert [declared(Book, field) for field in related] == [int, str, str, int]


class Everything(models.Model):
    number = models.PositiveSmallIntegerField()
    uuid = models.UUIDField()
    day = models.DateField()

    class Meta:
        app_label = "shop"
        managed = False

    def __str__(self) -> str:
        return ""


def test_a_text_that_the_field_cannot_have(root_path: str) -> None:
    """Where the parameter is text and its field something else, a value that the field cannot have is 404."""
    api = FastAPI()

    @api.get("/joined/{day}")
    def joined(user: Annotated[User, get_object_or_404(User, "day", field="date_joined__date")]) -> None: ...

    assert ApiClient(mount("/api", api), root_path).get("/api/joined/soon").status_code == 404


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((Book, "ide"), "Book has no field 'ide'. Did you mean 'id'"),
        ((Book, "book_id"), 'write field="pk"'),
        ((Book, "id", {"owner": "user"}), "got 'user', and Book has no field 'user'"),
        (
            (Book, "id", {"owner": "author__nam"}),
            "got 'author__nam', and Author has no field 'nam'. Did you mean 'name'",
        ),
        ((Book, "id", {"field": "title__uper"}), "has no field 'uper'"),
        (("Book", "id"), "got 'Book'. Give a model"),
        ((User(), "id"), "Give a model"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], told: str) -> None:
    """A field that the model has not, or no model, is told when the API is imported."""
    *args, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(ConfigurationError) as caught:
        get_object_or_404(*args, **options)
    assert told in str(caught.value)
