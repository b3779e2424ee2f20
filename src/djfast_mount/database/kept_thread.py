"""A request that keeps its thread, and with it its connections, where nothing tells that it has to."""

from __future__ import annotations

from types import TracebackType

from djfast_mount.offload.current import current_source
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.worker import current_worker

__all__ = ["keep_thread"]


class keep_thread:  # noqa: N801  (a context manager, named as atomic is)
    """Within it the request keeps its thread and its connections, whatever it waits for, and though others want them.

    A request gives its connections up while it waits for something else and others wait for a thread, and a stream or a
    websocket does between two calls. A transaction, an open cursor, SET, a temporary table and an advisory lock are
    seen, and prevent it. This is for what cannot be seen: a lock that a function of the database takes, SQL that goes
    past Django's cursors, an object that is bound to its thread::

        async with keep_thread():
            await sync_to_async(take_the_lock)()
            await client.post(...)
            await sync_to_async(release_the_lock)()

    Use ``with`` in sync code and ``async with`` in async code: in a stream or a websocket the latter waits until it is
    one of the few that may hold a thread (half of `threads`). Blocks may be nested. Outside of a request it does
    nothing. At the end of the request, it ends.

    Raises: PoolTimeout, from ``async with`` in a stream or a websocket that has waited in vain.
    """

    def __init__(self) -> None:
        self._lease: Lease | None = None

    def __enter__(self) -> None:
        self._lease = lease = _lease()
        if lease is not None:
            lease.keepers.add(id(self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.keepers.discard(id(self))
            if not lease.lingers:
                lease.rest()

    async def __aenter__(self) -> None:
        lease = _lease()
        if lease is not None and not lease.lingers:
            await lease.pool.streams.enter(lease)
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _lease() -> Lease | None:
    worker = current_worker()
    if worker is not None:
        return worker.claim if isinstance(worker.claim, Lease) else None
    source = current_source()
    if source is None:
        return None
    # On a thread that the pool did not lend there may be no loop, and nothing is taken from it.
    lease: Lease = source.held if source.held is not None else source.lease()
    return lease
