"""Django's two signals around each spell, and the thread left as it was found.

1. `request_started` comes first, `request_finished` last, both on the worker, whatever the request does.
2. A worker goes back only clean. `close_old_connections`, `request_finished` and even `connections.close_all()` do not
   heal a connection whose transaction was never left (Django's `close()` keeps it, marked as closed in transaction);
   `close()` and `del connections[alias]` together do.
3. Otherwise Django's own rules decide on the connections: CONN_MAX_AGE and CONN_HEALTH_CHECKS.

djfast_mount.database.session_state knows what a request has left in the session of a connection. A thread that the pool
did not lend has rules of its own (djfast_mount.database.borrowed_thread).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.database.session_state import (
    Stock,
    close_raw,
    left_open,
    session_of,
    throw_away,
    watch_connections,
)
from djfast_mount.database.signals import close_old, finish, finished, initialized, start, started
from djfast_mount.database.transaction_status import in_transaction
from djfast_mount.offload.back_to_loop import settle
from djfast_mount.offload.current import current_lease
from djfast_mount.routing.endpoints import endpoint_name
from djfast_mount.threads.lease import Lease
from djfast_mount.threads.worker import current_worker

__all__ = [
    "PoolThread",
    "announce",
    "begun",
    "note_started",
    "tell_of_transaction",
]

logger = logging.getLogger("djfast_mount.connections")


begun: list[Callable[[], None]] = []
"""Called when `request_started` has been sent for a spell: on its thread, in the context of its first call.

No receiver of the signal would do: the order of receivers changes, and Django's own closes a connection that is in a
transaction (its test client takes that one out and puts it in again, at the end).
"""


def announce(lease: Lease, sender: object, found: Sequence[BaseDatabaseWrapper] | None = None) -> None:
    """`found` are the thread's connections, where they may be passed to what Django does at a request's begin."""
    if found is None:
        request_started.send(sender=lease.sender or sender, scope=lease.scope)
    else:
        start(lease.sender or sender, lease.scope, found)
    for call in begun:
        call()


class PoolThread:
    """The hooks of a spell on a worker of the pool.

    Args:
        sender: The sender of the signals.
    """

    def __init__(self, sender: object) -> None:
        self._sender = sender
        # The loop that a thread was last set up for: `settle()` is needed once for each loop, and not for each spell.
        self._thread = threading.local()
        watch_connections()

    def begin(self, lease: Lease) -> None:
        if getattr(self._thread, "loop", None) is not lease.loop:
            self._thread.loop = lease.loop
            settle(lease.loop)
        if lease.carried:
            _unpack(lease.carried)
            lease.carried = None
        if lease.announces and not lease.open:
            lease.open = True
            announce(lease, self._sender, initialized())

    def busy(self, lease: Lease) -> bool:
        return any(map(in_transaction, initialized()))

    def keeps(self, lease: Lease) -> bool:
        return any(map(_keeps, initialized()))

    def end(self, lease: Lease) -> None:
        try:
            self._finish(lease)
        finally:
            # In `finally`, since a receiver may have failed. It is also needed if the response has sent the signal
            # itself, by its close().
            if not lease.parking:
                _clear_away(lease)

    def _finish(self, lease: Lease) -> None:
        # Before the signal, so that what a receiver writes is not lost with the request's transaction; and after it.
        found = initialized()
        if found and _heal(found, lease):
            found = initialized()
        if not lease.open:
            return
        if not (lease.announces or lease.closed):
            # One of several spells. Django's handler has sent request_started, and sends request_finished after the
            # last.
            close_old(found)
            return
        lease.open = False
        # A receiver that is not Django's has run, and may have left a transaction open in turn.
        if finish(lease.sender or self._sender, found):
            _heal(initialized(), lease)

    def surrender(self, stock: Stock) -> None:
        for connection in initialized():
            session = session_of(connection)
            if session is not None:
                session.surrender(stock)
            else:
                connection.close()

    def leave(self, stock: Stock) -> None:
        connections.close_all()
        for raw, _ in stock.values():
            close_raw(raw)


def tell_of_transaction(alias: str, lease: Lease) -> str:
    """Tells that the request has left a transaction open. Returns what the log says."""
    told = (
        f"{endpoint_name(lease.scope)} left a transaction open on the database {alias!r}; it was rolled back. "
        "Leave every atomic() that you enter, and set autocommit back."
    )
    logger.error("%s", told)
    for call in left_open:
        call(lease, alias)
    return told


def _heal(found: Iterable[BaseDatabaseWrapper], lease: Lease) -> bool:
    """Throws away every connection with a transaction that was never left. Returns whether there was one."""
    unclean = [connection for connection in found if in_transaction(connection)]
    if not unclean:
        return False
    for connection in unclean:
        tell_of_transaction(connection.alias, lease)
        throw_away(connection)
    return True


def _keeps(connection: BaseDatabaseWrapper) -> bool:
    session = session_of(connection)
    # Nobody has watched this connection, so anything may be in its session.
    return connection.connection is not None if session is None else session.keeps()


def _clear_away(lease: Lease) -> None:
    """Cleans or drops the connections, so that no other request meets what this one has left on them.

    Where the request goes on, what it has set on its wrappers goes along to its next worker.
    """
    found = initialized()
    if not found:
        return
    worker = current_worker()
    stock = {} if worker is None or worker.slot is None else worker.slot.stock
    for connection in found:
        session = session_of(connection)
        if session is None:
            # A project has put this connection there itself, and nobody knows what state it has.
            throw_away(connection)
        elif not session.is_clean():
            carries = session.carries()
            session.surrender(stock)
            if carries and lease.goes_on:
                lease.carried = lease.carried or {}
                session.carry(lease.carried)
            elif carries:
                session.detach()


def _unpack(luggage: Stock) -> None:
    """Puts the wrappers that a request has brought along in the place of the thread's own. Runs on a worker."""
    worker = current_worker()
    for alias, connection in luggage.items():
        for resident in initialized():
            session = session_of(resident)
            if session is not None and session.alias == alias and worker is not None and worker.slot is not None:
                session.surrender(worker.slot.stock)
                session.detach()
        connections[alias] = connection


def _note_started(**_: object) -> None:
    lease: Lease | None = current_lease()
    if lease is not None and not lease.announces:
        lease.open = True


def _note_finished(**_: object) -> None:
    lease: Lease | None = current_lease()
    if lease is not None:
        lease.open = False


def note_started() -> None:
    """Has leases note the `request_started` that Django's own handler sends."""
    request_started.connect(_note_started, dispatch_uid="djfast_mount.database.connections")
    started.expect(_note_started)


# Django sends the signal with the close() of each response.
request_finished.connect(_note_finished, dispatch_uid="djfast_mount.database.connections")
finished.expect(_note_finished)  # The signals that we send need not be noted a second time.
