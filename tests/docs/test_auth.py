"""The code in docs/auth.md, docs/transactions.md and docs/errors.md, run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.signals import request_started
from django.db import connection, connections, transaction
from django.test import Client
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import JSONResponse, StreamingResponse

from api_client import ApiClient, committed_rows
from djfast_mount import mount
from djfast_mount.auth import Scheme
from djfast_mount.transactions import Atomic
from harness import TESTS
from project.library.models import Key
from project.shop.models import Item

DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((DOCS / page).read_text())


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


def test_users(root_path: str) -> None:
    """Every endpoint of the first example answers as the page says."""
    names: dict[str, Any] = {}
    exec(blocks("auth.md")[0], names)
    client = ApiClient(mount("/api", names["api"]), root_path)
    assert client.get("/api/me").status_code == 401
    assert client.get("/api/greeting").json() == "Hello"
    assert [client.get("/api/visits").json() for _ in range(2)] == [1, 2]
    user = User.objects.create_user("ada", password="pass")
    assert client.post("/api/auth/login", json={"username": "ada", "password": "pass"}).status_code == 200
    assert client.get("/api/me").json() == "ada"
    assert client.get("/api/greeting").json() == "Hello ada"
    assert client.get("/api/report").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="lend_book"))
    assert client.post("/api/lend").status_code == 403
    token = {"X-CSRFToken": client.cookies["csrftoken"]}
    assert client.post("/api/lend", headers=token).json() == "lent"


def test_schemes(settings: Any) -> None:
    """The example of schemes makes two, and the settings beside it list them."""
    names: dict[str, Any] = {"User": User, "Key": Key}
    exec(blocks("auth.md")[1], names)
    assert isinstance(names["key"], Scheme)
    assert isinstance(names["token"], Scheme)
    listed: dict[str, Any] = {}
    exec(blocks("auth.md")[2], listed)
    assert listed["DJFAST_MOUNT"]["authentication"][1:] == ["myproject.schemes.key", "myproject.schemes.token"]


def in_transaction() -> bool:
    return connection.in_atomic_block


def add_calls(api: FastAPI, seen: list[Any]) -> None:
    """Routes that show when their transaction begins and ends, and whether it keeps what they write."""

    @api.post("/returned/{status}")
    def returned(_: Atomic, status: int, tasks: BackgroundTasks) -> Any:
        Item.objects.create(name=f"returned {status}")
        transaction.on_commit(lambda: seen.append("commit"))
        tasks.add_task(lambda: seen.append(f"task in a transaction: {in_transaction()}"))
        return JSONResponse(in_transaction(), status)

    @api.post("/raised/{status}")
    def raised(_: Atomic, status: int) -> None:
        Item.objects.create(name=f"raised {status}")
        raise HTTPException(status, headers={"location": "/"}) if status != 500 else RuntimeError("500")

    @api.get("/stream")
    def stream(_: Atomic) -> StreamingResponse:
        return StreamingResponse(str(in_transaction()) for _ in range(2))

    @api.get("/idle")
    async def idle(_: Atomic) -> None:
        seen.append("idle")

    @api.post("/orm")
    async def orm(_: Atomic) -> list[bool]:
        await Item.objects.acreate(name="orm")
        return [await sync_to_async(in_transaction)() for _ in range(2)]


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch, root_path: str) -> tuple[ApiClient, list[Any]]:
    """The page's own app, with further routes that use its `Atomic`, and a list of what happens in it."""
    monkeypatch.setitem(connections.settings, "archive", {**connections.settings["default"]})
    names: dict[str, Any] = {}
    for block in blocks("transactions.md"):
        exec(block, names)
    assert names["Atomic"] is Atomic
    seen: list[Any] = []
    add_calls(names["api"], seen)
    mounted = mount("/api", names["api"])

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append("response")
            await send(message)

        await mounted(scope, receive, note)

    return ApiClient(noting, root_path), seen


def kept() -> list[str]:
    return sorted(Item.objects.values_list("name", flat=True))


def test_a_transaction_ends_before_the_response(transactions: tuple[ApiClient, list[Any]]) -> None:
    """The page's claims 1 and 4: commit, response, and then the background task, outside; so are streamed bodies."""
    client, seen = transactions
    assert client.post("/api/returned/200").json() is True
    assert seen == ["commit", "response", "task in a transaction: False"]
    assert client.get("/api/stream").text == "FalseFalse"


def test_what_a_transaction_keeps(transactions: tuple[ApiClient, list[Any]]) -> None:
    """The page's claim 2: exceptions undo, but for a redirect, and a returned response keeps, whatever its status."""
    client, _ = transactions
    for path in (
        "returned/200",
        "returned/400",
        "returned/500",
        "raised/400",
        "raised/404",
        "raised/500",
        "raised/303",
    ):
        assert client.post(f"/api/{path}").status_code == int(path[-3:])
    assert kept() == ["raised 303", "returned 200", "returned 400", "returned 500"]


def test_when_a_transaction_begins(transactions: tuple[ApiClient, list[Any]]) -> None:
    """The page's claim 3: not without a sync call, which takes no thread either, and with the async ORM's first."""
    client, seen = transactions

    def started(**_: Any) -> None:
        seen.append("thread")

    request_started.connect(started)
    try:
        client.get("/api/idle")
        assert seen == ["idle", "response"]
        assert client.post("/api/orm").json() == [True, True]
        assert seen[2:] == ["thread", "response"]
    finally:
        request_started.disconnect(started)
    assert kept() == ["orm"]


@pytest.mark.parametrize("page", ["settings.md", "errors.md"])
def test_settings(page: str, settings: Any, root_path: str) -> None:
    """Every setting that the pages show is one that mount() takes."""
    shown = [block for block in blocks(page) if "DJFAST_MOUNT" in block] + re.findall(
        r"`(DJFAST_MOUNT = [^`]+)`", (DOCS / page).read_text()
    )
    assert shown
    for block in shown:
        names: dict[str, Any] = {}
        exec(block, names)
        settings.DJFAST_MOUNT = names["DJFAST_MOUNT"]
        assert ApiClient(mount("/api", FastAPI()), root_path).get("/api/nowhere").status_code == 404


def test_the_site_is_logged_in_to_the_api(root_path: str) -> None:
    """A session of the site is one of the API, with nothing configured."""
    names: dict[str, Any] = {}
    exec(blocks("auth.md")[0], names)
    api: FastAPI = names["api"]
    client, site = ApiClient(mount("/api", api), root_path), Client()
    site.force_login(User.objects.create_user("ada"))
    client.set_cookie("sessionid", site.cookies["sessionid"].value)
    assert client.get("/api/me").json() == "ada"
