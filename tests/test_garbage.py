"""What a request leaves to the garbage collector: nothing. Its pauses are the longest waits of a busy process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from calls import call, http_scope
from djfast_mount import mount


def opened() -> Iterator[None]:
    yield


api = FastAPI()


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
