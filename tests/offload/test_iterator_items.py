"""A sync iterator is drawn on the request's thread, several items with a hop, and each is sent as it is made."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from fastapi import FastAPI

from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.offload import iterator_items
from djfast_mount.offload.run import draw
from djfast_mount.threads.lease import Lease

pytestmark = pytest.mark.once

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


def in_a_request(action: Callable[[], Any], root_path: str) -> None:
    """Runs `action`, a coroutine function, in a request. It raises what that raises."""
    failed: list[BaseException] = []
    api = FastAPI()

    @api.get("/")
    async def endpoint() -> None:
        try:
            await action()
        except BaseException as error:
            failed.append(error)

    root = mount("/api", api)
    asyncio.run(call(root, http_scope(f"{root_path}/api/", root_path=root_path)))
    if failed:
        raise failed.pop()


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each hop to a thread."""
    found: list[str] = []
    own = Lease.submit

    def submit(self: Lease, call: Any) -> None:
        found.append("hop")
        own(self, call)

    monkeypatch.setattr(Lease, "submit", submit)
    return found


def test_many_items_take_few_hops(root_path: str, hops: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many items as 64 KiB hold come with one hop where they are made quickly; none is lost, all are in order."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 60.0)
    made = [b"%0100d" % count for count in range(10_000)]

    async def action() -> None:
        assert [item async for item in draw(iter(made))] == made

    in_a_request(action, root_path)
    assert len(hops) == 16


def test_slow_items_take_a_hop_each(root_path: str, hops: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A hop ends when its time is over: the thread is free for others between."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 0.0)

    async def action() -> None:
        assert [item async for item in draw(iter([b"a", b"b", b"c"]))] == [b"a", b"b", b"c"]

    in_a_request(action, root_path)
    assert len(hops) == 4


def test_an_item_comes_before_the_next_is_made(root_path: str) -> None:
    """What is made is handed on at once, however long the next one takes."""
    taken = threading.Event()
    waited: list[bool] = []

    def items() -> Iterator[bytes]:
        yield b"first"
        waited.append(taken.wait(20))
        yield b"second"

    async def action() -> None:
        found = []
        async for item in draw(items()):
            found.append(item)
            taken.set()
        assert found == [b"first", b"second"]

    in_a_request(action, root_path)
    assert waited == [True]


def test_a_slow_client_is_waited_for(root_path: str) -> None:
    """Where nobody takes what is made, no more is made than one hop's."""
    made: list[int] = []

    def items() -> Iterator[bytes]:
        while True:
            made.append(len(made))
            yield bytes(40_000)

    async def action() -> None:
        async with aclosing(draw(items())) as drawn:
            await anext(drawn)
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert len(made) <= 2

    in_a_request(action, root_path)


def test_an_error_comes_after_what_was_made_before(root_path: str) -> None:
    """An iterator that fails has its items handed on first; its own error is raised."""

    def items() -> Iterator[bytes]:
        yield b"first"
        yield b"second"
        raise ValueError("no third")

    found: list[bytes] = []

    async def action() -> None:
        async for item in draw(items()):
            found.append(item)  # noqa: PERF401

    with pytest.raises(ValueError, match="no third"):
        in_a_request(action, root_path)
    assert found == [b"first", b"second"]


def test_all_items_are_made_in_one_context_on_one_thread(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an iterator sets is there for its next item, and for who takes them."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 0.0)
    threads: set[int] = set()

    def items() -> Iterator[bytes]:
        for _ in range(5):
            threads.add(threading.get_ident())
            number.set(number.get() + 1)
            yield b"."

    async def action() -> None:
        assert len([item async for item in draw(items())]) == 5
        assert number.get() == 5

    in_a_request(action, root_path)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("end", ["cancelled", "closed"])
def test_who_stops_waits_for_the_item_that_is_being_made(
    root_path: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that is cancelled, or that closes what it draws from, goes on when the thread has come back."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 60.0)  # Both items come with one hop, however busy the machine is.
    events: list[str] = []
    making = threading.Event()
    goes_on = threading.Event()

    def items() -> Iterator[bytes]:
        yield b"first"
        making.set()
        goes_on.wait(20)
        events.append("made")
        yield b"second"

    async def take(drawn: Any) -> None:
        try:
            async with aclosing(drawn):
                async for _ in drawn:
                    if end == "closed":
                        await asyncio.to_thread(making.wait, 20)
                        asyncio.get_running_loop().call_later(0.05, goes_on.set)
                        break
        finally:
            events.append("stopped")

    async def action() -> None:
        task = asyncio.ensure_future(take(draw(items())))
        if end == "cancelled":
            await asyncio.to_thread(making.wait, 20)
            task.cancel()
            asyncio.get_running_loop().call_later(0.05, goes_on.set)
        await asyncio.wait([task])
        assert task.cancelled() == (end == "cancelled")

    in_a_request(action, root_path)
    assert events == ["made", "stopped"]


@pytest.mark.parametrize("end", ["cancelled", "closed"])
@pytest.mark.parametrize("is_over", [True, False])
def test_who_stops_is_told_of_an_error(
    root_path: str, end: str, is_over: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An iterator that fails while its caller stops raises its error there, once; the event loop has none to report."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 60.0)
    goes_on = threading.Event()

    def items() -> Iterator[bytes]:
        yield b"first"
        goes_on.wait(20)
        raise ValueError("no second")

    async def take(drawn: Any) -> None:
        async with aclosing(drawn):
            async for _ in drawn:
                asyncio.get_running_loop().call_later(0.0 if is_over else 0.1, goes_on.set)
                if is_over:
                    await asyncio.sleep(0.1)
                if end == "closed":
                    break
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    async def action() -> None:
        task = asyncio.ensure_future(take(draw(items())))
        await asyncio.wait([task])
        assert repr(task.exception()) == "ValueError('no second')"
        del task
        gc.collect()

    in_a_request(action, root_path)
    assert not caplog.records
