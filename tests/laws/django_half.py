"""Django's half of the sites under test: sync middleware, and views of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import anyio.from_thread
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from starlette.concurrency import run_in_threadpool

from laws.record import note, stops, tasks
from project.shop.models import Item


class _NotedResponse(HttpResponse):
    key = ""

    def close(self) -> None:
        super().close()
        note(self.key, "close")


def noting(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Sync middleware that notes its thread, before and after the view."""

    def middleware(request: HttpRequest) -> HttpResponse:
        key = request.GET.get("key", "")
        note(key, "middleware")
        response = get_response(request)
        note(key, "middleware, after")
        return response

    return middleware


def view(request: HttpRequest) -> HttpResponse:
    note(request.GET["key"], "view")
    Item.objects.count()
    response = _NotedResponse("done")
    response.key = request.GET["key"]
    return response


async def async_view(request: HttpRequest) -> HttpResponse:
    await Item.objects.acount()
    await sync_to_async(note)(request.GET["key"], "sync_to_async")
    response = _NotedResponse("done")
    response.key = request.GET["key"]
    return response


def steps(request: HttpRequest) -> StreamingHttpResponse:
    """A stream drawn from a sync iterator."""
    key = request.GET["key"]

    def draw() -> Iterator[str]:
        try:
            for number in range(6):
                note(key, "step")
                Item.objects.count()
                yield f"{number}\n"
        finally:
            note(key, "close")

    note(key, "view")
    return StreamingHttpResponse(draw())


def async_steps(request: HttpRequest) -> StreamingHttpResponse:
    async def draw() -> AsyncIterator[str]:
        for number in range(3):
            await Item.objects.acount()
            yield f"{number}\n"

    return StreamingHttpResponse(draw())


async def begin(request: HttpRequest) -> HttpResponse:
    """Begins a task that outlives the request."""

    async def later() -> None:
        while not stops["late"].arrived:
            await asyncio.sleep(0.001)
        await Item.objects.acreate(name=request.GET["key"])

    tasks.append(asyncio.create_task(later()))
    return HttpResponse("begun")


def endless(request: HttpRequest) -> StreamingHttpResponse:
    def draw() -> Iterator[str]:
        while True:
            yield "and on\n"

    return StreamingHttpResponse(draw())


async def idle(request: HttpRequest) -> StreamingHttpResponse:
    """A stream that waits after its first part."""

    async def draw() -> AsyncIterator[str]:
        yield f"{await Item.objects.acount()}\n"
        stops["idle"].arrived += 1
        await asyncio.Event().wait()

    return StreamingHttpResponse(draw())


def held(request: HttpRequest) -> HttpResponse:
    """Waits on its thread until the test lets it go on."""
    note(request.GET.get("key", ""), "held")
    stops["held"].wait()
    return HttpResponse("held")


async def waiting(request: HttpRequest) -> HttpResponse:
    await Item.objects.acount()
    stops["waiting"].arrived += 1
    await asyncio.Event().wait()
    return HttpResponse("never")


def failing(request: HttpRequest) -> HttpResponse:
    raise LookupError("a view that fails")


def left_open(request: HttpRequest) -> HttpResponse:
    transaction.atomic().__enter__()
    Item.objects.create(name=request.GET["key"])
    return HttpResponse("left open")


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Item.objects.filter(name=request.GET["key"]).count()))


def create(request: HttpRequest) -> HttpResponse:
    Item.objects.create(name=request.GET["key"])
    return HttpResponse(str(connection.in_atomic_block))


async def loop_here() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def loop(request: HttpRequest) -> HttpResponse:
    note(request.GET["key"], "loop", async_to_sync(loop_here)())
    return HttpResponse("done")


async def below(key: str) -> None:
    await sync_to_async(note)(key, "sync_to_async")
    await run_in_threadpool(note, key, "run_in_threadpool")
    await Item.objects.acount()


def there_and_back(request: HttpRequest) -> HttpResponse:
    """Sync code that goes back to the loop, and there calls sync code again."""
    key = request.GET["key"]
    note(key, "outer")
    async_to_sync(below)(key)
    anyio.from_thread.run(below, key)
    note(key, "outer")
    return HttpResponse("done")


urlpatterns = [
    path("there-and-back", there_and_back),
    path("loop", loop),
    path("view", view),
    path("async-view", async_view),
    path("steps", steps),
    path("async-steps", async_steps),
    path("begin", begin),
    path("endless", endless),
    path("idle", idle),
    path("held", held),
    path("waiting", waiting),
    path("failing", failing),
    path("left-open", left_open),
    path("count", count),
    path("create", create),
]
