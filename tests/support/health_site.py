"""The test project with endpoints that hold threads: `uvicorn health_site:app`."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "health_settings")

released = threading.Event()
held = threading.Semaphore(0)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


api = FastAPI(lifespan=lifespan)


@api.get("/hold")
def hold() -> str:
    """Holds its thread until `/release` is called."""
    held.release()
    released.wait(60)
    return "held"


@api.get("/holding")
async def holding(threads: int) -> str:
    """Answers once that many threads are held."""
    for _ in range(threads):
        while not held.acquire(blocking=False):
            await asyncio.sleep(0.01)
    return "holding"


@api.post("/release")
async def release() -> str:
    released.set()
    return "released"


app = mount("/api", api)
