"""A sync generator whose client leaves is closed, soon, on the thread that ran its steps."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from stress.load import HOST, Call, hang_up, report
from stress.server import Figures, Serve, judge, tail


async def leave_in_mid_stream(port: int, call: Call) -> float:
    """Start to read, pause so that the server's buffers fill where they can, leave. Returns when."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
    writer.write(call.raw())
    await reader.read(512)
    await asyncio.sleep(0.5)
    hang_up(writer, reset=True)
    return time.monotonic()


def closing(port: int, key: str, timeout: float) -> list[list[Any]]:
    """The marks of the request, once its generator is closed or the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        marks: list[list[Any]] = report(port)["marks"].get(key, [])
        if time.monotonic() > deadline or any(mark[0] == "close" for mark in marks):
            return marks
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/api/trickle", "/api/big", "/api/big_atomic"])
def test_an_abandoned_generator_is_closed_on_its_thread(root: str, serve: Serve, path: str, figure: Figures) -> None:
    """Within a second of the client's leaving the generator's `finally` has run, on the thread of its steps."""
    with serve() as server:
        left = asyncio.run(leave_in_mid_stream(server.port, Call(path, key="left")))
        marks = closing(server.port, "left", timeout=4)
        closed = [mark for mark in marks if mark[0] == "close"]
        found = {}
        if not closed:
            found["open"] = f"not closed {time.monotonic() - left:.1f} s after the client left"
        elif closed[0][3] - left > 1:
            found["open"] = f"closed after {closed[0][3] - left:.2f} s"
        if len({mark[1] for mark in marks}) != 1:
            found["threads"] = f"{ ({mark[0]: mark[1] for mark in marks}) }"
        figure(f"closed after {[round(mark[3] - left, 3) for mark in closed]} s; {found}")
        judge(root, found, {"open"}, tail(server))
