"""The garbage collector: a request leaves it nothing, and a lifespan tells it what stays."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import override_settings
from fastapi import Depends, FastAPI, HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from calls import call, http_scope
from collecting import new_objects_alone
from djfast_mount import mount
from djfast_mount.lifespan import garbage
from djfast_mount.threads.calls import FutureCall, perform
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import Pool
from lifespan_drive import Drive
from pool_hooks import NotedHooks


def opened() -> Iterator[None]:
    yield


api = FastAPI()
AT_FIRST = gc.get_freeze_count()  # Some builds of Python 3.12 begin with a few hundred.


@api.get("/async")
async def asynchronous() -> dict[str, str]:
    return {"hello": "world"}


@api.get("/sync")
def synchronous() -> dict[str, str]:
    return {"hello": "world"}


@api.get("/yield", dependencies=[Depends(opened)])
def with_yield() -> dict[str, str]:
    return {"hello": "world"}


def fails() -> None:
    raise ValueError("no number")


@api.get("/fails")
async def met() -> str:
    with contextlib.suppress(ValueError):
        await run_in_threadpool(fails)
    return "met"


@api.get("/error")
def error() -> None:
    raise HTTPException(400)


def left_by(app: ASGIApp, path: str, root_path: str, times: int = 20) -> int:
    """How many objects `times` requests leave that only the collector can free."""

    async def ask() -> int:
        for _ in range(5):
            await call(app, http_scope(path, root_path=root_path))
        for _ in range(3):
            # The root of the test before goes with the first collection, and its threads end a little later.
            gc.collect()
            await asyncio.sleep(0.05)
        gc.collect()
        gc.disable()
        try:
            for _ in range(times):
                await call(app, http_scope(path, root_path=root_path))
            return gc.collect()
        finally:
            gc.enable()

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/async", "/sync", "/yield", "/error", "/fails"])
def test_a_request_to_the_api_leaves_no_cycle(path: str, root_path: str) -> None:
    """Requests to the API that ask for no Django request, whose user is a cycle of Django's own, leave no more that has
    to be collected than under FastAPI alone.
    """
    root = mount("/api", api)
    with new_objects_alone():
        assert left_by(root, root_path + "/api" + path, root_path) < left_by(api, path, "") + 20


async def fail_on(pool: Pool) -> None:
    """A call that fails on a worker, and whose error is taken from it."""
    lease = Lease(pool, http_scope("/"))
    call = FutureCall(fails)
    lease.submit(call)
    done = asyncio.wrap_future(call.future)
    del call
    with contextlib.suppress(ValueError):
        await done
    del done
    ended = lease.close()
    assert ended is not None
    await ended


async def fail_here() -> None:
    """The same on a thread that is no worker."""
    perform(FutureCall(fails))


@pytest.mark.parametrize("on_worker", [True, False], ids=["worker", "another thread"])
def test_a_call_that_fails_leaves_no_cycle(on_worker: bool) -> None:
    """An error, whose traceback leads to the frames that it came through, is freed with the call that has met it."""
    pool = Pool(1, NotedHooks(), wait_timeout=10)

    async def left(times: int = 20) -> int:
        for _ in range(times):
            await (fail_on(pool) if on_worker else fail_here())
        return gc.collect()

    async def run() -> int:
        for _ in range(3):
            # What other tests have left ends meanwhile: threads of their roots, say.
            await left()
            await asyncio.sleep(0.05)
        gc.disable()
        try:
            return await left()
        finally:
            gc.enable()

    with new_objects_alone():
        found = asyncio.run(run())
    pool.shutdown(int)
    assert found < 20


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The collector as Python leaves it, in a process that has had no lifespan; and as it was afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    monkeypatch.setattr(garbage, "_collector", garbage._Collector())
    monkeypatch.delattr(mail, "outbox")  # By which a process is known to run tests.
    yield
    gc.set_threshold(*before)
    gc.enable()
    gc.unfreeze()


def mounted() -> ASGIApp:
    return mount("/api", FastAPI())


@pytest.mark.usefixtures("collector")
def test_what_the_startup_has_made_is_in_no_collection() -> None:
    """Within a lifespan a full collection does not look at what was there before it; after its end it does again."""
    before = [object]

    async def run() -> tuple[bool, bool]:
        async with Drive(mounted()):
            assert gc.get_threshold()[0] == 10_000
            within = any(each is before for each in gc.get_objects())
            assert gc.get_freeze_count() > 10_000
        return within, any(each is before for each in gc.get_objects())

    assert asyncio.run(run()) == (False, True)
    assert gc.get_threshold() == (700, 10, 10)
    assert gc.get_freeze_count() <= AT_FIRST


@pytest.mark.usefixtures("collector")
def test_the_last_of_several_lifespans_restores_it() -> None:
    """Two roots in one process end one after the other: the first end changes nothing."""

    async def run() -> list[int]:
        found = []
        async with Drive(mounted()):
            async with Drive(mounted()):
                pass
            found.append(gc.get_freeze_count())
        return [*found, gc.get_freeze_count()]

    within, after = asyncio.run(run())
    assert within > 10_000
    assert after <= AT_FIRST


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("change", [gc.disable, lambda: gc.set_threshold(0)], ids=["disabled", "no threshold"])
def test_a_collector_that_is_off_is_left_so(change: Callable[[], None]) -> None:
    """Where the project has switched the collector off, nothing is frozen and no threshold set."""
    change()
    before = gc.isenabled(), gc.get_threshold()

    async def run() -> None:
        async with Drive(mounted()):
            assert (gc.isenabled(), gc.get_threshold()) == before
            assert gc.get_freeze_count() <= AT_FIRST

    asyncio.run(run())


@pytest.mark.usefixtures("collector")
def test_what_the_project_has_set_stays() -> None:
    """A later begin of the project's own is kept, and what it has frozen itself stays frozen after the end."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)

    async def run() -> None:
        async with Drive(mounted()):
            assert gc.get_threshold() == (50_000, 20, 20)

    asyncio.run(run())
    assert gc.get_threshold() == (50_000, 20, 20)
    assert gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("off", [False, True], ids=["collector on", "collector off"])
@pytest.mark.parametrize("within", [False, True], ids=["before the lifespan", "within it"])
def test_what_the_project_has_frozen_stays_frozen(within: bool, off: bool) -> None:
    """What the project freezes itself, before a lifespan or within it, is frozen after its end, too."""
    if off:
        gc.disable()
    mine = [object]
    if not within:
        gc.freeze()
    more: list[object] = []

    async def run() -> None:
        async with Drive(mounted()):
            if within:
                more.extend([each] for each in range(2_000))
                gc.freeze()

    asyncio.run(run())
    assert not any(each is mine for each in gc.get_objects())


@pytest.mark.usefixtures("collector")
def test_what_the_project_has_frozen_stays_frozen_when_more_has_died() -> None:
    """It stays so even if by then more of what the lifespan has frozen is gone than the project has added."""
    held = [[each] for each in range(5_000)]
    mine: list[object] = []

    async def run() -> None:
        async with Drive(mounted()):
            within = gc.get_freeze_count()
            held.clear()
            mine.append([object])
            gc.freeze()
            assert gc.get_freeze_count() < within

    asyncio.run(run())
    assert not any(each is mine[0] for each in gc.get_objects())


@pytest.mark.usefixtures("collector")
def test_a_threshold_that_is_set_within_a_lifespan_stays() -> None:
    """The end of a lifespan leaves a threshold that somebody else has set since its start."""

    async def run() -> None:
        async with Drive(mounted()):
            gc.set_threshold(60_000, 20, 20)

    asyncio.run(run())
    assert gc.get_threshold() == (60_000, 20, 20)


class Cycle:
    """An object that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("collector")
def test_garbage_is_not_frozen() -> None:
    """What is garbage at the start of the first lifespan is freed, and not kept until its end."""
    gc.set_threshold(1_000_000, 10, 10)  # No collection comes by itself.
    left = weakref.ref(Cycle())

    async def run() -> None:
        async with Drive(mounted()):
            assert left() is None

    asyncio.run(run())


@pytest.mark.usefixtures("collector")
def test_a_process_is_collected_once() -> None:
    """The first lifespan of a process makes one full collection, those after it none: a test starts many."""
    gc.set_threshold(1_000_000, 10, 10)
    full: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(phase)

    async def run() -> None:
        async with Drive(mounted()):
            pass

    gc.callbacks.append(note)
    try:
        asyncio.run(run())
        first = len(full)
        asyncio.run(run())
    finally:
        gc.callbacks.remove(note)
    assert (first, len(full)) == (1, 1)


@pytest.mark.usefixtures("collector")
@override_settings(DJFAST_MOUNT={"tune_gc": False})
def test_a_parent_may_do_it_before_it_forks() -> None:
    """The hook in docs/deployment.md freezes in the parent, and a lifespan in its child changes nothing."""
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text()
    conf = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "when_ready" in code)
    names: dict[str, Any] = {}
    exec(compile(conf, "gunicorn.conf.py", "exec"), names)
    names["when_ready"](None)
    assert gc.get_freeze_count() > 10_000

    async def run() -> None:
        async with Drive(mounted()):
            assert gc.get_threshold() == (10_000, 10, 10)

    asyncio.run(run())
    assert gc.get_threshold() == (10_000, 10, 10)
    assert gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("collector")
@override_settings(DJFAST_MOUNT={"tune_gc": False})
def test_it_can_be_left_alone() -> None:
    """With the setting `tune_gc` False a lifespan changes nothing of the collector."""

    async def run() -> None:
        async with Drive(mounted()):
            assert gc.get_threshold() == (700, 10, 10)
            assert gc.get_freeze_count() <= AT_FIRST

    asyncio.run(run())
