"""A request that holds its thread for long is told of in the log, once."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from django.test import override_settings
from fastapi import FastAPI

from djfast_mount import mount
from laws.site import Root

api = FastAPI()
going_on = threading.Event()


@api.get("/slow/{name}")
def slow(name: str) -> str:
    assert going_on.wait(60)
    return name


async def lines_of(root: Root, name: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged while the request was held for several looks after the first line."""
    going_on.clear()
    asked = root.start(f"/api/slow/{name}")
    while not told(caplog):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # twenty looks
    going_on.set()
    assert (await asked).json() == name
    return told(caplog)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "has held a thread" in record.getMessage()]


def test_a_held_thread_is_told_once(root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each request is told of once, with its endpoint and the line that it waits in, however long it goes on."""
    caplog.set_level(logging.WARNING, "djfast_mount.threads")

    async def ask() -> None:
        root = Root(mount("/api", api, host_check=False), root_path)
        first = await lines_of(root, "ada", caplog)
        assert len(first) == 1
        assert "slow" in first[0]
        assert "going_on.wait(60)" in first[0]
        caplog.clear()
        assert len(await lines_of(root, "grace", caplog)) == 1

    with override_settings(DJFAST_MOUNT={"warn_after": 0.05}):
        asyncio.run(ask())
