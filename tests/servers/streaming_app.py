"""An API with a stream that has no end, as a server loads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from djfast_mount import mount

api = FastAPI()


@api.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        while True:
            yield "part\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(parts())


app = mount("/api", api)
