"""Memory after very many requests: `nox -s telemetry` sends a million, and TEST_REQUESTS is how many otherwise."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

import djfast_mount
from calls import call, http_scope
from djfast_mount.dashboard.figures import ROUTES, SLOWEST, SUSPICIONS, Figures
from djfast_mount.dashboard.window import SECONDS, SLOTS
from djfast_mount.telemetry import subscribe
from telemetry_site import make_api, site

pytest.importorskip("prometheus_client")

pytestmark = [pytest.mark.long, pytest.mark.once]

REQUESTS = int(os.environ.get("TEST_REQUESTS", "20000"))
EVERYTHING = {
    "metrics_path": "/metrics",
    "metrics_access": "public",
    "opentelemetry": True,
    "server_timing": True,
    "access_log": "json",
}
# Requests of which each allocation is traced, twice.
TRACED = min(REQUESTS // 20, 5_000)
# More routes than the page counts by themselves.
MANY = ROUTES + 100
PACKAGE = Path(djfast_mount.__file__).parent
# Of every thousand requests. The rest are of the many routes.
SHARES = {
    "/api/hello": 350,
    "/api/nothing/{number}": 20,
    "/nothing/{number}/": 20,
    "/api/companies/{number}": 200,
    "/api/tenants/t{number}/orders/{number}": 50,
    "/plain/": 20,
    "/view/{number}/": 10,
    "/api/sync/{number}": 10,
    "/api/repeats": 2,
    "/api/broken": 2,
    "/healthz": 30,
}


class Clock:
    """Seconds that pass with each look, so that the minutes which the page remembers are over often."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 4 * SECONDS * SLOTS / TRACED
        return self.now


@pytest.fixture
def page() -> Iterator[Figures]:
    """What the page counts by, of this test alone."""
    figures = Figures(Clock())
    unsubscribe = subscribe(figures.add)
    yield figures
    unsubscribe()


@contextmanager
def silent() -> Iterator[None]:
    """Lines are made, and written nowhere: pytest keeps all of them. Within `mount()`, which sets the loggers up."""
    names = ("djfast_mount.access", "django.request", "django.security", "djfast_mount")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    yield
    for logger, (handlers, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate


def paths(rng: random.Random) -> Iterator[str]:
    """Yields paths for ever: no two of a kind with parameters are alike."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    number = 0
    while True:
        number += 1
        place = rng.randrange(1000)
        if place < len(kinds):
            yield kinds[place].format(number=number)
        else:
            yield f"/api/many/{number % MANY}/{number}"


async def send(root: Any, coming: Iterator[str], times: int) -> None:
    for _ in range(times):
        number = random.getrandbits(64)
        headers = {"X-Request-ID": f"client-{number}", "User-Agent": f"agent-{number}"}
        method = "GET" if number % 50 else f"M{number}"
        with suppress(ZeroDivisionError):
            await call(root, http_scope(next(coming), headers=headers, method=method))


async def anything(anything: str) -> str:
    return anything


def resident() -> int:
    """Bytes of the process's memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def of_telemetry(page: Figures) -> int:
    """Bytes that have been allocated, since tracing began, where telemetry, the page or an exporter stands."""
    page.routes()  # Which forgets those that nobody has asked for long.
    gc.collect()
    places = (f"{PACKAGE}/telemetry/*", f"{PACKAGE}/dashboard/*", "*/prometheus_client/*", "*/opentelemetry/*")
    snapshot = tracemalloc.take_snapshot()
    found = snapshot.filter_traces([tracemalloc.Filter(True, place) for place in places])
    return sum(entry.size for entry in found.statistics("filename"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="The system does not tell of memory.")
def test_memory_is_bounded(page: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    """After a fifth of the requests nothing grows: neither what telemetry keeps, nor the process by more than 2 %."""
    api = make_api()
    many = APIRouter(prefix="/many")
    for number in range(MANY):
        many.add_api_route(f"/{number}/{{anything}}", anything, methods=["GET"])
    api.include_router(many)
    coming = paths(random.Random(24))
    with site(api=api, settings=EVERYTHING) as root, silent(), asyncio.Runner() as runner:
        runner.run(send(root, coming, REQUESTS // 5))
        before = resident()
        runner.run(send(root, coming, REQUESTS - REQUESTS // 5))
        after = resident()
        tracemalloc.start()
        try:
            runner.run(send(root, coming, TRACED))
            first = of_telemetry(page)
            runner.run(send(root, coming, TRACED))
            second = of_telemetry(page)
        finally:
            tracemalloc.stop()
    with capsys.disabled():
        sizes = f"{before >> 10} kB -> {after >> 10} kB; of telemetry {first} -> {second} bytes"
        sys.stdout.write(f"\n{REQUESTS} requests: {sizes}\n")
    assert page.whole().requests > 0
    assert len(page.routes()) <= ROUTES + 1
    assert len(page.suspicions()) <= SUSPICIONS
    assert len(page.slowest()) <= SLOWEST * (SLOTS + 1)
    assert after < before * 1.02 + 2**20
    # Which routes were asked in the last minutes differs, and so do the sizes of what is known of them.
    assert second < first * 1.25 + 200_000
