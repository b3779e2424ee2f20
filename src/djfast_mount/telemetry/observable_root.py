"""Where a root lets itself be observed: as the outermost layer, before each part that answers, and on its threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp

from djfast_mount.telemetry.record import Owner

__all__ = ["Unobserved"]


class Unobserved:
    """The layers of a root whose telemetry is off: there are none.

    Args:
        threads: What runs the apps: a djfast_mount.request_thread.request.RequestThreads, which is above this module.
    """

    note_request: Callable[[Any], None] | None = None
    """Called with each HttpRequest of Django's half."""
    paths: Mapping[str, ASGIApp] = {}
    """What the root answers itself, by its path inside of the outer prefix."""

    def __init__(self, threads: Any) -> None:
        self.threads = threads

    def around(self, app: ASGIApp, *, alone: bool) -> ASGIApp:
        """Returns `app`, the whole root, inside of the outermost layer.

        Args:
            alone: Whether it has no middleware.
        """
        return app

    def led_to(self, app: ASGIApp, owner: Owner, route: str | None = None) -> ASGIApp:
        """Returns `app`, which answers for `owner`, behind what notes that.

        Args:
            route: The template of its one route inside of the outer prefix, where it has only one.
        """
        return app
