"""Who is told of each request that has ended.

1. A listener is called on the event loop, in the task of the request, after the last byte was sent. It must not wait.
2. What a listener raises is logged, and neither the request nor another listener hears of it.
3. Nothing is queued and nothing is kept here: a record that no listener keeps is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from djfast_mount.telemetry.record import RequestRecord

__all__ = ["Listener", "audience", "publish", "subscribe"]

logger = logging.getLogger("djfast_mount.telemetry")

Listener = Callable[[RequestRecord], object]


class _Audience:
    listeners: tuple[Listener, ...] = ()
    """Who is told. Replaced as a whole: who goes through it is not troubled by who comes meanwhile."""


audience = _Audience()


def subscribe(listener: Listener) -> Callable[[], None]:
    """Has `listener` called with the record of each request that has ended. Returns what takes it out again.

    It is told of requests that begin from now on, in every root of the process whose telemetry is on. It is called on
    the event loop, and must return at once. What it raises is logged. For any thread; a listener that is subscribed
    already is not added again.
    """
    if listener not in audience.listeners:
        audience.listeners = (*audience.listeners, listener)

    def unsubscribe() -> None:
        audience.listeners = tuple(each for each in audience.listeners if each != listener)

    return unsubscribe


def publish(record: RequestRecord) -> None:
    """Tells all listeners of a request that has ended. Never raises an Exception."""
    for listener in audience.listeners:
        try:
            listener(record)
        except Exception:
            logger.exception("The telemetry listener %r failed. It is called again for the next request.", listener)
