"""The pool and its leases by themselves: every rule at the head of djfast_mount.threads.pool.

Holds `threads/calls.py`, `threads/lease.py` and `threads/worker.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from djfast_mount.threads.calls import FutureCall
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.pool import Pool
from laws.clock import ClockLoop
from laws.record import Stop
from pool_hooks import NotedHooks

pytestmark = pytest.mark.once

T = TypeVar("T")


@pytest.fixture
def loop() -> Iterator[ClockLoop]:
    loop = ClockLoop()
    yield loop
    loop.close()


@pytest.fixture
def hooks() -> NotedHooks:
    return NotedHooks()


class Bench:
    """A pool of the size asked for, and leases on it."""

    def __init__(self, loop: ClockLoop, hooks: NotedHooks, size: int) -> None:
        self.loop = loop
        self.pool = Pool(size, hooks, wait_timeout=10)

    def lease(self, *, lingers: bool = True) -> Lease:
        return self.on_loop(Lease, self.pool, {"type": "http", "path": "/"}, lingers=lingers)

    def on_loop(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        async def call() -> T:
            return function(*args, **kwargs)

        return self.loop.run_until_complete(call())

    def submit(self, lease: Lease, function: Callable[..., Any] = int, *args: Any) -> Future[Any]:
        call = FutureCall(function, args)
        lease.submit(call)
        return call.future

    def close(self, lease: Lease) -> None:
        ended = lease.close()
        if ended is not None:
            self.loop.until(ended.done)

    def shutdown(self) -> None:
        emptied = threading.Event()
        self.pool.shutdown(emptied.set)
        self.loop.until(emptied.is_set)


@pytest.fixture
def bench(loop: ClockLoop, hooks: NotedHooks) -> Iterator[Callable[[int], Bench]]:
    benches: list[Bench] = []

    def make(size: int) -> Bench:
        benches.append(Bench(loop, hooks, size))
        return benches[-1]

    yield make
    for made in benches:
        made.shutdown()


MakeBench = Callable[[int], Bench]


def test_a_spell_begins_after_the_one_before_has_ended(bench: MakeBench, hooks: NotedHooks) -> None:
    """A call made while the end of its lease's spell still runs begins the next spell after that end."""
    two = bench(2)
    stop = Stop()
    hooks.at["end"] = stop.wait
    lease = two.lease(lingers=False)
    first = two.submit(lease)
    two.loop.until(lambda: stop.arrived)
    second = two.submit(lease)
    assert hooks.names() == ["begin"]
    stop.open()
    first.result(5)
    second.result(5)
    two.close(lease)
    assert hooks.names() == ["begin", "end", "begin", "end"]


def test_a_spell_that_ends_with_its_call_ends_before_anybody_hears(bench: MakeBench, hooks: NotedHooks) -> None:
    """Where the spell ends with a call, its end is over when the call's outcome is known."""
    one = bench(1)
    lease = one.lease(lingers=False)
    one.submit(lease).result(5)
    assert hooks.names() == ["begin", "end"]
    assert not one.pool.exhausted()


def test_a_lease_that_goes_on_waits_its_turn(bench: MakeBench) -> None:
    """A lease that does not linger runs its next call after those that have waited for its worker."""
    one = bench(1)
    order: list[str] = []
    stop = Stop()
    busy, waiting = one.lease(lingers=False), one.lease(lingers=False)
    one.submit(busy, stop.wait)
    one.loop.until(lambda: stop.arrived)
    first = one.submit(waiting, order.append, "waiting")
    second = one.submit(busy, order.append, "busy")
    stop.open()
    first.result(5)
    second.result(5)
    assert order == ["waiting", "busy"]


def test_a_pool_tells_who_waits(bench: MakeBench) -> None:
    """Leases that have no worker yet are told in the order in which they came, and none once they have one."""
    one = bench(1)
    stop = Stop()
    busy, first, second = one.lease(lingers=False), one.lease(lingers=False), one.lease(lingers=False)
    one.submit(busy, stop.wait)
    calls = [one.submit(first), one.submit(second)]
    assert one.pool.waiting() == [first, second]
    stop.open()
    for call in calls:
        call.result(5)
    assert one.pool.waiting() == []


def test_calls_that_are_there_already_share_a_spell(bench: MakeBench, hooks: NotedHooks) -> None:
    """Where no other lease waits, calls that were made before the first has ended run in its spell."""
    one = bench(1)
    stop = Stop()
    lease = one.lease(lingers=False)
    calls = [one.submit(lease, stop.wait), one.submit(lease), one.submit(lease)]
    stop.open()
    for call in calls:
        call.result(5)
    one.close(lease)
    assert hooks.names() == ["begin", "end"]


def test_each_wait_has_its_whole_time(bench: MakeBench) -> None:
    """A lease that waits a second time, after its first wait was met, may wait for the whole timeout again."""
    one = bench(1)
    holder, lease = one.lease(), one.lease(lingers=False)
    one.submit(holder).result(5)
    first = one.submit(lease)
    one.loop.turn(1)
    one.close(holder)
    first.result(5)
    one.loop.until(lambda: lease.worker is None)
    again = one.lease()
    one.submit(again).result(5)
    second = one.submit(lease)
    one.loop.turn(9.5)
    assert not second.done()
    one.loop.turn(0.6)
    with pytest.raises(TimeoutError):
        second.result(5)
    one.close(again)


def test_the_next_call_of_a_websocket_waits_again(bench: MakeBench) -> None:
    """A lease that does not linger waits for a worker anew after a wait in vain; one that lingers fails at once."""
    one = bench(1)
    holder, socket, request = one.lease(), one.lease(lingers=False), one.lease()
    one.submit(holder).result(5)
    in_vain = [one.submit(socket), one.submit(request)]
    one.loop.turn(11)
    for call in in_vain:
        with pytest.raises(TimeoutError):
            call.result(5)
    waits, fails = one.submit(socket), one.submit(request)
    with pytest.raises(TimeoutError):
        fails.result(0)
    one.close(holder)
    assert waits.result(5) == 0


def test_a_call_that_meets_leaving_workers_gets_a_new_one(bench: MakeBench, hooks: NotedHooks) -> None:
    """A call made when every worker is about to leave runs on a worker that is started for it."""
    one = bench(1)
    stop = Stop()
    hooks.at["leave"] = stop.wait
    lease = one.lease()
    one.submit(lease).result(5)
    one.close(lease)
    one.pool.shutdown(int)
    one.loop.until(lambda: stop.arrived)
    late = one.submit(one.lease(lingers=False))
    stop.open()
    assert late.result(5) == 0


def test_a_call_after_the_end_leaves_nothing_behind(bench: MakeBench, hooks: NotedHooks) -> None:
    """A call that comes after its lease was closed has a spell that ends with it, even with a transaction open."""
    one = bench(1)
    lease = one.lease()
    one.submit(lease).result(5)
    one.close(lease)
    late = one.on_loop(lease.successor)
    hooks.busy_leases.add(late)
    one.submit(late).result(5)
    one.loop.until(lambda: late.worker is None)
    assert hooks.names() == ["begin", "end", "begin", "end"]
    assert not one.pool.exhausted()


def test_a_failing_hook_loses_no_worker(bench: MakeBench, hooks: NotedHooks, caplog: pytest.LogCaptureFixture) -> None:
    """After the end of a spell has raised, which is logged, the worker serves the next lease."""
    one = bench(1)

    def fail() -> None:
        raise LookupError("a receiver that fails")

    hooks.at["end"] = fail
    for _ in range(3):
        lease = one.lease()
        assert one.submit(lease).result(5) == 0
        one.close(lease)
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [LookupError] * 3
    assert len(one.pool.workers) == 1
