"""The pools of the process in figures: threads, who waits for one, and connections to databases. For any thread."""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.threads.pool import Pool

__all__ = ["PoolFigures", "count_pool", "figures_of_pools"]

_lock = threading.Lock()
# Weakly, so that counting keeps no pool of a test alive.
_pools: weakref.WeakSet[Pool] = weakref.WeakSet()  # guarded by _lock
_wrappers: weakref.WeakSet[BaseDatabaseWrapper] = weakref.WeakSet()  # guarded by _lock


class PoolFigures(NamedTuple):
    """All pools of the process together."""

    size: int
    """The most threads that run."""
    busy: int
    """Threads that a request has."""
    parked: int
    """Threads that are kept by requests that await something else."""
    waiting: int
    """Requests that wait for a thread."""
    connections: int
    """Open connections to databases, of threads of the pool and kept for the next."""


def count_pool(pool: Pool) -> None:
    """Counts `pool` too, as long as it lives, and the connections that are opened from now on."""
    with _lock:
        _pools.add(pool)
    connection_created.connect(_note, dispatch_uid="djfast_mount.telemetry.pools")


def figures_of_pools() -> PoolFigures:
    """Returns the figures as of now. Asks no database."""
    with _lock:
        pools = list(_pools)
        opened = sum(wrapper.connection is not None for wrapper in _wrappers)
    slots = []
    for pool in pools:
        with pool.lock:
            slots += [worker.slot for worker in pool.workers if worker.slot is not None]
    return PoolFigures(
        size=sum(pool.size for pool in pools),
        busy=sum(len(pool.held()) for pool in pools),
        parked=sum(pool.parked() for pool in pools),
        waiting=sum(len(pool.waiting()) for pool in pools),
        connections=opened + sum(len(slot.stock) for slot in slots),
    )


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    with _lock:
        _wrappers.add(connection)
