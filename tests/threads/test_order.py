"""The order in which workers are taken, and in which a request's iterators are closed at its end."""

from __future__ import annotations

import threading

import pytest

from pool_hooks import NotedHooks
from threads.test_pool import MakeBench, bench, hooks, loop

__all__ = ["bench", "hooks", "loop"]  # fixtures

pytestmark = pytest.mark.once


class Drawn:
    """An iterator that its request abandons."""

    def __init__(self, name: str, closed: list[str], noted: NotedHooks) -> None:
        self._name, self._closed, self._noted = name, closed, noted

    def close(self) -> None:
        self._closed.append(f"{self._name} before {self._noted.names().count('end') == 0}")


def test_the_last_worker_back_is_the_first_one_out(bench: MakeBench) -> None:
    """A lease gets the worker that came back last, whose connections and caches are warm; the others rest."""
    three = bench(3)
    leases = [three.lease() for _ in range(3)]
    threads = [three.submit(lease, threading.current_thread).result(5) for lease in leases]
    assert len(set(threads)) == 3
    for number in (1, 0, 2):
        three.close(leases[number])
    again = [three.lease() for _ in range(3)]
    assert [three.submit(lease, threading.current_thread).result(5) for lease in again] == [
        threads[2],
        threads[0],
        threads[1],
    ]
    for lease in again:
        three.close(lease)


def test_what_was_drawn_last_is_closed_first(bench: MakeBench, hooks: NotedHooks) -> None:
    """Iterators that a request leaves are closed in reverse order, as blocks are left, and before its spell ends."""
    one = bench(1)
    closed: list[str] = []
    lease = one.lease()
    one.submit(lease).result(5)
    for number, name in enumerate(("outer", "middle", "inner")):
        lease.iterators[number] = Drawn(name, closed, hooks)
    one.close(lease)
    assert closed == ["inner before True", "middle before True", "outer before True"]
    assert hooks.names() == ["begin", "end"]
