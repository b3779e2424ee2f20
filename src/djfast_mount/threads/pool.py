"""A pool of worker threads, and the lease that a request holds on one of them. Standard library only, but for what a
call is and which streams may hold a worker.

A spell is the time from taking a worker to giving it back.

1. Lazy: a lease takes a worker with its first call, never before.
2. Within a spell all calls of a lease run on one worker, in the order in which they were made. A worker serves one
   lease at a time.
3. `Hooks.begin` is the first thing that a spell does on its worker, `Hooks.end` the last, whatever happens in between.
   A worker is handed on only after that; as its queue is served in order, never before a running call has ended.
4. Never more workers than `size`. Leases that find none wait in order of arrival, at most `wait_timeout` seconds.
5. A lease that `lingers` keeps its worker from call to call, until `close()`. One that does not gives it back after
   each call, unless something lives on the worker that must go on there (`Lease.pinned`, `Hooks.busy`).
6. Streams whose iterator lives on a worker hold a part of the workers only: djfast_mount.streams.
7. Workers are daemon threads: they never hold the interpreter. `Pool.shutdown` lets each finish what it does.

Locking: `Pool.lock` guards every attribute marked so. It is held for a few instructions only, and never while foreign
code runs.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from djfast_mount.threads.calls import Call
from djfast_mount.threads.streams import Streams

if TYPE_CHECKING:
    from djfast_mount.threads.lease import Lease

__all__ = ["Hooks", "Pool", "Worker", "current_worker"]

logger = logging.getLogger("djfast_mount.threads")


class Hooks(Protocol):
    """What happens around the calls of a spell. Every method runs on the worker."""

    def begin(self, lease: Lease) -> None:
        """The first job of a spell. What it raises fails the call that began the spell."""

    def busy(self, lease: Lease) -> bool:
        """Whether the thread holds something, such as an open transaction, that the lease must come back to."""

    def end(self, lease: Lease) -> None:
        """The last job of a spell. Must not raise."""

    def leave(self) -> None:
        """The last thing that the thread does before it ends."""


class Queue(Protocol):
    """Where a worker's work is put: an action, the lease it is for, and an argument. None ends the worker."""

    def put(self, item: tuple[Callable[[Lease, Any], None], Lease, Any] | None, /) -> None: ...

    def empty(self) -> bool: ...


class Worker:
    """A thread that does what is put into its queue, in order."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.lease: Lease | None = None  # guarded by Pool.lock
        self.thread: threading.Thread | None = None  # Of a borrowed one it is known with its first call.


class _PoolWorker(Worker):
    """A worker on a daemon thread of its own."""

    queue: SimpleQueue[Any]
    _numbers = itertools.count(1)

    def __init__(self, pool: Pool) -> None:
        super().__init__(SimpleQueue())
        # From Python 3.14 on a thread may start with a copy of its starter's context: with a request's.
        context: dict[str, Any] = {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}
        name = f"djfast_mount-{next(self._numbers)}"
        self.thread = threading.Thread(target=self._run, args=[pool], name=name, daemon=True, **context)
        self.thread.start()

    def _run(self, pool: Pool) -> None:
        _local.worker = self
        while (item := self.queue.get()) is not None:
            action, lease, argument = item
            try:
                action(lease, argument)
            except BaseException:
                # A fault of ours. The thread must go on: others wait for it.
                logger.exception("A worker met an error that none of its calls reported.")
            del item, action, lease, argument  # An idle worker must not keep a request alive.
        pool._leave(self)


_local = threading.local()


def current_worker() -> Worker | None:
    """Returns the worker whose thread the caller is on; None on every other thread."""
    return getattr(_local, "worker", None)


class Pool:
    """At most `size` workers, started as they are needed.

    Args:
        size: The most workers, hence the most database connections for each alias. At least 1.
        hooks: What happens around the calls of a spell.
        wait_timeout: Seconds that a lease waits for a worker.
        timeout_error: Makes the error with which the calls of a lease fail that waited too long.
    """

    def __init__(
        self, size: int, hooks: Hooks, *, wait_timeout: float, timeout_error: Callable[[], Exception] = TimeoutError
    ) -> None:
        self.size = size
        self.hooks = hooks
        self.wait_timeout = wait_timeout
        self.timeout_error = timeout_error
        self.streams = Streams(size, wait_timeout, timeout_error)
        self.lock = threading.Lock()
        self.workers: set[Worker] = set()  # guarded by lock
        self._idle: list[Worker] = []  # guarded by lock; the last one back is the first one out
        self._waiting: deque[Lease] = deque()  # guarded by lock
        self._closing = False  # guarded by lock
        self._emptied: list[Callable[[], None]] = []  # guarded by lock

    def take(self, lease: Lease) -> Worker | None:
        """Returns a worker for `lease`, or None when there is none to be had. Called with the lock held."""
        worker = self._idle.pop() if self._idle else self._hire()
        if worker is not None:
            worker.lease = lease
        return worker

    def wait(self, lease: Lease) -> None:
        """Puts `lease` at the end of the queue for a worker. Called with the lock held."""
        self._waiting.append(lease)

    def give_back(self, lease: Lease) -> None:
        """Hands the worker of `lease`, whose spell has ended, to the lease that has waited longest, or lets it idle.

        Calls that `lease` has made meanwhile begin its next spell: behind those that wait, or else at once. Runs on the
        worker.
        """
        with self.lock:
            worker = lease.worker
            if worker is None:
                return
            if not worker.queue.empty():
                if lease.closed or not self._waiting:
                    return
                lease._queue_again(worker.queue)
            lease.worker = None
            self._hand_on(worker)

    def withdraw(self, lease: Lease) -> list[Call]:
        """Takes a waiting lease out of the queue and returns its calls; none when it has got its worker meanwhile."""
        with self.lock:
            if not lease._waiting:
                return []
            self._waiting.remove(lease)
            lease._waiting = False
            calls = list(lease._pending)
            lease._pending.clear()
            return calls

    def shutdown(self, emptied: Callable[[], None]) -> None:
        """Ends idle workers now and busy ones after their spell; calls `emptied` when the last has gone, on its thread.

        A lease that comes later still gets a worker, which then ends with its spell.
        """
        with self.lock:
            self._closing = True
            for worker in self._idle:
                worker.queue.put(None)
            self._idle.clear()
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

    def held(self) -> list[tuple[Worker, Lease]]:
        """Returns the workers that are taken, each with its lease."""
        with self.lock:
            return [(worker, worker.lease) for worker in self.workers if worker.lease is not None]

    @property
    def crowded(self) -> bool:
        """Whether a lease waits for a worker."""
        return bool(self._waiting)

    def exhausted(self) -> bool:
        """Whether a lease would have to wait for a worker now."""
        with self.lock:
            return not self._idle and len(self.workers) >= self.size

    # Workers -------------------------------------------------------------------------------------------------------

    def _hand_on(self, worker: Worker) -> None:
        if self._waiting:
            self._waiting.popleft()._receive(worker)
            return
        worker.lease = None
        if self._closing:
            worker.queue.put(None)
        else:
            self._idle.append(worker)

    def _hire(self) -> Worker | None:
        if len(self.workers) >= self.size:
            return None
        try:
            worker = _PoolWorker(self)
        except RuntimeError:  # The system allows no further thread, or the interpreter is ending: wait for one we have.
            if not self.workers:
                raise
            return None
        self.workers.add(worker)
        return worker

    def _leave(self, worker: Worker) -> None:
        try:
            self.hooks.leave()
        finally:
            with self.lock:
                self.workers.discard(worker)
                # Who came between the pool's closing and now has found no worker to be had.
                if self._waiting and (successor := self._hire()) is not None:
                    self._hand_on(successor)
                emptied = [] if self.workers else self._emptied
                self._emptied = self._emptied if self.workers else []
            for report in emptied:
                report()
