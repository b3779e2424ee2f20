"""The clients: plain sockets through asyncio, a connection a call, so that an abort is a real one.

A call may be given an abort: it then closes its socket while it sends, while it waits, or after so many bytes of the
answer; with a reset (RST) or an orderly end (FIN). What an aborted call was answered is nobody's claim.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

HOST = "127.0.0.1"
Moment = Literal["sending", "waiting", "reading"]


@dataclass(frozen=True)
class Abort:
    """Leave at a moment. `amount` is from 0 to 1: of the request's bytes, of 30 ms, or of 300 bytes."""

    moment: Moment
    amount: float
    reset: bool

    @classmethod
    def at_random(cls, chance: random.Random) -> Abort:
        moments: tuple[Moment, ...] = ("sending", "waiting", "reading")
        return cls(chance.choice(moments), chance.random(), chance.random() < 0.5)


@dataclass(frozen=True)
class Call:
    path: str
    method: str = "GET"
    key: str = ""
    abort: Abort | None = None
    timeout: float = 30.0
    body: bytes = b""

    def raw(self) -> bytes:
        target = f"{self.path}?key={self.key}" if self.key else self.path
        lines = [f"{self.method} {target} HTTP/1.1", f"Host: {HOST}", "Connection: close"]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass
class Answer:
    """What came back. `status` 0: nothing; `complete`: the body came whole; `hung`: cut off by the call's timeout."""

    call: Call
    began: float
    ended: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    hung: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def json(self) -> Any:
        return json.loads(self.body)


def _unchunk(raw: bytes) -> tuple[bytes, bool]:
    body = b""
    while b"\r\n" in raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, True
        body, raw = body + raw[:length], raw[length + 2 :]
    return body, False


def _parse(answer: Answer, raw: bytes) -> None:
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        return
    first, *lines = head.decode("latin-1").split("\r\n")
    answer.status = int(first.split(" ")[1])
    answer.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if answer.headers.get("transfer-encoding") == "chunked":
        answer.body, answer.complete = _unchunk(body)
    else:
        answer.body, answer.complete = body, len(body) == int(answer.headers.get("content-length", len(body)))


def hang_up(writer: asyncio.StreamWriter, reset: bool) -> None:
    """Close now. With `reset` the peer meets ECONNRESET and not the end of the stream."""
    if reset:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, abort: Abort) -> None:
    if abort.moment == "sending":
        writer.write(raw[: max(1, int(len(raw) * abort.amount))])
        await writer.drain()
    else:
        writer.write(raw)
        await writer.drain()
    if abort.moment == "waiting":
        await asyncio.sleep(abort.amount * 0.03)
    if abort.moment == "reading":
        await reader.read(1 + int(abort.amount * 300))
    hang_up(writer, abort.reset)


async def _read_all(reader: asyncio.StreamReader, received: bytearray) -> None:
    while block := await reader.read(2**16):
        received += block


async def send(port: int, call: Call) -> Answer:
    """One call on a connection of its own."""
    answer, received, raw = Answer(call, time.monotonic()), bytearray(), call.raw()
    writer = None
    try:
        async with asyncio.timeout(call.timeout):
            reader, writer = await asyncio.open_connection(HOST, port)
            if call.abort:
                await _leave(reader, writer, raw, call.abort)
            else:
                writer.write(raw)
                await _read_all(reader, received)
    except TimeoutError:
        answer.hung = True
    except OSError:
        pass
    finally:
        if writer is not None:
            writer.transport.abort()
    answer.ended = time.monotonic()
    _parse(answer, bytes(received))
    return answer


Watch = Callable[[int], Awaitable[None]]


async def _drive(port: int, calls: Iterable[Call], at_once: int, watch: Watch | None, until: float) -> list[Answer]:
    waiting = iter(enumerate(calls))
    answers: list[Answer] = []

    async def work() -> None:
        for number, call in waiting:
            if time.monotonic() > until:
                break
            if watch is not None:
                await watch(number)
            answers.append(await send(port, call))

    await asyncio.gather(*(work() for _ in range(at_once)))
    return answers


def drive(
    port: int, calls: Iterable[Call], at_once: int = 16, watch: Watch | None = None, within: float = 300.0
) -> list[Answer]:
    """Make the calls in their order, so many at once. `watch(n)` runs before the n-th is made.

    After `within` seconds no more are made: a server that no longer answers is not to hold the program for hours.
    """
    return asyncio.run(_drive(port, calls, at_once, watch, time.monotonic() + within))


def together(port: int, calls: Sequence[Call]) -> list[Answer]:
    """Make all the calls at once."""
    return drive(port, calls, at_once=len(calls))


def report(port: int) -> dict[str, Any]:
    """What the server recorded, or an error if its event loop does not answer."""
    answer = drive(port, [Call("/api/report")], 1)[0]
    if answer.status != 200 or not answer.complete:
        raise RuntimeError(f"/api/report was answered {answer.status} after {answer.seconds:.1f} s")
    recorded: dict[str, Any] = answer.json()
    return recorded


def settled_report(port: int, timeout: float = 10.0) -> dict[str, Any]:
    """The record once nothing more is added to it for half a second: aborted requests run on after their clients."""
    deadline, before = time.monotonic() + timeout, report(port)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = report(port)
        if now == before:
            break
        before = now
    return before
