"""Clients that do not read, that hang on, that leave, or that are the server itself: the others are still answered.

The hand-made combination passes all of these but the last, for its threads are many and unbounded. They guard against
what a bounded pool brings, so they are run against the pool without the rule in question too, and must fail there.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from stress.databases import Backends
from stress.load import HOST, Answer, Call, drive, send, together
from stress.server import THREADS, Figures, Serve, judge, tail

OTHERS = [Call(path, key="x", timeout=8) for path in ("/api/db", "/api/db_async", "/django/affinity/view")] * 8
# Seconds. Ten times what an idle machine needs; who waits for a held thread waits for eight and more.
AT_ONCE = 2.0
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hold(port: int, calls: Sequence[Call]) -> list[Client]:
    """Send the calls on connections that stay open. The reader's small limit stops the reading, so the server fills."""
    clients = []
    for call in calls:
        reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
        writer.write(call.raw())
        clients.append((reader, writer))
    return clients


def leave(clients: Sequence[Client]) -> None:
    for _, writer in clients:
        writer.transport.abort()


async def ask(port: int, calls: Sequence[Call], at_once: int = 4) -> list[Answer]:
    gate = asyncio.Semaphore(at_once)

    async def one(call: Call) -> Answer:
        async with gate:
            return await send(port, call)

    return await asyncio.gather(*(one(call) for call in calls))


def slowest(answers: Sequence[Answer]) -> float:
    return max(answer.seconds for answer in answers)


def statuses(answers: Sequence[Answer]) -> dict[str, int]:
    return dict(Counter("hung" if answer.hung else str(answer.status) for answer in answers))


def refused(answers: Sequence[Answer]) -> bool:
    return any(answer.status != 200 for answer in answers) or slowest(answers) > AT_ONCE


@pytest.mark.faulty("unlimited_streams")
@pytest.mark.parametrize("path", ["/api/big", "/api/big_atomic", "/django/big"])
def test_readers_that_do_not_read_hold_up_nobody(root: str, serve: Serve, path: str, figure: Figures) -> None:
    """12 clients that do not read a sync stream on 8 threads: all others are answered at once."""

    async def scene(port: int) -> tuple[list[Answer], list[Answer]]:
        clients = await hold(port, [Call(path, key=f"slow-{number}") for number in range(12)])
        await asyncio.sleep(1)
        during = await ask(port, OTHERS)
        leave(clients)
        await asyncio.sleep(1)
        return during, await ask(port, OTHERS)

    with serve() as server:
        during, after = asyncio.run(scene(server.port))
        found = {}
        if refused(during):
            found["held up"] = f"{statuses(during)}, the slowest after {slowest(during):.2f} s"
        if refused(after):
            found["afterwards"] = f"{statuses(after)}, the slowest after {slowest(after):.2f} s"
        figure(f"others {statuses(during)} in at most {slowest(during):.3f} s; {found}")
        judge(root, found, {"held up"} if root == "unlimited_streams" else set(), tail(server))


@pytest.mark.faulty("endless_wait")
@pytest.mark.parametrize("path", ["/api/self_call", "/api/self_call_async"])
def test_requests_that_call_their_own_server_end(root: str, serve: Serve, path: str, figure: Figures) -> None:
    """12 requests that ask their own server while they hold a thread: each is answered, or 503 within the limit."""
    with serve(wait_timeout=2) as server:
        answers = together(server.port, [Call(path, timeout=12)] * 12)
        after = drive(server.port, OTHERS, at_once=4)
        found = {}
        if set(statuses(answers)) - {"200", "503"} or slowest(answers) > 2 * 2 + 1:
            found["hung"] = f"{statuses(answers)}, the slowest after {slowest(answers):.2f} s"
        if refused(after):
            found["afterwards"] = f"{statuses(after)}, the slowest after {slowest(after):.2f} s"
        inner = Counter(answer.body.decode() for answer in answers if answer.status == 200)
        figure(f"{statuses(answers)} in at most {slowest(answers):.2f} s, of these inside {dict(inner)}; {found}")
        judge(root, found, {"hung"} if root == "endless_wait" else set(), tail(server))


async def _until(reader: asyncio.StreamReader, text: bytes, timeout: float = 10) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await reader.readuntil(text)
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return False
    return True


async def _event_scene(port: int, path: str) -> tuple[int, list[Answer], int, list[Answer]]:
    clients = await hold(port, [Call(path)] * 200)
    first = sum(await asyncio.gather(*(_until(reader, b"data: 0") for reader, _ in clients)))
    during = await ask(port, OTHERS)
    await send(port, Call("/api/wake"))
    second = sum(await asyncio.gather(*(_until(reader, b"data: 0") for reader, _ in clients)))
    leave(clients)
    await asyncio.sleep(1)
    return first, during, second, await ask(port, OTHERS)


@pytest.mark.faulty("restless_streams")
@pytest.mark.parametrize("path", ["/api/events", "/api/events_plain"])
def test_idle_event_streams_hold_no_thread(root: str, serve: Serve, path: str, figure: Figures) -> None:
    """200 idle event streams that use the ORM, on 4 threads: others are answered at once, and so are the streams."""
    with serve(threads=4) as server:
        first, during, second, after = asyncio.run(_event_scene(server.port, path))
        found = {}
        if (first, second) != (200, 200):
            found["events"] = f"{first} clients got the first event and {second} the second, of 200"
        if refused(during):
            found["held up"] = f"{statuses(during)}, the slowest after {slowest(during):.2f} s"
        if refused(after):
            found["afterwards"] = f"{statuses(after)}, the slowest after {slowest(after):.2f} s"
        figure(f"events {first} and {second}; others in at most {slowest(during):.3f} s; {found}")
        judge(root, found, {"events", "held up"} if root == "restless_streams" else set(), tail(server))


@pytest.mark.parametrize("path", ["/api/query?seconds=60", "/api/query_async?seconds=60"])
def test_queries_nobody_waits_for_do_not_stop_the_rest(
    root: str, serve: Serve, postgres_url: str, path: str, figure: Figures
) -> None:
    """45 clients leave their query of 60 s: others are answered, or 503 within the limit, and all is well after it."""

    async def scene(port: int) -> list[Answer]:
        clients = await hold(port, [Call(path)] * 45)
        await asyncio.sleep(1)
        leave(clients)
        return await ask(port, OTHERS, at_once=len(OTHERS))

    with serve(wait_timeout=2) as server, Backends(postgres_url) as backends:
        during = asyncio.run(scene(server.port))
        running = backends.active
        deadline = time.monotonic() + 10
        while backends.active and time.monotonic() < deadline:
            backends.cut()
            time.sleep(0.3)
        after = drive(server.port, OTHERS * 2, at_once=4)[len(OTHERS) :]
        found = {}
        if set(statuses(during)) - {"200", "503"} or slowest(during) > 3:
            found["hung"] = f"{statuses(during)}, the slowest after {slowest(during):.2f} s"
        if backends.peak > THREADS:
            found["backends"] = f"{backends.peak} at once for {THREADS} threads"
        if refused(after):
            found["afterwards"] = f"{statuses(after)}, the slowest after {slowest(after):.2f} s"
        figure(f"others {statuses(during)} in at most {slowest(during):.2f} s; {running} queries ran on; {found}")
        judge(root, found, {"afterwards"}, tail(server))
