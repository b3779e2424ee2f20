"""A limit to how long a client may take for one part of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

__all__ = ["Deadline"]


class Deadline:
    """Limits one wait after another, as `asyncio.timeout` limits one.

    One timer serves all: setting and cancelling one for each part would cost more than most parts do. Runs on one event
    loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None  # that waits
        self._end = 0.0  # of that wait
        self._is_over = False

    async def limit(self, wait: Awaitable[None], seconds: float) -> None:
        """Waits for `wait`. Raises TimeoutError where it takes more than so many `seconds`."""
        self._end = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._end:
            self._set_timer()
        task = self._task = asyncio.current_task()
        others = task.cancelling() if task is not None else 0
        try:
            await wait
        except asyncio.CancelledError as error:
            if self._takes_back(others):
                raise TimeoutError from error
            raise
        finally:
            # As asyncio.timeout() does. It is also needed if `wait` raised something else: the task would stay
            # cancelled.
            self._takes_back(others)
            self._task = None

    def _takes_back(self, others: int) -> bool:
        """Takes back the cancellation that it has asked for. Returns whether nobody else has cancelled the task."""
        is_over, self._is_over = self._is_over, False
        return is_over and self._task is not None and self._task.uncancel() <= others

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._end, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # The next wait sets the timer again.
        if self._loop.time() >= self._end:
            self._is_over = True
            self._task.cancel()
        else:
            self._set_timer()
