"""What a lease has with its pool. Standard library only."""

from __future__ import annotations

import asyncio
import enum
from collections import deque

from djfast_mount.threads.worker import Item, Worker

__all__ = ["Claim", "Placed"]

# Seconds for which a lease has to be idle before its slot may be lent on: several times what a new connection takes.
IDLE = 0.01
# Turns of the event loop that it has to be idle for, too. The outcome of a call needs a few of them to reach its task:
# on a loop that is busy, time alone would take the slot between a dependency and its endpoint.
LOOKS = 6


class Placed(enum.Enum):
    """What became of an item."""

    RUNS = enum.auto()  # It is in the queue of a worker.
    BEGINS_TO_WAIT = enum.auto()
    WAITS = enum.auto()  # Along with others of its claim.
    REFUSED = enum.auto()


class Claim:
    """A worker, or a place among those that wait for one, with the items that wait there."""

    # Of the class, since most claims leave most of these as they are: to set each would cost every request its time.
    closed = False
    worker: Worker | None = None  # guarded by Pool.lock
    waits = False  # guarded by Pool.lock
    passed = 0  # guarded by Pool.lock; how many that return were served ahead of it while it was first
    pending: deque[Item] | None = None  # guarded by Pool.lock; what waits along with it
    idle_since = 0.0  # time.monotonic() of the end of its last call; 0.0 while one runs. Written on the worker
    ask_after = 0.0  # time.monotonic() before which it is not asked to give its slot back. Written on the worker
    asked = False  # guarded by Pool.lock; whether `reclaim` is in the worker's queue
    seen_idle = 0.0  # guarded by Pool.lock; `idle_since` when it was looked at first
    looks = 0  # guarded by Pool.lock; how often it has been seen to be idle since that moment
    loop: asyncio.AbstractEventLoop

    def reclaim(self, _: None) -> None:
        """Gives the slot back if nothing keeps it. Runs on the worker."""

    def waits_again(self) -> None:
        """Called when the claim has begun to wait by no act of its own. Runs on the worker, with the lock held."""

    def is_idle(self, loop: asyncio.AbstractEventLoop, now: float) -> bool:
        """Whether it has been idle for long enough. Called with the lock held, on `loop`, at each look.

        The looks of a loop that is not the claim's tell nothing about its turns.
        """
        worker, since = self.worker, self.idle_since
        if not since or self.closed or self.asked or self.loop is not loop or worker is None:
            return False
        if worker.slot is None or not worker.queue.empty():
            return False
        if since != self.seen_idle:
            self.seen_idle, self.looks = since, 0
        self.looks += 1
        return self.looks >= LOOKS and now - since >= IDLE and now >= self.ask_after
