"""The garbage collector, told what a server's process is like. Standard library and ASGI only.

A Django project is about 100,000 objects that stay. A full collection looks at each of them: 50 to 100 ms in which
nothing is answered, and with the collector's defaults there is one every other second under load.

1. What is there when the start-up is done is taken out of all collections (`gc.freeze`).
2. A collection begins after 10,000 new containers instead of 700: a request has over a hundred in hand, so that a
   few dozen at once are taken for garbage that piles up.
3. With the lifespan's end both are as they were. A collector that is switched off, or that the project has set to
   begin later still, is left so.
"""

from __future__ import annotations

import gc
import threading

from starlette.types import Receive, Scope, Send

__all__ = ["lifespan"]

_CONTAINERS = 10_000
_FROZEN = gc.get_freeze_count()  # Some builds of Python 3.12 begin with a few hundred.


class _Collector:
    """What has been changed of the process's one collector, and for how many lifespans. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lifespans = 0
        self._collected = False
        self._thaws = False
        self._threshold = gc.get_threshold()

    def settle(self) -> None:
        with self._lock:
            self._lifespans += 1
            if self._lifespans == 1:
                self._settle()

    def restore(self) -> None:
        with self._lock:
            self._lifespans -= 1
            if not self._lifespans:
                gc.set_threshold(*self._threshold)
                if self._thaws:
                    gc.unfreeze()

    def _settle(self) -> None:
        self._threshold = gc.get_threshold()
        begins = self._threshold[0]
        # Whoever has frozen objects before, as ahead of a fork, wants them to stay so.
        self._thaws = gc.get_freeze_count() <= _FROZEN
        if not (gc.isenabled() and begins):
            return
        if not self._collected:
            # What is garbage by now would be frozen, too. Once is enough: a test starts many lifespans.
            self._collected = True
            gc.collect()
        gc.freeze()
        gc.set_threshold(max(begins, _CONTAINERS), *self._threshold[1:])


_collector = _Collector()


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the lifespan of these settings. It is to start last."""
    await receive()
    _collector.settle()
    try:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    finally:
        _collector.restore()
    await send({"type": "lifespan.shutdown.complete"})
