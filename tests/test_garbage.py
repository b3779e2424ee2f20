"""The garbage collector: a request leaves it nothing, and a lifespan tells it what stays."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest
from django.test import override_settings
from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from calls import call, http_scope
from djfast_mount import mount
from lifespan_drive import Drive


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


def left_by(app: ASGIApp, path: str, root_path: str, times: int = 20) -> int:
    """How many objects `times` requests leave that only the collector can free."""

    async def ask() -> int:
        for _ in range(5):
            await call(app, http_scope(path, root_path=root_path))
        gc.collect()
        gc.disable()
        try:
            for _ in range(times):
                await call(app, http_scope(path, root_path=root_path))
            return gc.collect()
        finally:
            gc.enable()

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/async", "/sync", "/yield"])
def test_a_request_to_the_api_leaves_no_cycle(path: str, root_path: str) -> None:
    """Requests to the API leave nothing behind that has to be collected, as under FastAPI alone."""
    root = mount("/api", api)
    assert left_by(root, root_path + "/api" + path, root_path) < 20


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector as Python leaves it, and as it was afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
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
@override_settings(DJFAST_MOUNT={"tune_gc": False})
def test_it_can_be_left_alone() -> None:
    """With the setting `tune_gc` False a lifespan changes nothing of the collector."""

    async def run() -> None:
        async with Drive(mounted()):
            assert gc.get_threshold() == (700, 10, 10)
            assert gc.get_freeze_count() <= AT_FIRST

    asyncio.run(run())
