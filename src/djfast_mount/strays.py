"""ORM used off the request thread, found and named.

A connection that a request opens on a thread which is not lent to it (`asyncio.to_thread`, a raw thread, an executor)
is seen by no signal, so nobody closes it. Each place in the code that does so is logged once; its connection is closed
when the request ends or, where only the thread's end tells that it is not in use, with the first request to end after
that.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from types import FrameType

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.calls import FutureCall
from djfast_mount.leases import Lease
from djfast_mount.offload import current_lease
from djfast_mount.threads import current_worker

__all__ = ["close_strays", "in_flight", "places"]

logger = logging.getLogger("djfast_mount.strays")

# Packages between the user's line and the signal; a frame of theirs is not the place to name.
_PASSED_OVER = ("django", "psycopg", "psycopg_pool", "sqlite3", "asgiref", "concurrent", "threading", "djfast_mount")

_lock = threading.Lock()
_places: set[str] = set()  # guarded by _lock
_of_leases: dict[int, list[BaseDatabaseWrapper]] = {}  # guarded by _lock; by the lease's id
_of_threads: list[tuple[threading.Thread, BaseDatabaseWrapper]] = []  # guarded by _lock


class _InFlight:
    """How many requests are being served. Changed on event loops only."""

    count = 0


in_flight = _InFlight()


def places() -> list[str]:
    """Returns where the ORM was used off the request thread so far, each as ``file:line``."""
    with _lock:
        return sorted(_places)


def close_strays(lease: Lease) -> None:
    """Has the connections closed that the request left on foreign threads. Runs on the event loop, at a request's
    end.
    """
    if not _of_leases and not _of_threads:
        return
    with _lock:
        found = _of_leases.pop(id(lease), [])
        dead = [entry for entry in _of_threads if not entry[0].is_alive()]
        for entry in dead:
            _of_threads.remove(entry)
    found += [connection for _, connection in dead]
    if found:
        lease.submit(FutureCall(_close, (found,)))


def _close(found: list[BaseDatabaseWrapper]) -> None:
    for connection in found:
        # Django ties a connection to the thread that made it; here that thread is done with it.
        connection.inc_thread_sharing()
        try:
            with contextlib.suppress(Exception):
                connection.close()
        finally:
            connection.dec_thread_sharing()


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    lease = current_lease()
    thread = threading.current_thread()
    if current_worker() is not None or (lease is not None and lease.worker and lease.worker.thread is thread):
        return
    if lease is None and (not in_flight.count or thread is threading.main_thread()):
        return
    with _lock:
        if lease is not None and not lease.closed:
            _of_leases.setdefault(id(lease), []).append(connection)
        else:
            _of_threads.append((thread, connection))
    _report(thread, connection)


def _report(thread: threading.Thread, connection: BaseDatabaseWrapper) -> None:
    place = _place(sys._getframe(2))
    with _lock:
        if place in _places:
            return
        _places.add(place)
    logger.warning(
        "%s uses the ORM on the thread %r, which is not the request's: no signal closes its connection to %r there. "
        "Call it with sync_to_async(), or from a plain `def` endpoint or dependency.",
        place,
        thread.name,
        connection.alias,
    )


def _place(frame: FrameType | None) -> str:
    for summary, _ in traceback.walk_stack(frame):
        if summary.f_globals.get("__name__", "").partition(".")[0] not in _PASSED_OVER:
            return f"{summary.f_code.co_filename}:{summary.f_lineno}"
    return "Code without a frame of its own"


connection_created.connect(_note, dispatch_uid="djfast_mount.strays")
