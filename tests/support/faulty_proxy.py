"""A TCP proxy before PostgreSQL that does to its connections what a network does.

It runs on a thread with an event loop of its own, so that a load generator on another loop does not slow it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

Kind = Literal["drop", "reset", "black hole", "delay"]
KINDS: tuple[Kind, ...] = ("drop", "reset", "black hole", "delay")
DELAY = 0.02  # seconds, for each block in each direction
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Fault(NamedTuple):
    """What was done, and from when to when, by `time.monotonic()`."""

    kind: Kind
    began: float
    ended: float


def target_of(url: str) -> Callable[[], Awaitable[Streams]]:
    """Connects to the PostgreSQL at that URL, by its socket in the file system or by TCP."""
    parts = urlsplit(url)
    folders = parse_qs(parts.query).get("host")
    if folders:
        return lambda: asyncio.open_unix_connection(f"{folders[0]}/.s.PGSQL.{parts.port or 5432}")
    return lambda: asyncio.open_connection(parts.hostname, parts.port or 5432)


class FaultyProxy:
    """Forwards to the PostgreSQL at `url` until the block is left. `url` of the entered proxy leads through it."""

    def __init__(self, url: str) -> None:
        self._connect = target_of(url)
        self._path = urlsplit(url).path
        self._delay = 0.0
        self._swallows = False
        self._open: set[asyncio.StreamWriter] = set()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.accepted = 0

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.url = f"postgres://postgres@127.0.0.1:{server.sockets[0].getsockname()[1]}{self._path}"
        self._ready.set()
        await self._over.wait()
        server.close()
        while self._open:
            self._cut(reset=False)
            await asyncio.sleep(0.01)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        with contextlib.suppress(OSError):
            there, back = await self._connect()
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        writer.close()
        self._open.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(2**16):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if not self._swallows:
                    writer.write(block)
                    await writer.drain()
        writer.close()

    def _cut(self, *, reset: bool) -> None:
        """End every connection, by RST or by FIN. What PostgreSQL had sent and was not forwarded is lost."""
        for writer in self._open:
            # What has ended by itself is here until its other half has.
            with contextlib.suppress(OSError):
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def _inject(self, kind: Kind, seconds: float) -> None:
        until = self._loop.time() + seconds
        self._delay = DELAY if kind == "delay" else 0.0
        self._swallows = kind == "black hole"
        while (left := until - self._loop.time()) > 0:
            if kind in ("drop", "reset"):
                self._cut(reset=kind == "reset")
            await asyncio.sleep(min(0.1, left))
        if self._swallows:
            # Bytes are missing on them: as a router does that has forgotten a connection.
            self._cut(reset=True)
        self._delay, self._swallows = 0.0, False

    def inject(self, kind: Kind, seconds: float) -> Fault:
        """Do this to all connections for so long, and return when it is over. Called on any other thread.

        drop: each is closed, new ones too. reset: the same by RST. black hole: connections are accepted, and what is
        sent is swallowed in both directions; at the end they are reset. delay: each block comes later, none is lost.
        """
        began = time.monotonic()
        asyncio.run_coroutine_threadsafe(self._inject(kind, seconds), self._loop).result(seconds + 30)
        return Fault(kind, began, time.monotonic())

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("The proxy does not listen.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
