"""What must not grow: costs with chunks, routes, files and requests, each as a ratio to what it is held to.

    python tests/benchmarks/growth.py [streams] [refusals] [files] [requests] [start]

All in process, by CPU time and resident memory: load of the machine changes little. Best of several rounds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "support")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
os.environ.setdefault("DATABASE_URL", "sqlite:///:memory:")

import django  # noqa: E402
import psutil  # noqa: E402
from django.conf import settings  # noqa: E402
from django.http import HttpRequest, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from whitenoise import WhiteNoise  # noqa: E402

from calls import http_scope  # noqa: E402
from djfast_mount import mount  # noqa: E402

CHUNKS = 10_000
ROUTES = 1_000
FILES = 100_000
FEW, MANY = 20_000, 200_000


def shown(what: str, ratio: float, bound: float) -> None:
    print(f"| {what} | {ratio:.2f} x | <= {bound} x |{'' if ratio <= bound else ' **not reached**'}", flush=True)


def call(app: Any, path: str, times: int = 1, status: int = 200, **options: Any) -> Callable[[], None]:
    """Returns what asks `app` so many times, on a loop of its own."""
    options = {"headers": [(b"host", b"localhost")], **options}

    async def main() -> None:
        for _ in range(times):
            messages: list[Any] = [{"type": "http.request", "body": b""}]
            found: list[int] = []

            async def receive(messages: list[Any] = messages) -> Any:
                if messages:
                    return messages.pop()
                return await asyncio.Event().wait()

            async def send(message: Any, found: list[int] = found) -> None:
                if message["type"] == "http.response.start":
                    found.append(message["status"])

            await app(http_scope(path, **options), receive, send)
            assert found == [status], found

    return lambda: asyncio.run(main())


def cpu(action: Callable[[], Any]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def best(*actions: Callable[[], Any], rounds: int = 5) -> list[float]:
    """The least seconds of each, in rounds in which all take their turn."""
    found = [[cpu(action) for action in actions] for _ in range(rounds)]
    return [min(each) for each in zip(*found, strict=True)]


def resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


# Streams ------------------------------------------------------------------------------------------------------------


def chunks() -> Iterator[bytes]:
    for _ in range(CHUNKS):
        yield b"x" * 20


async def async_chunks() -> AsyncIterator[bytes]:
    for _ in range(CHUNKS):
        yield b"x" * 20


def sync_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks())


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(async_chunks())


def streaming_api() -> FastAPI:
    api = FastAPI()

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(async_chunks())

    return api


urlpatterns = [path("sync", sync_stream), path("async", async_stream)]


def streams() -> None:
    settings.ROOT_URLCONF = __name__
    api = streaming_api()
    root = mount("/api", api)
    alone = streaming_api()
    sync, other, mounted, bare = best(
        call(root, "/sync"), call(root, "/async"), call(root, "/api/stream"), call(alone, "/stream")
    )
    shown(f"Django sync stream of {CHUNKS:,} chunks, to an async one", sync / other, 2)
    shown("API async generator, to FastAPI alone", mounted / bare, 1.15)


# Routes -------------------------------------------------------------------------------------------------------------


def many_routes(count: int) -> FastAPI:
    api = FastAPI()

    async def read(identifier: int) -> int:
        return identifier

    for number in range(count):
        api.get(f"/thing{number}/{{identifier}}")(read)
    return api


def refusals() -> None:
    one, many, alone = mount("/api", many_routes(1)), mount("/api", many_routes(ROUTES)), many_routes(ROUTES)
    few, found, other = best(
        call(one, "/api/nothing", 200, 404), call(many, "/api/nothing", 200, 404), call(alone, "/nothing", 20, 404)
    )
    shown(f"API 404 with {ROUTES:,} routes, to one", found / few, 1.2)
    shown(f"API 404 with {ROUTES:,} routes, to FastAPI alone", found / other / 10, 1)
    few, found, other = best(
        call(one, "/api/thing0/1", 200, 405, method="PUT"),
        call(many, f"/api/thing{ROUTES - 1}/1", 200, 405, method="PUT"),
        call(alone, f"/thing{ROUTES - 1}/1", 20, 405, method="PUT"),
    )
    shown(f"API 405 with {ROUTES:,} routes, to one", found / few, 1.2)
    shown(f"API 405 with {ROUTES:,} routes, to FastAPI alone", found / other / 10, 1)


# Files, requests, start ---------------------------------------------------------------------------------------------


def in_a_process(*arguments: str) -> list[float]:
    """What this file prints of itself in a process of its own: two figures."""
    command = [sys.executable, __file__, *arguments]
    return [float(part) for part in subprocess.check_output(command, text=True).split()[-2:]]


def table_of_files(kind: str, folder: str) -> None:
    """Prints CPU seconds and megabytes of a table of static files."""
    settings.STATIC_ROOT, settings.STATIC_URL = folder, "/static/"
    before = resident()
    kept: list[Any] = []

    def make() -> None:
        if kind == "mounted":
            kept.append(mount("/api", FastAPI()))
        else:
            kept.append(WhiteNoise(None, root=folder, prefix="static/"))

    print(cpu(make), resident() - before)


def files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            place = Path(folder, str(number % 100))
            place.mkdir(exist_ok=True)
            (place / f"{number}.css").write_bytes(b"x")
        found = [[in_a_process("--files", kind, folder) for kind in ("mounted", "whitenoise")] for _ in range(3)]
    ours, theirs = (min(each[number][0] for each in found) for number in (0, 1))
    shown(f"{FILES:,} static files, CPU at start, to WhiteNoise's table", ours / theirs, 1.1)
    shown(f"{FILES:,} static files, memory, to WhiteNoise's table", found[-1][0][1] / found[-1][1][1], 1.1)


def mixed_requests() -> None:
    """Prints the megabytes after a few and after many requests of several kinds."""
    settings.ROOT_URLCONF = __name__
    api = many_routes(3)

    @api.get("/sync")
    def sync(number: int = 1) -> dict[str, int]:
        return {"number": number}

    root = mount("/api", api)
    kinds = [
        *(("/api/thing1/7", 200), ("/api/thing1/no", 422), ("/api/nothing", 404), ("/api/sync", 200)),
        *(("/nothing", 404), ("/api/thing2/7", 200), ("/api/sync", 200), ("/api/thing0/7", 200)),
    ]

    def ask(count: int) -> None:
        for _ in range(count // 1000):
            for target, status in kinds:
                call(root, target, 1000 // len(kinds), status)()

    ask(FEW)
    few = resident()
    ask(MANY - FEW)
    print(few, resident())


def requests() -> None:
    few, many = in_a_process("--requests")
    shown(f"memory after {MANY:,} mixed requests, to that after {FEW:,}", many / few, 1.03)


def starting(kind: str) -> None:
    """Prints the CPU seconds of the whole process up to a first app, twice."""
    getattr(import_module("benchmarks.contenders"), kind)
    print(time.process_time(), time.process_time())


def start() -> None:
    found = [[in_a_process("--start", kind)[0] for kind in ("mounted", "hand_made")] for _ in range(7)]
    ours, theirs = (min(each[number] for each in found) for number in (0, 1))
    shown("start, to the hand-made Mount", ours / theirs, 1.1)


def main() -> None:
    asked = sys.argv[1:]
    if asked and asked[0] == "--start":
        return starting(asked[1])
    django.setup()
    if asked and asked[0] == "--files":
        return table_of_files(*asked[1:])
    if asked and asked[0] == "--requests":
        return mixed_requests()
    for measure in (streams, refusals, files, requests, start):
        if not asked or measure.__name__ in asked:
            measure()
    return None


if __name__ == "__main__":
    main()
