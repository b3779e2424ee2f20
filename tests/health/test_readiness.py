"""Readiness while streams hold the threads: what the documented cut-off ends is no reason to take the process out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.health import paths as health

pytestmark = pytest.mark.once

LIMIT = 0.1


class Held:
    """An API with one thread, which an endpoint or a stream holds until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        api = FastAPI()

        @api.get("/stream")
        def stream() -> StreamingResponse:
            return StreamingResponse(self.parts())

        @api.get("/plain")
        def plain() -> None:
            self.wait()

        self.root = mount("/api", api, threads=1)

    def wait(self) -> None:
        self.begun.set()
        self.let_go.wait(10)

    def parts(self) -> Iterator[str]:
        yield "first"
        self.wait()
        yield "last"


@pytest.mark.parametrize(("path", "status"), [("/api/stream", 200), ("/api/plain", 503)])
def test_readiness_waits_for_a_stream_that_is_cut_off(
    path: str, status: int, root_path: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 200 when a stream lets go later than `ready_timeout`, and 503 where an endpoint holds the thread."""
    settings.DJFAST_MOUNT = {"ready_timeout": LIMIT}
    monkeypatch.setattr(health, "connections", [])
    held = Held()

    async def ask() -> int:
        holding = asyncio.create_task(call(held.root, http_scope(root_path + path, root_path=root_path)))
        await asyncio.to_thread(held.begun.wait, 10)
        asking = asyncio.create_task(call(held.root, http_scope(f"{root_path}/readyz", root_path=root_path)))
        await asyncio.sleep(LIMIT * 5)
        held.let_go.set()
        found = (await asking).status
        await holding
        return found

    assert asyncio.run(ask()) == status
