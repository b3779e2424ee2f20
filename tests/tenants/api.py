"""The API: the same, by endpoints, event streams and websockets, and streams that leave things on their connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import connection
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse

from tenants.rows.models import Row
from tenants.urls import PARTS, aowner, owner

api = FastAPI()
written: list[str] = []


@api.get("/view", response_class=PlainTextResponse)
def view() -> str:
    return owner()


@api.get("/async-view", response_class=PlainTextResponse)
async def async_view() -> str:
    first = await aowner()
    await asyncio.sleep(0.02)
    return first + "".join(await asyncio.gather(aowner(), aowner()))


@api.get("/stream")
def stream() -> StreamingResponse:
    def draw() -> Iterator[str]:
        for _ in range(PARTS):
            yield owner()

    return StreamingResponse(draw())


@api.get("/async-stream")
async def async_stream() -> StreamingResponse:
    async def draw() -> AsyncIterator[str]:
        for _ in range(PARTS):
            yield await aowner()
            await asyncio.sleep(0.001)

    return StreamingResponse(draw())


@api.get("/cursor")
async def cursor() -> StreamingResponse:
    async def draw() -> AsyncIterator[str]:
        for _ in range(PARTS // 5):
            async for row in Row.objects.order_by("pk").aiterator(chunk_size=1):
                yield f"{row.owner}\n"

    return StreamingResponse(draw())


@api.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[str]:
    for _ in range(PARTS):
        yield (await aowner()).strip()
        await asyncio.sleep(0.001)


@api.get("/background", response_class=PlainTextResponse)
def background(tasks: BackgroundTasks, expected: str) -> str:
    def write() -> None:
        written.append(f"{expected} {owner().strip()}")

    tasks.add_task(write)
    return owner()


@api.get("/written")
def all_written() -> list[str]:
    return written


@api.websocket("/socket")
async def socket(socket: WebSocket, schema: str) -> None:
    """Takes the tenant from its query, as the middleware sees no websocket."""
    await socket.accept()
    await sync_to_async(lambda: connection.set_schema(schema))()
    async for _ in socket.iter_text():
        await socket.send_text((await aowner()).strip())


def _look(number: int) -> str:
    """What this connection has of the request `number`: its setting, its table and its lock."""
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('app.who', true)")
        who = cursor.fetchone()[0]
        cursor.execute("select to_regclass('pg_temp.mine')")
        table = cursor.fetchone()[0]
        cursor.execute("select array_agg(objid::int) from pg_locks where locktype='advisory' and pid=pg_backend_pid()")
        return f"{who or None} {table and 'mine'} {cursor.fetchone()[0]}\n"


def _leave(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set app.who = %s", [str(number)])
        cursor.execute("create temp table mine (number int)")
        cursor.execute("select pg_advisory_lock(%s)", [number])


@api.get("/clean", response_class=PlainTextResponse)
def clean() -> str:
    return _look(0)


@api.get("/left", response_class=PlainTextResponse)
def left(number: int) -> str:
    _leave(number)
    return _look(number)


@api.get("/left/stream")
async def left_by_a_stream(number: int) -> StreamingResponse:
    async def draw() -> AsyncIterator[str]:
        await sync_to_async(_leave)(number)
        for _ in range(PARTS):
            await asyncio.sleep(0.005)
            yield await sync_to_async(_look)(number)

    return StreamingResponse(draw())


@api.websocket("/left/socket")
async def left_by_a_websocket(socket: WebSocket, number: int) -> None:
    await socket.accept()
    await sync_to_async(_leave)(number)
    async for _ in socket.iter_text():
        await socket.send_text(await sync_to_async(_look)(number))
