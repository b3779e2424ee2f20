"""What a hop to a thread costs with 32 requests at once: `python -m benchmarks.hop NAME` prints microseconds.

A request that makes one hop, less one that makes none; of the mounted app also one that makes two, less one that makes
one: its first takes a thread and begins the request there, with Django's signals, and its end gives it back. Each
contender has a process of its own, for mount() changes what a hop is.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from starlette.concurrency import run_in_threadpool

from djfast_mount import mount

AT_ONCE = 32
REQUESTS = 300  # of each of those
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"127.0.0.1")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}


def nothing() -> None:
    pass


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def still(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


async def hopping(scope: Any, receive: Any, send: Any) -> None:
    await anyio.to_thread.run_sync(nothing)
    await answer(send)


async def hopping_by_starlette(scope: Any, receive: Any, send: Any) -> None:
    """As FastAPI and Starlette do it, which is what the mounted app leads to its threads."""
    await run_in_threadpool(nothing)
    await answer(send)


async def hopping_twice(scope: Any, receive: Any, send: Any) -> None:
    await run_in_threadpool(nothing)
    await run_in_threadpool(nothing)
    await answer(send)


async def in_context(scope: Any, receive: Any, send: Any) -> None:
    """As Django's own ASGI handler does for each request."""
    async with ThreadSensitiveContext():
        await sync_to_async(nothing, thread_sensitive=True)()
    await answer(send)


def mounted() -> tuple[Any, Any]:
    app = mount({"/still": still, "/hop": hopping_by_starlette}, django=False)
    return at(app, "/still/"), at(app, "/hop/")


def mounted_further() -> tuple[Any, Any]:
    app = mount({"/once": hopping_by_starlette, "/twice": hopping_twice}, django=False)
    return at(app, "/once/"), at(app, "/twice/")


def at(app: Any, path: str) -> Any:
    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    return asked


HOPS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "mounted, the first": mounted,
    "mounted, a further one": mounted_further,
    "AnyIO": lambda: (at(still, "/"), at(hopping, "/")),
    "asgiref, a context for each request": lambda: (at(still, "/"), at(in_context, "/")),
}


async def seconds_for(app: Any) -> float:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"answered {message!r}")

    async def client() -> None:
        for _ in range(REQUESTS):
            await app(SCOPE, receive, send)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return time.perf_counter() - began


async def cost(name: str) -> float:
    """Microseconds of one hop."""
    without, with_hop = HOPS[name]()
    await seconds_for(with_hop)
    difference = await seconds_for(with_hop) - await seconds_for(without)
    return difference / (AT_ONCE * REQUESTS) * 1e6


if __name__ == "__main__":
    print(f"{asyncio.run(cost(sys.argv[1])):.2f}")
