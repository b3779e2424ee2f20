"""What a lease has with its pool. Standard library only."""

from __future__ import annotations

import asyncio
import enum
from collections import deque

from djfast_mount.threads.worker import Item, Worker

__all__ = ["Claim", "Placed"]


class Placed(enum.Enum):
    """What became of an item."""

    RUNS = enum.auto()  # The item is in the queue of a worker.
    BEGINS_TO_WAIT = enum.auto()
    WAITS = enum.auto()  # The item waits along with others of its claim.
    REFUSED = enum.auto()


class Claim:
    """A worker, or a place among those that wait for one, with the items that wait there."""

    # Defaults stand on the class: most claims change few of them, and setting each would slow every request.
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
    waiting_since = 0.0  # guarded by Pool.lock; time.monotonic() since when it waits; 0.0 while it does not
    waited = 0.0  # guarded by Pool.lock; seconds for which it has waited before
    loop: asyncio.AbstractEventLoop

    def reclaim(self, _: None) -> None:
        """Gives the slot back if nothing keeps it. Runs on the worker."""

    def waits_again(self) -> None:
        """Called when the claim has begun to wait by no act of its own. Runs on the worker, with the lock held."""

    def waited_by(self, now: float) -> float:
        """Returns the seconds for which it has waited for workers by `now`, a time.monotonic()."""
        since = self.waiting_since  # Read once: the wait may end meanwhile.
        return self.waited + (now - since if since else 0.0)
