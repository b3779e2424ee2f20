"""PostgreSQL is restarted under the server: what fails afterwards, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stress.databases import Restartable, migrate, restartable
from stress.load import Call, drive
from stress.server import THREADS, Figures, judge, tail, under_load

PATHS = ("/api/db", "/api/db_async", "/django/affinity/view")


@pytest.fixture(scope="module")
def database() -> Iterator[Restartable]:
    with restartable() as server:
        migrate({"DATABASE_URL": server.url})
        yield server


@pytest.mark.parametrize("health_checks", [True, False], ids=["health_checks", "no_health_checks"])
def test_the_restart_of_the_database_is_survived(
    root: str, database: Restartable, health_checks: bool, figure: Figures
) -> None:
    """With health checks not one request fails after the restart; without, at most one for each kept connection."""
    calls = [Call(path, key="x") for path in PATHS] * 67
    with under_load(root, database.url, max_age=600, health_checks=health_checks) as server:
        before = [answer for answer in drive(server.port, calls) if answer.status != 200]
        database.restart()
        rounds = [[a for a in drive(server.port, calls) if a.status != 200] for _ in range(2)]
        found = {}
        if before:
            found["before"] = f"{len(before)} failed before the restart, the first {before[0]}"
        if len(rounds[0]) > (0 if health_checks else THREADS):
            found["after"] = f"{len(rounds[0])} of {len(calls)} failed after the restart"
        if rounds[1]:
            found["for ever"] = f"{len(rounds[1])} of the next {len(calls)} failed"
        figure(f"{[len(failures) for failures in rounds]} of {len(calls)} failed after the restart")
        judge(root, found, {"after", "for ever"}, tail(server))
