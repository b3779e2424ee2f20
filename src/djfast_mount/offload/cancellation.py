"""Work that goes on through a cancellation, and the cancellation that is met afterwards."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio

__all__ = ["cancel_again", "wait_shielded"]


async def wait_shielded(future: asyncio.Future[Any]) -> None:
    """Waits for `future` through any cancellation; the caller meets the cancellation at its next await."""
    try:
        await asyncio.shield(future)  # This is nearly always enough, and it is cheap.
    except asyncio.CancelledError as error:
        await _wait_on(future, error)
    except Exception:
        if not future.done():
            raise


async def _wait_on(future: asyncio.Future[Any], cancelled: asyncio.CancelledError) -> None:
    # AnyIO would cancel again with every turn of the loop.
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if not future.cancelled():
        cancel_again(cancelled)


def cancel_again(error: asyncio.CancelledError) -> None:
    """Has the current task meet `error`, which it has caught, at its next await."""
    task = asyncio.current_task()
    # A cancelled scope of AnyIO's does so by itself, for as long as the task is inside. Where no await comes before its
    # end, what we add would be met outside, and would cancel what the scope does not concern: a whole task group.
    if task is not None and anyio.current_effective_deadline() > -math.inf:
        # The count must not grow: asyncio.timeout() tells by it whose cancellation it meets. Nor may the message be
        # lost, by which AnyIO knows its own.
        task.uncancel()
        task.cancel(*error.args)
