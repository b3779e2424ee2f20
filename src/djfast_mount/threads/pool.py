"""A pool of worker threads, and the claims that requests have on them. Standard library only.

A spell is the time from taking a worker to giving it back. A slot is the right of a worker to run, and what goes along
with that right: the connections to the databases. There are `size` slots.

1. Lazy: a claim takes a worker with its first call, never before.
2. Within a spell all calls of a claim run on one worker, in the order in which they were made. A worker serves one
   claim at a time.
3. `Hooks.begin` is the first thing that a spell does on its worker, `Hooks.end` the last, whatever happens in between.
   A worker is handed on only after that; as its queue is served in order, never before a running call has ended.
4. Never more workers that run than `size`. Claims that find none wait in order of arrival, at most `wait_timeout`
   seconds. Law 6 has the exceptions: claims that return from a wait.
5. A lease that `lingers` keeps its worker from call to call, until `close()`. One that does not gives it back after
   each call, unless something lives on the worker that must go on there (`Lease.pinned`, `Hooks.keeps`).
6. An idle lease keeps its thread, but not its slot: where claims wait, its spell is ended, its worker is parked, and
   its slot goes to the claim that waits. Its next call begins another spell on the same thread, and waits ahead of the
   claims that have not had one. Nothing of this happens while something of the request lives on a connection
   (`Hooks.keeps`). At most `PARKED` times `size` workers are parked.
7. Streams whose iterator lives on a worker hold a part of the workers only: djfast_mount.threads.streams.
8. Workers are daemon threads: they never hold the interpreter. `Pool.shutdown` lets each finish what it does.

Locking: `Pool.lock` guards every attribute marked so. It is held for a few instructions only, and never while foreign
code runs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from djfast_mount.threads.claim import Claim, Placed
from djfast_mount.threads.lending import Looks
from djfast_mount.threads.streams import Streams
from djfast_mount.threads.worker import Item, PoolWorker, Slot, Worker, current_worker

__all__ = ["REFUSAL", "Pool"]

# How many workers may be parked, for each that may run.
PARKED = 32
# Seconds until a lease that had to keep its slot is asked again: a cursor may be closed without any call.
REFUSAL = 0.1
# How many claims that had a spell before may come ahead of one that waits for its first.
RETURNING_FIRST = 3


class Pool:
    """At most `size` workers that run, started as they are needed.

    Args:
        size: The most workers that run, hence the most database connections for each alias. At least 1.
        hooks: What happens around the calls of a spell, and at the end of a worker.
        wait_timeout: Seconds that a claim waits for a worker.
        timeout_error: Makes the error with which the calls of a lease fail that waited too long.
        lends: Whether the slots of idle leases go to those that wait.
    """

    def __init__(
        self,
        size: int,
        hooks: Any,
        *,
        wait_timeout: float,
        timeout_error: Callable[[], Exception] = TimeoutError,
        lends: bool = True,
    ) -> None:
        self.size = size
        self.hooks = hooks
        self.wait_timeout = wait_timeout
        self.timeout_error = timeout_error
        self.lends = lends
        self.streams = Streams(size, wait_timeout, timeout_error)
        self.lock = threading.Lock()
        self.workers: set[Worker] = set()  # guarded by lock
        self.turns = 0  # guarded by lock; how often a worker or a slot has been handed on
        self._running = 0  # guarded by lock; the workers that have a slot
        self._idle: list[Worker] = []  # guarded by lock; the last one back is the first one out
        self._spare: list[Worker] = []  # guarded by lock; neither with a claim nor with a slot
        self._waiting: deque[Claim] = deque()  # guarded by lock
        self._returning: deque[Claim] = deque()  # guarded by lock; those that wait on a thread of their own
        self._closing = False  # guarded by lock
        self._emptied: list[Callable[[], None]] = []  # guarded by lock
        self._looks = Looks(self)

    def put(self, claim: Claim, item: Item, *, may_wait: bool = True) -> Placed:
        """Has `item` run on the worker of `claim`, which takes one first if need be, or waits for one.

        Args:
            may_wait: Whether the claim waits where no worker is to be had.
        """
        with self.lock:
            worker = claim.worker
            if worker is None and not claim.waits:
                worker = self.take(claim)
            if worker is not None and (worker.slot is not None or (not claim.waits and self._wakes(worker))):
                worker.queue.put(item)
                return Placed.RUNS
            if worker is None and not may_wait:
                return Placed.REFUSED
            if claim.pending is None:
                claim.pending = deque()
            claim.pending.append(item)
            if claim.waits:
                return Placed.WAITS
            self.wait(claim)
            return Placed.BEGINS_TO_WAIT

    def wish(self, claim: Claim, action: Callable[[Any, None], None]) -> None:
        """Has `action` run on the worker of `claim`, if it is in the midst of a spell."""
        with self.lock:
            worker = claim.worker
            if worker is not None and worker.slot is not None:
                worker.queue.put((action, claim, None))

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lends the slots of leases that are idle, as long as claims wait. Runs on `loop`, for leases of that alone."""
        if self.lends:
            self._looks.begin(loop)

    def take(self, claim: Claim) -> Worker | None:
        """Returns a worker for `claim`, or None when there is none to be had. Called with the lock held."""
        worker = self._idle.pop() if self._idle else self._hire()
        if worker is not None:
            worker.claim = claim
            claim.worker = worker
        return worker

    def wait(self, claim: Claim) -> None:
        """Puts `claim` at the end of its queue for a worker. Called with the lock held."""
        claim.waits = True
        claim.passed = 0
        claim.waiting_since = claim.waiting_since or time.monotonic()
        (self._waiting if claim.worker is None else self._returning).append(claim)

    def give_back(self, claim: Claim) -> None:
        """Hands the worker of `claim`, whose spell has ended, to the claim that has waited longest, or lets it idle.

        Calls that `claim` has made meanwhile begin its next spell: behind those that wait, or else at once. Runs on the
        worker.
        """
        with self.lock:
            worker = claim.worker
            if worker is None:
                return
            if not worker.queue.empty():
                if claim.closed or not self.crowded:
                    return
                self._queue_again(claim, worker)
            claim.worker = worker.claim = None
            if claim.waits:
                self.wait(claim)
                claim.waits_again()
            if not self._returning:
                if self._waiting or self._closing:
                    self._hand_on(worker)
                else:
                    self._idle.append(worker)
                return
        self._pass_on(worker, None)

    def park(self, claim: Claim) -> None:
        """Takes the slot from the worker of `claim`, whose spell has ended, and gives it to a claim that waits.

        The worker stays the claim's. Without anybody that waits, it keeps its slot. Runs on the worker.
        """
        worker = claim.worker
        if worker is None or worker.slot is None:
            return
        self.hooks.surrender(worker.slot.stock)
        with self.lock:
            heir = self._next()
            if heir is None:
                return
            other = heir.worker or self._unslotted()
            if other is None:  # No thread is to be had for it: it waits on, and first.
                self._waiting.appendleft(heir)
                return
            self._move_slot(worker, other)
            self._serve(heir, other)
            if not worker.queue.empty():
                self._queue_again(claim, worker)
            if claim.waits:
                self.wait(claim)
                claim.waits_again()

    def dismiss(self, claim: Claim) -> bool:
        """Ends the parked worker of `claim`, which needs it no more. Returns whether it was parked.

        What the request has left on the thread goes with it.
        """
        with self.lock:
            worker = claim.worker
            if worker is None or worker.slot is not None or claim.waits:
                return False
            claim.worker = worker.claim = None
            worker.queue.put(None)
            return True

    def withdraw(self, claim: Claim) -> list[Item]:
        """Takes a waiting claim out of its queue. Returns its items; none when it has got its worker meanwhile."""
        with self.lock:
            if not claim.waits:
                return []
            (self._waiting if claim.worker is None else self._returning).remove(claim)
            self._wait_no_more(claim)
            items = list(claim.pending or ())
            claim.pending = None
            return items

    def shutdown(self, emptied: Callable[[], None]) -> None:
        """Ends idle workers now and busy ones after their spell; calls `emptied` when the last has gone, on its thread.

        A claim that comes later still gets a worker, which then ends with its spell.
        """
        with self.lock:
            self._closing = True
            for worker in (*self._idle, *self._spare):
                worker.queue.put(None)
            self._idle.clear()
            self._spare.clear()
            if self.workers:
                self._emptied.append(emptied)
                return
        emptied()

    def reopen(self) -> None:
        """Takes `shutdown()` back, for a server that starts the app a second time."""
        with self.lock:
            self._closing = False

    def outlast(self) -> Pool:
        """Returns the pool for calls that come after their request has ended."""
        return self

    def held(self) -> list[tuple[Worker, Any]]:
        """Returns the workers that are taken and may run, each with its lease."""
        with self.lock:
            return [
                (worker, worker.claim)
                for worker in self.workers
                if worker.claim is not None and worker.slot is not None
            ]

    def parked(self) -> int:
        """Returns how many threads are kept by requests that wait for something else."""
        with self.lock:
            return self._count_parked()

    def waiting(self) -> list[Any]:
        """Returns the leases that wait for a worker: first those that had one before, each in order of arrival."""
        with self.lock:
            return [*self._returning, *self._waiting]

    @property
    def crowded(self) -> bool:
        """Whether a claim waits for a worker."""
        return bool(self._waiting or self._returning)

    def exhausted(self) -> bool:
        """Whether a claim would have to wait for a worker now."""
        with self.lock:
            return not self._idle and self._running >= self.size

    def wanted(self) -> int:
        """Returns how many slots those that wait would have from idle leases. Called with the lock held."""
        return min(len(self._waiting) + len(self._returning), PARKED * self.size - self._count_parked())

    def _count_parked(self) -> int:
        return len(self.workers) - self._running - len(self._spare)

    # Workers -------------------------------------------------------------------------------------------------------

    def _wakes(self, worker: Worker) -> bool:
        """Whether the parked worker gets a slot at once. One of an idle worker follows: it must be given up there."""
        if self._running < self.size:
            worker.slot = Slot()
            self._running += 1
            return True
        if self._idle:
            self._idle.pop().queue.put((self._pass_on_later, None, None))
        return False

    def _pass_on_later(self, _: None, __: None) -> None:
        worker = current_worker()
        if worker is not None:
            self._pass_on(worker, None)

    def _pass_on(self, worker: Worker, _: None) -> None:
        """Hands on `worker`, which nobody has, with its slot bare: it may go to another worker. Runs on the worker."""
        if worker.slot is not None:
            self.hooks.surrender(worker.slot.stock)
        with self.lock:
            self._hand_on(worker)

    def _next(self) -> Claim | None:
        """Returns who is to be served now."""
        first = self._waiting[0] if self._waiting else None
        if self._returning and (first is None or first.passed < RETURNING_FIRST):
            if first is not None:
                first.passed += 1
            return self._returning.popleft()
        return self._waiting.popleft() if self._waiting else None

    def _hand_on(self, worker: Worker) -> None:
        """Hands `worker`, which nobody has, to who is next. To one with a worker of its own goes the slot alone."""
        claim = self._next()
        if claim is None:
            if self._closing:
                worker.queue.put(None)
            else:
                self._idle.append(worker)
        elif claim.worker is None:
            self._serve(claim, worker)
        else:
            self._move_slot(worker, claim.worker)
            self._serve(claim, claim.worker)
            self._keep_spare(worker)

    def _serve(self, claim: Claim, worker: Worker) -> None:
        """Has the items of `claim` run on `worker`, which has a slot."""
        self.turns += 1
        self._wait_no_more(claim)
        claim.worker = worker
        worker.claim = claim
        for item in claim.pending or ():
            worker.queue.put(item)
        claim.pending = None

    @staticmethod
    def _wait_no_more(claim: Claim) -> None:
        claim.waits = False
        if claim.waiting_since:
            claim.waited = claim.waited_by(time.monotonic())
            claim.waiting_since = 0.0

    @staticmethod
    def _move_slot(worker: Worker, other: Worker) -> None:
        worker.slot, other.slot = None, worker.slot

    def _queue_again(self, claim: Claim, worker: Worker) -> None:
        """Takes what `claim` has made meanwhile out of the worker's queue; says whether it waits. Runs there."""
        items = []
        claim.asked = False
        while not worker.queue.empty():
            item = worker.queue.get()
            if item[2] is not None:
                items.append(item)
        if items:
            claim.pending = deque(items)
            claim.waits = True

    def _keep_spare(self, worker: Worker) -> None:
        if self._closing or len(self._spare) >= self.size:
            worker.queue.put(None)
        else:
            self._spare.append(worker)

    def _hire(self) -> Worker | None:
        """Returns a worker with a new slot, if there may be one."""
        if self._running >= self.size:
            return None
        worker = self._unslotted()
        if worker is not None:
            worker.slot = Slot()
            self._running += 1
        return worker

    def _unslotted(self) -> Worker | None:
        """Returns a worker without claim and slot, if one is to be had."""
        if self._spare:
            return self._spare.pop()
        try:
            worker = PoolWorker(self._leave)
        except RuntimeError:  # The system allows no further thread, or the interpreter is ending: wait for one we have.
            if not self.workers:
                raise
            return None
        self.workers.add(worker)
        return worker

    def _leave(self, worker: Worker) -> None:
        slot = worker.slot
        try:
            self.hooks.leave({} if slot is None else slot.stock)
        finally:
            with self.lock:
                self.workers.discard(worker)
                if slot is not None:
                    self._running -= 1
                # A claim that came while this worker was ending found no worker, and still waits.
                if self.crowded and (successor := self._hire()) is not None:
                    self._hand_on(successor)
                emptied = [] if self.workers else self._emptied
                self._emptied = self._emptied if self.workers else []
            for report in emptied:
                report()
