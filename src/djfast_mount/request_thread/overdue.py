"""A log of requests that hold their thread for long."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback

from djfast_mount.offload.current import in_flight
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.threads.pool import Pool

__all__ = ["Overdue"]

logger = logging.getLogger("djfast_mount.threads")


class Overdue:
    """Logs workers that are held for long. One timer for all, which runs only while requests do."""

    def __init__(self, pool: Pool, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self.loop: asyncio.AbstractEventLoop | None = None  # whose timer runs
        self._reported: set[tuple[int, float]] = set()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the timer on `loop`, where a request takes a worker now. Call it where `loop` is not this one's."""
        self.loop = loop
        loop.call_later(self._seconds / 2, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        held = self._pool.held()
        now = time.monotonic()
        self._reported &= {(id(lease), lease.since) for _, lease in held}
        for worker, lease in held:
            spell = (id(lease), lease.since)
            if lease.since and now - lease.since > self._seconds and spell not in self._reported:
                self._reported.add(spell)
                frame = None if worker.thread is None else sys._current_frames().get(worker.thread.ident or 0)
                logger.warning(
                    "%s has held a thread for %.0f s. The thread is here:\n%s",
                    endpoint_name(lease.scope),
                    now - lease.since,
                    "".join(traceback.format_stack(frame)),
                )
        if held or in_flight.count:
            loop.call_later(self._seconds / 2, self._look, loop)
        elif self.loop is loop:
            self.loop = None
