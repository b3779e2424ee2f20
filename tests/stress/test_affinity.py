"""One thread a request, one context for all its parts, and connections that are few and reused."""

from __future__ import annotations

import pytest

from stress.databases import Backends
from stress.ledger import find_in_record, moved
from stress.load import Call, drive, settled_report
from stress.server import THREADS, Figures, Serve, judge, tail

PARTS = {
    "/api/affinity/sync": ["dependency enter", "endpoint", "validation", "dependency exit", "background"],
    "/api/affinity/async": ["dependency enter", "sync_to_async", "dependency exit", "background"],
    "/api/affinity/stream": ["dependency enter", "endpoint", "step", "step", "step", "close", "dependency exit"],
    "/django/affinity/view": ["view"],
    "/django/affinity/stream": ["view", "step", "step", "step"],
}


@pytest.mark.parametrize("max_age", [0, 600])
def test_a_request_has_one_thread_and_one_context(
    root: str, serve: Serve, postgres_url: str, max_age: int, figure: Figures
) -> None:
    """1,000 requests, 16 at once: every part on one thread and in one context, and connections within the pool."""
    paths = list(PARTS)
    calls = [Call(paths[n % len(paths)], key=f"{paths[n % len(paths)].replace('/', '.')}-{n}") for n in range(1000)]
    with serve(max_age=max_age) as server, Backends(postgres_url) as backends:
        answers = drive(server.port, calls)
        record = settled_report(server.port)
        left = backends.wait_for(0 if max_age == 0 else THREADS)
        found = find_in_record(record)
        if contexts := record["wrong"]:
            found["context"] = f"{len(contexts)} ({contexts[0]})"
        found.pop("signals", None)
        if record["started"] != record["finished"] or not 0 <= record["started"] - len(calls) <= moved(record):
            found["signals"] = f"{record['started']} started, {record['finished']} finished, {len(calls)} requests"
        if bad := [answer for answer in answers if answer.status != 200 or not answer.complete]:
            found["unanswered"] = f"{len(bad)}, the first {bad[0].status} from {bad[0].call.path}"
        if left > (0 if max_age == 0 else THREADS):
            found["left"] = f"{left} connections left open"
        if max_age and record["backends"] > THREADS:
            found["reuse"] = f"{record['backends']} backends for {len(calls)} requests"
        if missing := [a.call.key for a in answers if parts_of(record, a.call.key) != sorted(PARTS[a.call.path])]:
            found["parts"] = f"{missing[0]}: {parts_of(record, missing[0])}"
        opened = f"{record['backends']} backends for {record['opened']} connects, {left} left"
        figure(f"{opened}; {moved(record)} on more than one thread; {found}")
        shows = {"threads", "spell", "context", "signals", "left"}
        judge(root, found, shows | {"reuse"} if max_age else shows, tail(server))


def parts_of(record: dict[str, dict[str, list[list[str]]]], key: str) -> list[str]:
    return sorted(mark[0] for mark in record["marks"].get(key, []))
