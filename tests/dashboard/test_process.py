"""What is told of the pool, at the moment when many wait for a thread."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from fastapi import FastAPI

from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.dashboard import process

pytestmark = pytest.mark.once


def test_of_a_crowd_only_those_that_are_next_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that wait are counted, and no more routes are looked for than the page shows: it would stop the loop."""
    api = FastAPI()

    @api.get("/slow")
    def slow() -> None:
        time.sleep(0.3)

    asked: list[object] = []
    route_of = process.route_of
    monkeypatch.setattr(process, "route_of", lambda scope: asked.append(scope) or route_of(scope))
    root = mount("/api", api, threads=1)

    async def main() -> Any:
        tasks = [asyncio.ensure_future(call(root, http_scope("/api/slow"))) for _ in range(30)]
        await asyncio.sleep(0.1)
        found = process.threads_now(root.pool)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    found = asyncio.run(main())
    assert (found.running, found.queued) == (1, 29)
    assert [waiting.request for waiting in found.waiting] == ["GET /api/slow"] * 20
    assert len(asked) == 21
