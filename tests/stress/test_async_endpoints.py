"""Async endpoints whose sync work is slow run beside each other, and their late tasks get a thread of their own."""

from __future__ import annotations

from stress.databases import Backends
from stress.ledger import find_in_record
from stress.load import Call, settled_report, together
from stress.server import THREADS, Figures, Serve, judge, tail


def test_sync_work_of_async_endpoints_runs_at_once(root: str, serve: Serve, figure: Figures) -> None:
    """8 endpoints with 0.2 s of sync_to_async take about 0.2 s on 8 threads, and 10 of them two rounds."""
    with serve() as server:
        together(server.port, [Call("/api/sleep_in_thread")] * THREADS)
        took, found = {}, {}
        for count, bound in ((8, 0.8), (10, 1.2)):
            answers = together(server.port, [Call("/api/sleep_in_thread")] * count)
            took[count] = max(a.ended for a in answers) - min(a.began for a in answers)
            if any(answer.status != 200 for answer in answers):
                found[f"{count} answered"] = f"{[answer.status for answer in answers]}"
            if took[count] > bound:
                found[f"{count} at once"] = f"{took[count]:.2f} s, not under {bound} s"
        figure(f"{ ({count: round(seconds, 3) for count, seconds in took.items()}) } s")
        judge(root, found, {"8 at once", "10 at once"}, tail(server))


def test_a_task_that_outlives_its_request_uses_the_orm(
    root: str, serve: Serve, postgres_url: str, figure: Figures
) -> None:
    """60 tasks write 0.2 s after their requests ended, between signals, and leave no connection behind."""
    keys = [f"late-{number}" for number in range(60)]
    with serve(threads=4) as server, Backends(postgres_url) as backends:
        answers = together(server.port, [Call("/api/late", key=key) for key in keys])
        record = settled_report(server.port)
        left, rows = backends.wait_for(0), backends.rows(postgres_url)
        found = find_in_record(record)
        if bad := [answer.status for answer in answers if answer.status != 200]:
            found["unanswered"] = f"{bad}"
        if missing := [key for key in keys if rows.get(key) != 1]:
            found["lost"] = f"{len(missing)} of {len(keys)}"
        if backends.peak > 4 or left:
            found["connections"] = f"{backends.peak} at once for 4 threads, {left} left"
        figure(f"{len(rows)} rows, {backends.peak} backends at once, {left} left; {found}")
        judge(root, found, {"spell", "connections"}, tail(server))
