"""Metrics for Prometheus, and the path on which they are had. Needs the extra ``prometheus``.

1. Everything is in prometheus_client's own registry, beside what a project puts there.
2. Where PROMETHEUS_MULTIPROC_DIR is set, each worker of a server tells the figures of all (prometheus_client's
   multiprocess mode). A gauge of one process cannot be asked by another, so it is written while there are requests, and
   once more when there are none.
3. Labels are templates of routes and words of HTTP: their number is bounded by the project, and not by its clients.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import weakref
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import Receive, Scope, Send

from djfast_mount.telemetry.pools import count_pool, figures_of_pools
from djfast_mount.telemetry.watchers import Watcher
from djfast_mount.threads.pool import Pool

__all__ = ["Metrics", "PrometheusWatcher"]

# Seconds between two looks at the pools while there are requests.
_INTERVAL = 1.0
_LABELS = ("owner", "method", "route", "status")
# With which a websocket is closed by the protocol: RFC 6455, section 7.4.1, and its registry. Others are anybody's.
_CODES = range(1000, 1016)
_SHARED = "PROMETHEUS_MULTIPROC_DIR" in os.environ

_duration = Histogram("djfast_mount_request_duration_seconds", "From a request's coming to its end.", _LABELS)
_wait = Histogram("djfast_mount_thread_wait_seconds", "For how long a request waited for a thread.", ("owner",))
_held = Histogram("djfast_mount_thread_held_seconds", "For how long a request held a thread.", ("owner",))
_queries = Counter("djfast_mount_queries", "Statements sent to databases.", ("owner", "route"))
_query_time = Counter("djfast_mount_query_seconds", "Time that statements took.", ("owner", "route"))
_sent = Counter("djfast_mount_sent_bytes", "Bytes of responses' bodies.", ("owner",))
_gone = Counter("djfast_mount_clients_gone", "Clients that left before they had the whole response.", ("owner",))
_active = Gauge("djfast_mount_active_requests", "Requests that are being served.", multiprocess_mode="livesum")
_GAUGES = {
    "size": Gauge("djfast_mount_threads", "The most threads that run.", multiprocess_mode="livesum"),
    "busy": Gauge("djfast_mount_threads_busy", "Threads that a request has.", multiprocess_mode="livesum"),
    "parked": Gauge(
        "djfast_mount_threads_parked",
        "Threads kept by requests that await something else.",
        multiprocess_mode="livesum",
    ),
    "waiting": Gauge("djfast_mount_waiting_requests", "Requests that wait for a thread.", multiprocess_mode="livesum"),
    "connections": Gauge("djfast_mount_connections", "Open connections to databases.", multiprocess_mode="livesum"),
}


def _leave() -> None:
    # At its end: a worker that was forked has an id of its own.
    mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def _refresh() -> None:
    for name, value in figures_of_pools()._asdict().items():
        _GAUGES[name].set(value)


class PrometheusWatcher(Watcher):
    """Counts each request that ends, and looks at the pool meanwhile."""

    def __init__(self, pool: Pool) -> None:
        count_pool(pool)
        self._timers: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # by event loop
        self._serving = 0
        if _SHARED:
            # A worker that has ended must not be counted with what it had open.
            atexit.register(_leave)

    def begin(self, observed: Any) -> None:
        self._serving += 1
        _active.inc()
        loop = asyncio.get_running_loop()
        # In one process the gauges are asked when somebody reads them. In several, the reader is another process.
        if _SHARED and loop not in self._timers:
            self._look(loop)

    def end(self, observed: Any) -> None:
        self._serving -= 1
        _active.dec()
        owner, route = observed.owner, observed.route or ""
        status = _status_of(observed)
        method = observed.method or "WEBSOCKET"
        _duration.labels(owner, method, route, status).observe(observed.duration)
        _sent.labels(owner).inc(observed.bytes_sent)
        # A request that took no thread would be a zero in the histogram, and hide how long the others waited.
        if observed.on_thread or observed.wait:
            _wait.labels(owner).observe(observed.wait)
            _held.labels(owner).observe(observed.on_thread)
        if observed.queries:
            _queries.labels(owner, route).inc(observed.queries)
            _query_time.labels(owner, route).inc(observed.query_time)
        if observed.client_gone:
            _gone.labels(owner).inc()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        _refresh()
        if self._serving:
            self._timers[loop] = loop.call_later(_INTERVAL, self._look, loop)
        else:
            self._timers.pop(loop, None)


def _status_of(observed: Any) -> str:
    if observed.status is None:
        return ""
    if observed.kind == "websocket" and observed.closed_by_client and observed.status not in _CODES:
        return "other"
    return str(observed.status)


class Metrics:
    """ASGI: answers with all metrics of the process, or of all workers.

    Args:
        token: What a client must send as ``Authorization: Bearer``; None: nothing.
    """

    def __init__(self, token: str | None) -> None:
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Metrics are served for the scope type 'http', not {scope['type']!r}.")
        headers = dict(scope["headers"])
        # In constant time: the token guards what a stranger may try as often as they like.
        if self._expected is not None and not secrets.compare_digest(
            headers.get(b"authorization", b""), self._expected
        ):
            await _answer(send, 401, b"", [(b"www-authenticate", b"Bearer")])
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"", [(b"allow", b"GET, HEAD")])
        else:
            encode, kind = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
            # In multiprocess mode it reads files.
            body = await asyncio.to_thread(_collect, encode)
            kinds = [(b"content-type", kind.encode())]
            await _answer(send, 200, b"" if scope["method"] == "HEAD" else body, kinds)


def _bury() -> None:
    """Takes out the gauges of workers that were killed: they could not do it themselves."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
        worker = file.stem.rpartition("_")[2]
        if worker.isdecimal() and not _lives(int(worker)):
            mark_process_dead(int(worker))  # type: ignore[no-untyped-call]


def _lives(worker: int) -> bool:
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is another user's.
        return True
    return True


def _collect(encode: Any) -> bytes:
    _refresh()
    registry: Any = REGISTRY
    if _SHARED:
        _bury()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(encode(registry))


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    headers = [*headers, length, (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
