"""The garbage collector, told what a server's process is like. Standard library and ASGI only.

A Django project is about 100,000 objects that stay. A full collection looks at each of them: 50 to 100 ms in which
nothing is answered, and with the collector's defaults there is one every other second under load.

1. What is there when the apps have started is taken out of all collections (`gc.freeze`).
2. A collection begins after 10,000 new containers instead of Python's own 700 or, from 3.13 on, 2,000: a request has
   over a hundred in hand, so that a few dozen at once are taken for garbage that piles up.
3. With the lifespan's end both are as they were, as far as they are still what was set here: what the project freezes
   itself, before a lifespan or within one, stays frozen, and a threshold that it sets within one stays set. A collector
   that is switched off, or that the project has set to begin later still, is left so.
4. Where several roots share a process, the first lifespan to start does all this, and the last to end takes it back.
   What a later root makes is not frozen: requests may be under way by then, and what they hold would be.
"""

from __future__ import annotations

import gc
import threading

from starlette.types import Receive, Scope, Send

__all__ = ["lifespan"]

_CONTAINERS = 10_000
_PYTHONS_OWN = 1_000  # Some builds of Python 3.12 begin with a few hundred frozen objects. Django alone has far more.

Threshold = tuple[int, int, int]


class _Collector:
    """What has been changed of the process's one collector, and for how many lifespans. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lifespans = 0
        self._collected = False
        self._first: list[object] | None = None  # made after a freeze that was ours alone; None: it was not
        self._found: Threshold | None = None  # None: nothing was set
        self._set: Threshold | None = None

    def settle(self) -> None:
        with self._lock:
            self._lifespans += 1
            if self._lifespans == 1 and gc.isenabled() and gc.get_threshold()[0]:
                self._settle()

    def restore(self) -> None:
        with self._lock:
            self._lifespans -= 1
            if not self._lifespans:
                self._restore()

    def _settle(self) -> None:
        if not self._collected:
            # What is garbage by now would be frozen, too. Once is enough: a test starts many lifespans.
            self._collected = True
            gc.collect()
        # Code that has frozen objects before, as ahead of a fork, wants them to stay so. To thaw is to thaw them all.
        ours = gc.get_freeze_count() < _PYTHONS_OWN
        gc.freeze()
        self._first = [] if ours else None
        self._found = gc.get_threshold()
        gc.set_threshold(max(self._found[0], _CONTAINERS), *self._found[1:])
        self._set = gc.get_threshold()

    def _restore(self) -> None:
        if self._found is not None and gc.get_threshold() == self._set:
            gc.set_threshold(*self._found)
        # It is among those to be collected unless somebody else has frozen since. How many are frozen would not tell:
        # ours get fewer by themselves.
        if self._first is not None and any(each is self._first for each in gc.get_objects()):
            gc.unfreeze()
        self._first = self._found = self._set = None


_collector = _Collector()


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the lifespan of these settings. It is to start after all that makes objects which stay: after the apps."""
    await receive()
    _collector.settle()
    try:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    finally:
        _collector.restore()
    await send({"type": "lifespan.shutdown.complete"})
