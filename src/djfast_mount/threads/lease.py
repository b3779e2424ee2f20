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
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from djfast_mount.threads.calls import Call
from djfast_mount.threads.claim import Claim, Placed
from djfast_mount.threads.pool import REFUSAL, Pool
from djfast_mount.threads.worker import PoolHooks

__all__ = ["Hooks", "Lease"]

logger = logging.getLogger("djfast_mount.threads")


class Hooks(PoolHooks, Protocol):
    """What happens around the calls of a spell. Every method runs on the worker."""

    def begin(self, lease: Lease) -> None:
        """The first job of a spell. What it raises fails the call that began the spell."""

    def busy(self, lease: Lease) -> bool:
        """Whether a transaction is open."""

    def keeps(self, lease: Lease) -> bool:
        """Whether anything else of the request lives on a connection: an open cursor, say, or a setting."""

    def end(self, lease: Lease) -> None:
        """The last job of a spell. Must not raise."""


class Lease(Claim):
    """The claim of one request on one worker. Made by the root for each request; costs nothing until its first call.

    Args:
        pool: Where its worker comes from.
        scope: The ASGI scope of the request, for the signals and for the name in the log.
        lingers: Whether it keeps its worker from call to call until `close()`.

    Methods without a note run on the event loop.
    """

    # Defaults stand on the class: most leases change few of them, and setting each would slow every request.
    one_call = False  # whether its spell ends with its call, whatever the call leaves behind
    final = False  # whether no call is to come after the one that runs
    since = 0.0  # time.monotonic() of the spell's begin; 0.0 between spells
    context: contextvars.Context | None = None  # in which the calls of the owner run, and the hooks
    owner: object = None  # the task whose calls share `context`
    base: contextvars.Context | None = None  # what the request began with
    shared: Any = None  # what holds `context`
    contexts: weakref.WeakKeyDictionary[Any, Any] | None = None  # those of further tasks
    announces = True  # for the hooks: whether they send the signals, or somebody else does
    sender: object = None  # for the hooks: of the signals; None: their own
    open = False  # for the hooks: whether request_started has been sent, and request_finished has not
    carried: dict[Any, Any] | None = None  # for the hooks: what goes along to the next worker
    spent = 0.0  # for the hooks: seconds that its spells have lasted
    told = 0.0  # for the hooks: seconds of waiting that they have told of
    calling = False  # whether a call runs on the worker
    parking = False  # on the worker only: whether the spell ends so that the slot can be lent on
    kept = False  # whether something of the request was on a connection after the last call. Written on the worker
    transacts = False  # whether a transaction was open then
    _begun = False  # on the worker only
    _expired = False
    _turns = 0  # of the pool, when it began to wait
    _timer: asyncio.TimerHandle | None = None
    _ended: asyncio.Future[None] | None = None  # what waits for its end

    def __init__(self, pool: Pool, scope: MutableMapping[str, Any], *, lingers: bool = True) -> None:
        self.pool = pool
        self.scope = scope
        self.loop = asyncio.get_running_loop()
        self.lingers = lingers
        self.iterators: dict[int, Any] = {}  # id -> a sync iterator that the request draws on the worker
        self.keepers: set[int] = set()  # the ids of blocks in which the request keeps its thread explicitly
        # The ids of context managers that were entered on the worker and not yet left, with the iterators of then.
        self.pins: dict[int, frozenset[int]] = {}

    def context_of(self, task: object, make: Callable[[], Shared]) -> Any:
        """Returns where the calls of `task` run: all in one context, which is what `make` returns for the first.

        The lease has an `owner`.
        """
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
        return bool(self.pins or self.iterators or self.keepers or self.kept)

    @property
    def goes_on(self) -> bool:
        """Whether another spell may come after this one."""
        return not (self.closed or self.final or self.one_call)

    @property
    def may_wait(self) -> bool:
        """Whether nobody else may be waiting for what it has left on the worker: for a row that it has locked, say."""
        return not (self.pins or self.iterators or self.transacts)

    def submit(self, call: Call) -> None:
        """Has `call` run on the lease's worker, taking one first if need be."""
        placed = self.pool.put(self, (Lease._perform, self, call), may_wait=not self._expired)
        if placed is Placed.BEGINS_TO_WAIT:
            self._wait()
        elif placed is Placed.REFUSED:
            call.fail(self.pool.timeout_error())

    def rest(self) -> None:
        """Ends the spell unless something lives on the worker. Does not wait."""
        self.pool.wish(self, Lease._rest)

    def let_go_between_calls(self) -> None:
        """Has the spell end with each call, unless something lives on the worker; now, where none is running."""
        self.lingers = False
        self.rest()

    def end_with_this_call(self) -> None:
        """Has the spell end with the call that runs: as far as is known, no other will come. Runs on the worker too.

        What the request has left on its connections does not keep the spell. If another call does come, it begins
        another spell.
        """
        self.lingers = False
        self.final = True

    def close(self) -> asyncio.Future[None] | None:
        """Closes what lives on the worker and ends the spell. Returns what tells that it is done; None: done already.

        A call that runs is waited for; calls that wait get a worker yet, each for a spell of its own.
        """
        self.closed = True
        self.lingers = False
        if self._timer is not None:
            self._timer.cancel()
        if self.waits:
            for call in [call for _, _, call in self.pool.withdraw(self) if call.wanted()]:
                self.successor().submit(call)
        # A parked thread ends with what the request has left on it. Its spell has ended: another one is needed only
        # for generators that are to be closed there, and for a signal that somebody else was to send.
        if self.worker is None or (not (self.iterators or self.open) and self.pool.dismiss(self)):
            self._let_go()
            return None
        ended = self._ended = self.loop.create_future()
        if self.pool.put(self, (Lease._end, self, ended)) is Placed.BEGINS_TO_WAIT:
            self.pool.watch(self.loop)
        return ended

    def close_anew(self) -> asyncio.Future[None] | None:
        """Returns what `close()` did, where that was cancelled while the end goes on. None: it is done meanwhile."""
        if self._ended is not None:
            self._ended = self.loop.create_future()
        return self._ended

    def successor(self) -> Lease:
        """Returns a lease for one call that comes after this one has been closed."""
        lease = Lease(self.pool.outlast(), self.scope, lingers=False)
        lease.one_call = True
        return lease

    def for_task(self) -> Lease:
        """Returns a lease for the calls of one task that go on after this one has been closed."""
        lease = Lease(self.pool.outlast(), self.scope, lingers=False)
        lease.base = contextvars.copy_context()
        return lease

    # Waiting -------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        self._limit_wait()
        self.pool.watch(self.loop)

    def waits_again(self) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self.loop.call_soon_threadsafe(self._wait)

    def _limit_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._turns = self.pool.turns
        self._timer = self.loop.call_later(self.pool.wait_timeout, self._expire)

    def _expire(self) -> None:
        self._timer = None
        returning = self.worker is not None
        if returning and (self.closed or self.pool.turns != self._turns):
            # It is in the midst of its work, and first in its queue: as long as others get their turn, so will it.
            self._limit_wait()
            return
        calls = [call for _, _, call in self.pool.withdraw(self)]
        if calls:
            logger.warning(
                "%s %s got none of %d threads within %g s. Let slow requests wait without one, or give mount() more.",
                self.scope.get("method", self.scope["type"]),
                self.scope.get("path", ""),
                self.pool.size,
                self.pool.wait_timeout,
            )
        for call in calls:
            # A request that has waited in vain does not wait again; the next call of a websocket does, and so does
            # what one that had a spell calls to clean up.
            self._expired = self.lingers and not returning
            call.fail(self.pool.timeout_error())

    def _let_go(self) -> None:
        if self in self.pool.streams.holders:  # Few are streams, and each request passes here.
            self.pool.streams.leave(self)
        self.context = None  # It holds the context variable that holds the lease.
        self.shared = self.base = self.owner = self.contexts = self.carried = None

    # On the worker -------------------------------------------------------------------------------------------------

    def _perform(self, call: Call) -> None:
        self.idle_since = 0.0
        if not call.wanted():
            self._after_call()
            return
        try:
            self._begin_spell()
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
        self.idle_since = time.monotonic()

    def _rest(self, _: None) -> None:
        was_kept = self.kept
        if not self.one_call and (self.pins or self.iterators or self.keepers or self._keeps() or self._has_more()):
            return
        if was_kept:
            self.pool.streams.leave(self)
        self._end_spell()

    def _keeps(self) -> bool:
        hooks = self.pool.hooks
        self.transacts = hooks.busy(self)
        # What a request that makes no further call has left is cleared away; its transaction is given until `close()`.
        self.kept = self.transacts or (not self.final and hooks.keeps(self))
        return self.kept

    def reclaim(self, _: None) -> None:
        with self.pool.lock:
            self.asked = False
            if self.idle_since != self.seen_idle or self.closed or not self.pool.crowded:
                return
            # A refusal is asked again, for a cursor may be closed by the garbage collector.
            self.ask_after = time.monotonic() + REFUSAL
        if not self.lingers:
            self._rest(None)
        elif not (self.keepers or self.pool.streams.holds(self) or self._keeps()):
            self.parking = True
            try:
                self._end_begun()
            finally:
                self.parking = False
                self.pool.park(self)

    def _tell_ended(self) -> None:
        """Runs on the event loop."""
        ended, self._ended = self._ended, None
        if ended is not None and not ended.done():
            ended.set_result(None)

    def _end(self, _: asyncio.Future[None]) -> None:
        try:
            if self.iterators:
                self._begin_spell()
                context = self.context
                self.close_iterators() if context is None else context.run(self.close_iterators)
            elif self.open:
                self._begin_spell()
            self._end_spell()
        finally:
            self._let_go()
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self.loop.call_soon_threadsafe(self._tell_ended)

    def _begin_spell(self) -> None:
        if not self._begun:
            self._begun = True
            self.since = time.monotonic()
            begin, context = self.pool.hooks.begin, self.context  # The loop lets go of it when the request ends.
            if context is None:
                begin(self)
            else:
                context.run(begin, self)

    def _end_spell(self) -> None:
        """Runs the last job of the spell, then lets go of the worker."""
        # In this order, as the context is in use on one thread at a time.
        try:
            self._end_begun()
        finally:
            self.pool.give_back(self)

    def _end_begun(self) -> None:
        begun, self._begun = self._begun, False
        try:
            if begun:
                end, context = self.pool.hooks.end, self.context
                if context is None:
                    end(self)
                else:
                    context.run(end, self)
        finally:
            self.since = 0.0
            self.kept = False

    def _has_more(self) -> bool:
        """Whether there are calls with which the spell may go on. Where others wait, each is a spell of its own."""
        worker = self.worker
        return worker is not None and not worker.queue.empty() and not self.pool.crowded

    def close_iterators(self, older: frozenset[int] = frozenset()) -> None:
        """Closes the iterators that the request has abandoned, all but the `older`. Runs in the request's context."""
        for key in reversed([key for key in self.iterators if key not in older]):
            iterator = self.iterators.pop(key)
            for each in (iterator, *_drawn_from(iterator)):
                _close_abandoned(each)


def _drawn_from(iterator: Any) -> list[Any]:
    """Returns the endpoint's own generator, where FastAPI, for JSON Lines, draws from it by another."""
    if not inspect.isgenerator(iterator) or iterator.gi_frame is None:
        return []
    if iterator.gi_frame.f_globals.get("__name__") != "fastapi.routing":
        return []
    return [held for held in inspect.getgeneratorlocals(iterator).values() if inspect.isgenerator(held)]


def _close_abandoned(iterator: Any) -> None:
    close = getattr(iterator, "close", None)
    try:
        if close is not None:
            close()
    except BaseException:
        logger.exception("Closing %r, which its request had abandoned, failed.", iterator)


class Shared(Protocol):
    """The context in which the calls of a task run."""

    context: contextvars.Context
