"""Connections that a request of a test opens outside of the test's thread.

Holds `testing/stray_connections.py`.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.testing import Client, StrayConnectionWarning
from project.shop.models import Item

pytestmark = pytest.mark.django_db(transaction=True)
api = FastAPI()
elsewhere = ThreadPoolExecutor(1, "elsewhere")


def count() -> int:
    return Item.objects.count()


@api.get("/to-thread")
async def to_thread() -> int:
    return await asyncio.to_thread(count)


@api.get("/executor")
async def executor() -> int:
    return await asyncio.get_running_loop().run_in_executor(elsewhere, count)


@api.get("/thread")
def thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(count()))
    thread.start()
    thread.join()
    return found[0]


@api.get("/well")
def well() -> int:
    return count()


@api.get("/async-well")
async def async_well() -> int:
    return await Item.objects.acount()


root = mount("/api", api)


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    client = Client(root, root_path=root_path)
    yield client
    client.close()


@pytest.fixture
def opened() -> Iterator[list[BaseDatabaseWrapper]]:
    """The connections that are opened during the test."""
    found: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **_: Any) -> None:
        found.append(connection)

    connection_created.connect(note)
    yield found
    connection_created.disconnect(note)


@pytest.mark.parametrize("path", ["to-thread", "executor", "thread"])
def test_a_stray_connection_is_named_and_closed(
    path: str, client: Client, root_path: str, opened: list[BaseDatabaseWrapper]
) -> None:
    """The warning names the request and the line; nothing of the connection is left with the client's end."""
    with pytest.warns(StrayConnectionWarning, match=f"GET {root_path}/api/{path}") as caught:
        assert client.get(f"/api/{path}").json() == 0
    (warning,) = [warning for warning in caught if warning.category is StrayConnectionWarning]
    assert warning.filename == __file__
    client.close()
    strays = [each for each in opened if each is not connection._connections[each.alias]]  # type: ignore[attr-defined]
    assert [each.connection for each in strays] == [None]


def test_the_endpoint_is_named(client: Client) -> None:
    """Where the thread knows its request, the warning names the function that serves it."""
    with pytest.warns(StrayConnectionWarning, match=r"test_strays\.to_thread\)"):
        client.get("/api/to-thread")


def test_a_warning_comes_each_time(client: Client) -> None:
    """Every test is told, not the first one alone."""
    for _ in range(2):
        with pytest.warns(StrayConnectionWarning):
            client.get("/api/to-thread")


@pytest.mark.parametrize("path", ["well", "async-well"])
def test_the_tests_own_connection_is_no_stray(
    path: str, client: Client, opened: list[BaseDatabaseWrapper], caplog: pytest.LogCaptureFixture
) -> None:
    """A request may open the connection of the test's thread, which then stays open."""
    connection.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.get(f"/api/{path}").json() == 0
    assert len(opened) == 1
    assert connection.connection is not None
    assert caplog.text == ""
