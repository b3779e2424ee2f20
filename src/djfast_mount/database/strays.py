"""ORM used off the request thread, found and named.

A connection that a request opens on a thread which is not lent to it (`asyncio.to_thread`, a raw thread, an executor)
is seen by no signal, so nobody closes it. Each place in the code that does so is logged once; its connection is closed
when the request ends or, where only the thread's end tells that it is not in use, with the first request to end after
that. One that is in a transaction then is in use by a thread that outlives the request: it waits for a later request's
end.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djfast_mount.database.signals import is_signalled
from djfast_mount.database.stray_places import close_from_here, note_place, place
from djfast_mount.database.transaction_status import in_transaction
from djfast_mount.offload.current import Source, current_source, in_flight
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.threads.calls import FutureCall
from djfast_mount.threads.worker import current_worker

__all__ = ["close_strays", "strays"]

logger = logging.getLogger("djfast_mount.strays")


class Stray(NamedTuple):
    """A connection that no signal closes."""

    connection: BaseDatabaseWrapper
    thread: threading.Thread
    request: int | None
    """The id of the source of the request that opened it. None: it belongs to its thread."""


_lock = threading.Lock()
strays: list[Stray] = []  # guarded by _lock; whether there are any may be asked without
_OF_ONE_THAT_ENDED = 0  # in the place of the id of a request


def close_strays(source: Source) -> None:
    """Has the connections closed that the request left on foreign threads. Runs on the event loop, at a request's end.

    It has nothing to do where there are no `strays`.
    """
    with _lock:
        found = [stray for stray in strays if _has_ended(stray, source)]
        used = [stray for stray in found if _is_used(stray)]
        strays[:] = [stray for stray in strays if stray not in found]
        strays.extend(stray._replace(request=_OF_ONE_THAT_ENDED) for stray in used)
    # On the request's thread, and not here: to close a connection talks to its server, which the loop must not wait
    # for.
    closed = [stray.connection for stray in found if stray not in used]
    if closed:
        source.lease().submit(FutureCall(close_from_here, (closed,)))


def _has_ended(stray: Stray, source: Source) -> bool:
    """Whether that to which the connection belongs has ended, when the request of `source` does."""
    if stray.request is None:
        return not stray.thread.is_alive()
    return stray.request in (id(source), _OF_ONE_THAT_ENDED)


def _is_used(stray: Stray) -> bool:
    # The thread has ended, so nobody uses the connection, even if a transaction is open on it.
    if stray.request is None:
        return False
    try:
        return in_transaction(stray.connection)
    except Exception:  # Its thread is closing it: sqlite3 refuses to tell.
        return False


def _note(connection: BaseDatabaseWrapper, **_: object) -> None:
    if current_worker() is not None:
        return
    thread = threading.current_thread()
    source = current_source()
    lease = None if source is None else source.held
    if lease is not None and lease.worker and lease.worker.thread is thread:
        return
    if is_signalled():
        return
    if source is None and (not in_flight.count or thread is threading.main_thread()):
        return
    with _lock:
        strays.append(Stray(connection, thread, None if source is None or source.over else id(source)))
    _report(thread, connection, source)


def _report(thread: threading.Thread, connection: BaseDatabaseWrapper, source: Source | None) -> None:
    where = place(sys._getframe(2)) or _place_of_endpoint(source)
    if not note_place(where):
        return
    logger.warning(
        "%s%s uses the ORM on the thread %r, which is not the request's: no signal closes its connection to %r there. "
        "Call it with sync_to_async(), or from a plain `def` endpoint or dependency.",
        where,
        "" if source is None else f", in {endpoint_name(source.scope)},",
        thread.name,
        connection.alias,
    )


def _place_of_endpoint(source: Source | None) -> str:
    """Returns where the endpoint of the request begins, as ``file:line``."""
    # Of `asyncio.to_thread(Model.objects.count)`, say, nothing nearer can be told: no line on its thread is the user's.
    endpoint = None if source is None else source.scope.get("endpoint")
    code = None if endpoint is None else getattr(inspect.unwrap(endpoint), "__code__", None)
    return "Code without a line of its own" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


connection_created.connect(_note, dispatch_uid="djfast_mount.database.strays")
