"""For `DJFAST_MOUNT_SOAK` seconds, with faults of the network before PostgreSQL: no write is lost, nothing grows.

`nox -s soak` takes an hour. Without the variable it is four rounds, in which memory is measured and not judged.
"""

from __future__ import annotations

import os
import random
import time

from faulty_proxy import FaultyProxy
from stress.databases import Backends
from stress.ledger import find_in_rows
from stress.load import Call, drive
from stress.server import THREADS, Figures, judge, tail, under_load
from stress.soak import CLIENTS, LISTENERS, Sample, Soak, Watcher, growth, live, sample

SECONDS = float(os.environ.get("DJFAST_MOUNT_SOAK", "0"))
# In the first minutes imports, caches and the allocator settle: a short run says nothing about the growth of what is
# resident. What is alive settles sooner.
LONG, SETTLED = 1800.0, 600.0
GROWTH = 0.02
# An aborted connection's file is there until the server's loop has seen its end.
FILES = CLIENTS + LISTENERS + THREADS + 24
# Of asgiref's and AnyIO's, beside the pool's.
OTHER_THREADS = 16


def test_soak(postgres_url: str, chance: random.Random, figure: Figures) -> None:
    """Each acknowledged write is there, failures overlap a fault; connections, threads, files, memory are bounded."""
    with (
        FaultyProxy(postgres_url) as proxy,
        under_load("mounted", f"{proxy.url}?connect_timeout=5", max_age=600, health_checks=True) as server,
        Backends(postgres_url, interval=0.1) as backends,
        Watcher(server.process.pid) as watcher,
    ):
        drive(server.port, [Call("/api/wake")], 1)
        fresh, began = sample(server.process.pid), time.monotonic()
        soak = Soak(server.port, proxy, chance)
        rested: list[Sample] = []
        half = 0
        while time.monotonic() < began + SECONDS or len(rested) < 4:
            soak.round()
            rested.append(sample(server.process.pid))
            if not half and len(rested) >= 2 and time.monotonic() >= began + SECONDS / 2:
                half = live(server.port)
        end = live(server.port)
        took, rows, found = time.monotonic() - began, backends.rows(postgres_url), soak.found
        found |= find_in_rows([], rows, set())
        if lost := [key for key in soak.acknowledged if key not in rows]:
            found["lost"] = f"{len(lost)} ({', '.join(lost[:3])})"
        if backends.idle_in_transaction:
            found["idle"] = f"{backends.idle_in_transaction} backends idle in transaction"
        if backends.peak > THREADS:
            found["backends"] = f"{backends.peak} at once, for {THREADS} threads"
        threads, files = max(s.threads for s in watcher.samples), max(s.files for s in watcher.samples)
        if threads > THREADS + OTHER_THREADS:
            found["os threads"] = f"{threads} at once"
        if files > fresh.files + FILES:
            found["files"] = f"{files} at once, {fresh.files} before the load"
        rising = growth([s.resident for s in rested])
        if took >= SETTLED and end / half - 1 >= GROWTH:
            found["live memory"] = f"{half} blocks at half time, {end} at the end"
        if took >= LONG and rising >= GROWTH:
            found["memory"] = f"{rising:.1%} in the last half: {[round(s.resident, 1) for s in rested]} MB"
        figure(f"{took:.0f} s: {dict(soak.counts)}; failed during faults {dict(soak.failed)}")
        figure(
            f"{len(soak.acknowledged)} writes acknowledged, {len(soak.excused)} failed behind their answer as logged"
        )
        figure(f"backends peak {backends.peak}, threads peak {threads}, files peak {files} (fresh {fresh.files})")
        figure(f"RSS {[round(s.resident, 1) for s in rested]} MB, the last half rose by {rising:.2%}; {found}")
        figure(f"live blocks: {half} at half time, {end} at the end, {end / half - 1:+.2%}")
        judge("mounted", found, set(), tail(server))


def test_the_growth_of_the_last_half_is_seen() -> None:
    """What rises by three parts in a hundred in its last half is told from what rose only in its first."""
    settled = [50.0, 80.0, 95.0, 99.0, 100.0, 100.1, 99.9, 100.0, 100.1, 100.0]
    rising = [*settled[:5], 100.0, 100.8, 101.4, 102.3, 103.0]
    assert abs(growth(settled)) < 0.005
    assert 0.025 < growth(rising) < 0.035
