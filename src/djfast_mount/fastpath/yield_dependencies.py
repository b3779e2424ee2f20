"""Dependencies with `yield` of plain functions: entered within a job on the request thread, left where FastAPI does it.

FastAPI makes a call of the thread of each entry and of each exit. An entry stands with the calls around it here, and
the exit that comes last ends the spell, so that a route with one such dependency takes two calls in the place of four.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from anyio import CancelScope

from djfast_mount.fastpath.private_names import private
from djfast_mount.offload.current import current_lease

__all__ = ["Entry"]


class Entry:
    """One such dependency, on the exit stack to which FastAPI adds it. Without an entry its exit does nothing.

    Args:
        ends_spell: Whether its exit is the last sync call of a request without errors.
    """

    __slots__ = ("_context", "_ends_spell")

    def __init__(self, ends_spell: bool) -> None:
        self._context: AbstractContextManager[Any] | None = None
        self._ends_spell = ends_spell

    def enter(self, context: AbstractContextManager[Any]) -> Any:
        """Enters `context`, and returns what the dependency yields. Runs on the request thread."""
        value = context.__enter__()
        self._context = context
        lease = current_lease()
        if lease is not None:
            lease.pins[id(self)] = frozenset(lease.iterators)
        return value

    # By this name djfast_mount.offload knows the exit of a context manager: what a stream has begun inside is closed
    # first, and no cancellation keeps it from being called.
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        context, self._context = self._context, None
        try:
            return context is not None and bool(context.__exit__(kind, error, traceback))
        finally:
            # An error is still to be reported, on the thread too.
            lease = current_lease() if self._ends_spell and kind is None else None
            if lease is not None:
                lease.end_with_this_call()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """As FastAPI's contextmanager_in_threadpool(): the exit is called whatever has happened within."""
        if self._context is None:
            return False
        with CancelScope(shield=True):
            if await private.run_in_threadpool(self.__exit__, kind, error, traceback):
                return True
        return False
