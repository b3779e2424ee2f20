"""Looks for leases that are idle while others wait. Standard library only.

There is no list of idle leases, which each call would have to be entered into: the workers are few, and they are looked
at only while a claim waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Protocol

from djfast_mount.threads.worker import Worker

__all__ = ["IDLE", "LOOKS", "Looks"]

# Seconds for which a lease has to be idle before its slot may be lent on: several times what a new connection takes.
IDLE = 0.01
# Turns of the event loop that it has to be idle for, too. The outcome of a call needs a few of them to reach its task:
# on a loop that is busy, time alone would take the slot between a dependency and its endpoint.
LOOKS = 6


class Crowd(Protocol):
    """A pool for whose workers claims wait."""

    lock: threading.Lock
    workers: set[Worker]

    @property
    def crowded(self) -> bool: ...

    def wanted(self) -> int: ...


class Looks:
    """One timer on each event loop, which runs while claims wait."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._loops: set[asyncio.AbstractEventLoop] = set()  # Each is added and discarded on its own thread.

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks from now on, until nobody waits. Runs on `loop`."""
        if loop not in self._loops:
            self._loops.add(loop)
            loop.call_later(IDLE / LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        with self._crowd.lock:
            if not self._crowd.crowded:
                self._loops.discard(loop)
                return
            taken = [worker for worker in self._crowd.workers if worker.claim is not None]
            wanted = self._crowd.wanted() - sum(worker.claim.asked for worker in taken)
            idle = [worker for worker in taken if _is_idle(worker, loop, now)]
            idle.sort(key=lambda worker: float(worker.claim.idle_since))
            for worker in idle[: max(0, wanted)]:
                worker.claim.asked = True
                # Under the lock, as with any call: a call is either before this one, and then the lease is not idle
                # since the same moment any more, or behind it, and then the queue is not empty.
                worker.queue.put((type(worker.claim).reclaim, worker.claim, None))
        loop.call_later(IDLE / LOOKS, self._look, loop)


def _is_idle(worker: Worker, loop: asyncio.AbstractEventLoop, now: float) -> bool:
    """Whether the claim of `worker` has been idle for long enough. Called with the lock held, on `loop`, at each look.

    The looks of a loop that is not the claim's tell nothing about its turns.
    """
    claim: Any = worker.claim
    since = claim.idle_since
    if not since or claim.closed or claim.asked or claim.loop is not loop:
        return False
    if worker.slot is None or not worker.queue.empty():
        return False
    if since != claim.seen_idle:
        claim.seen_idle, claim.looks = since, 0
    claim.looks += 1
    return bool(claim.looks >= LOOKS and now - since >= IDLE and now >= claim.ask_after)
