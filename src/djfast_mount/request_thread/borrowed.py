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

from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import Hooks, Pool, Worker
from djfast_mount.threads.streams import Streams

__all__ = ["BorrowedThread"]

# Nobody else wants the thread.
_NO_LIMIT = 2**31


class _Offered:
    """The queue of a waiting thread."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting = 0

    def put(self, item: tuple[Callable[[Lease, Any], None], Lease, Any] | None, /) -> None:
        if item is not None:
            self._waiting += 1
            self._executor.submit(self._do, *item)

    def empty(self) -> bool:
        return not self._waiting

    def _do(self, action: Callable[[Lease, Any], None], lease: Lease, argument: Any) -> None:
        self._waiting -= 1
        if lease.worker is not None:
            # Known here first. Whoever took it to be the thread that made the worker, the loop's, would have calls that
            # come before the first has run, made together with it, done on the loop.
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
        super().__init__(1, hooks, wait_timeout=pool.wait_timeout, timeout_error=pool.timeout_error)
        self.streams = Streams(_NO_LIMIT, pool.wait_timeout, pool.timeout_error)
        self._worker = Worker(_Offered(executor))
        self._executor = executor
        self._pool = pool

    def take(self, lease: Lease) -> Worker:
        self._worker.lease = lease
        return self._worker

    def give_back(self, lease: Lease) -> None:
        lease.worker = self._worker.lease = None

    def outlast(self) -> Pool:
        if isinstance(self._executor, CurrentThreadExecutor):
            try:
                self._executor.submit(bool)
            except RuntimeError:  # It waits no more, as asgiref tells whoever submits.
                return self._pool
        return self
