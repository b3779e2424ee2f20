"""Clients that send or take a byte a second, or nothing more: the others are answered, and nothing of them is left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from stress.load import HOST, Answer, hang_up
from stress.server import Figures, tail, under_load
from stress.test_slow_clients import OTHERS, Client, ask, refused, slowest, statuses

EACH = 60
# Connections, of which some are still on their way to their end.
SPARE = 8
PROMISED = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n"
KINDS = {
    "a reader of a sync stream of the API": "GET /api/big?key=x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a reader of a sync stream of Django's": "GET /django/big?key=x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a reader of events": "GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a sender of a body to the API": f"POST /api/json HTTP/1.1\r\n{PROMISED}",
    "a sender of a body to Django": f"POST /django/write?key=x HTTP/1.1\r\n{PROMISED}",
    "half of the headers": "GET /api/db HTTP/1.1\r\nHost: 127.",
    "half of the first line": "GET /dja",
    "nothing": "",
}


async def connect(port: int, text: str) -> Client:
    """Send the text on a connection whose buffers are small, so that the server cannot write ahead."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (HOST, port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1)
    writer.write(text.encode())
    return reader, writer


async def trickle(client: Client, sends: bool) -> None:
    reader, writer = client
    with contextlib.suppress(OSError):
        while not reader.at_eof():
            if sends:
                writer.write(b" ")
            else:
                await reader.read(1)
            await asyncio.sleep(1)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def scene(port: int, pid: int, kinds: Sequence[str]) -> tuple[list[Answer], list[Answer], int]:
    await ask(port, OTHERS)
    before = open_files(pid)
    clients = await asyncio.gather(*(connect(port, KINDS[kind]) for kind in kinds for _ in range(EACH)))
    slow = [asyncio.create_task(trickle(client, "sender" in kind)) for client, kind in _paired(clients, kinds)]
    await asyncio.sleep(2)
    during = await ask(port, OTHERS)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    for number, (_, writer) in enumerate(clients):
        hang_up(writer, reset=number % 2 == 0)
    await asyncio.sleep(3)
    return during, await ask(port, OTHERS), open_files(pid) - before


def _paired(clients: Sequence[Client], kinds: Sequence[str]) -> list[tuple[Client, str]]:
    """Those that go on, a byte a second: the others say nothing more."""
    each = [kind for kind in kinds for _ in range(EACH)]
    return [pair for pair in zip(clients, each, strict=True) if "er of" in pair[1]]


@pytest.mark.parametrize("kinds", [*([kind] for kind in KINDS), list(KINDS)], ids=[*KINDS, "all of them at once"])
def test_others_are_answered(kinds: list[str], postgres_url: str, figure: Figures) -> None:
    """60 of a kind, and 60 of each kind at once: all others are answered at once, during it and afterwards."""
    with under_load("mounted", postgres_url) as server:
        during, after, left = asyncio.run(scene(server.port, server.process.pid, kinds))
        figure(f"others {statuses(during)} in at most {slowest(during):.3f} s, {left} files left")
        assert not refused(during), f"{statuses(during)}, {slowest(during):.2f} s\n{tail(server)}"
        assert not refused(after), f"{statuses(after)}, {slowest(after):.2f} s\n{tail(server)}"
        assert left <= SPARE
