"""The request's task is cancelled at its k-th await, for every k: nothing is left behind, whatever the endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Annotated, Any

import anyio
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from laws import record
from laws.site import Exchange, Root, Site, turns_of_the_loop
from project.shop.models import Item

pytestmark = pytest.mark.long

HEARS_SIGNALS = True

api = FastAPI()


def in_transaction() -> Iterator[str]:
    with transaction.atomic():
        Item.objects.create(name="swept")
        yield "within"


def in_transaction_for_the_endpoint() -> Iterator[str]:
    yield from in_transaction()


Within = Annotated[str, Depends(in_transaction)]
WithinEndpoint = Annotated[str, Depends(in_transaction_for_the_endpoint, scope="function")]


class Counted(BaseModel):
    items: int


@api.get("/sync")
def sync() -> Counted:
    return Counted(items=Item.objects.count())


@api.get("/async")
async def async_orm() -> int:
    await Item.objects.acreate(name="swept")
    return await Item.objects.acount()


@api.get("/atomic/sync")
def atomic_sync(within: Within, endpoint: WithinEndpoint) -> int:
    return Item.objects.count()


@api.get("/atomic/async")
async def atomic_async(within: Within) -> int:
    return await Item.objects.acount()


@api.get("/atomic/raising")
def atomic_raising(within: Within) -> None:
    raise LookupError("an endpoint that fails")


@api.get("/gather")
async def gather() -> None:
    await asyncio.gather(*[sync_to_async(Item.objects.count)() for _ in range(3)])


@api.get("/nested")
def nested(within: Within) -> int:
    return async_to_sync(below)()


async def below() -> int:
    await run_in_threadpool(Item.objects.count)
    return await Item.objects.acount()


@api.get("/background")
async def background(within: Within, tasks: BackgroundTasks) -> None:
    tasks.add_task(Item.objects.count)
    tasks.add_task(below)


def steps() -> Iterator[str]:
    for number in range(3):
        yield f"{number} {Item.objects.count()}\n"


@api.get("/stream/sync")
def stream_sync() -> StreamingResponse:
    return StreamingResponse(steps())


@api.get("/stream/atomic")
def stream_atomic(within: Within) -> StreamingResponse:
    return StreamingResponse(steps())


@api.get("/stream/async")
async def stream_async() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{await Item.objects.acount()}\n"

    return StreamingResponse(parts())


@api.get("/events", response_class=EventSourceResponse)
def events(within: Within) -> Iterator[str]:
    yield from steps()


@api.get("/jsonl")
def json_lines(within: Within) -> Iterator[str]:
    yield from steps()


beneath = FastAPI()
beneath.mount("/", api)


@beneath.middleware("http")
async def calling_sync_code(request: Request, call_next: Any) -> Any:
    await run_in_threadpool(Item.objects.count)
    return await call_next(request)


@api.websocket("/ws")
async def websocket(socket: WebSocket, within: Within) -> None:
    await socket.accept()
    await socket.send_text(f"{await Item.objects.acount()}")
    await run_in_threadpool(Item.objects.count)
    await socket.close()


PATHS = [
    "/api/sync",
    "/api/async",
    "/api/atomic/sync",
    "/api/atomic/async",
    "/api/atomic/raising",
    "/api/gather",
    "/api/nested",
    "/api/background",
    "/api/stream/sync",
    "/api/stream/atomic",
    "/api/stream/async",
    "/api/events",
    "/api/jsonl",
    "/api/ws",
]
DJANGO_PATHS = ["/view", "/async-view", "/failing", "/steps", "/async-steps", "/there-and-back"]


class Suspensions:
    """Awaits a coroutine and counts its suspensions; at the one asked for it calls `cancel` with what it waits for."""

    def __init__(self, coroutine: Awaitable[None], at: int, cancel: Callable[[Any], object]) -> None:
        self.count = 0
        self._coroutine = coroutine
        self._at = at
        self._cancel = cancel

    def __await__(self) -> Generator[Any, Any, None]:
        steps: Any = self._coroutine.__await__()
        go_on, value = steps.send, None
        while True:
            try:
                future = go_on(value)
            except StopIteration:
                return
            self.count += 1
            if self.count == self._at:
                self._cancel(future)
            try:
                go_on, value = steps.send, (yield future)
            except BaseException as error:
                go_on, value = steps.throw, error


def this_task() -> tuple[asyncio.Task[Any], asyncio.AbstractEventLoop]:
    task = asyncio.current_task()
    assert task is not None
    return task, asyncio.get_running_loop()


async def by_task(app: Any, at: int, *arguments: Any) -> int:
    """asyncio's own cancellation, as from a server that gives a request up."""
    task, loop = this_task()
    return await _swept(Suspensions(app(*arguments), at, lambda _: loop.call_soon(task.cancel)))


async def by_task_again(app: Any, at: int, *arguments: Any) -> int:
    """The same, and once more in each of the next turns of the loop."""
    task, loop = this_task()
    turns = iter(range(3))

    def cancel(_: Any = None) -> None:
        if next(turns, None) is not None:
            loop.call_soon(task.cancel)
            loop.call_soon(cancel)

    try:
        return await _swept(Suspensions(app(*arguments), at, cancel))
    finally:
        turns = iter(())


async def by_task_with_the_outcome(app: Any, at: int, *arguments: Any) -> int:
    """The same, when what the request waits for is there, but the request has not gone on yet."""
    task, loop = this_task()

    def cancel(future: Any) -> None:
        if future is None:
            loop.call_soon(task.cancel)
        else:
            future.add_done_callback(lambda _: task.cancel())

    return await _swept(Suspensions(app(*arguments), at, cancel))


async def by_scope(app: Any, at: int, *arguments: Any) -> int:
    """AnyIO's cancellation, as from a middleware with a time limit."""
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        suspensions = Suspensions(app(*arguments), at, lambda _: loop.call_soon(scope.cancel))
        return await _swept(suspensions)
    return suspensions.count


async def _swept(suspensions: Suspensions) -> int:
    with contextlib.suppress(asyncio.CancelledError, LookupError):
        await suspensions
    return suspensions.count


WAYS = [by_task, by_task_again, by_task_with_the_outcome, by_scope]


def assert_nothing_is_left(root: Root, tasks: set[asyncio.Task[Any]], what: str) -> None:
    pool = root.pool
    assert asyncio.all_tasks() - tasks == set(), what
    assert pool.held() == [], what
    assert not pool.crowded, what
    assert len(pool._idle) == len(pool.workers), what
    assert (pool.streams.holders, list(pool.streams._queue)) == (set(), []), what
    for thread in {signal.thread for signal in record.signals}:
        order = record.signals_of(thread)
        assert order == ["started", "finished"] * (len(order) // 2), what
    assert record.open_connections() == [], what


async def sweep(root: Root, path: str, way: Callable[..., Awaitable[int]]) -> int:
    """Cancel at the first await, at the second, and so on until there is none. Returns how many there are."""
    tasks = asyncio.all_tasks()
    at = 0
    while True:
        at += 1
        what = f"{path} cancelled {way.__name__} at await {at}"
        exchange = Exchange(partial(way, root.app, at), root.scope(path, "key=swept"))
        exchange.send({"type": "websocket.connect" if path.endswith("/ws") else "http.request"})
        await exchange.ended()
        await record.until(lambda: root.pool.held() == [])
        await turns_of_the_loop(10)
        assert_nothing_is_left(root, tasks, what)
        if not exchange.task.cancelled() and exchange.task.result() < at:
            return at


@pytest.mark.watchdog(60)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_cancelled_api_request_leaves_nothing_behind(
    site: Site, path: str, way: Callable[..., Awaitable[int]], caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled at any of its awaits, a request to the API sends its signals in pairs and leaves the pool whole."""
    async with site(api, threads=2) as root:
        assert await sweep(root, path, way) > 1
    assert "left a transaction open" not in caplog.text


@pytest.mark.watchdog(60)
@pytest.mark.violated_by("silent", "forgetful")
@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_request_beneath_a_middleware_leaves_nothing_behind(
    site: Site, way: Callable[..., Awaitable[int]]
) -> None:
    """The same where a middleware runs the endpoint in a task of its own."""
    async with site(beneath, threads=2) as root:
        assert await sweep(root, "/api/atomic/async", way) > 2
        assert await sweep(root, "/api/stream/atomic", way) > 2


@pytest.mark.watchdog(60)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", DJANGO_PATHS)
async def test_a_cancelled_django_request_leaves_nothing_behind(
    site: Site, path: str, way: Callable[..., Awaitable[int]]
) -> None:
    """Cancelled at any of its awaits, a request to Django sends its signals in pairs and leaves the pool whole."""
    async with site(api, threads=2) as root:
        assert await sweep(root, path, way) > 1
