"""Law 8: who is slow, or idle, starves nobody: streams and websockets give their thread back, or are few.

Holds `request_thread/response.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from django.db import transaction
from django.test import override_settings
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from laws import record
from laws.record import note
from laws.site import Exchange, Root, Site
from project.shop.models import Item

pytestmark = pytest.mark.long

api = FastAPI()


@api.get("/sync")
def sync() -> int:
    return Item.objects.count()


async def assert_others_are_answered(root: Root, requests: int = 4) -> None:
    answers = await asyncio.gather(*[root.get("/api/sync") for _ in range(requests)])
    assert {answer.status_code for answer in answers} == {200}


@api.websocket("/ws/orm")
async def websocket_with_orm(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{text} {await Item.objects.acount()}")


def in_transaction() -> Iterator[str]:
    try:
        with transaction.atomic():
            note("pinned", "enter")
            yield "within"
    finally:
        note("pinned", "exit")


InTransaction = Annotated[str, Depends(in_transaction)]


def session() -> Iterator[str]:
    note("pinned", "enter")
    try:
        yield "within"
    finally:
        note("pinned", "exit")


@api.websocket("/ws/session")
async def websocket_with_session(socket: WebSocket, within: Annotated[str, Depends(session)]) -> None:
    await socket.accept()
    await socket.receive_text()


@pytest.mark.violated_by("clinging")
async def test_an_idle_websocket_holds_no_thread(site: Site) -> None:
    """Websockets that have used the ORM and wait for their client hold no thread, however many there are."""
    async with site(api, threads=1) as root:
        sockets = [root.connect("/api/ws/orm") for _ in range(4)]
        for socket in sockets:
            socket.send({"type": "websocket.receive", "text": "how many?"})
            await socket.took(2)
        await assert_others_are_answered(root)
        for socket in sockets:
            socket.leave()
            await socket.ended()


@pytest.mark.violated_by("clinging")
async def test_websockets_that_hold_a_thread_are_few(site: Site) -> None:
    """Websockets with a sync yield dependency hold at most half of the threads; others are answered meanwhile."""
    async with site(api, threads=4, wait_timeout=0.3) as root:
        sockets = [root.connect("/api/ws/session") for _ in range(5)]
        await asyncio.gather(*[sockets[number].took(1) for number in range(2)])
        await assert_others_are_answered(root)
        await asyncio.gather(*[socket.took(1) for socket in sockets])
        accepted = [socket for socket in sockets if socket.sent and socket.sent[0]["type"] == "websocket.accept"]
        assert len(accepted) == 2
        for socket in accepted:
            socket.leave()
        await asyncio.gather(*[socket.ended() for socket in sockets])
        assert record.parts("pinned").count("exit") == record.parts("pinned").count("enter") == 2


@api.get("/events/before", response_class=EventSourceResponse)
async def events_before_the_first(key: str) -> AsyncIterator[int]:
    await Item.objects.acount()
    record.stops[key].arrived += 1
    await asyncio.Event().wait()
    yield 0


@api.get("/events/after", response_class=EventSourceResponse)
async def events_after_the_first(key: str) -> AsyncIterator[int]:
    yield await Item.objects.acount()
    record.stops[key].arrived += 1
    await asyncio.Event().wait()


def looked_up(key: str) -> int:
    return Item.objects.count()


@api.get("/events/dependency", response_class=EventSourceResponse)
async def events_with_dependency(key: str, items: Annotated[int, Depends(looked_up)]) -> AsyncIterator[int]:
    record.stops[key].arrived += 1
    await asyncio.Event().wait()
    yield items


@pytest.mark.violated_by("clinging")
@pytest.mark.parametrize("path", ["/api/events/before", "/api/events/after", "/api/events/dependency", "/idle"])
async def test_an_idle_event_stream_holds_no_thread(site: Site, path: str) -> None:
    """Clients of server-sent events that wait, before or after the first, hold no thread, however many there are."""
    async with site(api, threads=2) as root:
        clients = [root.open(path, query="key=idle") for _ in range(12)]
        await record.stops["idle"].reached(len(clients))
        await assert_others_are_answered(root)
        for client in clients:
            client.leave()
            await client.ended()


@api.get("/endless")
def endless() -> StreamingResponse:
    def draw() -> Iterator[str]:
        while True:
            yield "and on\n"

    return StreamingResponse(draw())


@api.get("/short")
def short() -> StreamingResponse:
    return StreamingResponse(str(number) for number in range(20))


async def leave_all(clients: list[Exchange]) -> None:
    for client in clients:
        client.leave()
    await asyncio.gather(*[client.ended() for client in clients])


@pytest.mark.violated_by("clinging")
@pytest.mark.parametrize("path", ["/api/endless", "/endless"])
async def test_slow_readers_of_sync_streams_starve_nobody(site: Site, path: str) -> None:
    """12 clients that stop reading a sync stream, on 8 threads: other requests are answered."""
    async with site(api, threads=8, wait_timeout=0.5) as root:
        clients = [root.open(path, takes=3) for _ in range(12)]
        await asyncio.gather(*[client.took(3) for client in clients[:4]])
        await assert_others_are_answered(root)
        await leave_all(clients)


async def test_streams_beyond_the_limit_are_answered_503(site: Site) -> None:
    """Of 12 slow readers on 8 threads, 4 are served, and the others answered 503 after `wait_timeout`."""
    async with site(api, threads=8, wait_timeout=0.3) as root:
        clients = [root.open("/api/endless", takes=3) for _ in range(12)]
        await asyncio.gather(*[client.took(2) for client in clients])
        assert sorted(client.status or 0 for client in clients) == [200] * 4 + [503] * 8
        await leave_all(clients)


async def test_streams_take_turns(site: Site) -> None:
    """More streams than the limit, all of them read, are all served in full."""
    async with site(api, threads=2) as root:
        answers = await asyncio.gather(*[root.get("/api/short") for _ in range(12)])
        assert {answer.text for answer in answers} == {"".join(str(number) for number in range(20))}


@api.get("/pinned")
async def pinned(within: InTransaction) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        while True:
            yield "and on\n"

    return StreamingResponse(parts())


@pytest.mark.violated_by("unhurried")
async def test_a_stream_with_a_transaction_has_a_send_limit(site: Site) -> None:
    """A stream whose transaction holds the only thread is cut off when its client stops reading: others go on."""
    with override_settings(DJFAST_MOUNT={"send_timeout": 0.2}):
        async with site(api, threads=1) as root:
            client = root.open("/api/pinned", takes=3)
            await client.took(3)
            await assert_others_are_answered(root)
            await client.ended()
            assert record.parts("pinned") == ["enter", "exit"]


@api.get("/read")
async def read(within: InTransaction) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{await Item.objects.acount()}\n"
            note("pinned", "part")

    return StreamingResponse(parts())


async def test_a_stream_with_a_transaction_stays_in_it(site: Site) -> None:
    """A stream beneath a transaction of a yield dependency ends before that transaction does."""
    async with site(api) as root:
        assert (await root.get("/api/read")).text == "0\n0\n0\n"
        assert record.parts("pinned") == ["enter", "part", "part", "part", "exit"]


class UnhurriedStart:
    """Root middleware that does something of its own before a response starts, as a session's store does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_slowly(message: Message) -> None:
            if message["type"] == "http.response.start":
                for _ in range(20):
                    await asyncio.sleep(0)
            await send(message)

        await self._app(scope, receive, send_slowly)


@api.get("/unhurried")
async def unhurried() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            yield str(number)

    return StreamingResponse(parts())


async def test_no_part_of_a_stream_overtakes_its_start(site: Site) -> None:
    """While sync streams hold all that they may, an async one comes whole through middleware that delays its start."""
    async with site(api, threads=2, middleware=[Middleware(UnhurriedStart)]) as root:
        held = root.open("/api/endless", takes=3)
        await held.took(3)
        stream = root.open("/api/unhurried")
        await stream.ended()
        assert [stream.status, stream.sent[0]["type"], stream.body] == [200, "http.response.start", b"012"]
        await leave_all([held])
