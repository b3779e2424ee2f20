"""Which streams may keep a worker between two parts. Standard library only.

A stream whose iterator, or whose transaction, lives on a worker holds that worker for as long as its client reads.

1. At most half of the workers, and at least one, are for streams. Further ones wait, in order of arrival.
2. A stream that waits for longer than a moment gives its worker back meanwhile, unless something of its request lives
   there: it then goes ahead of the limit, as long as it leaves a worker to the others, and may go on only while its
   client reads (`Streams.must_hurry`).
3. One that can do neither waits with its worker, if what lives there is but a cursor or a setting. It is not let wait
   if it may hold a transaction open that others wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Streams"]

# Seconds that a stream beyond the limit keeps its worker while it waits: most streams in front of it end sooner, and
# then it goes on where it began.
_PATIENCE = 0.2


class Holder(Protocol):
    """What may hold a worker: a lease."""

    worker: Any

    @property
    def pinned(self) -> bool: ...

    @property
    def may_wait(self) -> bool: ...

    def rest(self) -> None: ...


class Streams:
    """The streams of one pool.

    Args:
        workers: How many workers the pool has.
        wait_timeout: Seconds that a stream waits for its place.
        timeout_error: Makes the error that one which waited in vain is ended with.
    """

    def __init__(self, workers: int, wait_timeout: float, timeout_error: Callable[[], Exception]) -> None:
        self.limit = max(1, workers // 2)
        self._most = workers - 1
        self._wait_timeout = wait_timeout
        self._timeout_error = timeout_error
        self._lock = threading.Lock()
        self.holders: set[Any] = set()  # guarded by _lock; whether one is among them may be asked without
        self._ahead: set[Any] = set()  # guarded by _lock; those of holders that went ahead of the limit
        self._displaced: weakref.WeakSet[Any] = weakref.WeakSet()  # guarded by _lock; whose place was taken over
        self._queue: deque[_Turn] = deque()  # guarded by _lock

    @property
    def full(self) -> bool:
        """Whether a further stream would have to wait."""
        return len(self.holders) >= self.limit

    def awaited_by(self, holder: Holder) -> bool:
        """Whether `holder` waits for its place."""
        with self._lock:
            return any(turn.holder is holder for turn in self._queue)

    def holds(self, holder: Holder) -> bool:
        """Whether `holder` has a place."""
        return holder in self.holders

    def must_hurry(self, holder: Holder) -> bool:
        """Whether `holder` is one too many, which may go on only while its client reads."""
        return holder in self._ahead and len(self.holders) > self.limit

    async def enter(self, holder: Holder) -> None:
        """Waits until `holder` may keep its worker. Once it may, further calls return at once.

        Runs on the event loop. Raises: what `timeout_error` makes, after `wait_timeout` seconds or, for one that can
        neither wait nor go ahead, soon.
        """
        pinned = holder.pinned and _has_worker(holder)
        with self._lock:
            if holder in self.holders or self._admit(holder, pinned):
                return
            turn = _Turn(holder, asyncio.get_running_loop())
            if holder in self._displaced:
                self._displaced.discard(holder)
                self._queue.appendleft(turn)
            else:
                self._queue.append(turn)
        try:
            if await turn.granted_within(min(_PATIENCE, self._wait_timeout)):
                return
            if not pinned:
                holder.rest()
                if await turn.granted_within(max(0.0, self._wait_timeout - _PATIENCE)):
                    return
            elif await self._granted_with_worker(turn):
                return
            raise self._timeout_error()
        except BaseException:
            self._give_up(turn)
            raise

    def leave(self, holder: Holder) -> None:
        """Gives the place of `holder`, if it has one, to the next in the queue. Runs on any thread."""
        if holder not in self.holders:
            return
        with self._lock:
            self.holders.discard(holder)
            self._ahead.discard(holder)
            while self._queue and not self.full:
                # One that waits with its worker keeps it from the others: from those that have a place, too.
                turn = next((turn for turn in self._queue if _has_worker(turn.holder)), self._queue[0])
                self._queue.remove(turn)
                self.holders.add(turn.holder)
                turn.grant()

    async def _granted_with_worker(self, turn: _Turn) -> bool:
        """Whether a stream that keeps its worker while it waits has got its place."""
        waited = _PATIENCE
        while not self._take_over(turn):
            if not turn.holder.may_wait or waited >= self._wait_timeout:
                return False
            if await turn.granted_within(_PATIENCE):
                return True
            waited += _PATIENCE
        return True

    def _take_over(self, turn: _Turn) -> bool:
        """Gives `turn` the place of a stream that has no worker just now, and asks again before its next part.

        Such a stream may wait for the very worker that `turn` keeps.
        """
        with self._lock:
            if turn not in self._queue:
                return True  # It was granted meanwhile.
            # Only a holder without a worker gives its place up here. One with a worker may go on when it asks: see
            # _admit().
            idle = next((holder for holder in self.holders if not _has_worker(holder)), None)
            if idle is None:
                return False
            self.holders.discard(idle)
            self._ahead.discard(idle)
            self._displaced.add(idle)
            self._queue.remove(turn)
            self.holders.add(turn.holder)
            return True

    def _admit(self, holder: Holder, pinned: bool) -> bool:
        most = self._most
        if holder in self._displaced and pinned:
            # The holder had a place before, and has a worker. It need not wait for a place again.
            self._displaced.discard(holder)
            most = len(self.holders) + 1
        ahead = pinned and self.full and len(self.holders) < most
        if ahead:
            self._ahead.add(holder)
        elif self.full or self._queue:
            return False
        self.holders.add(holder)
        return True

    def _give_up(self, turn: _Turn) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._queue.remove(turn)
        self.leave(turn.holder)


def _has_worker(holder: Holder) -> bool:
    """Whether `holder` keeps others from a worker that runs."""
    worker = holder.worker
    return worker is not None and worker.slot is not None


class _Turn:
    """The wait of one stream for its place."""

    def __init__(self, holder: Holder, loop: asyncio.AbstractEventLoop) -> None:
        self.holder = holder
        self._loop = loop
        self._event = asyncio.Event()

    def grant(self) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(self._event.set)

    async def granted_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
