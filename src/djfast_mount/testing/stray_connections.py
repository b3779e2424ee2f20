"""Connections that a request of a test opens outside of the test's thread: found, named and closed.

They see nothing of the test's transaction, and stand in the way when the test database is dropped.
"""

from __future__ import annotations

import sys
import threading
import warnings

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.database.stray_places import close_from_here, place
from djfast_mount.offload.current import current_response
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.testing.requests import TestRequest, request_of_caller

__all__ = ["StrayConnectionWarning", "close_strays"]


class StrayConnectionWarning(UserWarning):
    """A request of a test opened a database connection on another thread than the test's."""


_lock = threading.Lock()
_opened: list[BaseDatabaseWrapper] = []  # guarded by _lock


def close_strays() -> None:
    """Closes the connections that were found. Runs when their client is closed, on any thread."""
    with _lock:
        found = _opened.copy()
        _opened.clear()
    close_from_here(found)


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    request = request_of_caller()
    thread = threading.current_thread()
    # Without a known thread nothing can be said: a false warning would fail suites that turn warnings into errors.
    if request is None or request.thread is None or request.thread is thread:
        return
    with _lock:
        _opened.append(connection)
    where = place(sys._getframe(1)) or "Code without a line of its own"
    filename, _colon, line = where.rpartition(":")
    # At the user's line, so that a filter of pytest's can name their module.
    warnings.warn_explicit(
        f"{_name_of(request)} opened a connection to {connection.alias!r} on the thread {thread.name!r}, which is not "
        "the test's: it sees nothing of the test's transaction. Use the ORM in sync_to_async(), in its async methods, "
        "or in a plain `def`.",
        StrayConnectionWarning,
        filename or where,
        int(line) if line.isdigit() else 0,
    )


def _name_of(request: TestRequest) -> str:
    scope = getattr(current_response(), "scope", None)
    return endpoint_name(scope) if scope is not None and "path" in scope else request.name


connection_created.connect(_note, dispatch_uid="djfast_mount.testing")
