"""For pytest with djfast_mount's plugin: the styles that a project with two halves has.

They are run by tests/test_pytest_plugin.py, in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from deepdiff import DeepDiff
from django.core import mail
from django.db import connection
from django.test import Client as DjangoClient
from websockets.sync.client import connect

from djfast_mount.testing import AsyncClient, Client, StrayConnectionWarning
from djfast_mount.testing.live_server import LiveServer
from testing_project.books.models import Author, Book
from testing_project.shared_checks import EMMA, check


@pytest.mark.parametrize("path", ["/api/books", "/api/books/async"])
def test_list(path: str, api_client: Client, books: list[Book]) -> None:
    found = api_client.get(path).json()
    expected = [{"id": book.pk, "title": book.title, "year": book.year} for book in books]
    assert DeepDiff(found, expected) == {}


def test_add(api_client: Client, books: list[Book], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        before = api_client.get("/api/books").json()
    added = api_client.post("/api/books", json=EMMA).json()
    after = api_client.get("/api/books").json()
    assert DeepDiff(before, after, ignore_order=True) == {"iterable_item_added": {"root[0]": added}}
    assert [message.subject for message in mail.outbox] == ["New: Emma"]
    assert Book.objects.count() == 3


@pytest.mark.django_db
def test_nothing_is_left() -> None:
    assert not Book.objects.exists()


@pytest.mark.django_db
def test_commit_callbacks(api_client: Client, django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        api_client.post("/api/books", json=EMMA)
    assert len(callbacks) == 1


@pytest.mark.django_db(databases=["default", "archive"])
def test_two_databases(api_client: Client) -> None:
    author = Author.objects.using("archive").create(name="Sappho")
    Book.objects.using("archive").create(title="Fragments", author=author, year=-600)
    assert api_client.get("/api/books/archived").json() == 1


@pytest.mark.django_db
def test_other_databases_are_refused(api_client: Client) -> None:
    with pytest.raises(AssertionError, match="Database queries to 'archive' are not allowed"):
        api_client.get("/api/books/archived")


def test_without_a_database(api_client: Client) -> None:
    assert api_client.get("/api/started").status_code == 200
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        api_client.get("/api/books")


@pytest.mark.django_db
def test_clients_share_a_session(api_client: Client, client: DjangoClient, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("ada"))
    assert api_client.get("/whoami/").text == "ada"


class TestTheNameOfTheProject:
    """A project may give the name of pytest-django's client to ours."""

    @pytest.fixture
    def client(self, api_client: Client) -> Client:
        return api_client

    def test_beside_ours(self, api_client: Client, client: Client) -> None:
        assert client is api_client

    def test_before_ours(self, client: Client, api_client: Client) -> None:
        assert client is api_client


@pytest.mark.django_db
def test_stray(api_client: Client) -> None:
    with pytest.warns(StrayConnectionWarning, match=r"GET /api/books/stray \(.*count_elsewhere\)"):
        api_client.get("/api/books/stray")


def test_committed(api_client: Client, transactional_db: None) -> None:
    api_client.post("/api/books", json=EMMA)
    assert not connection.in_atomic_block
    assert Book.objects.count() == 1


# Async tests ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_anyio(async_api_client: AsyncClient, books: list[Book]) -> None:
    await check(async_api_client, books)


@pytest.mark.anyio
async def test_anyio_the_other_way_round(books: list[Book], async_api_client: AsyncClient) -> None:
    await check(async_api_client, books)


@pytest.mark.anyio
async def test_anyio_committed(transactional_db: None, async_api_client: AsyncClient, books: list[Book]) -> None:
    await check(async_api_client, books)


@pytest.mark.django_db
def test_nothing_is_left_of_async_tests() -> None:
    assert not Book.objects.exists()


@pytest.mark.anyio
@pytest.mark.django_db
async def test_async_clients_share_a_session(
    async_api_client: AsyncClient, async_client: Any, django_user_model: Any
) -> None:
    await async_client.aforce_login(await django_user_model.objects.acreate_user("ada"))
    assert (await async_api_client.get("/whoami/")).text == "ada"


# The live server -----------------------------------------------------------------------------------------------------


def test_live_server(live_asgi_server: LiveServer, books: list[Book]) -> None:
    assert len(httpx.get(live_asgi_server + "/api/books").json()) == 2
    assert httpx.get(live_asgi_server + "/books/").text == "Frankenstein, The Last Man"
    assert "color: black" in httpx.get(f"{live_asgi_server}/static/style.css").text
    assert "--primary" in httpx.get(live_asgi_server.url + "/static/admin/css/base.css").text
    httpx.post(live_asgi_server + "/api/books", json=EMMA)
    assert Book.objects.count() == 3


def test_live_websocket(live_asgi_server: LiveServer) -> None:
    with connect(live_asgi_server.url.replace("http", "ws") + "/api/count") as socket:
        socket.send("?")
        assert socket.recv() == "0"


def test_live_lifespan(live_asgi_server: LiveServer) -> None:
    assert httpx.get(live_asgi_server + "/api/started").json() == 0
