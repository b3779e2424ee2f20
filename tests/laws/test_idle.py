"""Law 8: a request that waits for something else keeps its thread, and not the right to run, where others wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Annotated

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI, HTTPException

from laws import record
from laws.record import note
from laws.site import Root, Site
from project.shop.models import Item

pytestmark = pytest.mark.long
HEARS_SIGNALS = True
api = FastAPI()
here = threading.local()
gates: dict[str, asyncio.Event] = {}


async def wait_for_others(key: str) -> None:
    """What a slow service is, to whoever calls it: `key` opens it."""
    record.stops[key].arrived += 1
    await gates.setdefault(key, asyncio.Event()).wait()


@pytest.fixture(autouse=True)
def closed_gates() -> Iterator[None]:
    gates.clear()
    yield
    gates.clear()


def noted_connection() -> Iterator[None]:
    note("dependency", "enter")
    yield
    note("dependency", "exit")


@api.get("/query")
def query() -> int:
    note("query", "name", getattr(here, "name", None))
    return Item.objects.count()


@api.get("/wait")
async def wait(key: str, gate: str = "service") -> int:
    await Item.objects.acount()
    await sync_to_async(note)(key, "before")
    await wait_for_others(gate)
    await sync_to_async(note)(key, "after")
    return await Item.objects.acount()


@api.get("/wait/session")
async def wait_in_a_session(key: str, session: Annotated[None, Depends(noted_connection)]) -> int:
    return await wait(key)


def in_a_transaction() -> Iterator[None]:
    with transaction.atomic():
        yield


@api.get("/wait/atomic")
async def wait_in_a_transaction(key: str, within: Annotated[None, Depends(in_a_transaction)]) -> None:
    await Item.objects.acreate(name=key)
    await wait_for_others("atomic")
    assert await Item.objects.filter(name=key).acount() == 1
    raise HTTPException(409)


async def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await wait(request.GET["key"])))


async def view_with_local(request: HttpRequest) -> HttpResponse:
    def set_name() -> None:
        here.name = "ann"

    await sync_to_async(set_name)()
    await wait_for_others("service")
    return HttpResponse(await sync_to_async(lambda: here.name)())


def large_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"y" * (Item.objects.count() or 1) * 400_000)


urlpatterns = [path("wait", view), path("local", view_with_local), path("page", large_page)]


async def all_wait(root: Root, path: str, count: int) -> list[asyncio.Task[httpx.Response]]:
    requests = [root.start(path, params={"key": f"{number}"}) for number in range(count)]
    await record.stops["service"].reached(count)
    return requests


@pytest.mark.violated_by("stubborn")
@pytest.mark.parametrize("path", ["/api/wait", "/api/wait/session", "/wait"])
async def test_requests_that_wait_use_up_no_pool(site: Site, path: str) -> None:
    """Twelve requests that used the ORM wait for a slow service on two threads; others are answered meanwhile."""
    async with site(api, threads=2, urls=__name__, django_middleware=()) as root:
        requests = await all_wait(root, path, 12)
        assert (await root.get("/api/query")).status_code == 200
        gates["service"].set()
        answers = await asyncio.gather(*requests)
        assert {answer.status_code for answer in answers} == {200}
        assert all(len(record.threads(f"{number}")) == 1 for number in range(12)), "a request has changed its thread"


@pytest.mark.violated_by("stubborn")
async def test_requests_that_call_their_own_server_are_answered(site: Site) -> None:
    """Twelve requests that use the ORM, and then call an endpoint of the same server, are answered on two threads."""
    async with site(api, threads=2, urls=__name__, django_middleware=()) as root:

        @api.get("/self")
        async def call_itself() -> int:
            await Item.objects.acount()
            return (await root.get("/api/query")).status_code

        try:
            answers = await asyncio.gather(*[root.get("/api/self") for _ in range(12)])
        finally:
            del api.router.routes[-1]
        assert [answer.json() for answer in answers] == [200] * 12


async def test_signals_pair_in_each_spell(site: Site) -> None:
    """A request whose slot was lent on has two spells on its thread, each with its two signals."""
    async with site(api, threads=1, urls=__name__, django_middleware=()) as root:
        [request] = await all_wait(root, "/api/wait", 1)
        await root.get("/api/query")
        gates["service"].set()
        await request
        [thread] = record.threads("0")
        assert record.signals_of(thread) == ["started", "finished"] * 2


async def test_connections_are_as_many_as_threads(site: Site) -> None:
    """Parked threads hold no connection: there are never more of them open than threads that run."""
    async with site(api, threads=2, urls=__name__, django_middleware=()) as root:
        known = len(record.connections)
        requests = await all_wait(root, "/api/wait", 6)
        opened = {made for _, made in record.connections[known:] if made.connection is not None}
        assert len(opened) <= 2
        gates["service"].set()
        await asyncio.gather(*requests)


async def test_a_thread_local_is_the_requests_own(site: Site) -> None:
    """What a request that waits has put into a `threading.local` no other request reads, and it finds it again."""
    async with site(api, threads=1, urls=__name__, django_middleware=()) as root:
        request = root.start("/local")
        await record.stops["service"].reached()
        for _ in range(3):
            await root.get("/api/query")
        assert {noted.value for noted in record.notes_of("query")} == {None}
        gates["service"].set()
        assert (await request).text == "ann"


@pytest.mark.watchdog(30)
@pytest.mark.parametrize("path", ["/api/wait", "/wait"])
async def test_two_hundred_wait_at_once(site: Site, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 endpoints, and 200 views, that have used the ORM wait at the same time on 8 threads, with 8 connections."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    async with site(api, threads=8, wait_timeout=20, urls=__name__, django_middleware=()) as root:
        requests = await all_wait(root, path, 200)
        gates["service"].set()
        answers = await asyncio.gather(*requests)
        assert {answer.status_code for answer in answers} == {200}
        assert record.most_connections_at_once() <= 8


async def test_a_transaction_among_them_stays_whole(site: Site) -> None:
    """A request in a transaction of a dependency keeps its connection while it waits, and rolls all of it back."""
    async with site(api, threads=2, urls=__name__, django_middleware=()) as root:
        kept = [root.start("/api/wait/atomic", params={"key": f"kept {number}"}) for number in range(1)]
        await record.stops["atomic"].reached()
        others = await all_wait(root, "/api/wait", 8)
        gates["atomic"].set()
        assert {answer.status_code for answer in await asyncio.gather(*kept)} == {409}
        gates["service"].set()
        assert {answer.status_code for answer in await asyncio.gather(*others)} == {200}
        assert {answer.json() for answer in await asyncio.gather(*others)} == {0}


async def test_slow_readers_of_a_large_page_hold_nobody_up(site: Site) -> None:
    """A page that is sent in parts keeps its spell until it has been sent, and not where others wait for a thread."""
    async with site(api, threads=2, urls=__name__) as root:
        readers = [root.open("/page", takes=2) for _ in range(12)]
        for reader in readers:
            await reader.took(2)
        assert (await root.get("/api/query")).status_code == 200
        for reader in readers:
            reader.read_on()
        for reader in readers:
            await reader.ended()
        assert {len(reader.body) for reader in readers} == {400_000}
        await record.until(lambda: root.pool.held() == [] and not root.pool.parked())
