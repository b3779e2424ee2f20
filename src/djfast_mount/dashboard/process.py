"""The threads of this process, the requests that wait for one, and the connections to the databases: as of now."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.urls import Resolver404, get_resolver

from djfast_mount.database.transaction_status import in_transaction
from djfast_mount.routing.placement import placements
from djfast_mount.threads.pool import Pool

__all__ = ["Connections", "Thread", "Threads", "Waiting", "connections_now", "route_of", "threads_now", "watch"]

logger = logging.getLogger("djfast_mount.dashboard")

# Requests without a thread whose routes are looked for.
_MOST_WAITING = 20


class Thread(NamedTuple):
    """A thread of the pool."""

    name: str
    request: str
    """Method and route of the request that has it; empty: none has."""
    doing: str
    """``"running"``, ``"between calls"``, or ``"parked"``: its request awaits something and has lent its place."""
    seconds: float
    """Since the request's spell began; 0.0 where there is none."""


class Waiting(NamedTuple):
    """A request that waits for a thread."""

    request: str
    """Its method and route."""
    seconds: float
    """For how long, all its waits together."""


class Threads(NamedTuple):
    """The pool."""

    size: int
    """The most threads that run."""
    taken: list[Thread]
    idle: int
    """Threads without a request, with their connections."""
    parked: int
    waiting: list[Waiting]
    """Who waits for a thread: those that are next."""
    queued: int
    """How many wait in all."""

    @property
    def running(self) -> int:
        """How many requests have a thread that may run."""
        return sum(thread.doing != "parked" for thread in self.taken)


class Connections(NamedTuple):
    """The connections of this process to one database."""

    alias: str
    engine: str
    used: int
    """Open, on threads."""
    in_transaction: int
    kept: int
    """Open, and kept for the next thread."""


def threads_now(pool: Pool) -> Threads:
    """Looks at the pool. For any thread."""
    now = time.monotonic()
    # Only to copy: names of routes are found afterwards, since that may take milliseconds, and every request wants this
    # lock.
    with pool.lock:
        workers = sorted(pool.workers, key=lambda worker: worker.thread.name if worker.thread else "")
        leases = [(worker, worker.claim, worker.slot is not None) for worker in workers]
    taken = [
        Thread(
            worker.thread.name if worker.thread else "",
            route_of(lease.scope),
            ("running" if lease.calling else "between calls") if runs else "parked",
            now - lease.since if lease.since else 0.0,
        )
        for worker, lease, runs in leases
        if lease is not None
    ]
    idle = sum(lease is None and runs for _, lease, runs in leases)
    queue = pool.waiting()
    # Hundreds may wait, and finding a route takes its time.
    waiting = [Waiting(route_of(lease.scope), lease.waited_by(now)) for lease in queue[:_MOST_WAITING]]
    return Threads(pool.size, taken, idle, pool.parked(), waiting, len(queue))


def route_of(scope: Any) -> str:
    """Returns the method and the route of a request that is being served. Of the path itself it tells nothing."""
    method = scope.get("method", scope["type"].upper())
    try:
        route = _route(scope.get("root_path", ""), scope.get("path", ""))
    except Exception:  # A router of the project's own: nothing that only looks on may fail by it.
        logger.exception("The route of a request cannot be told.")
        route = None
    return f"{method} {route or '(no route)'}"


def _route(outer: str, path: str) -> str | None:
    if not placements:
        return None
    placement = placements[0]
    inside = path.removeprefix(outer) if path.startswith(outer) else path
    # As the dispatcher does it: the longest prefix wins.
    for prefix in sorted(placement.apps, key=len, reverse=True):
        routes = placement.apps[prefix]
        if routes is not None and outer.endswith(prefix) and (taking := routes.taking(inside)) is not None:
            return prefix + taking
    try:
        return f"{placement.django_prefix}/{get_resolver().resolve(inside).route}"
    except Resolver404:
        return None


# Connections --------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_wrappers: weakref.WeakSet[BaseDatabaseWrapper] = weakref.WeakSet()  # guarded by _lock


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    with _lock:
        _wrappers.add(connection)


def watch() -> None:
    """Counts the connections that are opened from now on. A second call changes nothing."""
    connection_created.connect(_note, dispatch_uid="djfast_mount.dashboard.process")


def connections_now(pool: Pool) -> list[Connections]:
    """Returns how many connections are open, in the order of ``settings.DATABASES``. For any thread; asks no server."""
    with _lock:
        known = [wrapper for wrapper in _wrappers if wrapper.connection is not None]
    # Django keeps what it has closed in a transaction, though it is of no use any more.
    known = [wrapper for wrapper in known if not wrapper.closed_in_transaction]
    with pool.lock:
        slots = [worker.slot for worker in pool.workers if worker.slot is not None]
    used = Counter(wrapper.alias for wrapper in known)
    busy = Counter(wrapper.alias for wrapper in known if _in_transaction(wrapper))
    kept = Counter(alias for slot in slots for alias in list(slot.stock))
    return [
        Connections(
            alias,
            connections.settings[alias]["ENGINE"].rpartition(".")[2],
            used[alias],
            busy[alias],
            kept[alias],
        )
        for alias in connections
    ]


def _in_transaction(wrapper: BaseDatabaseWrapper) -> bool:
    try:
        return in_transaction(wrapper)
    except Exception:  # Another thread closes the connection at this moment.
        return False
