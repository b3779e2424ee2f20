"""A root that is observed: its layers, made from the settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.core.signals import got_request_exception
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.conf import option
from djfast_mount.request_thread.making import make_request_threads
from djfast_mount.request_thread.request import RequestThreads
from djfast_mount.telemetry.layers import Unobserved
from djfast_mount.telemetry.observed import Change, ObservedRequest, ObservedSocket, led_to, observing
from djfast_mount.telemetry.queries import count_statements
from djfast_mount.telemetry.record import Owner, current
from djfast_mount.telemetry.routes import MountedRoutes, route_of_view
from djfast_mount.telemetry.threads import ObservedOwnThread, ObservedPoolThread, ObservedThreads

__all__ = ["Observation", "make_layers"]


class Observation(Unobserved):
    """The layers of a root whose telemetry is on.

    Args:
        repeated_after: How often a request may send a statement before it counts as repeated.
        changes: What adds to the headers of each response.
    """

    def __init__(self, threads: RequestThreads, repeated_after: int, changes: Sequence[Change] = ()) -> None:
        super().__init__(threads)
        self._repeated_after = repeated_after
        self._changes = tuple(changes)
        count_statements()
        got_request_exception.connect(_note_error, dispatch_uid="djfast_mount.telemetry")

    def around(self, app: ASGIApp) -> ASGIApp:
        return observing(app, self._observe)

    def led_to(self, app: ASGIApp, owner: Owner, route: str | None = None) -> ASGIApp:
        if owner in ("api", "websocket"):
            return led_to(app, owner, MountedRoutes(app))
        if owner == "django":
            return led_to(app, owner, route_of_view)
        return led_to(app, owner, None if route is None else lambda observed: observed.base + route)

    @staticmethod
    def note_request(request: Any) -> None:
        """Has the record of the request that the caller belongs to look at Django's request for its route."""
        observed: Any = current.get()
        if observed is not None:
            observed.request = request

    def _observe(self, scope: Scope, receive: Receive, send: Send) -> ObservedRequest | ObservedSocket:
        kind = ObservedRequest if scope["type"] == "http" else ObservedSocket
        return kind(scope, receive, send, self._repeated_after, self._changes)


def _note_error(**_: object) -> None:
    """Both halves send the signal for an error that nobody has handled, while it is handled."""
    observed, kind = current.get(), sys.exc_info()[0]
    if observed is not None and kind is not None:
        observed.record.error = kind.__name__


def make_layers(sender: object, threads: int | None, wait_timeout: float, grace: float | None) -> Unobserved:
    """Returns the layers of a root as the settings have them, and its threads. No thread is started yet.

    Args:
        sender, threads, wait_timeout, grace: As `make_request_threads()` takes them.
    """
    if not option("telemetry"):
        return Unobserved(make_request_threads(sender, threads, wait_timeout, grace))
    observed = make_request_threads(
        sender,
        threads,
        wait_timeout,
        grace,
        kind=ObservedThreads,
        hooks=ObservedPoolThread,
        own_thread=ObservedOwnThread,
    )
    return Observation(observed, option("repeated_after"))
