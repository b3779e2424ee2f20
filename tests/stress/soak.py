"""A long run in rounds: the ledger's mix and event streams, while the network before PostgreSQL has faults.

After each round, when nothing is under way any more, the server's own record is judged and emptied: kept for an hour,
it would be what the memory grows by. The rows stay, and are looked at once at the end.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from faulty_proxy import KINDS, Fault, FaultyProxy
from stress.ledger import KINDS as LEDGER
from stress.ledger import answered_well, find_in_record, kind_of, make_call, unexpected
from stress.load import HOST, Answer, Call, drive, hang_up, settled_report

CLIENTS, LISTENERS = 16, 4
# Calls a second, at most: a soak is to last, and not to try how much a machine can take.
RATE = 25


class Sample(NamedTuple):
    """What a process holds at a moment. `resident` is in MB."""

    resident: float
    threads: int
    files: int


def sample(pid: int) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    resident, threads = (re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE) for name in ("VmRSS", "Threads"))
    assert resident is not None
    assert threads is not None
    return Sample(int(resident[1]) / 1024, int(threads[1]), len(list(Path(f"/proc/{pid}/fd").iterdir())))


class Watcher(threading.Thread):
    """Samples a process twice a second until the block is left."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.samples: list[Sample] = []

    def run(self) -> None:
        while not self._over.wait(0.5):
            self.samples.append(sample(self._pid))

    def __enter__(self) -> Watcher:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()


def live(port: int) -> int:
    """How many blocks of memory the server holds when nothing is under way: what RSS is, less what is free in it."""
    blocks: int = drive(port, [Call("/api/live")], 1)[0].json()
    return blocks


def growth(values: Sequence[float]) -> float:
    """By which part of itself the straight line through the last half of the values rises from its begin to its end."""
    half = values[len(values) // 2 :]
    slope, begin = statistics.linear_regression(range(len(half)), half)
    return slope * (len(half) - 1) / begin


class Pace:
    """No more than `RATE` calls a second. What was not made in time, for all clients waited, is not made up for."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    async def __call__(self, number: int) -> None:
        now, mine = time.monotonic(), self._next
        self._next = max(now, mine) + 1 / RATE
        await asyncio.sleep(mine - now)


def during(began: float, ended: float, faults: Sequence[Fault]) -> bool:
    """Whether a fault that may cost a request was between the two. A delay may not."""
    return any(fault.kind != "delay" and began <= fault.ended and fault.began <= ended for fault in faults)


class Listened(NamedTuple):
    """One event stream: how many events came, and whether it ended by itself."""

    began: float
    ended: float
    events: int
    broken: bool


async def _listen(port: int, over: threading.Event) -> list[Listened]:
    """Event streams without end, one after another: begun anew when the server ends one."""
    heard = []
    while not over.is_set():
        began, events, broken = time.monotonic(), 0, True
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(f"GET /api/events HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        try:
            while block := await asyncio.wait_for(reader.read(2**16), 30):
                events += block.count(b"data:")
                if over.is_set():
                    broken = False
                    break
        except (OSError, TimeoutError):
            pass
        hang_up(writer, reset=True)
        heard.append(Listened(began, time.monotonic(), events, broken))
    return heard


def listen(port: int, over: threading.Event) -> list[Listened]:
    async def all_of_them() -> list[list[Listened]]:
        return await asyncio.gather(*(_listen(port, over) for _ in range(LISTENERS)))

    return [heard for each in asyncio.run(all_of_them()) for heard in each]


def disturb(proxy: FaultyProxy, chance: random.Random, over: threading.Event) -> list[Fault]:
    """Each fault once, in any order, with quiet before and after it. Ends the round."""
    try:
        faults = []
        for kind in chance.sample(KINDS, len(KINDS)):
            time.sleep(chance.uniform(1, 2))
            faults.append(proxy.inject(kind, chance.uniform(0.1, 3)))
        time.sleep(2)
        return faults
    finally:
        over.set()


class Soak:
    """The rounds so far. `found` has what was wrong, by name, with the first example."""

    def __init__(self, port: int, proxy: FaultyProxy, chance: random.Random) -> None:
        self._port, self._proxy, self._chance = port, proxy, chance
        self._number = 0
        self.acknowledged: set[str] = set()
        self.excused: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.found: dict[str, str] = {}

    def _calls(self, over: threading.Event) -> Iterator[Call]:
        while not over.is_set():
            self._number += 1
            yield make_call(self._number, self._chance)

    def round(self) -> None:
        """Some ten seconds with each kind of fault once, then the judgement."""
        over, chance = threading.Event(), random.Random(self._chance.random())
        with ThreadPoolExecutor(2) as threads:
            disturbing = threads.submit(disturb, self._proxy, chance, over)
            listening = threads.submit(listen, self._port, over)
            answers = drive(self._port, self._calls(over), CLIENTS, watch=Pace(), within=120)
            faults, heard = disturbing.result(), listening.result()
        record = settled_report(self._port)
        drive(self._port, [Call("/api/forget", "POST")], 1)
        self.counts.update(
            rounds=1, faults=len(faults), calls=len(answers), aborted=sum(bool(a.call.abort) for a in answers)
        )
        self._judge(answers, faults, record["failed"])
        self._judge_streams(heard, faults)
        for name, detail in find_in_record(record).items():
            self.found.setdefault(name, detail)

    def _judge(self, answers: Sequence[Answer], faults: Sequence[Fault], failed: Sequence[str]) -> None:
        early = {key for key in failed if LEDGER[kind_of(key)].acknowledged_early}
        self.excused |= early
        self.acknowledged |= {
            a.call.key for a in answers if not a.call.abort and answered_well(a) and LEDGER[kind_of(a.call.key)].row
        } - early
        for answer in unexpected(answers):
            told = "hung" if answer.hung else f"cut off after {answer.status}" if not answer.complete else answer.status
            self.failed[f"{told}"] += 1
            if not during(answer.began, answer.ended, faults):
                self.found.setdefault("unanswered", f"{answer.call.key}: {told} without a fault, {answer.body[:200]!r}")
        quiet = [a for a in answers if not a.call.abort and not during(a.began, a.ended, faults)]
        self.counts.update(quiet=len(quiet))

    def _judge_streams(self, heard: Sequence[Listened], faults: Sequence[Fault]) -> None:
        self.counts.update(streams=len(heard), events=sum(h.events for h in heard), broken=sum(h.broken for h in heard))
        for each in heard:
            # An event is a second after the one before: a connection that was cut is seen at the next.
            if each.broken and not during(each.ended - 2, each.ended, faults):
                self.found.setdefault("streams", f"one ended without a fault, after {each.events} events")
