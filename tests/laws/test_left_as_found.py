"""Law 5: a thread of the pool goes back only clean, and only after the running call has ended.

Holds `database/connections.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from fastapi import Depends, FastAPI

from laws import record
from laws.record import note
from laws.site import Root, Site
from laws.watchdog import run
from project.shop.models import Item

pytestmark = pytest.mark.long

api = FastAPI()

KEPT = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": False}
CHECKED = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
CLOSED = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
ON_POSTGRES = "DATABASE_URL" in os.environ
needs_postgres = pytest.mark.skipif(not ON_POSTGRES, reason="SQLite has no server: --db postgres")
# SQLite lets one writer in at a time, and so keeps even the hand-made combination from mixing them up.
violated_on_postgres = pytest.mark.violated_by(*["hand_made"] * ON_POSTGRES)


@pytest.fixture
def max_age(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set CONN_MAX_AGE and CONN_HEALTH_CHECKS for connections that are made from now on."""
    database = connections.settings["default"]
    before = dict(database)
    database.update(request.param)
    yield
    database.update({name: before[name] for name in request.param})


@api.get("/left-open/atomic")
def left_open_atomic(key: str) -> None:
    transaction.atomic().__enter__()
    Item.objects.create(name=key)


@api.get("/left-open/autocommit")
def left_open_autocommit(key: str) -> None:
    transaction.set_autocommit(False)
    Item.objects.create(name=key)


@api.get("/left-open/begin")
def left_open_begin(key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Item.objects.create(name=key)


@api.get("/left-open/broken")
def left_open_broken(key: str) -> None:
    transaction.atomic().__enter__()
    connection.close()


@api.get("/left-open/async")
async def left_open_async(key: str) -> None:
    await sync_to_async(left_open_atomic)(key)


@api.get("/create")
def create(key: str) -> bool:
    Item.objects.create(name=key)
    return connection.in_atomic_block


@api.get("/connection")
def which_connection(key: str) -> None:
    connection.ensure_connection()
    note(key, "connection", connection.connection)


async def stored(key: str) -> int:
    """How many rows another connection sees."""

    def count() -> int:
        try:
            return Item.objects.filter(name=key).count()
        finally:
            connections.close_all()

    return await asyncio.to_thread(count)


async def assert_healthy(root: Root) -> None:
    """What the next request on that thread writes stays, and is written in no transaction of another."""
    key = f"after {uuid4().hex}"
    answer = await root.get("/api/create", params={"key": key})
    assert answer.text == "false"
    assert await stored(key) == 1


def assert_logged(caplog: pytest.LogCaptureFixture, *words: str) -> None:
    """One error, which says this."""
    errors = [logged.getMessage() for logged in caplog.records if logged.levelname == "ERROR"]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]


@pytest.mark.violated_by("hand_made", "unclean")
@pytest.mark.parametrize("max_age", [KEPT], indirect=True, ids=["kept"])
@pytest.mark.parametrize("how", ["atomic", "autocommit", "begin", "broken", "async"])
async def test_a_transaction_left_open_is_rolled_back(
    site: Site, how: str, max_age: None, caplog: pytest.LogCaptureFixture
) -> None:
    """What an endpoint leaves open is rolled back and logged with its name, and the next request is healthy."""
    async with site(api, threads=1) as root:
        assert (await root.get(f"/api/left-open/{how}", params={"key": "left"})).status_code == 200
        await assert_healthy(root)
        assert await stored("left") == 0
    endpoint = f"GET {root.root_path}/api/left-open/{how} (laws.test_left_as_found.left_open_{how})"
    assert_logged(caplog, endpoint, "'default'")


@pytest.mark.violated_by("unclean")
async def test_a_transaction_left_open_by_a_view_is_rolled_back(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What a Django view leaves open is rolled back and logged, and the next request is healthy."""
    async with site(api, threads=1) as root:
        assert (await root.get("/left-open", params={"key": "left"})).status_code == 200
        await assert_healthy(root)
        assert await stored("left") == 0
    assert_logged(caplog, f"GET {root.root_path}/left-open")


def within_atomic() -> Iterator[None]:
    with transaction.atomic():
        yield


@api.get("/atomic", dependencies=[Depends(within_atomic)])
def write_in_atomic(key: str, fail: bool = False) -> None:
    Item.objects.create(name=key)
    if fail:
        raise LookupError("an endpoint that fails")


@violated_on_postgres
async def test_what_was_answered_is_stored(site: Site) -> None:
    """Of writers at once in an `atomic` dependency, all that were answered are stored, and none that failed."""
    async with site(api, threads=4) as root:
        keys = [f"writer {number}" for number in range(24)]
        answers = [
            root.start("/api/atomic", params={"key": key, "fail": number % 3 == 0}) for number, key in enumerate(keys)
        ]
        statuses = [(await answer).status_code for answer in answers]
        assert [await stored(key) for key in keys] == [int(status == 200) for status in statuses]
        assert statuses.count(500) == 8


async def connections_of(root: Root, requests: int) -> list[Any]:
    for _ in range(requests):
        await root.get("/api/connection", params={"key": "connection"})
    return [noted.value for noted in record.notes_of("connection")]


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("max_age", [CLOSED], indirect=True, ids=["closed"])
async def test_no_connection_outlasts_its_request(site: Site, max_age: None) -> None:
    """With CONN_MAX_AGE=0 each request has a connection of its own, which is closed at its end."""
    async with site(api, threads=1) as root:
        assert len({id(raw) for raw in await connections_of(root, 3)}) == 3
        assert record.open_connections() == []


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("max_age", [KEPT], indirect=True, ids=["kept"])
async def test_connections_are_used_again(site: Site, max_age: None) -> None:
    """With CONN_MAX_AGE=600 later requests use a connection again, of which there are no more than threads."""
    async with site(api, threads=2) as root:
        await root.get_many("/api/connection", ["connection"] * 24)
        assert 1 <= len({id(noted.value) for noted in record.notes_of("connection")}) <= 2
        assert 1 <= len(record.open_connections()) <= 2


@needs_postgres
@pytest.mark.parametrize(
    ("max_age", "statuses"),
    [(CHECKED, [200, 200]), (KEPT, [503, 200])],
    indirect=["max_age"],
    ids=["with health checks", "without"],
)
async def test_a_connection_that_the_server_ended(site: Site, max_age: None, statuses: list[int]) -> None:
    """After the database server has ended a kept connection, health checks hide it; without, one request fails."""
    async with site(api, threads=1) as root:
        await root.get("/api/create", params={"key": "before"})
        await asyncio.to_thread(end_backends)
        assert [(await root.get("/api/create", params={"key": "x"})).status_code for _ in statuses] == statuses


def end_backends() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    finally:
        connections.close_all()


@api.get("/held")
def held(key: str) -> None:
    note(key, "held")
    record.stops["held"].wait()
    note(key, "went on")


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("end", ["cancel", "timeout"])
async def test_a_thread_is_not_handed_on_before_its_call_has_ended(site: Site, end: str) -> None:
    """A request that waits for the thread of a cancelled one begins there after the call that still runs has ended."""
    async with site(within_limit if end == "timeout" else api, threads=1) as root:
        request = root.open("/api/held", query="key=one")
        await record.stops["held"].reached()
        if end == "cancel":
            request.task.cancel()
        waiting = root.start("/api/create" if end == "cancel" else "/create", params={"key": "two"})
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        record.stops["held"].open()
        assert (await waiting).status_code == 200
        await request.ended()
        assert record.parts("one") == ["held", "went on"]


def test_nothing_is_left_to_the_next_test() -> None:
    """A transaction that a check leaves open on asgiref's own thread is gone when it has ended."""

    async def leave() -> None:
        await sync_to_async(left_open_atomic)("left")

    def look() -> tuple[bool, int]:
        try:
            return connection.in_atomic_block, Item.objects.count()
        finally:
            connection.close()

    run(leave)
    assert asyncio.run(sync_to_async(look)()) == (False, 0)


async def within_limit(scope: Any, receive: Any, send: Any) -> None:
    """The API, in a middleware that gives a request up when the test has reached its endpoint."""
    if scope["type"] != "http":
        await api(scope, receive, send)
        return
    try:
        async with asyncio.timeout(None) as limit:
            task = asyncio.create_task(record.stops["held"].reached())
            task.add_done_callback(lambda _: limit.reschedule(0))
            await api(scope, receive, send)
    except TimeoutError:
        await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
