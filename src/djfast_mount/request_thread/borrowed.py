"""The thread of sync code that waits above the root, in the place of a pool: a test's, mostly.

Django runs an ``async def`` test, and `async_to_sync` any coroutine, while the calling thread waits and does the sync
work; so does the test client. Requests served there must see the caller's connection and its transaction, so they run
on that very thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor

from djfast_mount.threads.claim import Claim
from djfast_mount.threads.lease import Hooks, Lease
from djfast_mount.threads.pool import Pool
from djfast_mount.threads.streams import Streams
from djfast_mount.threads.worker import Item, Slot, Worker

__all__ = ["BorrowedThread"]

# There is no limit, since nobody else wants the thread.
_NO_LIMIT = 2**31


class _Offered:
    """The queue of a waiting thread."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting = 0

    def put(self, item: Item | None, /) -> None:
        if item is not None:
            self._waiting += 1
            self._executor.submit(self._do, *item)

    def empty(self) -> bool:
        return not self._waiting

    def get(self) -> Any:
        raise RuntimeError("What is offered to a waiting thread is not taken back.")

    def _do(self, action: Callable[[Lease, Any], None], lease: Lease, argument: Any) -> None:
        self._waiting -= 1
        if lease.worker is not None:
            # Only the first job knows its thread. If the thread that made the worker, the event loop's, stood for it,
            # calls that are made before that job has run would run on the event loop.
            lease.worker.thread = threading.current_thread()
        action(lease, argument)


class BorrowedThread(Pool):
    """A pool of one worker that is never hired, never waited for and never handed on.

    Args:
        executor: The waiting thread, as asgiref offers it.
        hooks: What happens around the calls of a spell.
        pool: For tasks that outlive their request, once the thread waits no more.
    """

    def __init__(self, executor: Executor, hooks: Hooks, pool: Pool) -> None:
        super().__init__(1, hooks, wait_timeout=pool.wait_timeout, timeout_error=pool.timeout_error, lends=False)
        self.streams = Streams(_NO_LIMIT, pool.wait_timeout, pool.timeout_error)
        self._worker = Worker(_Offered(executor))
        self._worker.slot = Slot()
        self._executor = executor
        self._pool = pool

    def take(self, claim: Claim) -> Worker:
        self._worker.claim = claim
        claim.worker = self._worker
        return self._worker

    def give_back(self, claim: Claim) -> None:
        claim.worker = self._worker.claim = None

    def outlast(self) -> Pool:
        if isinstance(self._executor, CurrentThreadExecutor):
            try:
                self._executor.submit(bool)
            except RuntimeError:  # The thread waits no more. asgiref raises for each submit() then.
                return self._pool
        return self
