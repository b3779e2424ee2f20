"""django-tenants, on PostgreSQL: whatever asks, and however long it takes, reads its own tenant's rows."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect

from harness import TESTS, Server
from tenants.schemas import OWNERS

ORDINARY = ("/view", "/async-view", "/stream", "/async-stream", "/api/view", "/api/async-view", "/api/stream")
KINDS = (*ORDINARY, "/api/async-stream", "/api/cursor", "/api/events", "/api/background", "socket")
AT_ONCE = 140
PARTS = 10_000  # for each server


@pytest.fixture(scope="module")
def schemas() -> str:
    if "DATABASE_URL" not in os.environ:
        pytest.skip("needs PostgreSQL: run with --db postgres")
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tenants.settings", "PYTHONPATH": str(TESTS)}
    subprocess.run([sys.executable, "-m", "tenants.schemas"], env=env, check=True)
    return os.environ["DATABASE_URL"]


@pytest.fixture(
    scope="module",
    params=[(2, 0, False), (2, 600, True), (8, 0, True), (8, 600, False)],
    ids=lambda param: f"threads-{param[0]}-age-{param[1]}" + ("-limited-set-calls" if param[2] else ""),
)
def server(request: pytest.FixtureRequest, schemas: str) -> Iterator[Server]:
    threads, age, limits = request.param
    env = {
        "DJANGO_SETTINGS_MODULE": "tenants.settings",
        "TEST_THREADS": str(threads),
        "TEST_CONN_MAX_AGE": str(age),
        "TEST_LIMIT_SET_CALLS": "1" if limits else "0",
    }
    with Server("tenants.asgi:app", "--timeout-keep-alive", "120", env=env) as running:
        yield running


class Asking:
    """Asks for rows of the organizations in turn, and counts what came, and what was another's.

    Args:
        server: Where.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.count = 0
        self.wrong: list[str] = []
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(base_url=server.url, timeout=900, limits=limits)

    def note(self, kind: str, owner: str, found: list[str]) -> None:
        self.count += len(found)
        self.wrong += [f"{kind} of {owner}: {part}" for part in found if part != owner]

    async def ask(self, kind: str, owner: str) -> None:
        if kind == "socket":
            await self._ask_by_websocket(owner)
            return
        headers = {"Host": f"{owner}.test"}
        answer = await self._client.get(kind, headers=headers, params={"expected": owner})
        assert answer.status_code == 200, (kind, answer.status_code, answer.text[:200])
        parts = answer.text.replace('"', "").split()
        self.note(kind, owner, [part for part in parts if part != "data:"])

    async def _ask_by_websocket(self, owner: str) -> None:
        url = f"{self.server.url.replace('http', 'ws')}/api/socket?schema={owner}"
        async with connect(url, open_timeout=900) as socket:
            for _ in range(10):
                await socket.send("whose?")
                self.note("socket", owner, [str(await socket.recv())])

    async def ask_much(self, parts: int) -> None:
        async with self._client:
            await self._ask_much(parts)

    async def _ask_much(self, parts: int) -> None:
        turns = itertools.cycle(itertools.product(KINDS, OWNERS))

        async def go_on() -> None:
            while self.count < parts:
                await self.ask(*next(turns))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(go_on())
        written = (await self._client.get("/api/written", headers={"Host": f"{OWNERS[0]}.test"})).json()
        for line in written:
            self.note("background", *line.split()[:1], line.split()[1:])


def test_no_part_is_of_another_tenant(server: Server) -> None:
    """Of 10,000 answers and parts that 140 clients at once are sent, by whatever way, none has another's row."""
    asking = Asking(server)
    asyncio.run(asking.ask_much(PARTS))
    assert asking.count >= PARTS
    assert asking.wrong == [], (len(asking.wrong), asking.wrong[:10])


def test_what_lives_in_a_session_stays_with_its_stream(server: Server) -> None:
    """A setting, a temporary table and an advisory lock of a stream, a websocket or a call are there in every part of
    it, and in no other call, while others use the same threads.
    """
    seen: list[tuple[str, str]] = []
    numbers = itertools.count(1)

    async def look() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=900, headers={"Host": "ann.test"}) as client:

            async def get(path: str, number: int, expected: str) -> None:
                answer = await client.get(path, params={"number": number})
                assert answer.status_code == 200, answer.text
                seen.extend((expected, line) for line in answer.text.splitlines())

            async def talk(number: int) -> None:
                url = f"{server.url.replace('http', 'ws')}/api/left/socket?number={number}"
                async with connect(url, open_timeout=900) as socket:
                    for _ in range(5):
                        await socket.send("")
                        seen.append((f"{number} mine [{number}]", str(await socket.recv()).strip()))

            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    for path in ("/api/left/stream", "/api/left"):
                        number = next(numbers)
                        group.create_task(get(path, number, f"{number} mine [{number}]"))
                    group.create_task(talk(next(numbers)))
                    for _ in range(5):
                        group.create_task(get("/api/clean", 0, "None None None"))

    for _ in range(5):
        asyncio.run(look())
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert len(seen) > 300
