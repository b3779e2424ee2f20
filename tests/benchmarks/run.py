"""Measures the mounted app against what a user would run instead, in interleaved rounds of one run.

    python tests/benchmarks/run.py [--rounds 5] [--seconds 4] [--only API] [--peers ninja,ASGI] [--write FILE]

Each server has core 0 and wrk core 1, with 32 connections. PostgreSQL comes from its wheel. What counts are the
ratios of all rounds together; the absolute figures are the machine's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

from benchmarks import hop, machine, memory, resources  # noqa: E402
from benchmarks.database import Database, database  # noqa: E402
from benchmarks.load import NoLoad  # noqa: E402
from benchmarks.measuring import Bench, say  # noqa: E402
from benchmarks.report import Report, figures  # noqa: E402
from benchmarks.rows import GROWTH, PAIR, ROWS, Row  # noqa: E402
from benchmarks.servers import LeftOut, environment  # noqa: E402

HOP = "a hop to a thread"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--only", default="", help="rows whose name has one of these in it, separated by ;")
    parser.add_argument("--peers", default="", help="peers whose name has one of these in it, separated by ;")
    parser.add_argument("--static-requests", type=int, default=200_000, help="after which memory is looked at again")
    parser.add_argument("--pair-requests", type=int, default=1000, help="of each kind, before one and two are weighed")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page to write, docs/benchmarks.md say")
    return parser.parse_args()


def wanted(name: str, parts: str) -> bool:
    return any(part.strip() in name for part in parts.split(";"))


def chosen(peers: str) -> dict[str, Row]:
    return {
        name: replace(row, peers=tuple(peer for peer in row.peers if wanted(peer.name, peers)))
        for name, row in ROWS.items()
    }


def prepare(folder: Path, found: Database) -> Bench:
    static = folder / "static"
    static.mkdir()
    (static / "ten.css").write_bytes(os.urandom(5000).hex().encode())
    (static / "thousand.bin").write_bytes(os.urandom(2**20))
    env = environment(found.url, static)
    command = [sys.executable, "-m", "benchmarks.prepare"]
    made = subprocess.run(command, cwd=TESTS, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return Bench(env, found, made.stdout.strip())


def measure(bench: Bench, options: argparse.Namespace) -> Report:
    report = Report()

    def attempt(name: str, action: Callable[[], None]) -> None:
        """A row that cannot be measured must not end the run."""
        if not wanted(name, options.only):
            return
        say(name)
        try:
            action()
        except (LeftOut, NoLoad, OSError, subprocess.SubprocessError, psutil.Error, psycopg.Error) as error:
            report.notes.append(f"Not measured: {name}: {error}")
            say(report.notes[-1])

    def measure_row(name: str, row: Row) -> None:
        report.results[name] = bench.measure(row, options.rounds, options.seconds)
        say("\n".join(figures(name, report.results[name])))

    def measure_hops() -> None:
        for name in hop.HOPS:
            command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.hop", name]
            done = subprocess.run(command, cwd=TESTS, env=bench.env, check=True, stdout=subprocess.PIPE, text=True)
            report.hops[name] = float(done.stdout)

    def measure_growth() -> None:
        report.growth = memory.growth(bench, options.static_requests)

    def measure_pair() -> None:
        report.pair = memory.one_and_two(bench, options.pair_requests)

    for name, row in chosen(options.peers).items():
        attempt(name, lambda name=name, row=row: measure_row(name, row))  # type: ignore[misc]
    attempt(HOP, measure_hops)
    attempt(GROWTH, measure_growth)
    attempt(PAIR, measure_pair)
    return report


def main() -> None:
    options = arguments()
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed. Install the package {package!r} of your system.")
    names = [*ROWS, HOP, GROWTH, PAIR]
    if not any(wanted(name, options.only) for name in names):
        sys.exit(f"No row has {options.only!r} in its name. There are: {'; '.join(names)}.")
    # So that what was started is stopped too when the run is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    before = machine.load_average()
    with tempfile.TemporaryDirectory() as folder, database() as found, machine.halt_polling() as cores:
        Path(folder).chmod(0o755)
        report = measure(prepare(Path(folder), found), options).text()
        about = machine.machine(found.version(), before)
    print(f"{report}\n\n{about}")
    if options.write:
        kept = resources.kept(options.write.read_text() if options.write.exists() else "")
        options.write.write_text(machine.page(report, about, cores, kept))


if __name__ == "__main__":
    main()
