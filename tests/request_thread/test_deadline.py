"""One timer limits one wait after another, as asyncio.timeout limits one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from djfast_mount.request_thread.deadline import Deadline

pytestmark = pytest.mark.once


def run(action: Callable[[Deadline], Awaitable[Any]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(action(Deadline()), 20)

    asyncio.run(main())


def test_a_wait_that_is_too_long_ends() -> None:
    """It ends with TimeoutError, the task is cancelled no more, and the next wait has its own time."""

    async def action(deadline: Deadline) -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await deadline.limit(asyncio.sleep(60), 0.02)
            await deadline.limit(asyncio.sleep(0), 0.02)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(action)


def test_many_short_waits_are_let_be() -> None:
    """Together they may take longer than one of them might."""

    async def action(deadline: Deadline) -> None:
        for _ in range(10):
            await deadline.limit(asyncio.sleep(0.05), 0.3)

    run(action)


def test_a_shorter_limit_counts_at_once() -> None:
    """The timer of a longer limit does not delay that of a shorter one."""

    async def action(deadline: Deadline) -> None:
        await deadline.limit(asyncio.sleep(0), 60)
        with pytest.raises(TimeoutError):
            await deadline.limit(asyncio.sleep(60), 0.02)

    run(action)


def test_the_cancellation_of_another_is_no_timeout() -> None:
    """Who cancels the task has it cancelled, also where the time is over as well."""

    async def action(deadline: Deadline) -> None:
        for seconds in (60, 0.0):
            task = asyncio.ensure_future(deadline.limit(asyncio.sleep(60), seconds))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    run(action)


@pytest.mark.parametrize("error", [None, OSError])
def test_a_wait_that_makes_something_else_of_it(error: type[OSError] | None) -> None:
    """A wait that swallows the cancellation, or raises another error for it, leaves no cancelled task."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    async def action(deadline: Deadline) -> None:
        with pytest.raises(error) if error else contextlib.nullcontext():
            await deadline.limit(stubborn(), 0.02)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(action)
