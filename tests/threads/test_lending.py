"""Idle leases whose slots go to those that wait: rule 6 at the head of djfast_mount.threads.pool.

Holds `threads/lending.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from djfast_mount.threads import lease as leases
from djfast_mount.threads.calls import FutureCall
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.lending import IDLE, LOOKS
from djfast_mount.threads.pool import RETURNING_FIRST, Pool
from laws.clock import ClockLoop
from laws.record import Stop
from pool_hooks import NotedHooks

pytestmark = pytest.mark.once


class Lending:
    """A pool of one slot, and leases on it."""

    def __init__(self, *, lends: bool = True) -> None:
        self.loop = ClockLoop()
        self.hooks = NotedHooks()
        self.pool = Pool(1, self.hooks, wait_timeout=10, lends=lends)
        self.leases: list[Lease] = []

    def lease(self, *, lingers: bool = True) -> Lease:
        async def make() -> Lease:
            return Lease(self.pool, {"type": "http", "path": "/"}, lingers=lingers)

        self.leases.append(self.loop.run_until_complete(make()))
        return self.leases[-1]

    def submit(self, lease: Lease, function: Callable[..., Any] = int, *args: Any) -> Future[Any]:
        call = FutureCall(function, args)
        lease.submit(call)
        return call.future

    def wait_until_idle(self, lease: Lease) -> None:
        self.loop.until(lambda: lease.idle_since and time.monotonic() - lease.idle_since > IDLE)

    def look(self, times: int = LOOKS + 1) -> None:
        for _ in range(times):
            self.loop.turn(IDLE / LOOKS * 1.01)

    async def _close_all(self) -> None:
        for lease in self.leases:
            lease.close()

    def end(self) -> None:
        self.loop.run_until_complete(self._close_all())
        ended: list[bool] = []
        self.pool.shutdown(lambda: ended.append(True))
        self.loop.until(lambda: ended)
        self.loop.close()


@pytest.fixture
def one() -> Iterator[Lending]:
    lending = Lending()
    yield lending
    lending.end()


def idle_and_waiting(one: Lending) -> tuple[Lease, Lease, Future[Any]]:
    holder, other = one.lease(), one.lease()
    one.submit(holder).result(5)
    one.wait_until_idle(holder)
    return holder, other, one.submit(other)


def test_an_idle_lease_gives_its_slot_to_one_that_waits(one: Lending) -> None:
    """A lease that waits gets the slot of an idle one, whose spell has ended before and whose thread stays its own."""
    holder, _, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    assert one.hooks.names()[:4] == ["begin", "end", "surrender", "begin"]
    assert is_parked(holder)
    first, second = one.hooks.events[0][1], one.hooks.events[3][1]
    assert first is not second


def test_it_goes_on_upon_its_own_thread(one: Lending) -> None:
    """The next call of a parked lease begins another spell, on the thread of the first."""
    holder, other, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    again = one.submit(holder)
    one.wait_until_idle(other)
    one.look()
    again.result(5)
    begun = [thread for name, thread in one.hooks.events if name == "begin"]
    assert begun[2] is begun[0]


def test_who_returns_comes_first(one: Lending) -> None:
    """A parked lease that calls again is served before those that wait for their first spell."""
    order: list[str] = []
    holder, other, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    stop = Stop()
    busy = one.submit(other, stop.wait)
    one.loop.until(lambda: stop.arrived)
    newcomer = one.submit(one.lease(lingers=False), order.append, "newcomer")
    returning = one.submit(holder, order.append, "returning")
    stop.open()
    busy.result(5)
    one.loop.run_until_complete(_closed(other))
    returning.result(5)
    one.loop.run_until_complete(_closed(holder))
    newcomer.result(5)
    assert order == ["returning", "newcomer"]


@pytest.fixture
def asks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "REFUSAL", 0)


@pytest.mark.usefixtures("asks_again_at_once")
def test_who_comes_last_passes_nobody_who_returns(one: Lending) -> None:
    """A newcomer is served ahead of leases that return only if enough of them came ahead of it, and not of others."""
    order: list[str] = []
    holder, other, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    for _ in range(RETURNING_FIRST):
        one.wait_until_idle(other)
        again = one.submit(holder)
        one.look()
        again.result(5)
        holder, other = other, holder
    stop = Stop()
    busy = one.submit(other, stop.wait)
    one.loop.until(lambda: stop.arrived)
    returning = one.submit(holder, order.append, "returning")
    newcomer = one.submit(one.lease(lingers=False), order.append, "newcomer")
    stop.open()
    busy.result(5)
    one.loop.run_until_complete(_closed(other))
    returning.result(5)
    one.loop.run_until_complete(_closed(holder))
    newcomer.result(5)
    assert order == ["returning", "newcomer"]


@pytest.mark.usefixtures("asks_again_at_once")
def test_a_newcomer_gets_its_turn(one: Lending) -> None:
    """However many return, one that waits for its first spell is passed by `RETURNING_FIRST` of them at most."""
    holder, other, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    stop = Stop()
    one.submit(other, stop.wait)
    one.loop.until(lambda: stop.arrived)
    served: list[str] = []
    newcomer = one.submit(one.lease(), served.append, "newcomer")
    stop.open()
    for _ in range(RETURNING_FIRST + 1):
        if newcomer.done():
            break
        again = one.submit(holder, served.append, "returning")
        one.wait_until_idle(other)
        one.look()
        one.loop.until(lambda again=again: again.done() or newcomer.done())
        holder, other = other, holder
    assert served == ["returning"] * RETURNING_FIRST + ["newcomer"]


def is_parked(lease: Lease) -> bool:
    return lease.worker is not None and lease.worker.slot is None


async def _closed(lease: Lease) -> None:
    ended = lease.close()
    if ended is not None:
        await ended


def test_too_few_turns_of_the_loop_are_not_idleness(one: Lending) -> None:
    """However long it has been, a slot is not taken before the loop has turned several times."""
    holder, _, waiting = idle_and_waiting(one)
    time.sleep(3 * IDLE)
    one.look(LOOKS - 1)
    assert not waiting.done()
    assert not is_parked(holder)


@pytest.mark.parametrize("kept", ["busy_leases", "kept_leases"])
def test_what_lives_on_a_connection_keeps_the_slot(one: Lending, kept: str) -> None:
    """A lease in a transaction, or with something else on its connection, keeps its slot, until that is over."""
    holder, _, waiting = idle_and_waiting(one)
    getattr(one.hooks, kept).add(holder)
    one.look()
    one.loop.until(lambda: holder.ask_after)
    assert not waiting.done()
    getattr(one.hooks, kept).clear()
    one.loop.until(lambda: time.monotonic() > holder.ask_after)
    one.look()
    waiting.result(5)


def test_an_explicit_block_keeps_the_slot(one: Lending) -> None:
    """A lease keeps its slot while one of its blocks asks for that."""
    holder, _, waiting = idle_and_waiting(one)
    holder.keepers.add(1)
    one.look()
    one.loop.until(lambda: holder.ask_after)
    assert not waiting.done()
    assert one.hooks.names() == ["begin"]


def test_a_parked_thread_ends_with_its_request(one: Lending) -> None:
    """The thread of a lease that is closed while it is parked ends, with all that the request has left on it."""
    holder, _, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    thread = one.hooks.events[0][1]
    assert one.loop.run_until_complete(_closed(holder)) is None
    one.loop.until(lambda: not thread.is_alive())
    assert one.pool.parked() == 0


def test_generators_of_a_parked_lease_are_closed_on_its_thread(one: Lending) -> None:
    """An iterator that a parked lease has left is closed on the lease's thread, within a spell."""

    def draw() -> Iterator[int]:
        try:
            yield 1
        finally:
            one.hooks._note("closed")

    holder, other, waiting = idle_and_waiting(one)
    iterator = draw()
    next(iterator)
    holder.iterators[id(iterator)] = iterator
    one.look()
    waiting.result(5)
    ended = holder.close()
    assert ended is not None
    one.loop.run_until_complete(_closed(other))
    one.loop.until(ended.done)
    names = one.hooks.names()
    at = names.index("closed")
    assert (names[at - 1], names[at + 1]) == ("begin", "end")
    assert one.hooks.events[at][1] is one.hooks.events[0][1]


def test_a_call_in_mid_request_fails_only_where_nothing_moves(one: Lending) -> None:
    """A parked lease that calls again waits on as long as others get their turn, and may call again after a failure."""
    holder, other, waiting = idle_and_waiting(one)
    one.look()
    waiting.result(5)
    one.hooks.busy_leases.add(other)
    again = one.submit(holder)
    one.pool.turns += 1
    one.loop.turn(10.1)
    assert not again.done()
    one.loop.turn(10.1)
    with pytest.raises(TimeoutError):
        again.result(0)
    last = one.submit(holder)
    assert not last.done()
    one.loop.run_until_complete(_closed(other))
    last.result(5)


def test_nothing_is_lent_where_that_is_switched_off() -> None:
    """A pool that does not lend leaves an idle lease its slot."""
    lending = Lending(lends=False)
    holder, _, waiting = idle_and_waiting(lending)
    lending.look(3 * LOOKS)
    assert not waiting.done()
    assert not is_parked(holder)
    lending.end()
