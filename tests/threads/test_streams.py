"""The places of streams: who waits, who goes ahead, and who is not let wait for ever."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from djfast_mount.threads import streams
from djfast_mount.threads.streams import Streams

pytestmark = pytest.mark.once


class Holder:
    """A stream, with or without a worker that it must come back to."""

    def __init__(self, *, worker: bool = True, may_wait: bool = True) -> None:
        self.worker: Any = SimpleNamespace(slot=object()) if worker else None
        self.pinned = worker
        self.may_wait = may_wait
        self.rested = False

    def rest(self) -> None:
        self.rested = True


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_PATIENCE", 0.01)


def places(workers: int, wait_timeout: float = 5.0) -> Streams:
    return Streams(workers, wait_timeout, TimeoutError)


def test_one_whose_place_was_taken_goes_on_when_it_has_a_worker() -> None:
    """A stream whose place was taken while it had no worker is not ended when it has one, even in a transaction."""

    async def check() -> None:
        found = places(2)
        placed, having = Holder(worker=False, may_wait=False), Holder()
        await found.enter(placed)
        await found.enter(having)
        placed.worker, placed.pinned = having.worker, True
        await asyncio.wait_for(found.enter(placed), 2)
        assert found.must_hurry(placed)

    asyncio.run(check())


async def waiting(entering: asyncio.Task[None]) -> bool:
    await asyncio.sleep(0.05)
    return not entering.done()


def enter(found: Streams, holder: Holder) -> asyncio.Task[None]:
    return asyncio.ensure_future(found.enter(holder))


def test_a_stream_without_a_worker_waits_in_order() -> None:
    """Streams beyond half of the workers wait, give their workers back, and get their places in order of arrival."""

    async def check() -> None:
        found = places(2)
        first, second, third = (Holder(worker=False) for _ in range(3))
        await found.enter(first)
        waits = enter(found, second), enter(found, third)
        assert await waiting(waits[0])
        assert second.rested
        found.leave(first)
        await waits[0]
        assert await waiting(waits[1])
        found.leave(second)
        await waits[1]

    asyncio.run(check())


def test_one_with_a_worker_goes_ahead_and_must_hurry() -> None:
    """A stream that has left something on its worker goes ahead of the limit, as long as a worker is left."""

    async def check() -> None:
        found = places(3)
        first, second = Holder(), Holder()
        await found.enter(first)
        await found.enter(second)
        assert (found.must_hurry(first), found.must_hurry(second)) == (False, True)
        found.leave(first)
        assert not found.must_hurry(second)

    asyncio.run(check())


def test_one_with_a_worker_is_granted_first() -> None:
    """A place goes to a stream that waits with its worker before it goes to those that wait without."""

    async def check() -> None:
        found = places(2)
        first, without, having = Holder(), Holder(worker=False), Holder()
        await found.enter(first)
        waits = enter(found, without), enter(found, having)
        assert await waiting(waits[1])
        found.leave(first)
        await waits[1]
        assert not waits[0].done()
        found.leave(having)
        await waits[0]

    asyncio.run(check())


def test_one_with_a_worker_takes_the_place_of_one_without() -> None:
    """Where who has the place waits for a worker, and who has the worker waits for a place, neither waits for ever.

    Whose place was taken is the next to have one.
    """

    async def check() -> None:
        found = places(2)
        placed, having = Holder(worker=False), Holder()
        await found.enter(placed)
        await asyncio.wait_for(found.enter(having), 2)
        assert found.holds(having)
        assert not found.holds(placed)
        other = enter(found, Holder(worker=False))
        await asyncio.sleep(0)
        again = enter(found, placed)
        assert await waiting(again)
        found.leave(having)
        await again
        assert await waiting(other)
        found.leave(placed)
        await other

    asyncio.run(check())


def test_one_in_a_transaction_is_not_let_wait() -> None:
    """A stream that may hold a transaction open, and can neither wait nor go ahead, is ended soon."""

    async def check() -> None:
        found = places(2)
        await found.enter(Holder())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found.enter(Holder(may_wait=False)), 2)

    asyncio.run(check())


def test_a_wait_ends() -> None:
    """A stream that waits in vain is ended after the limit, with its worker and without."""

    async def check() -> None:
        found = places(2, wait_timeout=0.05)
        await found.enter(Holder())
        for holder in (Holder(), Holder(worker=False)):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(found.enter(holder), 2)
            assert not found.awaited_by(holder)

    asyncio.run(check())
