"""Law 10: it ends. Threads close their connections themselves, and endless work holds nothing up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import pytest
from django.db import connection, connections
from fastapi import FastAPI

from harness import Server
from laws import record
from laws.record import note
from laws.site import Root, Site, lifespan

pytestmark = pytest.mark.long

api = FastAPI()


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    """Connections outlast their requests."""
    database = connections.settings["default"]
    before, database["CONN_MAX_AGE"] = database["CONN_MAX_AGE"], 600
    yield
    database["CONN_MAX_AGE"] = before


@api.get("/connect")
def connect(key: str) -> None:
    connection.ensure_connection()
    note(key, "connect")


@api.get("/held")
def held(key: str) -> None:
    note(key, "held")
    record.stops["held"].wait()
    connection.ensure_connection()
    note(key, "went on")


@pytest.mark.violated_by("hand_made")
async def test_the_end_closes_the_connections(site: Site) -> None:
    """At the end of the lifespan every thread of the pool has closed its connections and gone."""
    async with site(api, threads=4) as root:
        await root.get_many("/api/connect", [f"{number}" for number in range(12)])
        assert record.open_connections() != []
    assert record.open_connections() == []
    # The last one tells of its end while it ends.
    await record.until(lambda: not any(thread.is_alive() for thread, _ in record.connections))


async def test_the_end_waits_for_a_call_that_runs(site: Site) -> None:
    """A call that still runs when the lifespan ends is finished, and its connection closed on its thread."""
    async with site(api) as root:
        request = root.start("/api/held", params={"key": "held"})
        await record.stops["held"].reached()
        asyncio.get_running_loop().call_later(0.1, record.stops["held"].open)
    assert (await request).status_code == 200
    assert record.parts("held") == ["held", "went on"]
    assert record.open_connections() == []


@pytest.mark.watchdog(8)
@pytest.mark.violated_by("held_up")
async def test_endless_work_does_not_hold_the_end(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The lifespan ends though a request never does; the log names the request."""
    stopped = contextlib.AsyncExitStack()
    root: Root = await stopped.enter_async_context(site(api, opens_stops=False))
    request = root.open("/api/held", query="key=endless")
    await record.stops["held"].reached()
    await stopped.aclose()
    assert "/api/held" in caplog.text
    assert record.parts("endless") == ["held"]
    record.stops["held"].open()
    await request.ended()


async def test_threads_never_hold_the_interpreter(site: Site) -> None:
    """The threads of the pool are daemon threads."""
    async with site(api) as root:
        await root.get("/api/connect", params={"key": "daemon"})
        assert [thread.daemon for thread in record.threads("daemon")] == [True]


async def test_a_server_may_start_the_app_again(site: Site) -> None:
    """After its lifespan has ended and begun anew, the app serves, and ends, as before."""
    async with site(api) as root:
        await root.get("/api/connect", params={"key": "first"})
        app = root.app
    async with lifespan(app):
        assert (await root.get("/api/connect", params={"key": "second"})).status_code == 200
    assert record.open_connections() == []
    assert record.threads("first") != record.threads("second")


async def test_a_request_after_the_end_is_served(site: Site) -> None:
    """A request that comes when the pool has been shut down is served, and its thread goes with it."""
    async with site(api) as root:
        await root.get("/api/connect", params={"key": "before"})
    assert (await root.get("/api/connect", params={"key": "after"})).status_code == 200
    await record.until(lambda: not any(thread.is_alive() for thread in record.threads("after")))
    assert record.open_connections() == []


def test_the_process_ends_with_an_endless_request() -> None:
    """After SIGTERM and the server's own grace the process ends, by the signal, though a sync endpoint still runs."""
    with Server("laws.endless_app:mounted", "--timeout-graceful-shutdown", "1") as server, ask_endlessly(server):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == -signal.SIGTERM


@contextlib.contextmanager
def ask_endlessly(server: Server) -> Iterator[None]:
    """A request whose endpoint has begun, and never ends."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /api/endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        deadline = time.monotonic() + 10
        while "endless begins" not in server.log:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the endpoint did not begin:\n{server.log}")
            time.sleep(0.05)
        yield
