"""Event streams at SIGTERM: those that are open, and those that begin while the grace counts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from djfast_mount.lifespan.grace import Grace

pytestmark = pytest.mark.once

# Seconds: the end of the process is not to come in a test.
FOR_EVER = 10.0**8


def signals_while(serve: Callable[[Grace, asyncio.Task[None]], Awaitable[None]]) -> list[int]:
    """The signals that the server's own handler has, while `serve` serves a request in a task."""
    had: list[int] = []

    async def main() -> None:
        grace, task = Grace(FOR_EVER), asyncio.current_task()
        assert task is not None
        grace.install()
        grace.begin(task)
        await serve(grace, task)
        grace.end(task)
        grace.uninstall()

    before = signal.signal(signal.SIGTERM, lambda number, frame: had.append(number))
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGTERM, before)
    return had


def test_a_stream_that_begins_in_the_grace_ends_at_once() -> None:
    """A client that reconnects to a process that is about to end is not held by it."""
    ended: list[str] = []

    async def serve(grace: Grace, task: asyncio.Task[None]) -> None:
        signal.raise_signal(signal.SIGTERM)
        grace.streaming(task, lambda: ended.append("at once"))
        assert ended == ["at once"]

    assert signals_while(serve) == [signal.SIGTERM]


def test_an_open_stream_is_ended_by_the_first_signal() -> None:
    """It is told on its loop, once, and the server's own handler gets every signal."""
    ended: list[str] = []

    async def serve(grace: Grace, task: asyncio.Task[None]) -> None:
        told = asyncio.Event()

        def end() -> None:
            ended.append("told")
            told.set()

        grace.streaming(task, end)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert ended == []
        await asyncio.wait_for(told.wait(), 20)

    assert signals_while(serve) == [signal.SIGTERM, signal.SIGTERM]
    assert ended == ["told"]


def test_a_request_that_has_ended_is_not_told() -> None:
    """What a request has registered goes with it, and a stream of a request that is over is not registered."""
    ended: list[str] = []

    async def serve(grace: Grace, task: asyncio.Task[None]) -> None:
        grace.streaming(task, lambda: ended.append("told"))
        grace.end(task)
        grace.streaming(task, lambda: ended.append("told"))
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.01)

    signals_while(serve)
    assert ended == []
