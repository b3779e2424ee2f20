"""Items that a sync iterator makes on a thread, handed to an event loop while the thread goes on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

__all__ = ["Drawing"]

# Where one hop ends: a thread that others want is not held for longer, and no client is far behind.
_SECONDS = 0.001
_BYTES = 2**16


class Drawing:
    """What one hop draws from an iterator. Made on the loop, which takes the items.

    A hop for each item would cost more than most items do. Each is handed on as it is made nonetheless: the next one
    may be long in coming.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Any] = deque()
        self._is_told = False  # Whether the loop will look at the items anyway.
        self._waiter: asyncio.Future[None] | None = None

    def draw(self, iterator: Iterator[Any]) -> bool:
        """Draws for a while. Returns whether that was all. Runs on the thread."""
        began, size = time.perf_counter(), 0
        for item in iterator:
            self._items.append(item)
            if not self._is_told:
                self._is_told = True
                self._loop.call_soon_threadsafe(self.wake)
            size += len(item)
            if size >= _BYTES or time.perf_counter() - began >= _SECONDS:
                return False
        return True

    async def items(self, end: asyncio.Future[Any]) -> AsyncIterator[Any]:
        """Yields the items as they come, until the hop is at its `end`, which calls `wake`. Runs on the loop."""
        is_over = False
        while not is_over:
            if not self._items and not end.done():
                await self._wait()
            is_over = end.done()  # Asked before the items are taken: what was made before the end is among them then.
            while self._items:
                yield self._items.popleft()

    def wake(self, _: object = None) -> None:
        """Has the loop look at what there is. Runs on the loop."""
        # Cleared before the items are taken, so that a later item wakes the loop again.
        self._is_told = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
