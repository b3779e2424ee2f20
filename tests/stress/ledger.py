"""The ledger: a mix of everything, a quarter of it aborted, and then the rows counted.

`play` drives it and returns what was wrong by name:

lost            a write answered 200 that is not there       doubled         there more than once
kept            a write that had to roll back is there       unanswered      an unaborted call not answered as it must
idle            backends idle in transaction at the end      backends        more backends than threads
signals         not paired, not nested rightly, or missing   threads         a spell on more than one thread
spell           a sync part outside the two signals
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from harness import Server
from stress.databases import Backends
from stress.load import Abort, Answer, Call, drive, settled_report


class Kind(NamedTuple):
    """How a call is answered when nothing disturbs it, and whether it leaves a row or has to leave none."""

    path: str
    status: int = 200
    row: bool | None = True
    acknowledged_early: bool = False


KINDS = {
    "sync": Kind("/api/sync"),
    "json": Kind("/api/json"),
    "read": Kind("/api/read", row=None),
    "async": Kind("/api/async"),
    "plain": Kind("/api/plain", row=None),
    "commit": Kind("/api/commit"),
    "commit_late": Kind("/api/commit_late", acknowledged_early=True),
    "async_commit": Kind("/api/async_commit"),
    "rollback": Kind("/api/rollback", 409, row=False),
    "rollback_crash": Kind("/api/rollback_crash", 500, row=False),
    "async_rollback": Kind("/api/async_rollback", 409, row=False),
    "own_rollback": Kind("/api/own_rollback", 500, row=False),
    "async_error": Kind("/api/async_error", 500, row=None),
    "stream": Kind("/api/stream"),
    "stream_atomic": Kind("/api/stream_atomic", acknowledged_early=True),
    "async_stream": Kind("/api/async_stream"),
    "background": Kind("/api/background", acknowledged_early=True),
    "async_background": Kind("/api/async_background", acknowledged_early=True),
    "django_write": Kind("/django/write"),
    "django_error": Kind("/django/error", 500, row=None),
    "django_rollback": Kind("/django/rollback", 500, row=False),
    "django_async": Kind("/django/async"),
    "django_stream": Kind("/django/stream"),
}
CLIENTS = 16
STREAMS = ("stream", "stream_atomic", "async_stream", "django_stream")


@dataclass
class Cuts:
    """When, in the run, all of the server's backends are ended; and when that was.

    `fails` is how many requests one cut may cost; None: one a thread, since the next finds a connection again.
    """

    fails: ClassVar[int | None] = None
    backends: Backends
    before: Sequence[int] = ()
    at: list[float] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    async def watch(self, number: int) -> None:
        if number in self.before:
            self.at.append(time.monotonic())
            self.ended.append(self.backends.cut())


def make_call(number: int, chance: random.Random) -> Call:
    kind = chance.choice(list(KINDS))
    key = f"{kind}-{number}"
    body = json.dumps({"key": key, "padding": "x" * 200}).encode()
    abort = Abort.at_random(chance) if chance.random() < 0.25 else None
    return Call(KINDS[kind].path, "POST", key, abort, body=body)


def make_calls(count: int, chance: random.Random) -> list[Call]:
    return [make_call(number, chance) for number in range(count)]


def kind_of(key: str) -> str:
    return key.rpartition("-")[0]


def answered_well(answer: Answer) -> bool:
    name = kind_of(answer.call.key)
    whole = answer.complete and (name not in STREAMS or answer.body.endswith(b"done"))
    return answer.status == KINDS[name].status and whole


def _examples(keys: Sequence[str]) -> str:
    return f"{len(keys)} ({', '.join(keys[:3])})"


def _example(marks: Mapping[str, list[list[Any]]], many: Mapping[str, int]) -> str:
    key = max(many, key=lambda key: many[key])
    return f"as {key}: {[(part, thread) for part, thread, *_ in marks[key]]}"


def find_in_rows(answers: Sequence[Answer], rows: Mapping[str, int], excused: set[str]) -> dict[str, str]:
    stay = [a.call.key for a in answers if not a.call.abort and answered_well(a) and KINDS[kind_of(a.call.key)].row]
    found = {
        "lost": [key for key in stay if not rows.get(key) and key not in excused],
        "doubled": [key for key, count in rows.items() if count > 1],
        "kept": [key for key in rows if KINDS[kind_of(key)].row is False],
    }
    return {name: _examples(keys) for name, keys in found.items() if keys}


def of_one_spell(parts: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """What must have run on one thread: all of it, or the steps alone where nothing lived on the thread before them.

    A sync stream waits for its place among the streams before its first step, and gives its thread back meanwhile.
    """
    names = [part[0] for part in parts]
    return parts[names.index("step") :] if "step" in names and "dependency enter" not in names else parts


def moved(record: Mapping[str, Any]) -> int:
    """How many streams had another thread before their first step than from it on."""
    return sum(len({part[1] for part in parts}) > 1 for parts in record["marks"].values())


def find_in_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Threads and signals, from the server's own record."""
    marks: dict[str, list[list[Any]]] = record["marks"]
    many = {key: len({mark[1] for mark in of_one_spell(parts)}) for key, parts in marks.items()}
    spread = Counter(many.values())
    outside = [f"{key} {mark[0]}" for key, parts in marks.items() for mark in parts if not mark[2]]
    found = {}
    if set(spread) - {1}:
        kinds = Counter(kind_of(key) for key, count in many.items() if count > 1)
        found["threads"] = f"threads a request: {dict(spread)}, {dict(kinds)}, {_example(marks, many)}"
    if outside:
        found["spell"] = _examples(outside)
    if record["started"] != record["finished"] or record["started"] < len(marks) or record["wrong"]:
        found["signals"] = (
            f"{record['started']} started, {record['finished']} finished, {len(marks)} requests with sync parts,"
            f" {_examples(record['wrong'])}"
        )
    return found


def unexpected(answers: Sequence[Answer]) -> list[Answer]:
    return [answer for answer in answers if not answer.call.abort and not answered_well(answer)]


def find_unanswered(answers: Sequence[Answer], broken: Sequence[str], cuts: Cuts, threads: int) -> dict[str, str]:
    """Failures beyond those in flight at a cut, and beyond as many as cuts may cost, `broken` work behind answers
    included.
    """
    bad = unexpected(answers)
    afar = [a for a in bad if not any(a.began <= at <= a.ended for at in cuts.at)]
    told = Counter(f"{kind_of(a.call.key)} {a.status}{' hung' if a.hung else ''}" for a in bad)
    if afar or len(bad) + len(broken) > (cuts.fails or threads) * len(cuts.at):
        return {
            "unanswered": f"{len(bad)}, {len(afar)} of them in flight at no cut, {len(broken)} behind: {dict(told)}"
        }
    return {}


def play(
    server: Server, backends: Backends, url: str, calls: Sequence[Call], cuts: Cuts, threads: int
) -> tuple[dict[str, str], str]:
    """Run the ledger on PostgreSQL. Returns what was wrong, and the figures in one line."""
    answers = drive(server.port, calls, at_once=CLIENTS, watch=cuts.watch)
    record = settled_report(server.port)
    idle, rows = backends.idle_in_transaction, backends.rows(url)
    broken = [key for key in record["failed"] if any(a.call.key == key and not a.call.abort for a in answers)]
    early = {key for key in record["failed"] if KINDS[kind_of(key)].acknowledged_early and cuts.at}
    found = {
        **find_in_rows(answers, rows, early),
        **find_unanswered(answers, broken, cuts, threads),
        **find_in_record(record),
    }
    if idle:
        found["idle"] = f"{idle} backends idle in transaction"
    if backends.peak > threads:
        found["backends"] = f"{backends.peak} at once, for {threads} threads"
    figures = (
        f"{len(calls)} calls in {max(a.ended for a in answers) - min(a.began for a in answers):.1f} s,"
        f" {sum(bool(c.abort) for c in calls)} aborted; backends peak {backends.peak}"
        f" (momentary {backends.momentary_peak}), opened {record['opened']}; cuts of {cuts.ended} backends,"
        f" {len(unexpected(answers))} failed; signals {record['started']}/{record['finished']};"
        f" {moved(record)} requests on more than one thread"
    )
    return found, figures


def rows_of_sqlite(path: str) -> dict[str, int]:
    with sqlite3.connect(path) as reader:
        return dict(reader.execute("select key, count(*) from shop_entry group by key").fetchall())
