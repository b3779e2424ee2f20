"""What requests have left behind: connections on foreign threads, and transactions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from djfast_mount.dashboard.process import route_of
from djfast_mount.database.session_state import left_open
from djfast_mount.database.stray_places import places
from djfast_mount.threads.lease import Lease

__all__ = ["Leak", "leaks", "watch"]

# How many leaks are kept, so that a route that leaks with every request takes no memory.
MOST = 50


class Leak(NamedTuple):
    """What was seen."""

    where: str
    """A line of the project's code, or a route."""
    what: str
    times: int


_lock = threading.Lock()
_transactions: OrderedDict[tuple[str, str], int] = OrderedDict()  # guarded by _lock; by route and alias


def _note(lease: Lease, alias: str) -> None:
    key = (route_of(lease.scope), alias)
    with _lock:
        _transactions[key] = _transactions.pop(key, 0) + 1
        if len(_transactions) > MOST:
            _transactions.popitem(last=False)


def watch() -> None:
    """Notes the transactions that are left open from now on. A second call changes nothing."""
    if _note not in left_open:
        left_open.append(_note)


def leaks() -> list[Leak]:
    """Returns what was seen in this process. For any thread.

    Of a line that uses the ORM off the request's thread nobody knows how often it does: it counts once.
    """
    with _lock:
        transactions = list(reversed(_transactions.items()))
    found = [Leak(route, f"left a transaction open on {alias!r}", times) for (route, alias), times in transactions]
    return found + [Leak(place, "uses the ORM off the request's thread", 1) for place in places()[:MOST]]
