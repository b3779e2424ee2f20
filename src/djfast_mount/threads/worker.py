"""A thread that does what is put into its queue. Standard library only."""

from __future__ import annotations

import contextvars
import itertools
import logging
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

__all__ = ["Item", "PoolHooks", "PoolWorker", "Slot", "Worker", "current_worker"]

logger = logging.getLogger("djfast_mount.threads")

# An action, the claim that it is for, and an argument. Without an argument it is only a request to the worker, and has
# no effect once its spell has ended.
Item = tuple[Callable[[Any, Any], None], Any, Any]


class Queue(Protocol):
    """Where a worker's work is put. None ends the worker."""

    def put(self, item: Item | None, /) -> None: ...

    def empty(self) -> bool: ...

    def get(self) -> Any: ...


class PoolHooks(Protocol):
    """What a pool has done on its workers. Every method runs on the worker."""

    def surrender(self, stock: dict[Any, Any]) -> None:
        """Puts the connections of the thread into `stock`. The next worker with the slot takes them from there."""

    def leave(self, stock: dict[Any, Any]) -> None:
        """The last thing that the thread does before it ends. `stock` is what nobody has taken from its slot."""


class Slot:
    """The right of a worker to run, and what goes along with it."""

    __slots__ = ("stock",)

    def __init__(self) -> None:
        self.stock: dict[Any, Any] = {}  # Used on the thread alone that has the slot.


class Worker:
    """A thread that does what is put into its queue, in order."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.claim: Any = None  # guarded by Pool.lock; whose worker it is
        self.slot: Slot | None = None  # guarded by Pool.lock; None: the worker must not run
        self.thread: threading.Thread | None = None  # Of a borrowed one it is known with its first call.


class PoolWorker(Worker):
    """A worker on a daemon thread of its own.

    Args:
        leave: What the thread does before it ends.
    """

    queue: SimpleQueue[Any]
    _numbers = itertools.count(1)

    def __init__(self, leave: Callable[[Worker], None]) -> None:
        super().__init__(SimpleQueue())
        # From Python 3.14 on a thread may start with a copy of its starter's context: with a request's.
        context: dict[str, Any] = {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}
        name = f"djfast_mount-{next(self._numbers)}"
        self.thread = threading.Thread(target=self._run, args=[leave], name=name, daemon=True, **context)
        self.thread.start()

    def _run(self, leave: Callable[[Worker], None]) -> None:
        _local.worker = self
        while (item := self.queue.get()) is not None:
            action, claim, argument = item
            try:
                action(claim, argument)
            except BaseException:
                # A fault of ours. The thread must go on: others wait for it.
                logger.exception("A worker met an error that none of its calls reported.")
            del item, action, claim, argument  # An idle worker must not keep a request alive.
        leave(self)


_local = threading.local()


def current_worker() -> Worker | None:
    """Returns the worker whose thread the caller is on; None on every other thread."""
    return getattr(_local, "worker", None)
