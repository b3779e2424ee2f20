"""Django's half: views and streams of every kind, each of which tells whose rows it reads."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tenants.rows.models import Row

PARTS = 10


def owner() -> str:
    return f"{Row.objects.get().owner}\n"


async def aowner() -> str:
    return f"{(await Row.objects.aget()).owner}\n"


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(owner())


async def async_view(request: HttpRequest) -> HttpResponse:
    first = await aowner()
    await asyncio.sleep(0.02)
    return HttpResponse(first + "".join(await asyncio.gather(aowner(), aowner())))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def draw() -> Iterator[str]:
        for _ in range(PARTS):
            yield owner()

    return StreamingHttpResponse(draw())


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    first = await aowner()

    async def draw() -> AsyncIterator[str]:
        yield first
        for _ in range(PARTS - 1):
            yield await aowner()
            await asyncio.sleep(0.001)

    return StreamingHttpResponse(draw())


urlpatterns = [
    path("view", view),
    path("async-view", async_view),
    path("stream", stream),
    path("async-stream", async_stream),
]
