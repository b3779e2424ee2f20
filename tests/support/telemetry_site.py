"""Both halves of the site whose requests the tests of telemetry observe."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from djfast_mount import mount
from djfast_mount.application import MountedApplication
from djfast_mount.telemetry import RequestRecord, current_record, subscribe

SITE = "telemetry_site"


def select(number: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [number])
        return cursor.fetchone()


# Django's half ------------------------------------------------------------------------------------------------------


def view(request: HttpRequest, number: int = 0) -> HttpResponse:
    return HttpResponse(str(User.objects.filter(pk=number).count()))


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await User.objects.acount()))


def broken_view(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("the view")


def lines(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(["one", "two", "three"]))


def repeating_view(request: HttpRequest) -> HttpResponse:
    for number in range(12):
        list(User.objects.filter(pk=number))  # here the view repeats itself
    return HttpResponse("done")


def plain_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


urlpatterns = [
    path("plain/", plain_view),
    path("view/<int:number>/", view),
    path("async/", async_view),
    path("broken/", broken_view),
    path("lines/", lines),
    path("repeats/", repeating_view),
    path("shop/", include([re_path(r"^item/(?P<number>[0-9]+)/$", view)])),
]


# The API ------------------------------------------------------------------------------------------------------------

router = APIRouter(prefix="/companies")


@router.get("/{company_id}")
async def company(company_id: int) -> int:
    return company_id


tenant = FastAPI()


@tenant.get("/orders/{order}")
async def order(order: int) -> int:
    return order


def make_api() -> FastAPI:
    api = FastAPI()
    api.include_router(router)
    api.mount("/tenants/{tenant}", tenant)

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @api.get("/count")
    def count() -> int:
        return int(select(1)[0])

    @api.get("/sync/{number}")
    def sync(number: int) -> dict[str, Any]:
        record = current_record()
        return {"count": User.objects.filter(pk=number).count(), "seen": record is not None and record.method}

    @api.get("/gather")
    async def gather() -> list[int]:
        return await asyncio.gather(*(User.objects.filter(pk=number).acount() for number in range(3)))

    @api.get("/repeats")
    async def repeats() -> str:
        for number in range(12):
            await User.objects.filter(pk=number).acount()  # here the endpoint repeats itself
        return "done"

    @api.get("/raw")
    def raw() -> str:
        with connection.cursor() as cursor:
            for number in range(20):
                cursor.execute(f"SELECT {number}, 'secret{number}'")
        return "done"

    @api.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("the endpoint")

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for number in range(3):
                yield str(number + await User.objects.acount() * 0)

        return StreamingResponse(parts())

    @api.get("/endless")
    async def endless() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            while True:
                yield "x" * 10
                await asyncio.sleep(0.001)

        return StreamingResponse(parts())

    @api.get("/background")
    def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(select, 7)
        return "later"

    @api.get("/slow")
    def slow() -> str:
        time.sleep(0.2)
        return "slow"

    @api.get("/thread")
    def thread() -> str:
        return threading.current_thread().name

    @api.websocket("/ws/{room}")
    async def ws(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text + str(await User.objects.acount() * 0))

    return api


def __getattr__(name: str) -> Any:
    """`api`, for a server, is made when it is asked for."""
    if name != "api":
        raise AttributeError(name)
    return make_api()


@contextmanager
def site(
    *, telemetry: bool = True, settings: dict[str, Any] | None = None, **arguments: Any
) -> Iterator[MountedApplication]:
    """The site as `mount()` makes it, with the settings of the test."""
    options = {"telemetry": telemetry, **(settings or {})}
    with override_settings(ROOT_URLCONF=SITE, DJFAST_MOUNT=options):
        yield mount(arguments.pop("prefix", "/api"), arguments.pop("api", None) or make_api(), **arguments)


@contextmanager
def records() -> Iterator[list[RequestRecord]]:
    """Those of the requests that end meanwhile."""
    found: list[RequestRecord] = []
    unsubscribe = subscribe(found.append)
    try:
        yield found
    finally:
        unsubscribe()
