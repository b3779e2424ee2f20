"""MySQL's errors and transactions in a mounted FastAPI, on a MariaDB, and what MySQL says in words of its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections, transaction
from fastapi import FastAPI, HTTPException

from api_client import ApiClient, both, committed_rows
from djfast_mount import mount
from djfast_mount.transactions import Atomic
from project.library.models import Author, Book
from project.shop.models import Item

JSON = {"content-type": "application/json"}
NOWHERE = 10**9


def author() -> Author:
    return Author.objects.get_or_create(name="Woolf")[0]


def book(**values: Any) -> Book:
    return Book.objects.create(**{"title": "Orlando", "author": author(), "pages": 1, **values})


def dangling() -> None:
    Book.objects.create(title="Flush", author_id=NOWHERE, pages=1)


def referred_to() -> None:
    one = book()
    Author.objects.filter(pk=one.author_id)._raw_delete("default")  # type: ignore[attr-defined]


def in_mysqls_words(code: int, text: str) -> Callable[[], None]:
    def fail() -> None:
        raise IntegrityError(code, text)

    return fail


# What each breaks: code, constraint and fields of the answer. The name of a foreign key is Django's, with a hash.
CONFLICTS: dict[str, tuple[Callable[[], Any], str, str | None, list[str]]] = {
    "unique": (lambda: [Author.objects.create(name="Sand") for _ in range(2)], "unique", "name", ["name"]),
    "unique together": (lambda: [book(), book()], "unique", "one_title_per_author", ["author", "title"]),
    "check": (lambda: book(pages=0), "check", "book_has_pages", []),
    "not null": (lambda: book(pages=None), "not_null", None, ["pages"]),
    "not null, a key": (lambda: book(author=None), "not_null", None, ["author"]),
    "foreign key": (dangling, "foreign_key", "fk", ["author"]),
    "still referred to": (referred_to, "foreign_key", "fk", ["author"]),
    "unique, MySQL 8": (
        in_mysqls_words(1062, "Duplicate entry 'Sand' for key 'library_author.name'"),
        "unique",
        "name",
        ["name"],
    ),
    "unique together, MySQL 8": (
        in_mysqls_words(1062, "Duplicate entry '1-Orlando' for key 'library_book.one_title_per_author'"),
        "unique",
        "one_title_per_author",
        ["author", "title"],
    ),
    "check, MySQL 8": (
        in_mysqls_words(3819, "Check constraint 'book_has_pages' is violated."),
        "check",
        "book_has_pages",
        [],
    ),
    "no default": (in_mysqls_words(1364, "Field 'pages' doesn't have a default value"), "not_null", None, ["pages"]),
}


api = FastAPI()


@both(api, "POST", "/conflict/{name}")
def conflict(name: str) -> None:
    CONFLICTS[name][0]()


@both(api, "POST", "/store")
def store(body: dict[str, Any]) -> int:
    return Item.objects.create(**body).pk


@both(api, "POST", "/books")
def add_book(body: dict[str, Any]) -> int:
    return Book.objects.create(**{"title": "Flush", "pages": 1, **body}).pk


@both(api, "POST", "/session")
def add_session(body: dict[str, str]) -> None:
    connection.cursor().execute("INSERT INTO django_session VALUES ('k', 'd', %s)", [body["expire_date"]])


@both(api, "POST", "/sql/{name}")
def sql(name: str) -> None:
    statements = {
        "no table": "SELECT * FROM no_such_table",
        "no column": "SELECT no_such_column FROM library_author",
        "no function": "SELECT no_such_function()",
        "syntax": "SELEKT 1",
        "too long for its time": "SET STATEMENT max_statement_time=0.05 FOR SELECT SLEEP(20)",
        "lost": "KILL CONNECTION_ID()",
    }
    connection.cursor().execute(statements[name])


@both(api, "POST", "/write/{outcome}")
def write(outcome: str, _: Atomic) -> bool:
    Item.objects.create(name="written")
    if outcome == "refuse":
        raise HTTPException(400)
    if outcome == "conflict":
        CONFLICTS["unique"][0]()
    return connection.in_atomic_block


@both(api, "POST", "/raise-price")
def lock(_: Atomic) -> None:
    Author.objects.filter(name="Woolf").update(name="Stephen")


@both(api, "GET", "/count")
def count() -> int:
    return Item.objects.count()


app = mount("/api", api)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    assert connection.vendor == "mysql"
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(app, root_path)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_broken_constraint_is_named(
    client: ApiClient, kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An IntegrityError is a 409 with kind, constraint and fields, without a value, and one line in the log."""
    answer = client.post(f"/api/{kind}/conflict/{name}")
    assert answer.status_code == 409
    found = answer.json()
    _, code, constraint, fields = CONFLICTS[name]
    if constraint == "fk":
        assert found["constraint"].startswith("library_book_author_id_")
        constraint = found["constraint"]
    assert (found["code"], found["constraint"], sorted(found["fields"])) == (code, constraint, fields)
    assert not {"Sand", "Orlando", "Woolf"} & set(answer.text.split("'"))
    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


@pytest.mark.parametrize(
    ("path", "values", "status", "message"),
    [
        ("store", {"name": "x" * 101}, 422, "A text is too long."),
        ("store", {"name": "\ud800"}, 422, "A string holds half of a surrogate pair."),
        ("store", {"name": "n", "id": 2**63}, 422, "A number is out of range."),
        ("store", {"name": "n", "id": 0}, 422, "A number is out of range."),
        ("books", {"author_id": 0}, 422, "A number is out of range."),
        ("books", {"author_id": 1, "pages": 2**40}, 422, "A number is out of range."),
        ("store", {"name": "\0"}, 200, None),
        ("store", {"name": "\U0001f989"}, 422, "A text holds a character that cannot be stored."),
        ("session", {"expire_date": "2026-02-31"}, 422, "A date or time is out of range."),
    ],
)
def test_a_value_that_does_not_fit_is_422(
    client: ApiClient, kind: str, path: str, values: dict[str, Any], status: int, message: str | None
) -> None:
    """What MySQL cannot store is the client's fault, in words for it; a NUL it can, an owl not in three bytes."""
    answer = client.post(f"/api/{kind}/{path}", content=json.dumps(values), headers=JSON)
    assert answer.status_code == status
    if message:
        assert answer.json() == {"detail": [{"type": "value_error", "loc": [], "msg": message}]}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("no table", 500),
        ("no column", 500),
        ("no function", 500),
        ("syntax", 500),
        ("too long for its time", 503),
        ("lost", 503),
    ],
)
def test_whose_fault_an_error_is(client: ApiClient, kind: str, name: str, status: int) -> None:
    """A wrong statement is our fault, 500; a server that ends it, the server's, 503 with Retry-After."""
    answer = client.post(f"/api/{kind}/sql/{name}")
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, "1" if status == 503 else None)
    assert "no_such" not in answer.text
    assert client.get(f"/api/{kind}/count").json() == 0


def test_a_server_that_is_away(client: ApiClient, kind: str, mariadb: Any) -> None:
    """While no server answers, calls are 503 and readiness fails; when it is back, they are served."""
    assert client.get("/readyz").status_code == 200
    connections.close_all()
    mariadb.stop()
    answer = client.get(f"/api/{kind}/count")
    assert (answer.status_code, answer.json()) == (503, {"detail": "Service Unavailable"})
    assert client.get("/readyz").status_code == 503
    mariadb.start()
    assert client.get(f"/api/{kind}/count").json() == 0
    assert client.get("/readyz").status_code == 200


def test_a_lock_that_is_not_given(client: ApiClient, kind: str) -> None:
    """A row that another transaction holds for longer than the server waits is a 503, and nothing stays open."""
    author()
    with transaction.atomic():
        Author.objects.select_for_update().get(name="Woolf")
        assert client.post(f"/api/{kind}/raise-price").status_code == 503
    assert client.post(f"/api/{kind}/raise-price").status_code == 200
    assert Author.objects.get().name == "Stephen"


@pytest.mark.parametrize(("outcome", "status", "kept"), [("fine", 200, 1), ("refuse", 400, 0), ("conflict", 409, 0)])
def test_atomic(client: ApiClient, kind: str, outcome: str, status: int, kept: int) -> None:
    """Atomic keeps all of a call, or nothing."""
    assert client.post(f"/api/{kind}/write/{outcome}").status_code == status
    assert Item.objects.count() == kept
    assert not Author.objects.exists()


def test_the_driver_is_djangos() -> None:
    """The driver is mysqlclient, the one that Django recommends."""
    assert "MySQLdb" in sys.modules
    assert User.objects.count() == 0
