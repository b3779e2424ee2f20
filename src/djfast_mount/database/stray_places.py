"""Connections opened off the request thread: the lines of the user's code that opened them, and how they are closed.

What finds them stands on this: in a request djfast_mount.database.strays, and in a test
djfast_mount.testing.stray_connections.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Iterable
from types import FrameType

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["close_from_here", "note_place", "place", "places"]

# Packages between the user's line and the signal; a frame of theirs is not the place to name.
_PASSED_OVER = ("django", "psycopg", "psycopg_pool", "sqlite3", "asgiref", "concurrent", "threading", "djfast_mount")

_lock = threading.Lock()
_places: set[str] = set()  # guarded by _lock


def place(frame: FrameType | None) -> str | None:
    """Returns the nearest line at or above `frame` that is the user's, as ``file:line``; None where there is none."""
    for summary, _ in traceback.walk_stack(frame):
        if summary.f_globals.get("__name__", "").partition(".")[0] not in _PASSED_OVER:
            return f"{summary.f_code.co_filename}:{summary.f_lineno}"
    return None


def note_place(where: str) -> bool:
    """Remembers a place. Returns whether it is a new one."""
    with _lock:
        is_new = where not in _places
        _places.add(where)
    return is_new


def places() -> list[str]:
    """Returns where the ORM was used off the request thread so far, each as ``file:line``."""
    with _lock:
        return sorted(_places)


def close_from_here(found: Iterable[BaseDatabaseWrapper]) -> None:
    """Closes connections of other threads, which are done with them."""
    for connection in found:
        # Django ties a connection to the thread that made it.
        connection.inc_thread_sharing()
        try:
            with contextlib.suppress(Exception):
                connection.close()
        finally:
            connection.dec_thread_sharing()
