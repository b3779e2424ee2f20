"""The threads of a root whose requests are observed: how long each waits for one, and holds it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor

from djfast_mount.database.connections import PoolThread
from djfast_mount.database.own_thread import OwnThread
from djfast_mount.request_thread.request import RequestThread, RequestThreads
from djfast_mount.telemetry.queries import count_statements_here
from djfast_mount.telemetry.record import current
from djfast_mount.threads.lease import Lease

__all__ = ["ObservedOwnThread", "ObservedPoolThread", "ObservedThreads"]


class ObservedPoolThread(PoolThread):
    """The hooks of a spell on a worker, whose time is added up."""

    def begin(self, lease: Lease) -> None:
        if lease.waited > lease.told:
            _tell_of_wait(lease)
        super().begin(lease)

    def end(self, lease: Lease) -> None:
        try:
            super().end(lease)
        finally:
            lease.spent += monotonic() - lease.since


def _tell_of_wait(lease: Lease) -> None:
    seconds, lease.told = lease.waited - lease.told, lease.waited
    observed: Any = current.get()
    if observed is not None and not observed.over:
        observed.note_wait(seconds)


class ObservedOwnThread(OwnThread):
    """The hooks of a spell on a thread that the pool did not lend: its connections have been there before."""

    def begin(self, lease: Lease) -> None:
        super().begin(lease)
        count_statements_here()

    def end(self, lease: Lease) -> None:
        try:
            super().end(lease)
        finally:
            lease.spent += monotonic() - lease.since


class ObservedThreads(RequestThreads):
    """Runs apps as RequestThreads does. What observes a request is told of the leases that it gets."""

    def lease_for(self, request: RequestThread, executor: CurrentThreadExecutor | None) -> Lease:
        lease = super().lease_for(request, executor)
        observed: Any = current.get()
        if observed is not None and not observed.over:
            if observed.leases is None:
                observed.leases, observed.task = [], asyncio.current_task()
            observed.leases.append(lease)
        return lease
