"""The patterns in which sync_to_async and async_to_sync can wait for each other, in a request: none hangs.

The list is that of asgiref's own fixed deadlocks, and what comes to mind beside it. Every pattern runs in as many
requests at once as there are threads, and twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from laws import record
from laws.record import Stop
from laws.site import Site
from project.shop.models import Item

pytestmark = pytest.mark.long

Pattern = Callable[[], Awaitable[object]]
api = FastAPI()


def one() -> int:
    return 1


def fail() -> None:
    raise LookupError("sync code that fails")


async def call(function: Callable[..., Any] = one, *args: Any) -> Any:
    return await sync_to_async(function)(*args)


def back(function: Callable[..., Awaitable[Any]] = call, *args: Any) -> Any:
    """Sync code that waits for async code, which calls sync code."""
    return async_to_sync(function)(*args)


async def nested() -> None:
    assert await call(back, call, back, call, one) == 1


async def nested_ten_times() -> None:
    async def down(left: int) -> int:
        return await call(up, left - 1) if left else 0

    def up(left: int) -> int:
        return 1 + back(down, left)

    assert await down(10) == 10


async def nested_by_both_doors() -> None:
    assert await run_in_threadpool(back, run_in_threadpool, back, call, one) == 1


async def gathered() -> None:
    assert await asyncio.gather(*[call() for _ in range(5)]) == [1] * 5


async def gathered_there_and_back() -> None:
    assert await asyncio.gather(*[call(back) for _ in range(5)]) == [1] * 5


async def gathered_below() -> None:
    async def below() -> list[int]:
        return await asyncio.gather(*[call(back) for _ in range(5)])

    assert await call(back, below) == [1] * 5


async def in_a_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(back)) for _ in range(3)]
    assert [task.result() for task in tasks] == [1] * 3


async def task_below() -> None:
    async def below() -> int:
        return await asyncio.create_task(call())

    assert await call(back, below) == 1


async def task_below_that_outlives_it() -> None:
    """asgiref refuses such a call; that it says so, and does not hang, is what counts."""
    tasks: list[asyncio.Task[Any]] = []
    gone = asyncio.Event()

    async def late() -> None:
        await gone.wait()
        await call()

    async def below() -> None:
        tasks.append(asyncio.create_task(late()))

    await call(back, below)
    gone.set()
    with contextlib.suppress(RuntimeError):
        await tasks[0]


async def timed_out() -> None:
    stop = Stop()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened_later(stop), 0.01)
    assert await call() == 1


async def opened_later(stop: Stop) -> None:
    """A call that cannot end before the wait for it was given up."""
    asyncio.get_running_loop().call_later(0.05, stop.open)
    await call(stop.wait)


async def timed_out_below() -> None:
    async def below() -> int:
        await timed_out()
        return 1

    assert await call(back, below) == 1


async def cancelled_in_the_thread() -> None:
    stop = Stop()
    task = asyncio.create_task(call(stop.wait))
    await stop.reached()
    task.cancel()
    stop.open()
    await asyncio.wait([task])
    assert await call() == 1


async def cancelled_before_the_thread() -> None:
    stop = Stop()
    first = asyncio.create_task(call(stop.wait))
    await stop.reached()
    second = asyncio.create_task(call(fail))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    stop.open()
    await first
    assert await call() == 1


async def cancelled_below() -> None:
    waits = asyncio.Event()

    async def below() -> None:
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(back, below))
    await waits.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await call() == 1


async def shielded() -> None:
    stop = Stop()
    inner = asyncio.create_task(call(stop.wait))
    outer = asyncio.create_task(shield(inner))
    await stop.reached()
    outer.cancel()
    await asyncio.wait([outer])
    stop.open()
    await inner
    assert await call() == 1


async def shield(task: asyncio.Task[Any]) -> None:
    await asyncio.shield(task)


async def failing() -> None:
    with pytest.raises(LookupError):
        await call(fail)
    assert await call() == 1


async def failing_below() -> None:
    with pytest.raises(LookupError):
        await call(back, call, fail)
    assert await call(back) == 1


async def own_context() -> None:
    async with ThreadSensitiveContext():
        assert await call(back) == 1


async def own_executor() -> None:
    with ThreadPoolExecutor(max_workers=1) as executor:
        async with ThreadSensitiveContext(executor=executor):
            assert await call(back) == 1
    assert await call(back) == 1


async def insensitive() -> None:
    assert await sync_to_async(one, thread_sensitive=False)() == 1
    assert await sync_to_async(back, thread_sensitive=False)() == 1


async def insensitive_and_gathered() -> None:
    insensitive_back = sync_to_async(back, thread_sensitive=False)
    assert await asyncio.gather(*[insensitive_back(call, back) for _ in range(3)], call(back)) == [1] * 4


async def insensitive_below() -> None:
    async def below() -> int:
        return await sync_to_async(back, thread_sensitive=False)()

    assert await call(back, below) == 1


async def on_a_new_loop() -> None:
    assert await call(async_to_sync(call, force_new_loop=True)) == 1


async def generator_closed_by_sync_code() -> None:
    closed: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield await call()
        finally:
            closed.append(await call())

    async with contextlib.aclosing(numbers()) as drawn:
        async for number in drawn:
            assert number == 1
            break
    assert closed == [1]


async def orm_below() -> None:
    async def below() -> int:
        return await Item.objects.acount()

    assert await call(back, below) == 0


PATTERNS: dict[str, Pattern] = {
    pattern.__name__: pattern
    for pattern in (
        gathered,
        task_below_that_outlives_it,
        timed_out,
        cancelled_in_the_thread,
        cancelled_before_the_thread,
        cancelled_below,
        shielded,
        failing,
        own_executor,
        insensitive,
        insensitive_and_gathered,
        on_a_new_loop,
        generator_closed_by_sync_code,
    )
}
# Those in which sync code waits for sync code.
NESTED: dict[str, Pattern] = {
    pattern.__name__: pattern
    for pattern in (
        nested,
        nested_ten_times,
        nested_by_both_doors,
        gathered_there_and_back,
        gathered_below,
        in_a_task_group,
        task_below,
        timed_out_below,
        failing_below,
        own_context,
        insensitive_below,
        orm_below,
    )
}
patterns = {**PATTERNS, **NESTED}


@api.get("/async/{pattern}")
async def in_async_code(pattern: str) -> int:
    await patterns[pattern]()
    return 1


@api.get("/sync/{pattern}")
def in_sync_code(pattern: str) -> int:
    """The same pattern, all of it below sync code."""
    async_to_sync(patterns[pattern])()
    return 1


async def ends_well(site: Site, pattern: str, threads: int) -> None:
    async with site(api, threads=threads) as root:
        for kind in ("async", "sync"):
            answers = await asyncio.gather(*[root.get(f"/api/{kind}/{pattern}") for _ in range(2 * threads)])
            assert [answer.text for answer in answers] == ["1"] * len(answers)
        await record.until(lambda: root.pool.held() == [])


sizes = pytest.mark.parametrize("threads", [1, 2, 8])


@sizes
@pytest.mark.parametrize("pattern", PATTERNS)
async def test_a_pattern_of_calls_ends(site: Site, pattern: str, threads: int) -> None:
    """No such pattern of sync and async calls hangs, and the threads come back from it."""
    await ends_well(site, pattern, threads)


@sizes
@pytest.mark.violated_by("deaf", threads=2, pattern="nested")
@pytest.mark.parametrize("pattern", NESTED)
async def test_a_pattern_of_nested_calls_ends(site: Site, pattern: str, threads: int) -> None:
    """No such pattern of sync calls below sync calls hangs, and the threads come back from it."""
    await ends_well(site, pattern, threads)
