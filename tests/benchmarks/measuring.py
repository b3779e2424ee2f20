"""Interleaved rounds of load, row by row, each with servers of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psutil

from benchmarks.database import Database
from benchmarks.load import Load, NoLoad, load, order
from benchmarks.rows import BARE, Contender, Row
from benchmarks.servers import LeftOut, Running, serving
from benchmarks.waiting import waiting

WARM_UP = 1  # second


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Measured:
    """What one contender has shown in one row."""

    loads: list[Load] = field(default_factory=list)
    resident: float = 0.0
    connections: int = 0

    @property
    def rates(self) -> list[float]:
        """Good answers per second, round by round."""
        return [load.good / load.seconds for load in self.loads]

    @property
    def p99s(self) -> list[float]:
        """Milliseconds, round by round."""
        return [load.p99 for load in self.loads]

    @property
    def cpus(self) -> list[float]:
        """Microseconds for one good answer, round by round."""
        return [load.cpu / max(1, load.good) * 1e6 for load in self.loads]

    @property
    def rate(self) -> float:
        """Good answers per second of all rounds together."""
        return sum(load.good for load in self.loads) / (sum(load.seconds for load in self.loads) or 1)

    @property
    def cpu(self) -> float:
        """Microseconds for one good answer of all rounds together."""
        return sum(load.cpu for load in self.loads) / max(1, sum(load.good for load in self.loads)) * 1e6

    @property
    def answers(self) -> int:
        return sum(load.answers for load in self.loads)

    @property
    def failed(self) -> int:
        return sum(load.failed for load in self.loads)


@dataclass
class Result:
    """A row's figures by contender, and the reasons for which others have none."""

    measured: dict[Contender, Measured] = field(default_factory=dict)
    left_out: dict[Contender, str] = field(default_factory=dict)

    def leave_out(self, contender: Contender, reason: str) -> None:
        self.measured.pop(contender, None)
        self.left_out[contender] = reason
        say(f"left out: {contender.name}: {reason}")


@dataclass(frozen=True)
class Bench:
    """What a run needs throughout. `cookie` is that of a logged-in superuser."""

    env: Mapping[str, str]
    database: Database
    cookie: str

    @contextmanager
    def serve(self, server: str) -> Iterator[Running]:
        """Raises LeftOut where it does not start."""
        role = self.database.new_role()
        with serving(server, {**self.env, "DATABASE_URL": self.database.url_of(role)}, role) as running:
            yield running

    def headers(self, logged_in: bool, sends_json: bool = False) -> dict[str, str]:
        own = {"Cookie": self.cookie} if logged_in else {}
        return {**own, "Content-Type": "application/json"} if sends_json else own

    def measure(self, row: Row, rounds: int, seconds: int) -> Result:
        headers, body = self.headers(row.logged_in, bool(row.post)), order(row.post) if row.post else b""
        with ExitStack() as stack:
            result, running = self._start(row, headers, body, stack)
            for number in range(rounds + 1):
                # Now in one order, now in the other: what comes last in a round meets another machine than the first.
                for contender in list(result.measured)[:: 1 if number % 2 else -1]:
                    time = seconds * row.longer if number else WARM_UP
                    try:
                        if contender.server == BARE:
                            found = waiting(self.env, time)
                        else:
                            found = load(
                                running[contender], contender.path, headers, time, body, refused=row.status != 200
                            )
                    except (NoLoad, psutil.Error) as error:
                        result.leave_out(contender, f"it stopped: {error}")
                        continue
                    if number:
                        result.measured[contender].loads.append(found)
            for contender, server in running.items():
                if (measured := result.measured.get(contender)) is not None:
                    measured.resident = server.resident()
                    measured.connections = self.database.connections(server.role)
        return result

    def _start(
        self, row: Row, headers: Mapping[str, str], body: bytes, stack: ExitStack
    ) -> tuple[Result, dict[Contender, Running]]:
        result = Result()
        servers: dict[str, Running] = {}
        running: dict[Contender, Running] = {}
        for contender in (row.mounted, *row.peers):
            if contender.server == BARE:
                result.measured[contender] = Measured()
                continue
            try:
                if contender.server not in servers:
                    servers[contender.server] = stack.enter_context(self.serve(contender.server))
                servers[contender.server].check(contender.path, headers, body, row.status)
            except LeftOut as reason:
                result.leave_out(contender, str(reason))
            else:
                running[contender] = servers[contender.server]
                result.measured[contender] = Measured()
        return result, running
