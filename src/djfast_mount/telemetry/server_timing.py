"""The header Server-Timing, which browsers show beside each request: https://www.w3.org/TR/server-timing/."""

from __future__ import annotations

from typing import Any

from djfast_mount.telemetry.watchers import Headers, Watcher

__all__ = ["ServerTiming"]


class ServerTiming(Watcher):
    """Tells what a request took until its response began: in all, waiting, on its thread, in the database."""

    def start(self, observed: Any, headers: Headers) -> None:
        observed.look()
        parts = [f"total;dur={observed.elapsed() * 1000:.1f}"]
        if observed.wait:
            parts.append(f"wait;dur={observed.wait * 1000:.1f}")
        if observed.on_thread:
            parts.append(f"thread;dur={observed.on_thread * 1000:.1f}")
        if observed.queries:
            parts.append(f'db;dur={observed.query_time * 1000:.1f};desc="{observed.queries} queries"')
        headers.append((b"server-timing", ", ".join(parts).encode()))
