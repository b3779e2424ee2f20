"""Hooks of a pool that note what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from djfast_mount.threads.lease import Lease


class NotedHooks:
    """Notes what happens around the calls, and on which thread; a test may have it wait or fail there."""

    def __init__(self) -> None:
        self.events: list[tuple[str, threading.Thread]] = []
        self.at: dict[str, Callable[[], object]] = {}
        self.busy_leases: set[Lease] = set()
        self.kept_leases: set[Lease] = set()

    def begin(self, lease: Lease) -> None:
        self._note("begin")

    def busy(self, lease: Lease) -> bool:
        return lease in self.busy_leases

    def keeps(self, lease: Lease) -> bool:
        return lease in self.kept_leases

    def end(self, lease: Lease) -> None:
        self._note("end")

    def surrender(self, stock: dict[Any, Any]) -> None:
        self._note("surrender")

    def leave(self, stock: dict[Any, Any]) -> None:
        self._note("leave")

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def _note(self, name: str) -> None:
        self.at.get(name, int)()
        self.events.append((name, threading.current_thread()))
