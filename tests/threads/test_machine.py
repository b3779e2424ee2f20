"""The pool and its leases in any order of events, against a small model: hypothesis thinks of the orders.

The model knows who waits since when, and what each lease has been asked to do. It holds against the laws at the head of
djfast_mount.threads.pool: a worker serves one lease at a time, its calls in their order; who has waited longest is
next, also where a lease has more to do; what was withdrawn or cancelled does not run, and all else does; nobody waits
while a worker could be had, be the pool open or shut down. Time, streams and errors of the hooks are left to other
tests.

Holds `threads/claim.py`.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from djfast_mount.threads import lease as leases
from djfast_mount.threads import lending
from djfast_mount.threads.calls import FutureCall
from djfast_mount.threads.claim import Claim
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import RETURNING_FIRST, Pool
from djfast_mount.threads.worker import Item, Worker
from laws.clock import ClockLoop

pytestmark = pytest.mark.once

LINGERS = [True, True, True, False, False]
places = st.integers(min_value=0, max_value=len(LINGERS) - 1)
# Seconds after which something is lost, however busy the machine is.
HANGS = 30.0
Numbers = dict[int, tuple[int, Any]]


@dataclass(eq=False)
class Held:
    """A lease, and what the model knows of it."""

    lease: Lease
    lingers: bool
    calls: list[tuple[int, Future[Any]]] = field(default_factory=list)
    gates: list[threading.Event] = field(default_factory=list)
    rested: bool = False
    expired: bool = False

    def let_go_on(self) -> None:
        for gate in self.gates:
            gate.set()

    def is_done(self) -> bool:
        return all(future.done() for _, future in self.calls)


@dataclass(eq=False)
class Wait:
    """One wait of a lease. A lease that has to wait again begins another."""

    claim: Claim
    passed: int = 0


class WatchedPool(Pool):
    """Keeps lists of its own of those that wait, and compares."""

    def __init__(self, size: int, hooks: Hooks) -> None:
        super().__init__(size, hooks, wait_timeout=10_000)
        self.lock: Any = threading.RLock()  # So that the lists here change in the same moment as the pool's.
        self.waits: list[Wait] = []  # guarded by lock
        self.returns: list[Wait] = []  # guarded by lock; those that have a thread already
        self.faults: list[str] = []

    def wait(self, claim: Claim) -> None:
        super().wait(claim)
        (self.waits if claim.worker is None else self.returns).append(Wait(claim))

    def withdraw(self, claim: Claim) -> list[Item]:
        with self.lock:
            self._forget(claim)
            return super().withdraw(claim)

    def park(self, claim: Claim) -> None:
        self.hooks.parked()
        super().park(claim)

    def _serve(self, claim: Claim, worker: Worker) -> None:
        returns_first = self.returns and not (self.waits and self.waits[0].passed >= RETURNING_FIRST)
        queue = self.returns if returns_first else self.waits
        if not queue or queue[0].claim is not claim:
            self.faults.append("the worker went to another lease than the one whose turn it was")
        if returns_first and self.waits:
            self.waits[0].passed += 1
        self._forget(claim)
        if claim.worker not in (None, worker):
            self.faults.append("a lease that had a thread was given another one")
        super()._serve(claim, worker)

    def _forget(self, claim: Claim) -> None:
        self.waits = [wait for wait in self.waits if wait.claim is not claim]
        self.returns = [wait for wait in self.returns if wait.claim is not claim]

    def still_waiting(self, since: list[Wait] | None = None) -> list[Wait]:
        """Those that wait now; of `since` those that have never stopped."""
        with self.lock:
            now = self.waits + self.returns
        return now if since is None else [wait for wait in since if wait in now]


class Hooks:
    """Notes where spells begin and end and what runs in them, and finds spells that go on ahead of others."""

    pool: WatchedPool

    def __init__(self) -> None:
        self.events: list[tuple[int, str, Any]] = []
        self.busy_leases: set[Lease] = set()
        self.kept_leases: set[Lease] = set()
        self.may_leave = threading.Event()
        self.may_leave.set()
        self._thread = threading.local()

    def note(self, what: str, whose: object) -> None:
        self.events.append((threading.get_ident(), what, whose))

    def begin(self, lease: Lease) -> None:
        self.note("begin", lease)
        ended, since = getattr(self._thread, "ended", (None, []))
        if ended is lease and not lease.closed and self.pool.still_waiting(since):
            self.pool.faults.append("a lease began its next spell ahead of those that waited")
        self._thread.asked = None

    def busy(self, lease: Lease) -> bool:
        busy = lease in self.busy_leases
        self._thread.asked = busy, self.pool.still_waiting()
        return busy

    def keeps(self, lease: Lease) -> bool:
        # Read once: a rule may change it meanwhile, on the thread of the test.
        kept = lease in self.kept_leases
        self._thread.asked = kept, self._thread.asked[1]
        return kept

    def parked(self) -> None:
        """Its next spell may well begin ahead of those that wait for their first."""
        self._thread.ended = None, []

    def surrender(self, stock: dict[Any, Any]) -> None:
        self.note("surrender", None)

    def call(self, number: int) -> None:
        self.note("call", number)
        asked = self._thread.asked
        if asked is not None and not asked[0] and self.pool.still_waiting(asked[1]):
            self.pool.faults.append("a spell that could end went on while others waited")
        self._thread.asked = None

    def end(self, lease: Lease) -> None:
        self.note("end", lease)
        asked = self._thread.asked
        if asked is not None and asked[0] and not (lease.closed or lease.one_call):
            self.pool.faults.append("a spell ended that something kept on its thread")
        self._thread.ended = lease, self.pool.still_waiting()

    def leave(self, stock: dict[Any, Any]) -> None:
        self.note("leave", None)
        self.may_leave.wait(30)


class PoolMachine(RuleBasedStateMachine):
    """Call, call while a call runs, cancel, rest, keep, lend, wait in vain, abandon, shut down and open again."""

    @initialize(size=st.sampled_from([1, 2, 3]), crowded=st.booleans())
    def make(self, size: int, crowded: bool) -> None:
        # Each look finds whatever is idle just then: time is not what this is about.
        self.patch = pytest.MonkeyPatch()
        for module, name, never in ((lending, "IDLE", 0), (lending, "LOOKS", -1), (leases, "REFUSAL", 0)):
            self.patch.setattr(module, name, never)
        self.loop = ClockLoop()
        self.hooks = Hooks()
        self.pool = self.hooks.pool = WatchedPool(size, self.hooks)
        self.size = size
        self.open: dict[int, Held] = {}
        self.ended: list[Held] = []
        self.count = 0
        self.shutdowns = 0
        self.emptied: list[None] = []
        for place in range(size if crowded else 0):
            self.call(place, True)

    def on_loop(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            return function(*args, **kwargs)

        return self.loop.run_until_complete(call())

    def all_held(self) -> list[Held]:
        return [*self.open.values(), *self.ended]

    def held(self, place: int) -> Held:
        if place not in self.open:
            scope = {"type": "http", "path": "/"}
            lease = self.on_loop(Lease, self.pool, scope, lingers=LINGERS[place])
            self.open[place] = Held(lease, LINGERS[place])
        return self.open[place]

    @rule(place=places, stays=st.booleans())
    def call(self, place: int, stays: bool) -> None:
        held = self.held(place)
        number = self.count = self.count + 1
        gate = threading.Event()
        if stays:
            held.gates.append(gate)

        def work() -> int:
            self.hooks.call(number)
            if stays:
                gate.wait(30)
            return number

        call = FutureCall(work)
        held.calls.append((number, call.future))
        self.on_loop(held.lease.submit, call)

    @rule(place=places)
    def let_go_on(self, place: int) -> None:
        for held in (self.held(place), *self.ended):
            held.let_go_on()

    @rule(place=places)
    def cancel(self, place: int) -> None:
        for _, future in self.held(place).calls[-1:]:
            future.cancel()

    @rule(place=places)
    def rest(self, place: int) -> None:
        held = self.held(place)
        held.rested = True
        self.on_loop(held.lease.rest)

    @rule(place=places, in_transaction=st.booleans())
    def keep(self, place: int, in_transaction: bool) -> None:
        (self.hooks.busy_leases if in_transaction else self.hooks.kept_leases).add(self.held(place).lease)

    @rule(place=places)
    def keep_no_more(self, place: int) -> None:
        self.hooks.busy_leases.discard(self.held(place).lease)
        self.hooks.kept_leases.discard(self.held(place).lease)

    @rule()
    def look_for_idle_leases(self) -> None:
        for held in self.open.values():
            if held.lingers and held.is_done():
                self.loop.until(lambda held=held: held.lease.idle_since or held.lease.worker is None, HANGS)
        self.on_loop(self.pool._looks._look, self.loop)

    @rule(place=places, other=places, stays=st.booleans())
    def lend(self, place: int, other: int, stays: bool) -> None:
        """What gives one lease the slot of another, if nothing keeps it."""
        for each in range(self.size):
            self.call((place + each) % len(LINGERS), False)
            self.let_go_on((place + each) % len(LINGERS))
        self.call(other, stays)
        self.look_for_idle_leases()

    def waiting(self) -> list[int]:
        """Whose leases wait just now. No precondition: that may not depend on what threads have got to."""
        return [place for place, held in self.open.items() if held.lease.waits]

    @rule(number=places)
    def wait_in_vain(self, number: int) -> None:
        found = self.waiting()
        held = self.held(found[number % len(found)] if found else number)
        held.expired = True
        self.on_loop(held.lease._expire)

    @rule(number=places)
    def abandon_one_that_waits(self, number: int) -> None:
        found = self.waiting()
        self.abandon(found[number % len(found)] if found else number)

    @rule(place=places)
    def abandon(self, place: int) -> None:
        held = self.held(place)
        self.ended.append(self.open.pop(place))
        self.on_loop(held.lease.close)

    @rule()
    def shut_down(self) -> None:
        self.shutdowns += 1
        self.pool.shutdown(lambda: self.emptied.append(None))

    @rule(slowly=st.booleans())
    def workers_leave(self, slowly: bool) -> None:
        """Ends of threads take their time, or none."""
        if slowly:
            self.hooks.may_leave.clear()
        else:
            self.hooks.may_leave.set()

    @rule()
    def open_again(self) -> None:
        self.pool.reopen()

    @invariant()
    def never_more_workers_than_allowed(self) -> None:
        with self.pool.lock:
            running = [worker for worker in self.pool.workers if worker.slot is not None]
            assert len(running) == self.pool._running <= self.size

    @invariant()
    def nobody_waits_while_a_worker_could_be_had(self) -> None:
        with self.pool.lock:
            assert not (self.pool._waiting and self.pool._idle)
            assert not (self.pool.crowded and self.pool._running < self.size)

    @invariant()
    def a_worker_has_one_lease(self) -> None:
        with self.pool.lock:
            leases = [id(worker.claim) for worker in self.pool.workers if worker.claim is not None]
        assert len(leases) == len(set(leases))

    @invariant()
    def nobody_is_passed_over(self) -> None:
        assert not self.pool.faults, self.pool.faults

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.hooks.may_leave.set()
        for held in self.all_held():
            held.let_go_on()
        left = list(self.open.values())

        def close_those_that_are_done() -> bool:
            for held in list(left):
                # One that lingers has its worker until then, and others wait for it.
                if held.is_done():
                    left.remove(held)
                    self.on_loop(held.lease.close)
            return not left

        self.loop.until(close_those_that_are_done, HANGS)
        self.loop.until(lambda: all(held.is_done() for held in self.all_held()) and not self.pool.held(), HANGS)
        self.loop.until(lambda: not self.pool.parked(), HANGS)
        emptied = threading.Event()
        self.pool.shutdown(emptied.set)
        self.loop.until(lambda: emptied.is_set() and len(self.emptied) >= self.shutdowns, HANGS)
        self.loop.close()
        self.patch.undo()
        self.check()

    def check(self) -> None:
        assert not self.pool.faults, self.pool.faults
        assert len(self.emptied) == self.shutdowns, "the end of the workers was told twice"
        ran = self.what_ran()
        for held in self.all_held():
            for number, future in held.calls:
                dropped = future.cancelled() or isinstance(future.exception(), TimeoutError)
                assert (number in ran) != dropped, "a call was lost, or ran after it was cancelled or had timed out"
                assert future.cancelled() or held.expired or not dropped, "a call timed out that had time"
        for held in self.open.values():
            self.check_one(held, [number for number, _ in held.calls if number in ran], ran)

    def what_ran(self) -> Numbers:
        """The calls that ran, each with its thread and its lease. Checks that spells do not overlap."""
        ran: Numbers = {}
        within: dict[int, Any] = defaultdict(lambda: None)
        for thread, what, whose in self.hooks.events:
            if what == "begin":
                assert within[thread] is None, "a spell has begun in another one"
                assert whose not in within.values(), "a lease has two spells at once"
                within[thread] = whose
            elif what == "surrender":
                assert within[thread] is None, "connections were given up in the midst of a spell"
            elif what == "end":
                assert within[thread] is whose, "a spell has ended that was not begun"
                within[thread] = None
            elif what == "call":
                assert within[thread] is not None, "a call ran outside of every spell"
                assert whose not in ran, "a call ran twice"
                ran[whose] = (thread, within[thread])
        assert not any(within.values()), "a spell was not ended"
        return ran

    def check_one(self, held: Held, numbers: list[int], ran: Numbers) -> None:
        """What holds for a lease that was there to the end: its own spells, and one alone where it lingered."""
        assert {ran[number][1] for number in numbers} <= {held.lease}
        if held.lingers and not held.rested:
            assert len({ran[number][0] for number in numbers}) <= 1, "a spell changed its thread"
        order = [whose for _, what, whose in self.hooks.events if what == "call" and whose in numbers]
        assert order == numbers, "calls ran in another order than they were made"


class LongerPoolMachine(PoolMachine):
    """The same, for longer."""


# Not shrunk: threads make of the same steps another order, and a lost call is waited for in each.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def examples(most: int) -> settings:
    return settings(max_examples=most, stateful_step_count=30, deadline=None, phases=PHASES, report_multiple_bugs=False)


PoolMachine.TestCase.settings = examples(50)
LongerPoolMachine.TestCase.settings = examples(300)
TestPool = PoolMachine.TestCase
TestPoolForLonger = pytest.mark.long(LongerPoolMachine.TestCase)
