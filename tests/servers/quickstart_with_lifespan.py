"""The quickstart's asgi.py, and beside it an app that shows whether its lifespan ran."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, bool]]:
    print("lifespan: startup", flush=True)  # noqa: T201
    yield {"started": True}
    print("lifespan: shutdown", flush=True)  # noqa: T201


life = FastAPI(lifespan=lifespan)


@life.get("/started")
async def started(request: Request) -> bool:
    return getattr(request.state, "started", False)


async def numbers() -> AsyncIterator[str]:
    number = 0
    try:
        while True:
            yield f"{number}\n"
            number += 1
            await asyncio.sleep(0.1)
    finally:
        print("stream: closed", flush=True)  # noqa: T201


@life.get("/endless")
async def endless() -> StreamingResponse:
    return StreamingResponse(numbers(), media_type="text/plain")


app = mount({"/api": "notes.api:api", "/life": life})
