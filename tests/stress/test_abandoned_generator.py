"""A sync generator whose client leaves is closed, soon, on the thread that ran its steps."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from stress.load import HOST, Call, hang_up, settled_report
from stress.server import Figures, Serve, judge, tail


async def leave_in_mid_stream(port: int, call: Call) -> float:
    """Start to read, pause so that the server's buffers fill where they can, leave. Returns when."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
    writer.write(call.raw())
    await reader.read(512)
    await asyncio.sleep(0.3)
    hang_up(writer, reset=True)
    return time.monotonic()


async def leave_often(port: int, path: str, times: int) -> dict[str, float]:
    return {f"left-{n}": await leave_in_mid_stream(port, Call(path, key=f"left-{n}")) for n in range(times)}


def astray(left: float, marks: list[list[Any]]) -> str:
    """What is wrong with the closing of one generator, or nothing."""
    closed = [mark for mark in marks if mark[0] == "close"]
    if not closed:
        return f"not closed {time.monotonic() - left:.1f} s after the client left"
    if closed[0][3] - left > 1:
        return f"closed after {closed[0][3] - left:.2f} s"
    if len({mark[1] for mark in marks}) != 1:
        return f"on another thread: { ({mark[0]: mark[1] for mark in marks}) }"
    return ""


@pytest.mark.parametrize("path", ["/api/trickle", "/api/big", "/api/big_atomic", "/django/big"])
def test_an_abandoned_generator_is_closed_on_its_thread(root: str, serve: Serve, path: str, figure: Figures) -> None:
    """Within a second of the client's leaving the generator's `finally` has run, on its thread and in its transaction.

    Eight times, for a client may leave while a step runs, between two, or between a step's end and its report.
    """
    with serve() as server:
        left = asyncio.run(leave_often(server.port, path, 8))
        time.sleep(1)
        marks = settled_report(server.port, timeout=2)["marks"]
        wrong = [line for key, at in left.items() if (line := astray(at, marks[key]))]
        found = {"astray": f"{len(wrong)} of {len(left)}: {wrong[0]}"} if wrong else {}
        inside = {key for key in left if "in the transaction" in [mark[0] for mark in marks[key]]}
        if path == "/api/big_atomic" and inside != set(left):
            found["outside"] = f"{sorted(set(left) - inside)} wrote outside of their transaction"
        delays = [round(mark[3] - left[key], 3) for key in left for mark in marks[key] if mark[0] == "close"]
        figure(f"closed after {delays} s; {found}")
        judge(root, found, {"astray"} if path != "/django/big" else set(), tail(server))
