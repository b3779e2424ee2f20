"""Django's two signals around a spell on a thread that the pool did not lend: a test's, whose transaction must go on.

Nothing is closed there, whether djfast_mount or Django's handler sends the signals. An `atomic` block that the request
itself has left open is rolled back to its savepoint, and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from asgiref.sync import SyncToAsync
from django.core.signals import request_finished
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from djfast_mount.database.connections import announce, tell_of_transaction
from djfast_mount.database.session_state import Stock
from djfast_mount.exceptions import MountError
from djfast_mount.offload.back_to_loop import settle
from djfast_mount.threads.lease import Lease

__all__ = ["OwnThread", "is_shared", "keep_open", "may_close"]


class OwnThread:
    """The hooks of a spell on a thread that the pool did not lend."""

    def __init__(self, sender: object) -> None:
        self._sender = sender
        self._connections: Sequence[BaseDatabaseWrapper] = ()
        self._depths: dict[str, int] = {}
        self._loop: Any = None

    def begin(self, lease: Lease) -> None:
        self._loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
        settle(lease.loop)
        self._connections = connections.all()
        self._depths = {connection.alias: len(connection.atomic_blocks) for connection in self._connections}
        for connection in self._connections:
            keep_open(connection)
        if lease.announces and not lease.open:
            lease.open = True
            announce(lease, self._sender)

    def busy(self, lease: Lease) -> bool:
        return any(
            len(connection.atomic_blocks) > self._depths.get(connection.alias, 0) for connection in self._connections
        )

    def end(self, lease: Lease) -> None:
        for connection in self._connections:
            self._unwind(connection, lease)
        if lease.open:
            lease.open = False
            request_finished.send_robust(sender=lease.sender or self._sender)
        for connection in self._connections:
            may_close(connection)
        # This thread is the test's. It goes on with the loop that asgiref had noted before.
        SyncToAsync.threadlocal.main_event_loop = self._loop

    def keeps(self, lease: Lease) -> bool:
        """Nothing: the thread is nobody else's."""
        return False

    def surrender(self, stock: Stock) -> None:
        """Nothing: the thread goes on, and so do its connections."""

    def leave(self, stock: Stock) -> None:
        """Nothing: the thread goes on."""

    def _unwind(self, connection: BaseDatabaseWrapper, lease: Lease) -> None:
        if is_shared(connection):
            return  # Requests share it: what is open may be another's. The last one to end leaves nothing.
        blocks = connection.atomic_blocks
        depth = self._depths.get(connection.alias, 0)
        if len(blocks) > depth:
            error = MountError(tell_of_transaction(connection.alias, lease))
            while len(blocks) > depth:
                blocks[-1].__exit__(MountError, error, None)


_kept: Counter[BaseDatabaseWrapper] = Counter()  # by how many spells; each used by one thread at a time


def keep_open(connection: BaseDatabaseWrapper) -> None:
    """Has Django's two signals pass over the connection, which they would close, even in a transaction."""
    _kept[connection] += 1
    # On the instance, and a function that does nothing: Django's receivers call it on every connection of the thread,
    # and the test client itself takes them off only for its own requests.
    vars(connection)["close_if_unusable_or_obsolete"] = bool


def may_close(connection: BaseDatabaseWrapper) -> None:
    """Takes one `keep_open()` back."""
    _kept[connection] -= 1
    if not _kept[connection]:
        del _kept[connection], vars(connection)["close_if_unusable_or_obsolete"]


def is_shared(connection: BaseDatabaseWrapper) -> bool:
    """Whether more than one spell keeps the connection open: what is open on it may be another's."""
    return _kept[connection] > 1
