"""The lease that a request holds on a worker. Standard library only; the laws stand at the head of
djfast_mount.threads.pool.

A lease is used on one event loop. What runs on its worker is marked so.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from djfast_mount.threads.calls import Call
from djfast_mount.threads.pool import Pool, Worker

__all__ = ["Hop", "Lease", "Source"]

logger = logging.getLogger("djfast_mount.threads")


class Lease:
    """The claim of one request on one worker. Made by the root for each request; costs nothing until its first call.

    Args:
        pool: Where its worker comes from.
        scope: The ASGI scope of the request, for the signals and for the name in the log.
        lingers: Whether it keeps its worker from call to call until `close()`.

    Methods without a note run on the event loop.
    """

    # Of the class, since most leases leave most of these as they are: to set each would cost every request its time.
    closed = False
    one_call = False  # whether its spell ends with its call, whatever the call leaves behind
    worker: Worker | None = None  # guarded by Pool.lock
    since = 0.0  # time.monotonic() of the spell's begin; 0.0 between spells
    context: contextvars.Context | None = None  # in which the calls of the owner run, and the hooks
    owner: object = None  # the task whose calls share `context`
    base: contextvars.Context | None = None  # what the request began with
    shared: Any = None  # what holds `context`
    contexts: weakref.WeakKeyDictionary[Any, Any] | None = None  # those of further tasks
    announces = True  # for the hooks: whether they send the signals, or somebody else does
    sender: object = None  # for the hooks: of the signals; None: their own
    open = False  # for the hooks: whether request_started has been sent, and request_finished has not
    calling = False  # whether a call runs on the worker
    _begun = False  # on the worker only
    _expired = False
    _waiting = False  # guarded by Pool.lock
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, pool: Pool, scope: MutableMapping[str, Any], *, lingers: bool = True) -> None:
        self.pool = pool
        self.scope = scope
        self.loop = asyncio.get_running_loop()
        self.lingers = lingers
        self.iterators: dict[int, Any] = {}  # id -> a sync iterator that the request draws on the worker
        # The ids of context managers that were entered on the worker and not yet left, with the iterators of then.
        self.pins: dict[int, frozenset[int]] = {}
        self._pending: deque[Call] = deque()  # guarded by Pool.lock

    def context_of(self, task: object, make: Callable[[], Shared]) -> Any:
        """Returns where the calls of `task` run: all in one context, which is what `make` returns for the first."""
        if self.owner is None:
            shared = make()
            self.owner, self.shared, self.context = task, shared, shared.context
            return shared
        if self.owner is task:
            return self.shared or make()
        if self.contexts is None:
            self.contexts = weakref.WeakKeyDictionary()
        if (known := self.contexts.get(task)) is None:
            known = self.contexts[task] = make()
        return known

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
                if self._waiting:
                    return
                self._waiting = True
                self.pool.wait(self)
        if self._expired:
            call.fail(self.pool.timeout_error())
        else:
            self._limit_wait()

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
                self.successor().submit(call)
        with self.pool.lock:
            worker = self.worker
            if worker is not None:
                ended = self.loop.create_future()
                worker.queue.put((Lease._end, self, ended))
                return ended
        self._let_go()
        return None

    def successor(self) -> Lease:
        """Returns a lease for one call that comes after this one has been closed."""
        lease = Lease(self.pool.outlast(), self.scope, lingers=False)
        lease.one_call = True
        return lease

    def _limit_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.pool.wait_timeout, self._expire)

    def _expire(self) -> None:
        self._timer = None
        calls = self.pool.withdraw(self)
        if calls:
            logger.warning(
                "%s %s got none of %d threads within %g s. Let slow requests wait without one, or give mount() more.",
                self.scope.get("method", self.scope["type"]),
                self.scope.get("path", ""),
                self.pool.size,
                self.pool.wait_timeout,
            )
        for call in calls:
            # A request that has waited in vain does not wait again; the next call of a websocket does.
            self._expired = self.lingers
            call.fail(self.pool.timeout_error())

    def _receive(self, worker: Worker) -> None:
        """Takes the worker that this lease has waited for. Runs on any thread, with the lock held."""
        self._waiting = False
        self.worker = worker
        worker.lease = self
        while self._pending:
            worker.queue.put((Lease._perform, self, self._pending.popleft()))

    def _queue_again(self, queue: Any) -> None:
        """Takes its calls out of the worker's queue and waits for a worker anew. Runs there, with the lock held."""
        while not queue.empty():
            action, _, argument = queue.get()
            if action is Lease._perform:
                self._pending.append(argument)
        if self._pending:
            self._waiting = True
            self.pool.wait(self)
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self.loop.call_soon_threadsafe(self._limit_wait)

    def _let_go(self) -> None:
        self.pool.streams.leave(self)
        self.context = None  # It holds the context variable that holds the lease.
        self.shared = self.base = self.owner = self.contexts = None

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
        self.calling = True
        call.run()
        self.calling = False
        try:
            # The spell that ends with this call ends before anybody hears of it: nobody has to wait for that then.
            self._after_call()
        finally:
            call.report()
            del call  # The traceback of its error, which it holds, leads back to this frame.

    def _after_call(self) -> None:
        if not self.lingers:
            self._rest(None)

    def _rest(self, _: None) -> None:
        if self.one_call or not (self.pinned or self.pool.hooks.busy(self) or self._has_more()):
            self._end_spell()

    def _end(self, ended: asyncio.Future[None]) -> None:
        try:
            if self.iterators:
                self._in_context(lambda _: self.close_iterators())
            self._end_spell()
        finally:
            self._let_go()
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self.loop.call_soon_threadsafe(_set, ended)

    def _end_spell(self) -> None:
        """Runs the last job of the spell, then lets go of the worker: the context is in use on one thread at a time."""
        begun, self._begun = self._begun, False
        try:
            if begun:
                self._in_context(self.pool.hooks.end)
        finally:
            self.since = 0.0
            self.pool.give_back(self)

    def _has_more(self) -> bool:
        """Whether there are calls with which the spell may go on. Where others wait, each is a spell of its own."""
        worker = self.worker
        return worker is not None and not worker.queue.empty() and not self.pool.crowded

    def close_iterators(self, older: frozenset[int] = frozenset()) -> None:
        """Closes the iterators that the request has abandoned, all but the `older`. Runs in the request's context."""
        for key in reversed([key for key in self.iterators if key not in older]):
            iterator = self.iterators.pop(key)
            for each in (iterator, *_drawn_from(iterator)):
                close = getattr(each, "close", None)
                if close is not None:
                    try:
                        close()
                    except BaseException:
                        logger.exception("Closing %r, which its request had abandoned, failed.", each)

    def _in_context(self, function: Callable[[Lease], None]) -> None:
        context = self.context  # Read once: the loop lets go of it when the request ends.
        if context is None:
            function(self)
        else:
            context.run(function, self)


def _drawn_from(iterator: Any) -> list[Any]:
    """Returns the endpoint's own generator, where FastAPI, for JSON Lines, draws from it by another."""
    if not inspect.isgenerator(iterator) or iterator.gi_frame is None:
        return []
    if iterator.gi_frame.f_globals.get("__name__") != "fastapi.routing":
        return []
    return [held for held in inspect.getgeneratorlocals(iterator).values() if inspect.isgenerator(held)]


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Shared(Protocol):
    """The context in which the calls of a task run."""

    context: contextvars.Context


class Hop(Protocol):
    """What takes a handler to the request thread with its first call."""

    def is_here(self) -> bool:
        """Whether the caller is on that thread, in the midst of the handler."""

    def may_go(self, function: Callable[..., Any]) -> bool:
        """Whether the caller's call, of `function`, is that first one. Runs on the event loop."""

    def go(self) -> Awaitable[None]:
        """Returns what takes the caller there when it is awaited."""

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Returns or raises what `function` does, which is called here and now."""


class Source(Protocol):
    """Where the lease of a request comes from."""

    base: contextvars.Context | None
    """What the request began with."""

    change: Callable[[MutableMapping[str, Any]], Awaitable[None]] | None
    """What is handed each message of the response first, and sends on what becomes of it."""

    headers: Mapping[bytes, bytes]
    """What the response is to have, where it does not have headers of these names: in lower case."""

    hop: Hop | None
    """What takes a handler to the request thread as a whole, where something does."""

    held: Lease | None
    """The lease, once a call has asked for it."""

    over: bool
    """Whether the request has ended; each call then has a lease of its own."""

    started: bool
    """Whether the response has begun."""

    def lease(self) -> Lease:
        """Returns the lease for a call that is made now. Runs on the event loop."""

    def send(self, message: MutableMapping[str, Any], *, changed: bool = False) -> Awaitable[None]:
        """ASGI: sends `message`. `changed` says whether `change` has seen it."""
