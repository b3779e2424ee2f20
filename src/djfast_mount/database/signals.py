"""Django's request_started and request_finished.

Where nobody but Django listens, which is the rule, what its receivers do is done here without them: looking up the
receivers, and the thread's connections anew for each of them, takes longer than all that they do. With any other
receiver the signals are sent as ever, and where somebody has put something in the place of a signal's methods.

1. `request_started`: connections forget their queries; one that is too old or unusable is closed.
2. `request_finished`: such connections are closed, and the caches; the URLconf of the request is forgotten.
3. A receiver of Django's that somebody has disconnected is left out (Django's test client does so for a while).

Names used here that are not public, each with a canary test: ``_connections`` of Django's `connections` and `caches`,
django.urls.base._urlconfs; ``_storage`` of asgiref's Local, and its ``_data`` in one that is not thread-critical; the
entries of Signal.receivers; Signal._live_receivers, in whose place tracing puts its own. Another test asks Django for
the receivers that it connects.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from django.core.cache import caches, close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal, dispatcher
from django.urls import base as urls

__all__ = ["blocks", "close_old", "finish", "finished", "initialized", "is_signalled", "start", "started"]

Receiver = Callable[..., Any]
Connections = Sequence[BaseDatabaseWrapper]

_ANY_SENDER = id(None)
_ATTRIBUTES = len(vars(Signal()))
# Any, since type checkers do not know the names that are not public.
_connections: Any = connections
_caches: Any = caches
_urls: Any = urls
_Signal: Any = Signal
_SEND, _SEND_ROBUST = _Signal.send, _Signal.send_robust
_LIVE_RECEIVERS = getattr(_Signal, "_live_receivers", None)
# A package that was imported before may have put something in their place already.
_IS_DJANGOS = all(
    type(method) is FunctionType and method.__globals__ is vars(dispatcher)
    for method in (_SEND, _SEND_ROBUST, _LIVE_RECEIVERS)
)


class Receivers:
    """Who receives a signal. For any thread.

    Args:
        djangos: Those of Django.
    """

    def __init__(self, signal: Signal, djangos: set[Receiver]) -> None:
        self._signal = signal
        self._expected = {id(receiver) for receiver in djangos}  # A receiver need not have a hash.
        self._seen: tuple[list[Any], frozenset[Receiver] | None] = [], frozenset()

    def expect(self, receiver: Receiver) -> None:
        """Has `receiver` count for nobody: it has nothing to do where this module is at work."""
        self._expected.add(id(receiver))
        self._seen = [], frozenset()

    def django_only(self) -> frozenset[Receiver] | None:
        """Returns those of Django that are connected; None where there are others, or the sending is not Django's."""
        # Written out without calls, since each request of Django's half asks three times.
        if (
            not _IS_DJANGOS
            or _Signal.send is not _SEND
            or _Signal.send_robust is not _SEND_ROBUST
            or _Signal._live_receivers is not _LIVE_RECEIVERS
            or len(vars(self._signal)) != _ATTRIBUTES  # More: somebody has put a method in the place of one.
        ):
            return None
        entries, found = self._seen
        if entries != self._signal.receivers:
            entries = list(self._signal.receivers)
            found = self._look(entries)
            self._seen = entries, found
        return found

    def _look(self, entries: list[Any]) -> frozenset[Receiver] | None:
        found = set()
        for (_, sender), reference, *_ in entries:
            receiver = reference() if isinstance(reference, weakref.ReferenceType) else reference
            if receiver is None or sender != _ANY_SENDER or id(receiver) not in self._expected:
                return None
            found.add(receiver)
        return frozenset(found)


started = Receivers(request_started, {reset_queries, close_old_connections})
finished = Receivers(request_finished, {close_caches, close_old_connections, reset_urlconf})


class _Blocks(threading.local):
    """What blocks of request_signalling() on one thread share."""

    depth = 0  # how many of them are nested, or overlap
    kept: Connections = ()  # those that were in a transaction when the first block began
    found: dict[str, int]  # how deep in transactions each connection was then


blocks = _Blocks()


def is_signalled() -> bool:
    """Whether the calling thread is within a block of request_signalling(): its connections will be looked after."""
    return blocks.depth > 0


def initialized() -> list[BaseDatabaseWrapper]:
    """Returns what ``connections.all(initialized_only=True)`` does, on a thread in which no event loop runs."""
    try:
        held = vars(_connections._connections._storage)
    except AttributeError:  # Another version of Django keeps them elsewhere. Its public method is slower.
        return list(connections.all(initialized_only=True))
    if not held:  # The short way, since this is asked several times in each spell, and many spells use no database.
        return []
    return [held[alias] for alias in connections.settings if alias in held]


def start(sender: object, scope: Any, found: Connections) -> None:
    """Does what `request_started` does, and sends it only if somebody besides Django listens.

    Args:
        found: The thread's connections.
    """
    djangos = started.django_only()
    if djangos is None:
        request_started.send(sender=sender, scope=scope)
        return
    if reset_queries in djangos:
        for connection in found:
            connection.queries_log.clear()
    if found and close_old_connections in djangos:
        close_old(found)


def finish(sender: object, found: Connections) -> bool:
    """Does what `request_finished` does, and sends it only if somebody besides Django listens.

    Returns whether it was sent. Errors of receivers are logged.

    Args:
        found: The thread's connections.
    """
    djangos = finished.django_only()
    if djangos is not None:
        try:
            _finish(djangos, found)
        except Exception:
            # The signal is sent in the usual way then, which logs what fails.
            djangos = None
    if djangos is None:
        request_finished.send_robust(sender=sender)
    return djangos is None


def _finish(djangos: frozenset[Receiver], found: Connections) -> None:
    if close_caches in djangos and not _is_empty(_caches._connections):
        close_caches()
    if found and close_old_connections in djangos:
        close_old(found)
    if reset_urlconf in djangos and not _is_empty(_urls._urlconfs):
        reset_urlconf(None)


def close_old(found: Connections) -> None:
    """Does what Django's close_old_connections() does, for the connections `found`."""
    for connection in found:
        connection.close_if_unusable_or_obsolete()


def _is_empty(local: Any) -> bool:
    """Whether the current context has nothing in `local`, a Local of asgiref's that is not thread-critical."""
    storage = local._storage._data.get(None)
    return storage is None or not storage.data
