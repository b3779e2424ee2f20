"""Connections that a request of a test opens outside of the test's thread: found, named and closed.

They see nothing of the test's transaction, and stand in the way when the test database is dropped.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import warnings
from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.database.strays import place
from djfast_mount.offload.current import current_source
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.testing.requests import TestRequest
from djfast_mount.threads.worker import current_worker

__all__ = ["StrayConnectionWarning", "close_strays", "context_of", "under_way"]


class StrayConnectionWarning(UserWarning):
    """A request of a test opened a database connection on another thread than the test's."""


_request: contextvars.ContextVar[TestRequest] = contextvars.ContextVar("djfast_mount_test_request")

_lock = threading.Lock()
_under_way: list[TestRequest] = []  # guarded by _lock
_opened: list[BaseDatabaseWrapper] = []  # guarded by _lock


def context_of(request: TestRequest) -> contextvars.Context:
    """Returns a copy of the current context by which whatever happens there is known to be the request's."""
    context = contextvars.copy_context()
    context.run(_request.set, request)
    return context


@contextlib.contextmanager
def under_way(request: TestRequest) -> Iterator[None]:
    """Meanwhile a thread that knows of no request is taken to be this one's."""
    with _lock:
        _under_way.append(request)
    try:
        yield
    finally:
        with _lock:
            _under_way.remove(request)


def close_strays() -> None:
    """Closes the connections that were found. Runs when their client is closed, on any thread."""
    with _lock:
        found = _opened.copy()
        _opened.clear()
    for connection in found:
        # Django ties a connection to the thread that made it, which has no say any more: its test is over.
        connection.inc_thread_sharing()
        try:
            with contextlib.suppress(Exception):
                connection.close()
        finally:
            connection.dec_thread_sharing()


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    request = _request_of_caller()
    thread = threading.current_thread()
    if request is None or request.thread is None or request.thread is thread:
        return
    with _lock:
        _opened.append(connection)
    where = place(sys._getframe(1)) or "Code without a line of its own"
    filename, _colon, line = where.rpartition(":")
    warnings.warn_explicit(
        f"{_name_of(request)} opened a connection to {connection.alias!r} on the thread {thread.name!r}, which is not "
        "the test's: it sees nothing of the test's transaction. Use the ORM in sync_to_async(), in its async methods, "
        "or in a plain `def`.",
        StrayConnectionWarning,
        filename or where,
        int(line) if line.isdigit() else 0,
    )


def _request_of_caller() -> TestRequest | None:
    request = _request.get(None)
    if request is not None or current_worker() is not None:
        return request
    if threading.current_thread() is threading.main_thread():
        return None
    with _lock:
        return _under_way[-1] if _under_way else None


def _name_of(request: TestRequest) -> str:
    scope = getattr(current_source(), "scope", None)
    return endpoint_name(scope) if scope is not None and "path" in scope else request.name


connection_created.connect(_note, dispatch_uid="djfast_mount.testing")
