"""Calls that one request makes at the same time, and those that outlive it: none leaves the test's transaction.

Holds `testing/lent_connections.py` and `testing/live_server.py`.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from djfast_mount import mount
from djfast_mount.testing import AsyncClient, Client, StrayConnectionWarning, lent_connections
from djfast_mount.testing.stray_connections import close_strays
from project.shop.models import Item

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pages")]

api = FastAPI()
late: list[str] = []
tasks: set[asyncio.Task[Any]] = set()


def work(name: str) -> str:
    """Writes a row, and tells which thread did it and which rows it sees of the test's."""
    Item.objects.create(name=name)
    seen = "sees" if Item.objects.filter(name="the test's").exists() else "does not see"
    return f"{threading.current_thread().name} {seen}"


async def by_anyio(name: str) -> str:
    return await run_in_threadpool(work, name)


async def by_asgiref(name: str) -> str:
    return await sync_to_async(work)(name)


async def by_the_orm(name: str) -> str:
    await Item.objects.acreate(name=name)
    seen = "sees" if await Item.objects.filter(name="the test's").aexists() else "does not see"
    return f"{await sync_to_async(lambda: threading.current_thread().name)()} {seen}"


WAYS = {"anyio": by_anyio, "asgiref": by_asgiref, "orm": by_the_orm}


async def gathered(way: str) -> list[str]:
    return await asyncio.gather(*(WAYS[way](f"gathered {number}") for number in range(3)))


async def grouped(way: str) -> list[str]:
    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(WAYS[way](f"grouped {number}")) for number in range(3)]
    return [task.result() for task in begun]


async def mixed(way: str) -> list[str]:
    return await asyncio.gather(by_anyio("a"), by_asgiref("b"), by_the_orm("c"))


TOGETHER: dict[str, Callable[[str], Awaitable[list[str]]]] = {"gather": gathered, "group": grouped, "mixed": mixed}


@api.get("/{how}/{way}")
async def together(how: str, way: str) -> list[str]:
    return await TOGETHER[how](way)


@api.get("/streamed/{how}/{way}")
async def streamed(how: str, way: str) -> StreamingResponse:
    async def parts() -> Any:
        for line in await TOGETHER[how](way):
            yield f"{line}\n"

    return StreamingResponse(parts())


@api.websocket("/{how}/{way}")
async def socket(websocket: WebSocket, how: str, way: str) -> None:
    await websocket.accept()
    await websocket.send_json(await TOGETHER[how](way))
    await websocket.close()


@api.post("/outlive/{way}")
async def outlive(way: str) -> None:
    """Begins a task that works when the request is over."""

    async def work_later() -> None:
        await asyncio.sleep(0.01)
        late.append(await WAYS[way]("late"))

    tasks.add(asyncio.create_task(work_later()))


async def view(request: HttpRequest, how: str, way: str) -> JsonResponse:
    return JsonResponse(await TOGETHER[how](way), safe=False)


urlpatterns = [path("together/<how>/<way>", view)]
root = mount("/api", api)


@pytest.fixture
def pages(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    late.clear()


Get = Callable[[str], Any]


def run(test: Callable[[AsyncClient], Awaitable[Any]], kind: str, root_path: str) -> None:
    """Runs an async test as Django does, or as pytest-asyncio does with the fixture `async_api_client`."""

    async def call(**options: Any) -> None:
        async with AsyncClient(root, root_path=root_path, **options) as client:
            await test(client)

    if kind == "waiting":
        async_to_sync(call)()
    else:
        with lent_connections() as executor:
            asyncio.run(call(executor=executor))


@pytest.fixture(params=["client", "waiting", "lent"])
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    close_strays()


@pytest.fixture
def get(kind: str, root_path: str) -> Get:
    """Returns the JSON, or the lines, of an answer."""

    def of(response: Any) -> Any:
        assert response.status_code == 200
        is_json = response.headers.get("content-type") == "application/json"
        return response.json() if is_json else response.text.splitlines()

    def answer(path: str) -> Any:
        if kind == "client":
            with Client(root, root_path=root_path) as client:
                return of(client.get(path))
        answers: list[Any] = []

        async def test(client: AsyncClient) -> None:
            answers.append(of(await client.get(path)))

        run(test, kind, root_path)
        return answers[0]

    return answer


def lending_thread(kind: str) -> str:
    """The name of the thread that does the test's sync work."""
    if kind != "lent":
        return threading.current_thread().name
    with lent_connections() as executor:
        return executor.submit(lambda: threading.current_thread().name).result()


@pytest.mark.parametrize("path", ["/api/{}", "/api/streamed/{}", "/together/{}"])
@pytest.mark.parametrize("how", ["gather/anyio", "gather/asgiref", "gather/orm", "group/orm", "mixed/all"])
def test_first_calls_made_together_are_done_by_the_tests_thread(path: str, how: str, get: Get, kind: str) -> None:
    """The first calls of a request, made together by either door, see the test's rows and go with its savepoint."""
    Item.objects.create(name="the test's")
    with transaction.atomic():
        found = get(path.format(how))
        transaction.set_rollback(True)
    assert found == [f"{lending_thread(kind)} sees"] * 3
    assert [item.name for item in Item.objects.all()] == ["the test's"]


def test_a_websockets_first_calls_made_together(root_path: str) -> None:
    """The same of a websocket."""
    Item.objects.create(name="the test's")
    with Client(root, root_path=root_path) as client, client.websocket_connect("/api/gather/orm") as socket:
        assert socket.receive_json() == [f"{threading.current_thread().name} sees"] * 3


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("kind", ["waiting", "lent"], indirect=True)
def test_a_task_that_outlives_its_request(kind: str, way: str, root_path: str) -> None:
    """A task that works after its request, while the async test goes on, works in the test's transaction too."""
    Item.objects.create(name="the test's")

    async def test(client: AsyncClient) -> None:
        assert (await client.post(f"/api/outlive/{way}")).status_code == 200
        await asyncio.gather(*tasks)
        tasks.clear()

    thread = lending_thread(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StrayConnectionWarning)
        run(test, kind, root_path)
    assert late == [f"{thread} sees"]
    assert [item.name for item in Item.objects.order_by("id")] == ["the test's", "late"]
