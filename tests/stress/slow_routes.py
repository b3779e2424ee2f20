"""Requests that take long: readers that do not read, idle event streams, queries without end, calls to oneself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse

from project.shop.models import Entry, Item
from stress.ledger_routes import in_atomic
from stress.record import mark

router = APIRouter()
BLOCK = b"x" * 2**16
late: set[asyncio.Task[None]] = set()
wake = asyncio.Event()


def run_query(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_sleep(%s)", [seconds])


@router.get("/db")
def db(key: str = "db") -> int:
    mark(key, "endpoint")
    return Item.objects.count()


@router.get("/db_async")
async def db_async() -> int:
    return await Item.objects.acount()


@router.get("/sleep_in_thread")
async def sleep_in_thread() -> float:
    await sync_to_async(time.sleep)(0.2)
    return 0.2


@router.get("/query")
def long_query(seconds: float) -> float:
    run_query(seconds)
    return seconds


@router.get("/query_async")
async def long_query_async(seconds: float) -> float:
    await sync_to_async(run_query)(seconds)
    return seconds


def big(key: str) -> Iterator[bytes]:
    """16 MiB, more than the sockets buffer; and a row, written when the generator ends or is closed."""
    mark(key, "step")
    Item.objects.count()
    try:
        for _ in range(256):
            yield BLOCK
    finally:
        mark(key, "close")
        Entry.objects.create(key=key, keep=False)
        if connection.in_atomic_block:
            mark(key, "in the transaction")


@router.get("/big")
def big_stream(key: str) -> StreamingResponse:
    return StreamingResponse(big(key))


@router.get("/big_atomic", dependencies=[Depends(in_atomic)])
def big_stream_in_atomic(key: str) -> StreamingResponse:
    Item.objects.count()
    return StreamingResponse(big(key))


def django_big(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(big(request.GET["key"]))


def trickle(key: str) -> Iterator[str]:
    """Without end: only its `close()` can stop it."""
    try:
        while True:
            mark(key, "step")
            time.sleep(0.01)
            yield "drop\n"
    finally:
        mark(key, "close")


@router.get("/trickle")
def trickle_stream(key: str) -> StreamingResponse:
    mark(key, "endpoint")
    Item.objects.count()
    return StreamingResponse(trickle(key))


def own_url(request: Request) -> str:
    host, port = request.scope["server"]
    return f"http://{host}:{port}/api/db"


def ask(url: str) -> int:
    try:
        with urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


@router.get("/self_call")
def call_oneself(request: Request) -> int:
    """Holds a thread, for it has used the ORM, and asks its own server for something that needs one."""
    Item.objects.count()
    return ask(own_url(request))


@router.get("/self_call_async")
async def call_oneself_async(request: Request) -> int:
    await Item.objects.acount()
    return await asyncio.to_thread(ask, own_url(request))


async def ticks() -> AsyncIterator[int]:
    """An event, then nothing until `/wake`, then an event for ever each second."""
    yield await Item.objects.acount()
    await wake.wait()
    while True:
        yield await Item.objects.acount()
        await asyncio.sleep(1)


@router.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[int]:
    await Item.objects.acount()
    async for tick in ticks():
        yield tick


@router.get("/events_plain")
async def events_plain() -> StreamingResponse:
    await Item.objects.acount()

    async def lines() -> AsyncIterator[str]:
        async for tick in ticks():
            yield f"data: {tick}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@router.get("/wake")
async def wake_up() -> None:
    wake.set()


async def write_late(key: str) -> None:
    await asyncio.sleep(0.2)
    await sync_to_async(mark)(key, "late")
    await Entry.objects.acreate(key=key)


@router.get("/late")
async def start_late(key: str) -> dict[str, str]:
    """Ends at once; its task touches the ORM when the request is long over."""
    await Item.objects.acount()
    task = asyncio.create_task(write_late(key))
    late.add(task)
    task.add_done_callback(late.discard)
    return {"key": key}


urlpatterns = [path("big", django_big)]
