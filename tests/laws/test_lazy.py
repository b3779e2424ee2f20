"""Law 1: a request holds no thread until its first sync call."""

from __future__ import annotations

import threading

import pytest
from fastapi import FastAPI, WebSocket

from laws import record
from laws.site import Site
from project.shop.models import Item

HEARS_SIGNALS = True

api = FastAPI()


@api.get("/async")
async def async_only() -> dict[str, str]:
    return {"answer": "async"}


@api.get("/orm")
async def orm() -> dict[str, int]:
    return {"items": await Item.objects.acount()}


@api.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def pool_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("djfast_mount-")}


@pytest.mark.violated_by("eager")
async def test_an_async_endpoint_takes_no_thread(site: Site) -> None:
    """A request to an async endpoint that does not use the ORM starts no thread and sends no signal."""
    before = pool_threads()
    async with site(api) as root:
        assert (await root.get("/api/async")).json() == {"answer": "async"}
        assert pool_threads() <= before
        assert record.signals == []


@pytest.mark.violated_by("eager")
async def test_a_404_takes_no_thread(site: Site) -> None:
    """A path that no route of the API matches is answered without a thread."""
    before = pool_threads()
    async with site(api) as root:
        assert (await root.get("/api/nowhere")).status_code == 404
        assert pool_threads() <= before


@pytest.mark.violated_by("eager")
async def test_an_async_endpoint_is_answered_while_every_thread_is_held(site: Site) -> None:
    """With all threads held by other requests, an async endpoint answers at once."""
    async with site(api, threads=1) as root:
        held = root.start("/held")
        await record.stops["held"].reached()
        assert (await root.get("/api/async")).status_code == 200
        record.stops["held"].open()
        await held


async def test_the_first_use_of_the_orm_takes_one_thread(site: Site) -> None:
    """The async ORM in an async endpoint takes one thread, and sends the signals."""
    before = pool_threads()
    async with site(api) as root:
        assert (await root.get("/api/orm")).status_code == 200
        assert len(pool_threads() - before) == 1
        assert [signal.part for signal in record.signals] == ["started", "finished"]


@pytest.mark.violated_by("eager")
async def test_an_idle_websocket_takes_no_thread(site: Site) -> None:
    """A websocket that makes no sync call starts no thread."""
    before = pool_threads()
    async with site(api) as root:
        socket = root.connect("/api/ws")
        await socket.ended()
        assert [sent["type"] for sent in socket.sent] == ["websocket.accept", "websocket.close"]
        assert pool_threads() <= before


async def test_djangos_half_always_sends_the_signals(site: Site) -> None:
    """A Django view, sync or async, takes a thread and sends each signal once."""
    async with site(api) as root:
        for path in ("/view", "/async-view"):
            record.signals.clear()
            assert (await root.get(path, params={"key": path})).status_code == 200
            assert [signal.part for signal in record.signals] == ["started", "finished"]
