"""The figures of the page beside those of a load generator that asks the same server: within five per cent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from browser.serving import CREATE_DEMO, MIGRATE, manage
from harness import PYTHONPATH, Server
from quickstart_site import PASSWORD, fresh_database, log_in

pytestmark = [pytest.mark.long, pytest.mark.once]

CLIENTS = 4
SECONDS = 45.0
# Of every ten requests of a client seven are quick, two are slow, and one is an error.
QUICK, SLOW, FAULT = "/api/paced?milliseconds=100", "/api/paced?milliseconds=250", "/api/fault"
ROUND = [QUICK, QUICK, SLOW, QUICK, QUICK, FAULT, QUICK, SLOW, QUICK, QUICK]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with fresh_database(tmp_path_factory.mktemp("agreement")) as url:
        env = {"DJANGO_SETTINGS_MODULE": "dashboard_settings", "PYTHONPATH": PYTHONPATH, "DATABASE_URL": url}
        for command in (MIGRATE, CREATE_DEMO):
            manage({**env, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, *command)
        with Server("dashboard_site:app", "--no-access-log", env=env) as server:
            yield server


class Generator:
    """Clients with a connection each, which send one request after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.times: dict[str, list[float]] = {"/api/paced": [], "/api/fault": []}
        self.ended: list[float] = []  # time.monotonic()

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(end, place) for place in range(CLIENTS)))

    async def _client(self, end: float, place: int) -> None:
        # Not httpx: what it takes itself would count as the server's.
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for number in range(place * 3, 1_000_000):
            if time.monotonic() > end:
                break
            path = ROUND[number % len(ROUND)]
            begun = time.monotonic()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            ended = time.monotonic()
            self.times[path.partition("?")[0]].append(ended - begun)
            self.ended.append(ended)
        writer.close()

    def percentile(self, path: str, percent: float) -> float:
        times = sorted(self.times[path])
        return times[math.ceil(len(times) * percent / 100) - 1]

    def rate(self, since: float, until: float) -> float:
        return sum(since <= ended < until for ended in self.ended) / (until - since)


def test_the_figures_are_those_of_the_load(site: Server) -> None:
    """Requests and errors are the same numbers; the rate in the midst of the load, p50 and p99 are within 5 %."""
    generator = Generator(site.port)
    with httpx.Client(base_url=site.url, timeout=30) as client:
        assert log_in(client).status_code == 302

        def told() -> dict[str, Any]:
            found: dict[str, Any] = client.get("/admin/mount/figures.json").json()
            return found

        async def load_and_look() -> tuple[float, dict[str, Any]]:
            load = asyncio.create_task(generator.run(SECONDS))
            await asyncio.sleep(SECONDS - 5)
            amid = await asyncio.to_thread(told)
            at = time.monotonic()
            await load
            return at, amid

        at, amid = asyncio.run(load_and_look())
        time.sleep(1.1)  # The answers before it are told for a second.
        last = told()
    paced, fault = (route(last, path) for path in ("/api/paced", "/api/fault"))
    assert [paced["requests"], paced["errors"]] == [len(generator.times["/api/paced"]), 0]
    assert [fault["requests"], fault["errors"]] == [len(generator.times["/api/fault"])] * 2
    rate = sum(route(amid, path)["rate"] for path in ("/api/paced", "/api/fault"))
    assert rate == pytest.approx(generator.rate(at - 15, at), rel=0.05)
    for percent in (50, 99):
        assert paced[f"p{percent}"] == pytest.approx(generator.percentile("/api/paced", percent), rel=0.05)


def route(figures: dict[str, Any], path: str) -> dict[str, Any]:
    return next(route for route in figures["routes"] if route["route"] == path)
