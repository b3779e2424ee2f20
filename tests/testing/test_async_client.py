"""`djfast_mount.testing.AsyncClient`, where the test's thread waits for its loop, and where it runs the loop itself."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient as DjangoAsyncClient
from starlette.websockets import WebSocketDisconnect

from djfast_mount.testing import AsyncClient, StrayConnectionWarning, WebSocketDenied, lent_connections
from djfast_mount.testing.stray_connections import close_strays
from project.shop.models import Item
from testing_project.items_api import api, count_items, events, names, root

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pages")]
Test = Callable[[AsyncClient], Awaitable[Any]]
Run = Callable[[Test], None]


@pytest.fixture
def pages(settings: Any) -> None:
    settings.ROOT_URLCONF = "testing_project.item_pages"
    events.clear()


def run_while_waiting(test: Test, **options: Any) -> None:
    """As Django runs an ``async def`` test."""

    async def call() -> None:
        await test(AsyncClient(root, **options))

    async_to_sync(call)()


def run_in_the_tests_thread(test: Test, **options: Any) -> None:
    """As pytest-asyncio and AnyIO do."""
    with lent_connections() as executor:

        async def call() -> None:
            await test(AsyncClient(root, executor=executor, **options))

        asyncio.run(call())


@pytest.fixture(params=[run_while_waiting, run_in_the_tests_thread], ids=["waiting", "lent"])
def run(request: pytest.FixtureRequest, root_path: str) -> Iterator[Run]:
    yield lambda test: request.param(test, root_path=root_path)
    close_strays()


def queries() -> int:
    return len(connection.queries_log)


@pytest.mark.parametrize("path", ["/api/items", "/api/async-items", "/items/"])
def test_the_app_sees_uncommitted_rows(path: str, run: Run, django_assert_num_queries: Any) -> None:
    """Rows of the test's transaction, written before the loop or in it, are seen in both halves, on one connection."""
    Item.objects.create(name="before")

    async def test(client: AsyncClient) -> None:
        await Item.objects.acreate(name="in async code")
        found = (await client.get(path)).json()
        assert (found["names"] if path == "/items/" else found) == ["before", "in async code"]

    with django_assert_num_queries(2):
        run(test)


def test_the_test_sees_what_the_app_writes(run: Run) -> None:
    """In the loop, after it, and background tasks included."""

    async def test(client: AsyncClient) -> None:
        thread = (await client.post("/api/items/new")).json()["thread"]
        found = [item.name async for item in Item.objects.order_by("id")]
        assert found == ["new", f"new, noted on {thread}"]

    run(test)
    assert len(names()) == 2


def test_one_job_at_a_time(run: Run) -> None:
    """Requests that run at once do their sync work on one thread, the test's own or the one it lent to."""

    async def test(client: AsyncClient) -> None:
        responses = await asyncio.gather(*(client.post(f"/api/items/{number}") for number in range(5)))
        assert len({response.json()["thread"] for response in responses}) == 1

    run(test)
    assert Item.objects.count() == 10


def test_requests_do_not_end_each_others_blocks(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Two requests at once, each in a block of its own on the one connection: neither is taken for one left open."""

    async def test(client: AsyncClient) -> None:
        await asyncio.gather(client.post("/api/meet/one"), client.post("/api/meet/two"))

    run(test)
    assert sorted(names()) == ["one", "two"]
    assert caplog.text == ""


def test_connections_are_given_back(run: Run) -> None:
    """After the test its connection is its own again, and open."""
    Item.objects.create(name="before")
    raw = connection.connection

    async def test(client: AsyncClient) -> None:
        await client.get("/api/items")

    run(test)
    assert connection.connection is raw
    assert not connection.allow_thread_sharing
    assert names() == ["before"]


def test_asgirefs_thread_gets_its_own_connection_back(root_path: str) -> None:
    """The thread that was lent to has what it had before, and nothing where it had nothing."""

    def here() -> object:
        return connection._connections[connection._alias]  # type: ignore[attr-defined]

    before = asyncio.run(sync_to_async(here)())
    run_in_the_tests_thread(lambda client: client.get("/api/items"), root_path=root_path)
    assert asyncio.run(sync_to_async(here)()) is before


def test_streams_both_ways(run: Run) -> None:
    """A body is drawn from an async generator, an answer as the test reads it, and left with its `finally`."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0)
        yield b"two"

    async def test(client: AsyncClient) -> None:
        assert (await client.post("/api/parts", content=parts())).json() == ["one", "two"]
        async with client.stream("GET", "/api/stream") as response:
            assert await anext(response.aiter_lines()) == "1"
            assert events == []
        assert events[0].startswith("closed")

    run(test)


def test_a_call_can_be_cancelled(run: Run) -> None:
    """A call that is given up ends the request, as a client that leaves does."""

    async def test(client: AsyncClient) -> None:
        task = asyncio.create_task(client.get("/api/target"))
        while not events:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events == ["target", "no longer target"]

    run(test)


def test_websockets(run: Run) -> None:
    """A websocket talks, can be closed by the app, fail, be refused and be denied."""

    async def test(client: AsyncClient) -> None:
        async with client.websocket_connect("/api/ws", subprotocols=["second"]) as socket:
            assert socket.accepted_subprotocol == "second"
            await socket.send_text("one")
            assert (await socket.receive_json())[1] == ["one"]
        assert client.cookies["ws"] == "yes"
        async with client.websocket_connect("/api/ws/closes") as socket:
            assert await socket.receive_bytes() == b'{"last":"words"}'
            with pytest.raises(WebSocketDisconnect):
                await socket.receive_text()
        async with client.websocket_connect("/api/ws/fails") as socket:
            with pytest.raises(LookupError):
                await socket.receive_text()
        with pytest.raises(WebSocketDisconnect):
            await client.websocket_connect("/nowhere").__aenter__()
        with pytest.raises(WebSocketDenied):
            await client.websocket_connect("/api/ws/denies").__aenter__()

    run(test)


def test_the_lifespan(run: Run) -> None:
    """It runs around the block, once, in the test's transaction; its state is seen."""
    Item.objects.create(name="uncommitted")

    async def test(client: AsyncClient) -> None:
        async with client:
            assert (await client.post("/api/echo")).json()["state"] == "by the lifespan"
            assert (await client.post("/api/echo")).json()["state"] == "by the lifespan"
        await client.aclose()

    run(test)
    assert events[0].startswith("up with 1 items")
    assert events[1:] == ["down"]


def test_errors(run: Run) -> None:
    """What an endpoint or a view raises is raised in the test."""

    async def test(client: AsyncClient) -> None:
        with pytest.raises(LookupError, match="lost"):
            await client.post("/api/half/lost")
        with pytest.raises(LookupError, match="in a view"):
            await client.get("/broken/")

    run(test)


def test_users(run: Run) -> None:
    """Login and logout, in a session shared with Django's own async client."""
    user = User.objects.create_user("ada", password="lovelace")

    async def test(client: AsyncClient) -> None:
        assert (await client.get("/whoami/")).text == "AnonymousUser"
        await client.aforce_login(user)
        assert (await client.get("/whoami/")).text == "ada"
        assert await (await client.asession()).aget("_auth_user_id") == str(user.pk)
        await client.alogout()
        assert not await client.alogin(username="ada", password="byron")
        assert await client.alogin(username="ada", password="lovelace")
        assert (await client.get("/whoami/")).text == "ada"

    run(test)


def test_djangos_async_client_shares_its_cookies(root_path: str) -> None:
    """Whoever logs in with Django's async client is logged in with ours."""
    user = User.objects.create_user("ada")
    django_client = DjangoAsyncClient()

    async def test(client: AsyncClient) -> None:
        await django_client.aforce_login(user)
        assert (await client.get("/whoami/")).text == "ada"

    run_while_waiting(test, root_path=root_path, django_client=django_client)


def test_stray_connections_are_warned_of(run: Run) -> None:
    """Also here, and the app's own ORM calls are none."""

    async def stray(client: AsyncClient) -> None:
        with pytest.warns(StrayConnectionWarning, match="/api/threads"):
            await client.get("/api/threads")

    async def well(client: AsyncClient) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.get("/api/threads")

    def count_elsewhere() -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(Item.objects.count()))
        thread.start()
        thread.join()
        return found[0]

    run(well)
    api.dependency_overrides[count_items] = count_elsewhere
    try:
        run(stray)
    finally:
        api.dependency_overrides.clear()
