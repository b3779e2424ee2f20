"""Every write is where it must be, and nowhere else, whatever the clients and the database do meanwhile."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stress.databases import Backends, migrate
from stress.ledger import Cuts, find_in_record, find_in_rows, make_calls, play, rows_of_sqlite, unexpected
from stress.load import Call, drive, settled_report
from stress.server import THREADS, Figures, Serve, judge, tail, under_load

REQUESTS = 3000


def test_every_acknowledged_write_is_there_once(
    root: str, serve: Serve, postgres_url: str, chance: random.Random, figure: Figures
) -> None:
    """3,000 mixed requests, a quarter aborted: no write lost, doubled or wrongly kept, one thread each, all paired."""
    with serve() as server, Backends(postgres_url) as backends:
        found, line = play(server, backends, postgres_url, make_calls(REQUESTS, chance), Cuts(backends), THREADS)
        figure(f"{line}; {found}")
        judge(root, found, {"lost", "kept", "idle", "threads", "spell", "signals", "backends"}, tail(server))


def test_only_what_was_in_flight_fails_when_all_connections_are_reset(
    root: str, serve: Serve, postgres_url: str, chance: random.Random, figure: Figures
) -> None:
    """Two resets of every connection in mid-run cost at most one request a thread each; all later ones succeed."""
    with serve(max_age=600, health_checks=True) as server, Backends(postgres_url) as backends:
        cuts = Cuts(backends, before=(REQUESTS // 3, REQUESTS * 2 // 3))
        found, line = play(server, backends, postgres_url, make_calls(REQUESTS, chance), cuts, THREADS)
        after = drive(server.port, [Call("/api/db"), Call("/api/db_async"), Call("/api/sync", "POST", "sync-x")] * 20)
        refused = sum(answer.status != 200 for answer in after)
        if refused:
            found["afterwards"] = f"{refused} of {len(after)} calls after the run are not answered 200"
        figure(f"{line}; {found}")
        judge(root, found, {"lost", "kept", "unanswered", "afterwards"}, tail(server))


@pytest.fixture
def sqlite_path(tmp_path: Path) -> str:
    path = str(tmp_path / "ledger.sqlite3")
    migrate({"DATABASE_URL": f"sqlite:///{path}"})
    return path


def test_the_ledger_holds_on_sqlite(root: str, sqlite_path: str, chance: random.Random, figure: Figures) -> None:
    """600 mixed requests on SQLite, a quarter aborted: no write lost or wrongly kept, and no locked database."""
    with under_load(root, f"sqlite:///{sqlite_path}") as server:
        calls = make_calls(600, chance)
        answers = drive(server.port, calls, within=60)
        record, rows = settled_report(server.port), rows_of_sqlite(sqlite_path)
        found = {**find_in_rows(answers, rows, set()), **find_in_record(record)}
        bad, unmade = unexpected(answers), len(calls) - len(answers)
        if bad or unmade:
            found["unanswered"] = f"{len(bad)}: {[(a.call.key, a.status) for a in bad[:5]]}; not reached: {unmade}"
        if locked := server.log.count("database is locked"):
            found["locked"] = f"{locked} times"
        figure(f"{len(answers)} calls in {max(a.ended for a in answers) - answers[0].began:.1f} s; {found}")
        judge(root, found, {"threads", "spell", "signals", "unanswered", "locked"}, tail(server))
