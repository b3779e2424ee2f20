"""The mix of the ledger through PgBouncer in transaction mode, which is killed and started again in mid-run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from pgbouncer.bouncer import Bouncer
from pgbouncer.conftest import VERSIONS, root_of
from stress.databases import Backends, migrate
from stress.ledger import CLIENTS, Cuts, make_calls, play
from stress.load import Call, drive
from stress.server import THREADS, tail, under_load

REQUESTS = 3000


class Restarts(Cuts):
    """Ends PgBouncer, and with it every connection, before some of the calls.

    It is away until it has started again: all that is under way may fail, and the work behind answers on each thread.
    """

    fails = CLIENTS + THREADS

    def __init__(self, backends: Backends, bouncer: Bouncer, before: tuple[int, ...]) -> None:
        super().__init__(backends, before)
        self._bouncer = bouncer

    async def watch(self, number: int) -> None:
        if number in self.before:
            self.at.append(time.monotonic())
            self.ended.append(len(self.backends.states()))
            self._bouncer.stop(signal.SIGKILL)
            self._bouncer.start()


@pytest.mark.parametrize("which", VERSIONS)
def test_nothing_is_lost(which: str, database: str, tmp_path: Path) -> None:
    """3,000 requests and two restarts: no acknowledged write is lost, none is kept that rolled back, all goes on."""
    migrate({"DATABASE_URL": database})
    more = "ignore_startup_parameters = options"
    with (
        Bouncer(database, tmp_path, root_of(which), more) as bouncer,
        under_load("mounted", bouncer.url(), max_age=600, health_checks=True) as server,
        Backends(database) as backends,
    ):
        restarts = Restarts(backends, bouncer, (REQUESTS // 3, REQUESTS * 2 // 3))
        found, line = play(server, backends, database, make_calls(REQUESTS, random.Random(25)), restarts, THREADS)
        after = drive(server.port, [Call("/api/db"), Call("/api/db_async"), Call("/api/sync", "POST", "sync-x")] * 20)
        assert {answer.status for answer in after} == {200}, line
        assert found == {}, f"{line}\n{tail(server)}"
        assert len(restarts.at) == 2
