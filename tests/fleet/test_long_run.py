"""For `DJFAST_MOUNT_ROLLING` seconds: the fleet is released anew, restarted, grows, loses one and shrinks, under load.

`nox -s rolling` takes half an hour. Without the variable it is one round of all of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from fleet.instances import Fleet, created, ready, until
from fleet.load import KeptLoad, Load, Lost
from fleet.long_lived import Listener, LongLived, Refused, Searcher
from fleet.releases import Releases
from quickstart_site import Site

SECONDS = float(os.environ.get("DJFAST_MOUNT_ROLLING", "0"))
REQUESTS = 200 if SECONDS else 50  # between one step and the next
# A second: so many that each step meets requests under way, and so few that a busy machine can answer them.
RATE, KEPT_RATE = 15, 5
# A migration is looked for again after 30 s, by instances that had not found it applied.
FOUND_AGAIN = 90


class Killed(NamedTuple):
    """From the signal until nothing answered on the port any more, by `time.monotonic()`."""

    began: float
    ended: float


class Rounds:
    """What was done to the fleet so far."""

    def __init__(self, fleet: Fleet, releases: Releases, load: Load) -> None:
        self._fleet, self._releases, self._load = fleet, releases, load
        self.done: Counter[str] = Counter()
        self.kills: list[Killed] = []
        self.waits: list[float] = []  # of a release, from its migration's begin until an instance of it was ready

    def _go_on(self, what: str) -> None:
        self.done[what] += 1
        with (self._fleet.folder / "steps.log").open("a") as log:
            log.write(f"{time.strftime('%X')} {what}, {self._load.asked} requests, {len(self._load.lost)} failed\n")
        asked = self._load.asked
        until(lambda: self._load.asked >= asked + REQUESTS, "load")

    def _release(self) -> None:
        """A slow migration, and a rolling restart that begins with it: what starts is ready when it is applied."""
        began = time.monotonic()
        with self._releases.migrate(self._fleet) as migrating:
            self._roll()
            assert migrating.wait(FOUND_AGAIN) == 0
        self.waits.append(time.monotonic() - began)
        assert self._fleet.unapplied() == self._releases.number
        self._go_on("release with a slow migration")

    def _roll(self) -> None:
        done = self._fleet.roll()
        assert done.returncode == 0, done.stdout + done.stderr

    def _kill_one(self) -> None:
        """The first instance dies with its workers, is away for a while, and is started again."""
        port, began = self._fleet.ports[0], time.monotonic()
        self._fleet.kill(port)
        self.kills.append(Killed(began, time.monotonic()))
        self._go_on("killed")
        self._fleet.start_instance(port)
        until(lambda: ready(f"http://127.0.0.1:{port}"), "the instance")
        self._go_on("started again")

    def round(self) -> None:
        """A release of two, two more, the death of one, a rolling restart of four, and back to two."""
        self._release()
        for _ in range(2):
            self._fleet.scale_up()
            self._go_on("scaled up")
        self._kill_one()
        self._roll()
        self._go_on(f"rolling restart of {len(self._fleet.ports)}")
        for _ in range(2):
            self._fleet.scale_down()
            self._go_on("scaled down")

    def in_flight(self, each: Lost | Refused) -> bool:
        """Whether this was under way at a kill."""
        return any(kill.began <= each.ended and each.began <= kill.ended for kill in self.kills)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "code")


@pytest.fixture
def long_site(site: Site, tmp_path: Path, releases: Releases) -> Site:
    path = f"{tmp_path / 'code'}{os.pathsep}{site.env['PYTHONPATH']}"
    return Site({**site.env, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "fleet_settings", "LOG_FORMAT": "json"})


@pytest.fixture
def long_fleet(tmp_path: Path, long_site: Site) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, long_site)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()


def told(failures: Sequence[Lost | Refused]) -> dict[str, int]:
    return dict(Counter(f"{each.what}: {each.answer[:40]}" for each in failures))


def unexplained(fleet: Fleet, rounds: Rounds, failures: Sequence[Lost | Refused]) -> list[str]:
    """What failed and was not under way at a kill, with what nginx has noted of it."""
    return [
        f"{each}: {fleet.told(each.number) if isinstance(each, Lost) else ''}"
        for each in failures
        if not rounds.in_flight(each)
    ]


def test_nothing_is_lost_in_a_long_run(long_fleet: Fleet, releases: Releases, figure: Callable[[str], None]) -> None:
    """No acknowledged note is lost, and no request on a fresh connection, but for those in flight at a kill.

    Event streams and websockets are ended in an orderly way, but at a kill, and had again at once. A stream that goes
    on from its last event misses none.
    """
    fleet, writing = long_fleet, threading.Lock()
    notes, began = created(fleet.url), time.monotonic()
    listeners, searchers = [Listener(fleet.url) for _ in range(2)], [Searcher(fleet.url) for _ in range(2)]
    long_lived: list[LongLived] = [*listeners, *searchers]
    with contextlib.ExitStack() as clients:
        for each in long_lived:
            clients.enter_context(each)
        kept = KeptLoad(fleet.kept_url, clients=2, rate=KEPT_RATE, writing=writing)
        with Load(fleet.url, rate=RATE, writing=writing) as fresh, kept:
            rounds = Rounds(fleet, releases, fresh)
            while not rounds.done or time.monotonic() < began + SECONDS:
                rounds.round()
        time.sleep(2)  # until the streams have had the last ones
    took, there = time.monotonic() - began, created(fleet.url)
    refused = [refused for each in long_lived for refused in each.refused]
    acknowledged = fresh.created + kept.created
    figure(f"{took:.0f} s; {dict(rounds.done)}; releases took {[round(wait) for wait in rounds.waits]} s")
    for load in (fresh, kept):
        at_kills = sum(map(rounds.in_flight, load.lost))
        figure(f"{load.name}: {load.asked} requests, {dict(load.counts)}")
        figure(f"{load.name}: {len(load.lost)} failed, {at_kills} in flight at a kill: {told(load.lost)}")
    figure(f"kept: repeated {dict(kept.repeated)}")
    figure(f"{len(acknowledged)} notes acknowledged, {len(set(acknowledged) - set(there))} of them lost")
    for each in long_lived:
        gaps = f"{max(each.gaps, default=0):.1f} s at most until the next"
        figure(f"{type(each).__name__}: {dict(each.ends)}, {gaps}; refused {told(each.refused)}")
    missed = [set(acknowledged) - set(listener.seen) for listener in listeners]
    twice = [len(listener.seen) - len(set(listener.seen)) for listener in listeners]
    figure(
        f"events missed {list(map(len, missed))}, twice {twice}; websockets answered {[s.answered for s in searchers]}"
    )
    assert unexplained(fleet, rounds, [*fresh.lost, *kept.lost, *refused]) == []
    assert set(notes + acknowledged) <= set(there)
    # Beyond the acknowledged ones there may be those whose answer was cut off, and each is there once.
    cut_off = sum(lost.what.startswith("POST") for lost in [*fresh.lost, *kept.lost])
    assert len(there) == len(set(there)) <= len(notes) + len(acknowledged) + cut_off
    assert missed == [set(), set()]
    assert twice == [0, 0]
    # Each instance has so many workers, any of which may have had it.
    cut = sum(each.ends["cut off"] for each in long_lived)
    assert cut <= len(long_lived) * len(rounds.kills)
