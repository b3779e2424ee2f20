"""A root that is observed: its layers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from django.core.signals import got_request_exception
from starlette.types import ASGIApp

from djfast_mount.telemetry.observable_root import Unobserved
from djfast_mount.telemetry.observed_request import Part, led_to, observing
from djfast_mount.telemetry.queries import count_statements
from djfast_mount.telemetry.record import Owner, current
from djfast_mount.telemetry.routes import MountedRoutes, no_route, route_of_file, route_of_view
from djfast_mount.telemetry.watchers import Watching

__all__ = ["Observation"]


class Observation(Unobserved):
    """The layers of a root whose telemetry is on.

    Args:
        paths: What the root answers itself, by its path.
    """

    def __init__(self, threads: Any, watching: Watching, paths: Mapping[str, ASGIApp]) -> None:
        super().__init__(threads)
        self.paths = paths
        self._watching = watching
        count_statements()
        got_request_exception.connect(_note_error, dispatch_uid="djfast_mount.telemetry")

    def around(self, app: ASGIApp, *, alone: bool) -> ASGIApp:
        return observing(app, self._watching, alone=alone)

    def led_to(self, app: ASGIApp, owner: Owner, route: str | None = None) -> ASGIApp:
        if owner in ("api", "websocket"):
            return led_to(app, Part(owner, MountedRoutes(app)), self._watching)
        if owner == "django":
            return led_to(app, Part(owner, route_of_view), self._watching)
        if owner == "static":
            return led_to(app, Part(owner, route_of_file), self._watching)
        if route is None:
            return led_to(app, Part(owner, no_route), self._watching)
        return led_to(app, Part(owner, lambda observed: observed.scope.get("root_path", "") + route), self._watching)

    @staticmethod
    def note_request(request: Any) -> None:
        """Has the record of the request that the caller belongs to look at Django's request for its route."""
        observed: Any = current.get()
        if observed is not None and not observed.over:
            observed.request = request


def _note_error(**_: object) -> None:
    # Both halves send the signal for an error that nobody has handled, while it is handled.
    observed: Any = current.get()
    error = sys.exc_info()[1]
    if observed is not None and error is not None and not observed.over:
        observed.fail(error)
