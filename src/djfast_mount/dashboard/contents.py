"""All that the page shows, as data: for its template, its stream and the terminal."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import Any

from django.conf import settings

from djfast_mount.conf import SETTING
from djfast_mount.dashboard.doctor import doctor
from djfast_mount.dashboard.figures import RouteFigures, figures
from djfast_mount.dashboard.leaks import leaks
from djfast_mount.dashboard.process import Threads, connections_now, threads_now
from djfast_mount.dashboard.tables import (
    Table,
    connection_table,
    finding_table,
    leak_table,
    request_table,
    slowest_table,
    span,
    suspicion_table,
    thread_table,
    waiting_table,
)
from djfast_mount.dashboard.time_window import SECONDS
from djfast_mount.routing.root_interface import Root

__all__ = ["Contents", "as_data", "look"]

# Routes whose course is sent along: the page draws it.
_CHARTS = 12
# Seconds for which one look serves everybody, so that many viewers cost as much as one.
FRESH = 1.0


class Contents:
    """What one look has found."""

    def __init__(self, root: Root) -> None:
        threads = threads_now(root.pool)
        self.process = f"{os.getpid()} on {socket.gethostname()}"
        self.since = time.strftime("%H:%M:%S", time.localtime(figures.since))
        self.counts = bool(getattr(settings, SETTING, {}).get("telemetry"))
        self.routes = figures.routes()
        self.whole = figures.whole()
        self.summary = _summary(self.whole, threads)
        self.tables: list[Table] = [
            request_table(self.routes),
            thread_table(threads),
            waiting_table(threads),
            connection_table(connections_now(root.pool)),
            slowest_table(figures.slowest()),
            suspicion_table(figures.suspicions()),
            leak_table(leaks()),
            finding_table(doctor.found, doctor.note),
        ]


def _summary(whole: RouteFigures, threads: Threads) -> list[tuple[str, str]]:
    return [
        ("Requests/s", f"{whole.rate:.1f}"),
        ("p50", span(whole.p50) or "-"),
        ("p99", span(whole.p99) or "-"),
        ("Errors", str(whole.errors)),
        ("Threads", f"{threads.running} of {threads.size}"),
        ("Waiting", str(threads.queued)),
    ]


def as_data(contents: Contents) -> dict[str, Any]:
    """Returns the same for JSON, with the courses for the charts. Times are in seconds."""
    shown = contents.routes[:_CHARTS]
    return {
        "process": contents.process,
        "since": contents.since,
        "telemetry": contents.counts,
        "summary": contents.summary,
        "whole": contents.whole._asdict(),
        "routes": [route._asdict() for route in contents.routes],
        "tables": [table._asdict() for table in contents.tables],
        "charts": {
            "end": int(time.time() / SECONDS) * SECONDS,
            "step": SECONDS,
            "whole": figures.chart()._asdict(),
            "routes": [figures.chart((route.owner, route.method, route.route))._asdict() for route in shown],
        },
    }


class _Look:
    """The last look, for those who come within a second of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = 0.0  # guarded by _lock; time.monotonic()
        self._root: Root | None = None  # guarded by _lock
        self._text = ""  # guarded by _lock

    def __call__(self, root: Root) -> str:
        """Returns what `root` shows now, as JSON. For any thread."""
        with self._lock:
            if self._root is not root or time.monotonic() - self._at > FRESH:
                self._text = json.dumps(as_data(Contents(root)))
                self._root, self._at = root, time.monotonic()
            return self._text


look = _Look()
