"""How many steps one request takes through the package: `python tests/benchmarks/steps.py`, repeatable to the digit.

For each kind of request: calls of the package's own functions, the files they lie in, how often the next call is in
another file than the one before, and opcodes of all Python code, ours or not.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "src")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from fastapi import FastAPI  # noqa: E402

import djfast_mount  # noqa: E402
from calls import call, http_scope  # noqa: E402

PACKAGE = str(Path(djfast_mount.__file__).parent)


class Steps(NamedTuple):
    """What one request took."""

    calls: int
    files: int
    changes: int
    opcodes: int


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/async")
    async def hello() -> str:
        return "hello"

    @api.get("/sync")
    def sync_hello() -> str:
        return "hello"

    @api.get("/orm")
    def orm() -> int:
        from project.shop.models import Item  # noqa: PLC0415  (models need mount(), which sets Django up)

        return Item.objects.count()

    return api


class Recorder:
    """Traces every thread that starts while it is on.

    The process has one, because a worker keeps the trace that it began with.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.opcodes = 0

    def __enter__(self) -> Recorder:
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.found.append(frame.f_code.co_filename)
        self.opcodes += event == "opcode"
        return self.trace

    async def steps(self, app: Any, path: str) -> Steps:
        self.found, self.opcodes = [], 0
        answer = await call(app, http_scope(path))
        assert answer.status == 200, answer.text
        changes = sum(one != other for one, other in itertools.pairwise(self.found))
        return Steps(len(self.found), len(set(self.found)), changes, self.opcodes)


async def main() -> None:
    from django.core.management import call_command  # noqa: PLC0415

    root = djfast_mount.mount("/api", make_api(), threads=1)
    await asyncio.to_thread(call_command, "migrate", verbosity=0)
    print(f"{'':<12}{'calls':>8}{'files':>8}{'changes':>10}{'opcodes':>10}")
    with Recorder() as recorder:
        for path in ("/api/async", "/api/sync", "/api/orm"):
            for _ in range(20):
                await call(root, http_scope(path))
            print(f"{path:<12}" + "{:>8}{:>8}{:>10}{:>10}".format(*await recorder.steps(root, path)))


if __name__ == "__main__":
    asyncio.run(main())
