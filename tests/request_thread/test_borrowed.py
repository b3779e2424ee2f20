"""Requests beneath sync code that waits: the thread is its own, until it waits no more."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from calls import call, http_scope
from djfast_mount import mount

pytestmark = pytest.mark.once


@pytest.mark.parametrize("calls_first", [True, False])
def test_a_task_that_outlives_the_sync_code_has_a_thread_of_the_pool(calls_first: bool, root_path: str) -> None:
    """While the sync code waits, a request has its thread; a task that goes on afterwards has another."""
    threads: list[threading.Thread] = []

    async def main() -> None:
        over, tasks = asyncio.Event(), set[asyncio.Task[None]]()
        api = FastAPI()

        async def note() -> None:
            threads.append(await run_in_threadpool(threading.current_thread))

        async def later() -> None:
            await over.wait()
            await note()
            await note()

        @api.get("/late")
        async def late() -> None:
            if calls_first:
                await note()
            tasks.add(asyncio.create_task(later()))

        root = mount("/api", api)

        def sync_code() -> None:
            threads.append(threading.current_thread())
            scope = http_scope(f"{root_path}/api/late", root_path=root_path)
            assert async_to_sync(call)(root, scope).status == 200

        await sync_to_async(sync_code)()
        over.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)

    asyncio.run(main())
    waiting, *within, first, second = threads
    assert within == [waiting] * calls_first
    assert waiting not in (first, second)
