"""Telemetry that is off: nothing of it is in the way of a request.

Holds `telemetry/observable_root.py` and `telemetry/from_options.py`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import djfast_mount.telemetry
from calls import call, http_scope
from djfast_mount.telemetry.listeners import audience
from telemetry_site import records, site

ROOM = str(Path(djfast_mount.telemetry.__file__).parent)
PATHS = ["/api/hello", "/api/sync/1", "/view/1/", "/async/", "/healthz", "/nothing/"]


def opcodes_in_the_room(telemetry: bool, path: str) -> int:
    found = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal found
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        found += event == "opcode" and frame.f_code.co_filename.startswith(ROOM)
        return trace

    async def main() -> None:
        await call(root, http_scope(path))
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await call(root, http_scope(path))
        finally:
            sys.settrace(before)

    with site(telemetry=telemetry) as root:
        asyncio.run(main())
    return found


@pytest.mark.parametrize("path", PATHS)
def test_off_costs_nothing(path: str) -> None:
    """A request runs no opcode of telemetry on the event loop; with telemetry on it does."""
    assert opcodes_in_the_room(False, path) == 0
    assert opcodes_in_the_room(True, path) > 0


def test_an_id_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, a request runs no more than 125 opcodes for its id."""
    monkeypatch.setattr(audience, "listeners", ())
    assert opcodes_in_the_room(True, "/api/hello") <= 125


@pytest.mark.parametrize("path", ["/api/sync/1", "/view/1/"])
def test_off_tells_nothing(path: str) -> None:
    """No listener is called, and a statement is executed as ever."""
    with records() as found, site(telemetry=False) as root:
        assert asyncio.run(call(root, http_scope(path))).status == 200
    assert found == []
