"""The code in docs/auth.md, docs/transactions.md and docs/errors.md, run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from fastapi import FastAPI

from api_client import ApiClient, committed_rows
from djfast_mount import mount
from djfast_mount.auth import Scheme
from harness import TESTS
from project.library.models import Key

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


def test_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of transactions can be mounted."""
    monkeypatch.setitem(connections.settings, "archive", {**connections.settings["default"]})
    names: dict[str, Any] = {}
    for block in blocks("transactions.md"):
        exec(block, names)
    mount("/api", names["api"])


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
