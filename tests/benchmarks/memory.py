"""What the processes keep in memory after many requests."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.load import Load, load_requests
from benchmarks.measuring import Bench
from benchmarks.servers import Running

FILE = "/static/ten.css"
SITE = [("/hello", False), ("/query", False), ("/hello-async", False), ("/admin/", True)]
API = [("/hello", False), ("/hello-sync", False)]


class Growth(NamedTuple):
    """Megabytes of one mounted process after so many requests."""

    few: int
    many: int
    before: float
    after: float
    failed: int


class Memory(NamedTuple):
    """Megabytes; `proportional` counts what processes share once."""

    resident: float
    proportional: float
    failed: int


def growth(bench: Bench, requests: int) -> Growth:
    """One file, a tenth of the requests first."""
    few = max(1, requests // 10)
    with bench.serve("mounted") as running:
        running.check(FILE, {})
        first = load_requests(running, FILE, {}, few)
        before = running.resident()
        rest = load_requests(running, FILE, {}, max(1, requests - few))
        return Growth(few, requests, before, running.resident(), first.failed + rest.failed)


def one_and_two(bench: Bench, requests: int) -> tuple[Memory, Memory]:
    """One mounted process, and FastAPI alone beside Django, after as many of the same requests."""
    mounted = [("mounted", [*SITE, *((f"/api{path}", logged_in) for path, logged_in in API)])]
    return after_requests(bench, mounted, requests), after_requests(
        bench, [("Django ASGI", SITE), ("FastAPI alone", API)], requests
    )


def after_requests(bench: Bench, servers: list[tuple[str, list[tuple[str, bool]]]], requests: int) -> Memory:
    with ExitStack() as stack:
        running = [(stack.enter_context(bench.serve(name)), paths) for name, paths in servers]
        loads = [
            ask(bench, server, path, logged_in, requests) for server, paths in running for path, logged_in in paths
        ]
        return Memory(
            sum(server.resident() for server, _ in running),
            sum(server.proportional() for server, _ in running),
            sum(load.failed for load in loads),
        )


def ask(bench: Bench, server: Running, path: str, logged_in: bool, requests: int) -> Load:
    headers = bench.headers(logged_in)
    server.check(path, headers)
    return load_requests(server, path, headers, requests)
