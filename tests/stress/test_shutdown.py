"""SIGTERM: what is in flight is finished within the grace, and nothing without end holds the process beyond it.

The hand-made combination is given uvicorn's own `--timeout-graceful-shutdown`, the best it can have.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Server
from stress.databases import Backends, migrate, restartable
from stress.load import Answer, Call, send, together
from stress.server import Figures, Serve, judge, tail, under_load

GRACE = 2.0
ENDLESS = {
    "query": "/api/query?seconds=600",
    "async_query": "/api/query_async?seconds=600",
    "events": "/api/events",
    "events_plain": "/api/events_plain",
    "sync_stream": "/api/trickle?key=endless",
}
OWN = {"child": {-signal.SIGTERM, 128 + signal.SIGTERM}, "pid_1": {0, -signal.SIGTERM, 128 + signal.SIGTERM}}


def options(root: str) -> tuple[str, ...]:
    return ("--timeout-graceful-shutdown", str(int(GRACE))) if root == "hand_made" else ()


def can_be_pid_1() -> bool:
    tried = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False, capture_output=True)
    return tried.returncode == 0


@pytest.fixture(params=["child", "pid_1"])
def position(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The server as an ordinary child, and as the first process of a PID namespace, as in a container."""
    if request.param == "pid_1":
        if not can_be_pid_1():
            pytest.skip("this machine does not let unshare(1) make a PID namespace")
        python = tmp_path / "python-as-pid-1"
        python.write_text(f'#!/bin/sh\nexec unshare --pid --fork --kill-child --mount-proc {sys.executable} "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr("harness.sys.executable", str(python))
    return str(request.param)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def terminate(server: Server, position: str) -> None:
    """SIGTERM to the server itself: behind unshare(1) it is the child of the process that we started."""
    pid = server.process.pid if position == "child" else children(server.process.pid)[0]
    os.kill(pid, signal.SIGTERM)


def wait(server: Server, timeout: float) -> tuple[int | None, float]:
    began = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(timeout)
    return server.process.poll(), time.monotonic() - began


def test_what_is_in_flight_is_finished(root: str, position: str, serve: Serve, figure: Figures) -> None:
    """Requests of a second, sent before SIGTERM, are all answered 200, and the process ends within the grace."""
    found = {}
    calls = [Call("/api/query?seconds=1"), Call("/api/query_async?seconds=1")] * 3

    async def scene(port: int) -> list[Answer]:
        tasks = [asyncio.create_task(send(port, call)) for call in calls]
        await asyncio.sleep(0.4)
        terminate(server, position)
        return await asyncio.gather(*tasks)

    with serve(*options(root), grace=GRACE) as server:
        together(server.port, [Call("/api/db")] * 8)
        answers = asyncio.run(scene(server.port))
        status, seconds = wait(server, GRACE + 3)
        if any(answer.status != 200 for answer in answers):
            found["lost"] = f"{[answer.status for answer in answers]}"
        if status is None:
            found["held"] = f"still there {seconds:.1f} s later"
        elif status not in OWN[position]:
            found["status"] = f"{status}"
        figure(f"answers {[answer.status for answer in answers]}, exit {status}; {found}")
        judge(root, found, {"lost"}, tail(server))


@contextlib.contextmanager
def endless(server: Server, path: str) -> Iterator[None]:
    """A client that has begun the call and stays."""

    async def begin() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(Call(path).raw())
        await asyncio.sleep(1)
        return reader, writer

    with asyncio.Runner() as runner:
        _, writer = runner.run(begin())
        yield
        writer.transport.abort()
        runner.run(asyncio.sleep(0))


@pytest.mark.parametrize("endless_one", ENDLESS)
def test_nothing_without_end_holds_the_process(
    root: str, position: str, endless_one: str, serve: Serve, postgres_url: str, figure: Figures
) -> None:
    """With an endless query or stream open the process ends within grace + 1 s, and no statement runs on."""
    found = {}
    with serve(*options(root), grace=GRACE) as server, Backends(postgres_url) as backends:
        with endless(server, ENDLESS[endless_one]):
            terminate(server, position)
            status, seconds = wait(server, GRACE + 4)
        if status is None or seconds > GRACE + 1:
            found["held"] = f"exit status {status} after {seconds:.1f} s"
        if status is not None and status not in OWN[position]:
            found["status"] = f"{status}"
        time.sleep(0 if status is None else 2)
        if running := backends.active:
            found["runs on"] = f"{running} statements active 2 s after the end"
        figure(f"exit {status} after {seconds:.2f} s; {found}")
        shows = {"runs on"} if "query" in endless_one else set()
        shows |= {"held"} if position == "pid_1" and "query" in endless_one else set()
        judge(root, found, shows, tail(server))


def test_a_database_that_does_not_answer_does_not_hold_the_process(root: str, figure: Figures) -> None:
    """With a query running on a frozen PostgreSQL, which takes no cancellation, the process ends within grace + 1 s."""
    found = {}
    with restartable() as database:
        migrate({"DATABASE_URL": database.url})
        serving = under_load(root, database.url, *options(root), grace=GRACE)
        with serving as server, endless(server, ENDLESS["query"]), database.frozen():
            terminate(server, "child")
            status, seconds = wait(server, GRACE + 4)
    if status is None or seconds > GRACE + 1:
        found["held"] = f"exit status {status} after {seconds:.1f} s"
    figure(f"exit {status} after {seconds:.2f} s; {found}")
    judge(root, found, set())
