"""Measures the mounted app against what a user would run instead, in interleaved rounds of one run.

    python tests/benchmarks/run.py [--rounds 5] [--seconds 4] [--only API]

Each server has core 0 and wrk core 1, with 32 connections. PostgreSQL comes from its wheel. What counts are the ratios
of medians within one run; the absolute figures are the machine's.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from harness import free_port, postgres  # noqa: E402


@dataclass(frozen=True)
class Server:
    """How a contender is served."""

    app: str
    wsgi: bool = False
    whitenoise: bool = False

    def command(self, port: int) -> list[str]:
        if self.wsgi:
            gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "8"]
            return [*gunicorn, "--bind", f"127.0.0.1:{port}", f"benchmarks.contenders:{self.app}"]
        uvicorn = [sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", str(port)]
        return [*uvicorn, f"benchmarks.contenders:{self.app}"]


SERVERS = {
    "mounted": Server("mounted"),
    "hand-made Mount": Server("hand_made"),
    "FastAPI alone": Server("fastapi_alone"),
    "FastAPI alone, 300 routes": Server("fastapi_wide"),
    "Django ASGI": Server("django_asgi"),
    "gunicorn gthread": Server("django_wsgi", wsgi=True),
    "WhiteNoise, Django ASGI": Server("django_asgi", whitenoise=True),
    "Starlette StaticFiles": Server("starlette_static"),
    "bytes from memory": Server("memory"),
}

# Row: the server and path of the mounted app first, then those of its peers.
Rows = dict[str, list[tuple[str, str]]]
ROWS: Rows = {
    "Django sync view": [("mounted", "/hello"), ("Django ASGI", "/hello"), ("gunicorn gthread", "/hello")],
    "Django view, one query": [("mounted", "/query"), ("Django ASGI", "/query"), ("gunicorn gthread", "/query")],
    "Django admin login": [
        ("mounted", "/admin/login/"),
        ("Django ASGI", "/admin/login/"),
        ("gunicorn gthread", "/admin/login/"),
    ],
    "Django async view": [("mounted", "/hello-async"), ("Django ASGI", "/hello-async")],
    "API async endpoint": [("mounted", "/api/hello"), ("FastAPI alone", "/hello"), ("hand-made Mount", "/api/hello")],
    "API sync endpoint": [("mounted", "/api/hello-sync"), ("FastAPI alone", "/hello-sync")],
    "API sync endpoint, one query": [("mounted", "/api/query"), ("hand-made Mount", "/api/query")],
    "API sync, dependency, one query": [
        ("mounted", "/api/query-dependency"),
        ("hand-made Mount", "/api/query-dependency"),
    ],
    "API async ORM": [("mounted", "/api/query-async"), ("hand-made Mount", "/api/query-async")],
    "the last of 300 routes": [
        ("mounted", "/wide/area9/thing29/1"),
        ("FastAPI alone, 300 routes", "/area9/thing29/1"),
    ],
    "static file, 10 kB": [
        ("mounted", "/static/ten.css"),
        ("bytes from memory", "/"),
        ("Starlette StaticFiles", "/static/ten.css"),
        ("WhiteNoise, Django ASGI", "/static/ten.css"),
    ],
    "static file, 1 MB": [
        ("mounted", "/static/thousand.bin"),
        ("Starlette StaticFiles", "/static/thousand.bin"),
        ("WhiteNoise, Django ASGI", "/static/thousand.bin"),
    ],
}


@dataclass
class Measured:
    rates: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def p99(self) -> float:
        return statistics.median(self.p99s)


@contextmanager
def serving(server: Server, env: dict[str, str]) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    settings = {"BENCH_WHITENOISE": "1"} if server.whitenoise else {}
    child = subprocess.Popen(["taskset", "-c", "0", *server.command(port)], cwd=TESTS, env={**env, **settings})
    try:
        wait_for_port(port, child)
        yield port, psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


def wait_for_port(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}: {child.args!r}")


def load(port: int, path: str, seconds: int) -> tuple[float, float]:
    """Requests per second and the 99th percentile in milliseconds. Raises where an answer is no 2xx."""
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        "-c32",
        f"-d{seconds}s",
        "--latency",
        f"http://127.0.0.1:{port}{path}",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{path} was not answered as it must:\n{text}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    if rate is None or p99 is None:
        raise RuntimeError(f"wrk said something else:\n{text}")
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


def measure(rows: Rows, rounds: int, seconds: int, env: dict[str, str]) -> dict[str, float]:
    """Prints a line for each row as it is done. Returns the resident megabytes of each server at the end."""
    names = dict.fromkeys(name for contenders in rows.values() for name, _ in contenders)
    with ExitStack() as stack:
        running = {name: stack.enter_context(serving(SERVERS[name], env)) for name in names}
        for row, contenders in rows.items():
            found = {contender: Measured() for contender in contenders}
            for contender in contenders:
                load(running[contender[0]][0], contender[1], 1)
            for _ in range(rounds):
                for (name, path), measured in found.items():
                    rate, p99 = load(running[name][0], path, seconds)
                    measured.rates.append(rate)
                    measured.p99s.append(p99)
            print(line(row, found), flush=True)
        return {name: process.memory_info().rss / 2**20 for name, (_, process) in running.items()}


def line(row: str, found: dict[tuple[str, str], Measured]) -> str:
    (_, mounted), *peers = found.items()
    cells = []
    for (name, _), peer in peers:
        cells.append(f"{name} {peer.rate:.0f}, {peer.p99:.1f} ms: **{mounted.rate / peer.rate:.2f} x**")
    return f"| {row} | {mounted.rate:.0f}, {mounted.p99:.1f} ms | {'; '.join(cells)} |"


def prepare(folder: Path, database: str) -> dict[str, str]:
    static = folder / "static"
    static.mkdir()
    (static / "ten.css").write_bytes(os.urandom(5000).hex().encode())
    (static / "thousand.bin").write_bytes(os.urandom(2**20))
    env = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DATABASE_URL": database,
        "BENCH_STATIC_ROOT": str(static),
    }
    subprocess.run([sys.executable, "-m", "django", "migrate", "--verbosity=0"], cwd=TESTS, env=env, check=True)
    return env


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    options = parser.parse_args()
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed. Install the package {package!r} of your system.")
    rows = {row: contenders for row, contenders in ROWS.items() if options.only in row}
    if not rows:
        sys.exit(f"No row has {options.only!r} in its name. There are: {', '.join(ROWS)}.")
    print(f"| work | mounted: requests/s, p99 | peers; {options.rounds} rounds of {options.seconds} s |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, postgres() as database:
        memory = measure(rows, options.rounds, options.seconds, prepare(Path(folder), database))
    print("\nResident at the end: " + ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items()))


if __name__ == "__main__":
    main()
