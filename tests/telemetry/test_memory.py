"""Memory after very many requests: `nox -s telemetry` sends a million, and TEST_REQUESTS is how many otherwise."""

from __future__ import annotations

import asyncio
import gc
import itertools
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
from prometheus_client import REGISTRY

import djfast_mount
from calls import call, http_scope
from djfast_mount.dashboard.figures import ROUTES, SLOWEST, SUSPICIONS, Figures
from djfast_mount.dashboard.time_window import SECONDS, SLOTS
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
TRACED = min(REQUESTS // 20, 10_000)
# Bytes that may come. The table of the page's routes takes 9,304: it is emptied and filled again, and at times Python
# makes a new one in the place of one that was made before the tracing, and that was not counted.
MORE = 12_000
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
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[Figures]:
    """What the page counts by, of this test alone."""
    figures = Figures(clock)
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


async def send(root: Any, coming: Iterator[str], times: int, methods: Iterator[str]) -> None:
    for _ in range(times):
        number = random.getrandbits(64)
        headers = {"X-Request-ID": f"client-{number}", "User-Agent": f"agent-{number}"}
        with suppress(ZeroDivisionError):
            await call(root, http_scope(next(coming), headers=headers, method=next(methods)))


def methods() -> Iterator[str]:
    """Yields GET for ever, and one in fifty that HTTP does not define."""
    while True:
        number = random.getrandbits(64)
        yield "GET" if number % 50 else f"M{number}"


async def ask_each(root: Any) -> None:
    """Asks every route in each way that a request of this test has: so there is a series of metrics for each."""
    each = [*(kind.format(number=1) for kind in SHARES), *(f"/api/many/{number}/1" for number in range(MANY))]
    for method in ("GET", "M1"):
        await send(root, iter(each), len(each), itertools.repeat(method))


async def anything(anything: str) -> str:
    return anything


def resident() -> int:
    """Bytes of the process's memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kept(page: Figures, clock: Clock) -> int:
    """Bytes that are kept where telemetry, the page or OpenTelemetry stands, once the page's minutes are over.

    Only what has been allocated since tracing began is counted.
    """
    clock.now += 2 * SECONDS * SLOTS
    page.routes(), page.whole(), page.slowest()
    gc.collect()
    places = (f"{PACKAGE}/telemetry/*", f"{PACKAGE}/dashboard/*", "*/opentelemetry/*")
    snapshot = tracemalloc.take_snapshot()
    found = snapshot.filter_traces([tracemalloc.Filter(True, place) for place in places])
    return sum(entry.size for entry in found.statistics("filename"))


def series() -> int:
    """How many series the metrics have."""
    return sum(len(metric.samples) for metric in REGISTRY.collect() if metric.name.startswith("djfast_mount"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="The system does not tell of memory.")
def test_memory_is_bounded(page: Figures, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Once each route was asked, no series of metrics comes, telemetry keeps no more, and the process grows by 2 %."""
    api = make_api()
    many = APIRouter(prefix="/many")
    for number in range(MANY):
        many.add_api_route(f"/{number}/{{anything}}", anything, methods=["GET"])
    api.include_router(many)
    coming, how = paths(random.Random(24)), methods()
    with site(api=api, settings=EVERYTHING) as root, silent(), asyncio.Runner() as runner:
        runner.run(ask_each(root))
        known = series()
        runner.run(send(root, coming, REQUESTS // 5, how))
        before = resident()
        runner.run(send(root, coming, REQUESTS - REQUESTS // 5, how))
        after = resident()
        tracemalloc.start()
        try:
            # Each route is asked before each look: Python's tables do not shrink, so all have been as full as they get.
            runner.run(send(root, coming, TRACED, how))
            runner.run(ask_each(root))
            first = kept(page, clock)
            runner.run(send(root, coming, TRACED, how))
            runner.run(ask_each(root))
            assert page.whole().requests > 0
            assert len(page.routes()) <= ROUTES + 1
            assert len(page.suspicions()) <= SUSPICIONS
            assert len(page.slowest()) <= SLOWEST
            second = kept(page, clock)
        finally:
            tracemalloc.stop()
    with capsys.disabled():
        sizes = f"{before >> 10} kB -> {after >> 10} kB; of telemetry {first} -> {second} bytes; {series()} series"
        sys.stdout.write(f"\n{REQUESTS} requests: {sizes}\n")
    assert series() == known
    assert after < before * 1.02 + 2**20
    assert second < first + MORE
