"""The pool and its leases in any order of events, against a small model: hypothesis thinks of the orders."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from djfast_mount.calls import FutureCall
from djfast_mount.leases import Lease
from djfast_mount.threads import Pool
from laws.clock import ClockLoop

MOST_LEASES = 6
picks = st.integers(min_value=0, max_value=99)


@dataclass(eq=False)
class Held:
    """A lease, and what the model knows of it."""

    lease: Lease
    lingers: bool
    calls: list[tuple[int, Future[Any]]] = field(default_factory=list)
    gates: list[threading.Event] = field(default_factory=list)
    rested: bool = False


class Hooks:
    """Notes, thread by thread, where spells begin and end and what runs in them."""

    def __init__(self) -> None:
        self.events: dict[int, list[tuple[str, Any]]] = defaultdict(list)

    def note(self, what: str, whose: object) -> None:
        self.events[threading.get_ident()].append((what, whose))

    def begin(self, lease: Lease) -> None:
        self.note("begin", lease)

    def busy(self, lease: Lease) -> bool:
        return False

    def end(self, lease: Lease) -> None:
        self.note("end", lease)

    def leave(self) -> None:
        self.note("leave", None)


class PoolMachine(RuleBasedStateMachine):
    """Acquire, call, call again while a call runs, cancel, rest, abandon, shut down and open again."""

    @initialize(size=st.sampled_from([1, 2, 8]))
    def make(self, size: int) -> None:
        self.loop = ClockLoop()
        self.hooks = Hooks()
        self.pool = Pool(size, self.hooks, wait_timeout=10_000)
        self.size = size
        self.open: list[Held] = []
        self.ended: list[Held] = []
        self.count = 0

    def on_loop(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            return function(*args, **kwargs)

        return self.loop.run_until_complete(call())

    def pick(self, number: int) -> Held:
        return self.open[number % len(self.open)]

    def submit(self, held: Held, gate: threading.Event | None) -> None:
        number = self.count = self.count + 1

        def work() -> int:
            self.hooks.note("call", number)
            if gate is not None:
                gate.wait(30)
            return number

        call = FutureCall(work)
        held.calls.append((number, call.future))
        self.on_loop(held.lease.submit, call)

    @precondition(lambda self: len(self.open) < MOST_LEASES)
    @rule(lingers=st.booleans())
    def acquire(self, lingers: bool) -> None:
        lease = self.on_loop(Lease, self.pool, {"type": "http", "path": "/"}, lingers=lingers)
        self.open.append(Held(lease, lingers))

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def call(self, number: int) -> None:
        self.submit(self.pick(number), None)

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def call_that_stays(self, number: int) -> None:
        held = self.pick(number)
        held.gates.append(threading.Event())
        self.submit(held, held.gates[-1])

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def let_go_on(self, number: int) -> None:
        for gate in self.pick(number).gates:
            gate.set()

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def cancel(self, number: int) -> None:
        for _, future in self.pick(number).calls[-1:]:
            future.cancel()

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def rest(self, number: int) -> None:
        held = self.pick(number)
        held.rested = True
        self.on_loop(held.lease.rest)

    @precondition(lambda self: self.open)
    @rule(number=picks)
    def abandon(self, number: int) -> None:
        held = self.pick(number)
        self.open.remove(held)
        self.ended.append(held)
        self.on_loop(held.lease.close)

    @rule()
    def shut_down(self) -> None:
        self.pool.shutdown(int)

    @rule()
    def open_again(self) -> None:
        self.pool.reopen()

    @invariant()
    def never_more_workers_than_allowed(self) -> None:
        with self.pool.lock:
            assert len(self.pool.workers) <= self.size

    @invariant()
    def nobody_waits_while_a_worker_idles(self) -> None:
        with self.pool.lock:
            assert not (self.pool._waiting and self.pool._idle)

    @invariant()
    def a_worker_has_one_lease(self) -> None:
        leases = [id(lease) for _, lease in self.pool.held()]
        assert len(leases) == len(set(leases))

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for held in (*self.open, *self.ended):
            for gate in held.gates:
                gate.set()
        everything = [future for held in (*self.open, *self.ended) for _, future in held.calls]
        left = list(self.open)

        def close_those_that_are_done() -> bool:
            for held in list(left):
                # One that lingers has its worker until then, and others wait for it.
                if all(future.done() for _, future in held.calls):
                    left.remove(held)
                    self.on_loop(held.lease.close)
            return not left

        self.loop.until(close_those_that_are_done)
        self.loop.until(lambda: all(future.done() for future in everything) and not self.pool.held())
        emptied = threading.Event()
        self.pool.shutdown(emptied.set)
        self.loop.until(emptied.is_set)
        self.loop.close()
        self.check()

    def check(self) -> None:
        ran: dict[int, tuple[int, Any]] = {}
        for thread, events in self.hooks.events.items():
            within: Any = None
            for what, whose in events:
                if what == "begin":
                    assert within is None, "a spell has begun in another one"
                    within = whose
                elif what == "end":
                    assert within is whose, "a spell has ended that was not begun"
                    within = None
                elif what == "call":
                    assert within is not None, "a call ran outside of every spell"
                    assert whose not in ran, "a call ran twice"
                    ran[whose] = (thread, within)
            assert within is None, "a spell was not ended"
        for held in (*self.open, *self.ended):
            for number, future in held.calls:
                assert (number in ran) != future.cancelled(), "a call was lost, or ran after it was cancelled"
        for held in self.open:
            self.check_one(held, [number for number, future in held.calls if not future.cancelled()], ran)

    def check_one(self, held: Held, numbers: list[int], ran: dict[int, tuple[int, Any]]) -> None:
        """What holds for a lease that was there to the end: its own spells, and one alone where it lingered."""
        assert {ran[number][1] for number in numbers} <= {held.lease}
        if held.lingers and not held.rested:
            assert len({ran[number][0] for number in numbers}) <= 1, "a spell changed its thread"
        order = [whose for events in self.hooks.events.values() for what, whose in events if what == "call"]
        for thread in {ran[number][0] for number in numbers}:
            here = [number for number in order if number in numbers and ran[number][0] == thread]
            assert here == sorted(here), "calls ran in another order than they were made"


PoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestPool = PoolMachine.TestCase
