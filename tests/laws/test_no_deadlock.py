"""Law 7: sync code that goes back to the loop, and there calls sync code again, does not wait for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio.from_thread
import httpx
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from djfast_mount.database import keep_thread
from laws import record
from laws.record import note
from laws.site import Site
from project.shop.models import Item

pytestmark = pytest.mark.long

api = FastAPI()

sizes = pytest.mark.parametrize("threads", [1, 2, 8])


async def through_both_doors(key: str) -> None:
    """Async code that calls sync code, by every door."""
    await sync_to_async(note)(key, "sync_to_async")
    await run_in_threadpool(note, key, "run_in_threadpool")
    await Item.objects.acount()


def there_and_back(key: str) -> None:
    note(key, "outer")
    async_to_sync(through_both_doors)(key)
    anyio.from_thread.run(through_both_doors, key)
    note(key, "outer")


@api.get("/endpoint")
def endpoint(key: str) -> None:
    there_and_back(key)


@api.get("/sync-to-async")
async def by_sync_to_async(key: str) -> None:
    await sync_to_async(there_and_back)(key)


@api.get("/deep")
def deep(key: str, levels: int = 4) -> None:
    """Sync code over async code over sync code, and so on."""

    async def below(left: int) -> None:
        door: Any = sync_to_async if left % 2 else run_in_threadpool_of
        await door(above)(left - 1)

    def above(left: int) -> None:
        note(key, f"level {left}")
        if left:
            async_to_sync(below)(left)

    above(levels)


def run_in_threadpool_of(function: Any) -> Any:
    async def call(*args: Any) -> Any:
        return await run_in_threadpool(function, *args)

    return call


@sizes
@pytest.mark.violated_by("deaf", threads=2)
@pytest.mark.parametrize("path", ["/api/endpoint", "/api/sync-to-async", "/there-and-back"])
async def test_there_and_back_on_one_thread(site: Site, path: str, threads: int) -> None:
    """Sync code below sync code runs while the latter waits for the loop: on the same thread, in a pool of any size."""
    async with site(api, threads=threads) as root:
        keys = [f"request {number}" for number in range(2 * threads)]
        assert {answer.status_code for answer in await root.get_many(path, keys)} == {200}
        for key in keys:
            parts = ["outer", "sync_to_async", "run_in_threadpool", "sync_to_async", "run_in_threadpool", "outer"]
            assert [part for part in record.parts(key) if not part.startswith("middleware")] == parts
            assert len(record.threads(key)) == 1


@sizes
@pytest.mark.violated_by("deaf", threads=2)
async def test_deeper_levels(site: Site, threads: int) -> None:
    """Four levels of sync code, each below the async code of the one above, run on one thread."""
    async with site(api, threads=threads) as root:
        assert (await root.get("/api/deep", params={"key": "deep"})).status_code == 200
        assert record.parts("deep") == [f"level {left}" for left in (4, 3, 2, 1, 0)]
        assert len(record.threads("deep")) == 1


@api.get("/own-loop")
def own_loop(key: str) -> None:
    """Sync code that runs a loop of its own, in the midst of the request's thread."""
    note(key, "outer")
    asyncio.run(through_both_doors(key))
    there_and_back(key)


@sizes
async def test_a_loop_on_the_requests_thread(site: Site, threads: int) -> None:
    """asyncio.run() in a sync endpoint: what runs there can call sync code, which runs on the request's thread."""
    async with site(api, threads=threads) as root:
        assert (await root.get("/api/own-loop", params={"key": "own"})).status_code == 200
        assert record.parts("own")[:3] == ["outer", "sync_to_async", "run_in_threadpool"]
        assert len(record.threads("own")) == 1


@api.get("/other-loop")
def other_loop(key: str) -> None:
    """Sync code that waits for a loop on another thread."""
    note(key, "outer")
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(through_both_doors, key)


@pytest.mark.parametrize("threads", [2, 8])
async def test_a_loop_on_another_thread(site: Site, threads: int) -> None:
    """What runs on a loop of another thread, for which a sync endpoint waits, makes its sync calls on other threads."""
    async with site(api, threads=threads) as root:
        assert (await root.get("/api/other-loop", params={"key": "other"})).status_code == 200
        assert record.parts("other") == ["outer", "sync_to_async", "run_in_threadpool"]
        outer, *inner = record.notes_of("other")
        assert outer.thread not in {noted.thread for noted in inner}


async def test_a_loop_on_another_thread_with_no_thread_left(site: Site) -> None:
    """With one thread, the sync calls of such a loop wait in vain, and the request is answered 503."""
    async with site(api, threads=1, wait_timeout=0.1) as root:
        assert (await root.get("/api/other-loop", params={"key": "other"})).status_code == 503
        assert (await root.get("/api/endpoint", params={"key": "after"})).status_code == 200


@api.get("/asks-itself/sync")
def asks_itself(request: Request, key: str) -> int:
    note(key, "outer")
    Item.objects.count()
    return async_to_sync(ask)(request, "/api/endpoint", key)


@api.get("/asks-itself/async")
async def asks_itself_async(request: Request, key: str) -> int:
    await Item.objects.acount()
    return await ask(request, "/api/endpoint", key)


@api.get("/asks-itself/kept")
async def asks_itself_and_keeps_its_thread(request: Request, key: str) -> int:
    async with keep_thread():
        return await asks_itself_async(request, key)


async def ask(request: Request, path: str, key: str) -> int:
    """A request to the root that serves `request`, without a socket between them."""
    transport = httpx.ASGITransport(app=roots[0], root_path=request.scope["root_path"].removesuffix("/api"))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as client:
        prefix = transport.root_path
        return (await client.get(prefix + path, params={"key": key})).status_code


roots: list[Any] = []


@sizes
@pytest.mark.violated_by("deaf", threads=2)
async def test_sync_code_that_asks_its_own_server(site: Site, threads: int) -> None:
    """A sync endpoint that calls the root it is served by, in process, lends its thread to that request."""
    async with site(api, threads=threads) as root:
        roots[:] = [root.app]
        answers = await root.get_many("/api/asks-itself/sync", [f"self {number}" for number in range(2 * threads)])
        assert [answer.json() for answer in answers] == [200] * len(answers)
        assert len(record.threads("self 0")) == 1


@pytest.mark.violated_by("stubborn")
async def test_requests_that_hold_a_thread_and_wait_for_another(site: Site) -> None:
    """12 requests that have used the ORM and then call their own server, on 8 threads, are answered."""
    async with site(api, threads=8, wait_timeout=1.0) as root:
        roots[:] = [root.app]
        answers = await root.get_many("/api/asks-itself/async", [f"self {number}" for number in range(12)])
        assert [(answer.status_code, answer.text) for answer in answers] == [(200, "200")] * 12
        assert (await root.get("/api/endpoint", params={"key": "after"})).status_code == 200


@pytest.mark.violated_by("endless")
async def test_requests_that_keep_their_thread_and_wait_for_another(site: Site) -> None:
    """The same with `keep_thread()`: answered or 503, none hangs."""
    async with site(api, threads=8, wait_timeout=0.3) as root:
        roots[:] = [root.app]
        answers = await root.get_many("/api/asks-itself/kept", [f"self {number}" for number in range(12)])
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert {answer.json() for answer in answers if answer.status_code == 200} <= {200, 503}
        assert (await root.get("/api/endpoint", params={"key": "after"})).status_code == 200
