"""Nothing of a request is kept, however many there are."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import tracemalloc
from typing import Any

import pytest

from calls import ask, call, http_scope
from djfast_mount.telemetry.listeners import audience
from djfast_mount.telemetry.observed_request import ObservedRequest
from telemetry_site import records, site

pytestmark = pytest.mark.once

PATHS = ["/api/hello", "/api/repeats", "/api/broken", "/plain/", "/repeats/", "/broken/", "/nothing/", "/healthz"]
EVERYTHING = {"metrics_path": "/metrics", "metrics_access": "public", "opentelemetry": True, "server_timing": True}


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page in the admin, which other tests have loaded, keeps the slowest requests."""
    monkeypatch.setattr(audience, "listeners", ())


def alive() -> int:
    gc.collect()
    # Not by isinstance(), which asks a weak proxy of what is gone for its class.
    return sum(type(each) is ObservedRequest for each in gc.get_objects())


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_nobody_keeps_is_gone(path: str) -> None:
    """Its record, and all that it was made from, goes with it."""
    pytest.importorskip("prometheus_client")
    logging.disable()  # pytest keeps what is logged, and so the frames of an error.
    before = alive()  # Those of other tests, whose errors pytest keeps.
    try:
        with site(settings=EVERYTHING) as root:
            for _ in range(3):
                ask(root, path)
            # The thread of the last request ends its spell after the answer.
            deadline = time.monotonic() + 10
            while alive() > before:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        logging.disable(logging.NOTSET)


def test_a_record_holds_nothing_of_its_request() -> None:
    """What a listener keeps has no scope, no request and no lease in it."""
    with records() as found, site() as root:
        for path in PATHS:
            ask(root, path)
    kept: list[Any] = [value for record in found for value in vars(record).values()]
    plain = (str, bytes, int, float, bool, tuple, type(None))
    others = [value for value in kept if not isinstance(value, plain)]
    assert {type(value).__name__ for value in others} == {"Watching"}  # The root's own, and not the request's.


def test_thousands_of_requests_take_no_memory() -> None:
    """Two thousand more take no more than some kilobytes, with every exporter on."""
    pytest.importorskip("prometheus_client")

    async def many(root: Any, times: int) -> None:
        for number in range(times):
            path = "/plain/" if number % 20 == 0 else f"/api/companies/{number}"
            await call(root, http_scope(path))

    with site(settings=EVERYTHING) as root:
        asyncio.run(many(root, 300))
        gc.collect()
        tracemalloc.start()
        try:
            asyncio.run(many(root, 200))
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            asyncio.run(many(root, 2000))
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 100_000
