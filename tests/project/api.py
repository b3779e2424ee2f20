"""The API of the test project."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, UploadFile, WebSocket


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"started": True}


api = FastAPI(title="Test project", lifespan=lifespan)


@api.get("/")
async def index(request: Request) -> dict[str, Any]:
    return {"api": "index", "started": getattr(request.state, "started", False)}


@api.post("/")
async def post_index(request: Request) -> dict[str, Any]:
    return {"body": (await request.body()).decode()}


@api.get("/where")
async def where(request: Request) -> dict[str, str]:
    """What the endpoint met: enough to tell which scope FastAPI was handed."""
    return {
        "path": request.scope["path"],
        "root_path": request.scope["root_path"],
        "url": str(request.url),
        "url_for": str(request.url_for("where")),
    }


@api.post("/size")
async def size(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@api.post("/upload")
def upload(file: UploadFile) -> dict[str, int | None]:
    return {"size": file.size}


@api.post("/names")
async def names(names: list[str]) -> dict[str, int]:
    return {"size": len(names)}


@api.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@api.get("/slow")
async def slow() -> dict[str, str]:
    await asyncio.sleep(0.3)
    return {"slow": "done"}
