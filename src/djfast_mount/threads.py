"""A pool of worker threads, and the lease that a request holds on one of them. Standard library only.

A spell is the time from taking a worker to giving it back.

1. Lazy: a lease takes a worker with its first call, never before.
2. Within a spell all calls of a lease run on one worker, in the order in which they were made. A worker serves one
   lease at a time.
3. `Hooks.begin` is the first thing that a spell does on its worker, `Hooks.end` the last, whatever happens in between.
   A worker is handed on only after that; as its queue is served in order, never before a running call has ended.
4. Never more workers than `size`. Leases that find none wait in order of arrival, at most `wait_timeout` seconds.
5. A lease that `lingers` keeps its worker from call to call, until `close()`. One that does not gives it back after
   each call, unless something lives on the worker that must go on there (`Lease.pinned`, `Hooks.busy`).
6. Streams whose iterator lives on a worker hold at most `Pool.stream_limit` workers: see `Pool.enter_stream`.
7. Workers are daemon threads: they never hold the interpreter. `Pool.shutdown` lets each finish what it does.

Locking: `Pool.lock` guards every attribute marked so. It is held for a few instructions only, and never while foreign
code runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol

__all__ = ["Call", "FutureCall", "Hooks", "Lease", "Pool", "Worker", "current_worker"]

logger = logging.getLogger("djfast_mount.threads")

# Seconds that a stream beyond the limit keeps its worker while it waits: most streams in front of it end sooner, and
# then it goes on where it began.
_PATIENCE = 0.2


class Call(Protocol):
    """A piece of work. Either `run` or `fail` is called, once; neither where it is not wanted any more."""

    def wanted(self) -> bool:
        """Whether anybody still waits for it. Runs on any thread."""

    def run(self) -> None:
        """Does the work and reports the outcome. Runs on the worker; must not raise."""

    def fail(self, error: BaseException) -> None:
        """Reports that the work will not be done. Runs on any thread."""


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


class FutureCall:
    """A call that reports to a `concurrent.futures.Future`."""

    __slots__ = ("args", "function", "future", "kwargs")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Any = None) -> None:
        self.future: Future[Any] = Future()
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}

    def wanted(self) -> bool:
        return not self.future.cancelled()

    def run(self) -> None:
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args, **self.kwargs)
        except BaseException as error:
            future.set_exception(error)
            # The traceback leads back to this frame, and so to itself.
            del self, future
        else:
            future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Queue(Protocol):
    """Where a worker's work is put: an action, the lease it is for, and an argument. None ends the worker."""

    def put(self, item: tuple[Callable[[Lease, Any], None], Lease, Any] | None, /) -> None: ...

    def empty(self) -> bool: ...


class Worker:
    """A thread that does what is put into its queue, in order."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.lease: Lease | None = None  # guarded by Pool.lock
        self.thread = threading.current_thread()


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
        self.stream_limit = max(1, size // 2)
        self.lock = threading.Lock()
        self.workers: set[Worker] = set()  # guarded by lock
        self._idle: list[Worker] = []  # guarded by lock; the last one back is the first one out
        self._waiting: deque[Lease] = deque()  # guarded by lock
        self._closing = False  # guarded by lock
        self._emptied: list[Callable[[], None]] = []  # guarded by lock
        self._streams: set[Lease] = set()  # guarded by lock
        self._stream_queue: deque[_Turn] = deque()  # guarded by lock

    def take(self, lease: Lease) -> Worker | None:
        """Returns a worker for `lease`, or None when there is none to be had. Called with the lock held."""
        worker = self._idle.pop() if self._idle else self._hire()
        if worker is not None:
            worker.lease = lease
        return worker

    def wait(self, lease: Lease) -> None:
        """Puts `lease` at the end of the queue for a worker. Called with the lock held."""
        self._waiting.append(lease)

    def give_back(self, worker: Worker) -> None:
        """Hands the worker to the lease that has waited longest, or lets it idle. Runs on any thread."""
        with self.lock:
            if self._waiting:
                self._waiting.popleft()._receive(worker)
                return
            worker.lease = None
            if self._closing:
                worker.queue.put(None)
            else:
                self._idle.append(worker)

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

    def exhausted(self) -> bool:
        """Whether a lease would have to wait for a worker now."""
        with self.lock:
            return not self._idle and len(self.workers) >= self.size

    # Streams -------------------------------------------------------------------------------------------------------

    @property
    def streams_full(self) -> bool:
        """Whether a further stream would have to wait."""
        return len(self._streams) >= self.stream_limit

    def must_hurry(self, lease: Lease) -> bool:
        """Whether the stream of `lease` is one too many, which may go on only while its client reads."""
        return lease.hurried and len(self._streams) > self.stream_limit

    async def enter_stream(self, lease: Lease) -> None:
        """Waits until `lease` may keep a worker for a stream. Once it may, further calls return at once.

        Runs on the event loop. A lease that waits for longer than a moment gives its worker back meanwhile. One that
        cannot, for something lives there, must not be let wait with a transaction open that others may wait for: it
        goes ahead of the limit, `hurried`, as long as it leaves a worker to others.

        Raises: what `timeout_error` makes, after `wait_timeout` seconds or, where the worker cannot be given back,
        soon.
        """
        with self.lock:
            if lease in self._streams:
                return
            pinned = lease.pinned and lease.worker is not None
            lease.hurried = self.streams_full and pinned and len(self._streams) < self.size - 1
            if lease.hurried or not (self.streams_full or self._stream_queue):
                self._streams.add(lease)
                return
            turn = _Turn(lease, asyncio.get_running_loop())
            self._stream_queue.append(turn)
        try:
            if await turn.granted_within(_PATIENCE):
                return
            if pinned:
                raise self.timeout_error()
            lease.rest()
            if not await turn.granted_within(max(0.0, self.wait_timeout - _PATIENCE)):
                raise self.timeout_error()
        except BaseException:
            self._leave_queue(turn)
            raise

    def leave_stream(self, lease: Lease) -> None:
        """Gives the place of `lease` among the streams to the next one. Runs on any thread."""
        with self.lock:
            if lease in self._streams:
                self._streams.discard(lease)
                self._grant_turns()

    def _grant_turns(self) -> None:
        while self._stream_queue and not self.streams_full:
            turn = self._stream_queue.popleft()
            self._streams.add(turn.lease)
            turn.grant()

    def _leave_queue(self, turn: _Turn) -> None:
        with self.lock:
            if turn in self._stream_queue:
                self._stream_queue.remove(turn)
        self.leave_stream(turn.lease)

    # Workers -------------------------------------------------------------------------------------------------------

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
                emptied = [] if self.workers else self._emptied
                self._emptied = self._emptied if self.workers else []
            for report in emptied:
                report()


class _Turn:
    """The wait of one stream for its place."""

    def __init__(self, lease: Lease, loop: asyncio.AbstractEventLoop) -> None:
        self.lease = lease
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


class Lease:
    """The claim of one request on one worker. Made by the root for each request; costs nothing until its first call.

    Args:
        pool: Where its worker comes from.
        scope: The ASGI scope of the request, for the signals and for the name in the log.
        lingers: Whether it keeps its worker from call to call until `close()`.

    Methods without a note run on the event loop.
    """

    __slots__ = (
        "__weakref__",
        "_begun",
        "_expired",
        "_pending",
        "_timer",
        "_waiting",
        "announces",
        "closed",
        "context",
        "hurried",
        "iterators",
        "lingers",
        "loop",
        "open",
        "owner",
        "pins",
        "pool",
        "scope",
        "sender",
        "since",
        "worker",
    )

    def __init__(self, pool: Pool, scope: MutableMapping[str, Any], *, lingers: bool = True) -> None:
        self.pool = pool
        self.scope = scope
        self.loop = asyncio.get_running_loop()
        self.lingers = lingers
        self.closed = False
        self.worker: Worker | None = None  # guarded by Pool.lock
        self.since = 0.0  # time.monotonic() of the spell's begin; 0.0 between spells
        self.iterators: dict[int, Any] = {}  # id -> a sync iterator that the request draws on the worker
        self.pins: set[int] = set()  # the ids of context managers that were entered on the worker and not yet left
        self.context: contextvars.Context | None = None  # in which the calls of the owner run, and the hooks
        self.owner: object = None  # the task whose calls share `context`
        self.hurried = False  # whether it entered its stream ahead of the limit
        self.announces = True  # for the hooks: whether they send the signals, or somebody else does
        self.sender: object = None  # for the hooks: of the signals; None: their own
        self.open = False  # for the hooks: whether request_started has been sent, and request_finished has not
        self._begun = False  # on the worker only
        self._expired = False
        self._waiting = False  # guarded by Pool.lock
        self._pending: deque[Call] = deque()  # guarded by Pool.lock
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pinned(self) -> bool:
        """Whether the request has left something on the worker that it must come back to."""
        return bool(self.pins or self.iterators)

    def submit(self, call: Call) -> None:
        """Has `call` run on the lease's worker, taking one first if need be."""
        with self.pool.lock:
            worker = self.worker
            if worker is None and not self._waiting:
                self.worker = worker = self.pool.take(self)
            if worker is not None:
                worker.queue.put((Lease._perform, self, call))
                return
            if not self._expired:
                self._pending.append(call)
                if not self._waiting:
                    self._waiting = True
                    self.pool.wait(self)
        if self._expired:
            call.fail(self.pool.timeout_error())
        elif self._timer is None:
            self._timer = self.loop.call_later(self.pool.wait_timeout, self._expire)

    def rest(self) -> None:
        """Ends the spell unless something lives on the worker. Does not wait."""
        with self.pool.lock:
            if self.worker is not None:
                self.worker.queue.put((Lease._rest, self, None))

    def close(self) -> asyncio.Future[None] | None:
        """Closes what lives on the worker and ends the spell. Returns what tells that it is done; None: done already.

        It is done whether or not anybody waits. Calls that come later are for a lease of their own.
        """
        self.closed = True
        self.lingers = False
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting:
            for call in [call for call in self.pool.withdraw(self) if call.wanted()]:
                Lease(self.pool, self.scope, lingers=False).submit(call)
        with self.pool.lock:
            worker = self.worker
            if worker is not None:
                ended = self.loop.create_future()
                worker.queue.put((Lease._end, self, ended))
                return ended
        self._let_go()
        return None

    def _expire(self) -> None:
        self._timer = None
        for call in self.pool.withdraw(self):
            self._expired = True
            call.fail(self.pool.timeout_error())

    def _receive(self, worker: Worker) -> None:
        """Takes the worker that this lease has waited for. Runs on any thread, with the lock held."""
        self._waiting = False
        self.worker = worker
        worker.lease = self
        while self._pending:
            worker.queue.put((Lease._perform, self, self._pending.popleft()))

    def _let_go(self) -> None:
        self.pool.leave_stream(self)
        self.context = None  # It holds the context variable that holds the lease.
        self.owner = None

    # On the worker -------------------------------------------------------------------------------------------------

    def _perform(self, call: Call) -> None:
        if not call.wanted():
            self._after_call()
            return
        if not self._begun:
            self._begun = True
            self.since = time.monotonic()
            try:
                self._in_context(self.pool.hooks.begin)
            except BaseException as error:
                call.fail(error)
                self._after_call()
                return
        call.run()
        self._after_call()

    def _after_call(self) -> None:
        if not self.lingers:
            self._rest(None)

    def _rest(self, _: None) -> None:
        if self.pinned or self.pool.hooks.busy(self) or self._has_more():
            return
        self._end_spell()
        with self.pool.lock:
            worker = self.worker
            if worker is None or not worker.queue.empty():
                return  # Calls came meanwhile: they begin a spell on the same worker.
            self.worker = None
        self.pool.give_back(worker)

    def _end(self, ended: asyncio.Future[None]) -> None:
        try:
            self._close_iterators()
            self._end_spell()
        finally:
            with self.pool.lock:
                worker, self.worker = self.worker, None
            if worker is not None:
                self.pool.give_back(worker)
            self._let_go()
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self.loop.call_soon_threadsafe(_set, ended)

    def _end_spell(self) -> None:
        """Runs the last job of the spell. The lease still has its worker: its context is in use on no other."""
        if self._begun:
            self._begun = False
            try:
                self._in_context(self.pool.hooks.end)
            finally:
                self.since = 0.0

    def _has_more(self) -> bool:
        with self.pool.lock:
            return self.worker is None or not self.worker.queue.empty()

    def _close_iterators(self) -> None:
        while self.iterators:
            _, iterator = self.iterators.popitem()
            close = getattr(iterator, "close", None)
            if close is not None:
                try:
                    self._in_context(lambda _: close())  # noqa: B023  (called at once)
                except BaseException:
                    logger.exception("Closing %r, which its request had abandoned, failed.", iterator)

    def _in_context(self, function: Callable[[Lease], None]) -> None:
        context = self.context  # Read once: the loop lets go of it when the request ends.
        if context is None:
            function(self)
        else:
            context.run(function, self)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
