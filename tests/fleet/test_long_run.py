"""For `DJFAST_MOUNT_ROLLING` seconds: instances are restarted, added, killed and taken away, under load all the while.

`nox -s rolling` takes half an hour. Without the variable it is one round of all of them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from fleet.instances import Fleet, created, ready, until
from fleet.load import Load

SECONDS = float(os.environ.get("DJFAST_MOUNT_ROLLING", "0"))
REQUESTS = 50  # between one step and the next


class Killed(NamedTuple):
    """From the signal until nothing answered on the port any more, by `time.monotonic()`."""

    began: float
    ended: float


class Rounds:
    """What was done to the fleet so far."""

    def __init__(self, fleet: Fleet, load: Load) -> None:
        self._fleet, self._load = fleet, load
        self.done: Counter[str] = Counter()
        self.kills: list[Killed] = []

    def _go_on(self, what: str) -> None:
        self.done[what] += 1
        asked = self._load.asked
        until(lambda: self._load.asked >= asked + REQUESTS, "load")

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
        """A rolling restart of two, a third one, the death of one, a rolling restart of three, and back to two."""
        for _ in range(2):
            done = self._fleet.roll()
            assert done.returncode == 0, done.stdout + done.stderr
            self._go_on(f"rolling restart of {len(self._fleet.ports)}")
            if len(self._fleet.ports) == 2:
                self._fleet.scale_up()
                self._go_on("scaled up")
                self._kill_one()
        self._fleet.scale_down()
        self._go_on("scaled down")


def test_nothing_is_lost_in_a_long_run(fleet: Fleet, figure: Callable[[str], None]) -> None:
    """No acknowledged note is lost, and no request on a fresh connection, but for those in flight at a kill."""
    notes, began = created(fleet.url), time.monotonic()
    with Load(fleet.url) as load:
        rounds = Rounds(fleet, load)
        while not rounds.done or time.monotonic() < began + SECONDS:
            rounds.round()
    took, there = time.monotonic() - began, created(fleet.url)
    in_flight = [
        lost for lost in load.lost if any(k.began <= lost.ended and lost.began <= k.ended for k in rounds.kills)
    ]
    failures = Counter(f"{lost.what}: {lost.answer[:40]}" for lost in load.lost)
    figure(f"{took:.0f} s, {load.asked} requests: {dict(load.counts)}; {dict(rounds.done)}")
    figure(f"{len(load.lost)} failed, {len(in_flight)} in flight at a kill: {dict(failures)}")
    figure(f"{len(load.created)} notes acknowledged, {len(set(load.created) - set(there))} of them lost")
    assert [lost for lost in load.lost if lost not in in_flight] == [], fleet.log()
    assert set(notes + load.created) <= set(there)
    # Beyond the acknowledged ones there may be those whose answer was cut off, and each is there once.
    cut_off = sum(lost.what.startswith("POST") for lost in in_flight)
    assert len(there) == len(set(there)) <= len(notes) + len(load.created) + cut_off
