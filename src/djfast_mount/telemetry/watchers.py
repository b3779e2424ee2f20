"""Who hears of requests while they are served: request ids, logs and exporters. Each is a `Watcher`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Headers", "Watcher", "Watching", "tell"]

logger = logging.getLogger("djfast_mount.telemetry")

Headers = list[tuple[bytes, bytes]]


class Watcher:
    """What is done with each request. A subclass overrides what it needs; the rest is never called.

    All but `fail` and those that note something run on the event loop, in the task of the request. `observed` is the
    request that is served. What one raises is logged, and neither the request nor another watcher hears of it.
    """

    id_header: bytes | None = None
    """The header of the response that has the id of the request, where this one gives it one."""

    def id_of(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Returns the id of a request that has these headers. Called when somebody asks for the id, once."""
        raise NotImplementedError

    def begin(self, observed: Any) -> None:
        """The request has come."""

    def start(self, observed: Any, headers: Headers) -> None:
        """The response begins. What is added to `headers` is sent."""

    def fail(self, observed: Any, error: BaseException) -> None:
        """An exception was raised that no handler of the project has answered. Runs on any thread."""

    def note_statement(self, observed: Any, sql: Any, seconds: float, vendor: str) -> None:
        """A statement has been executed. Runs on the thread that sent it, in the context of the caller.

        Args:
            vendor: Django's name for the kind of the database.
        """

    def add_outgoing(self, observed: Any, headers: dict[str, str]) -> None:
        """The request makes one itself, which has `headers`. Runs on any thread."""

    def note_wait(self, observed: Any, seconds: float) -> None:
        """The request has got a thread, for which it has waited. Runs on that thread, in the request's context."""

    def end(self, observed: Any) -> None:
        """The request has ended, and its record is complete."""


Call = Callable[..., None]


class Watching:
    """The watchers of a root, by what they want to hear.

    Args:
        repeated_after: How often a request may send a statement before it counts as repeated.
        watchers: The outermost first: they end in the reverse order.
    """

    def __init__(self, repeated_after: int, watchers: Iterable[Watcher] = ()) -> None:
        found = list(watchers)
        self.repeated_after = repeated_after
        ids = next((watcher for watcher in found if watcher.id_header is not None), None)
        self.id_header = None if ids is None else ids.id_header
        self.id_of: Callable[[Any], bytes | None] = _no_id if ids is None else ids.id_of
        self.begin = _overridden(found, "begin")
        self.start = _overridden(found, "start")
        self.adds_no_more = len(self.start) == (ids is not None)
        self.hears = len(found) > (ids is not None)
        self.fail = _overridden(found, "fail")
        self.add_outgoing = _overridden(found, "add_outgoing")
        self.note_wait = _overridden(found, "note_wait")
        self.note_statement = _overridden(found, "note_statement")
        self.end = _overridden(reversed(found), "end")


def _no_id(_: object) -> None:
    """Requests have none."""


def _overridden(watchers: Iterable[Watcher], name: str) -> tuple[Call, ...]:
    # Looked up once, so that a request calls only those that do something.
    own = (watcher for watcher in watchers if getattr(type(watcher), name) is not getattr(Watcher, name))
    return tuple(getattr(watcher, name) for watcher in own)


def tell(calls: Iterable[Call], *args: Any) -> None:
    """Calls each of `calls`. What one raises is logged."""
    for call in calls:
        try:
            call(*args)
        except Exception:
            logger.exception("%r failed. The request goes on.", call)
