"""What a test client knows of a request, from its begin to the end of the app that serves it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator

from djfast_mount.threads.worker import current_worker

__all__ = ["KEY", "TestRequest", "context_of", "ended", "request_of_caller", "under_way"]

KEY = "djfast_mount.testing"
"""The key in a scope under which the TestRequest is."""

# Seconds that an app gets to end when its client has gone.
_PATIENCE = 1.0

_request: contextvars.ContextVar[TestRequest] = contextvars.ContextVar("djfast_mount_test_request")

_lock = threading.Lock()
_under_way: list[TestRequest] = []  # guarded by _lock


class TestRequest:
    """One request of a test client. It is in the scope, and so in every copy of it.

    Args:
        name: Method and path, for messages.
        thread: The one that does the test's sync work, where that is known.
    """

    # pytest collects classes whose name begins with `Test`.
    __test__ = False

    def __init__(self, name: str, thread: threading.Thread | None) -> None:
        self.name = name
        self.thread = thread
        self.answered_error: BaseException | None = None
        """What an endpoint or a view raised before a response was made of it: what Django logs as an error."""


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


def request_of_caller() -> TestRequest | None:
    """Returns the request that the caller works for, as far as that is known. Runs on any thread."""
    request = _request.get(None)
    if request is not None or current_worker() is not None:
        return request
    # The test's own thread, mostly: what it opens is its own.
    if threading.current_thread() is threading.main_thread():
        return None
    with _lock:
        # A guess: with two requests at once it may be the other one. The warning names it, and no data depends on it.
        return _under_way[-1] if _under_way else None


async def ended(task: asyncio.Task[None]) -> None:
    """Returns when `task` has ended, which is cancelled if it takes long."""
    if not task.done():
        await asyncio.wait([task], timeout=_PATIENCE)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
