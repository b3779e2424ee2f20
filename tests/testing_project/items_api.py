"""An API over the test project's items, for tests that call it in their own thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync, sync_to_async
from django.core.mail import send_mail
from django.db import transaction
from django.utils import translation
from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, Request, Response, UploadFile, WebSocket
from fastapi.responses import RedirectResponse, StreamingResponse

from djfast_mount import mount
from project.shop.models import Item

events: list[str] = []
"""What happened where no answer tells it."""

remembered: ContextVar[str] = ContextVar("remembered", default="nothing")
tasks: set[asyncio.Task[Any]] = set()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    events.append(f"up with {await Item.objects.acount()} items on {threading.current_thread().name}")
    yield {"started": "by the lifespan"}
    events.append("down")


api = FastAPI(lifespan=lifespan)


def names() -> list[str]:
    return list(Item.objects.order_by("id").values_list("name", flat=True))


def here() -> str:
    return threading.current_thread().name


@api.get("/items")
def list_items() -> list[str]:
    return names()


@api.get("/async-items")
async def list_items_async() -> list[str]:
    return [name async for name in Item.objects.order_by("id").values_list("name", flat=True)]


def count_items() -> Iterator[int]:
    events.append(f"enter on {here()}")
    yield Item.objects.count()
    events.append(f"exit on {here()} with {Item.objects.count()}")


@api.get("/threads")
async def threads(count: Annotated[int, Depends(count_items)]) -> dict[str, Any]:
    """The threads on which the parts of one request run, with a query on each."""
    return {"count": count, "orm": await sync_to_async(here)(), "loop": here()}


def note(name: str) -> None:
    Item.objects.create(name=f"{name}, noted on {here()}")


@api.post("/items/{name}", status_code=201)
def create_item(name: str, background: BackgroundTasks) -> dict[str, Any]:
    item = Item.objects.create(name=name)
    background.add_task(note, name)
    return {"id": item.pk, "thread": here()}


@api.post("/half/{name}")
def create_half(name: str) -> None:
    with transaction.atomic():
        Item.objects.create(name=name)
        raise LookupError(name)


@api.post("/left-open")
def leave_open() -> None:
    transaction.atomic().__enter__()
    Item.objects.create(name="left open")


@api.post("/mail")
async def mail() -> None:
    await sync_to_async(send_mail)("Subject", "Body", None, ["to@example.com"])
    await sync_to_async(transaction.on_commit)(lambda: events.append("committed"))


@api.post("/language/{language}")
def language(language: str) -> str:
    found = f"{remembered.get()} {translation.get_language()}"
    remembered.set("by the app")
    translation.activate(language)
    return found


@api.get("/through")
def through() -> list[str]:
    """Back to the loop, and from there to the thread again."""
    return async_to_sync(sync_to_async(names))()


@api.post("/late/{name}", status_code=202)
async def late(name: str) -> None:
    """A task that goes on when its request is over."""

    async def create() -> None:
        await Item.objects.acreate(name=name)
        events.append(f"created on {await sync_to_async(here)()}")

    tasks.add(asyncio.create_task(create()))


def in_a_block() -> Iterator[None]:
    with transaction.atomic():
        yield


@api.post("/meet/{name}", dependencies=[Depends(in_a_block)])
async def meet(name: str) -> None:
    """Waits in its transaction for another request to get there."""
    await barriers.setdefault(asyncio.get_running_loop(), asyncio.Barrier(2)).wait()
    await Item.objects.acreate(name=name)


barriers: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Barrier] = WeakKeyDictionary()


# What httpx can do ---------------------------------------------------------------------------------------------------


@api.post("/echo")
async def echo(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {
        "method": request.method,
        "query": dict(request.query_params),
        "headers": dict(request.headers),
        "body": body.decode(),
        "path": request.scope["path"],
        "root_path": request.scope["root_path"],
        "state": getattr(request.state, "started", None),
    }


@api.post("/upload")
def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    return {"title": title, "name": file.filename, "content": file.file.read().decode()}


@api.post("/parts")
async def parts(request: Request) -> list[str]:
    """The messages in which a body came."""
    return [part.decode() async for part in request.stream() if part]


@api.get("/away")
def away(request: Request) -> RedirectResponse:
    return RedirectResponse(request.url_for("list_items"))


@api.get("/cookie")
def cookie(request: Request, response: Response) -> dict[str, str]:
    response.set_cookie("flavour", "vanilla")
    return dict(request.cookies)


@api.get("/stream")
def stream() -> StreamingResponse:
    def rows() -> Iterator[str]:
        try:
            for number in range(1000):
                Item.objects.create(name=f"row {number} on {here()}")
                yield f"{Item.objects.count()}\n"
        finally:
            events.append(f"closed on {here()} after {Item.objects.count()}")

    return StreamingResponse(rows(), media_type="text/plain")


@api.get("/async-stream")
async def async_stream() -> StreamingResponse:
    async def rows() -> AsyncIterator[str]:
        try:
            while True:
                yield f"{await Item.objects.acount()}\n"
        finally:
            events.append("async stream closed")

    return StreamingResponse(rows(), media_type="text/plain")


@api.get("/target")
async def target() -> StreamingResponse:
    """Headers at once, and nothing after them."""

    async def nothing() -> AsyncIterator[str]:
        events.append("target")
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            events.append("no longer target")

    return StreamingResponse(nothing(), media_type="text/event-stream")


@api.get("/exit")
def leave_the_process() -> None:
    sys.exit(3)


# Websockets ----------------------------------------------------------------------------------------------------------


@api.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    """Answers each text with what there is, and where it was asked."""
    await socket.accept("second" if "second" in socket.scope["subprotocols"] else None, [(b"set-cookie", b"ws=yes")])
    async for text in socket.iter_text():
        await Item.objects.acreate(name=text)
        await socket.send_json([await sync_to_async(here)(), await sync_to_async(names)(), socket.cookies])


@api.websocket("/ws/closes")
async def closes(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_bytes(b'{"last":"words"}')
    await socket.close(4001, "enough")


@api.websocket("/ws/fails")
async def fails(socket: WebSocket) -> None:
    await socket.accept()
    raise LookupError("in a websocket")


@api.websocket("/ws/denies")
async def denies(socket: WebSocket) -> None:
    await socket.send_denial_response(Response("not you", status_code=401))


@api.websocket("/ws/talks")
async def talks(socket: WebSocket) -> None:
    """Sends without an end."""
    await socket.accept()
    while True:
        await socket.send_text("more")


root = mount("/api", api)
