"""Routers at the root of the host, pages and an answer that is streamed among them."""

import json
from collections.abc import AsyncIterator, Iterator

from django.contrib.auth.models import User
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

from moving.notes.models import Note

web, chats = APIRouter(), APIRouter(prefix="/api/chat")


@web.get("/", response_class=HTMLResponse)
async def index() -> str:
    return '<!doctype html><title>Chat</title><script src="/_next/app.js"></script>'


@web.get("/api/health")
def health() -> dict[str, int]:
    return {"users": User.objects.count()}


@chats.post("")
def say(text: str) -> int:
    Note.objects.create(text=text)
    return Note.objects.count()


@chats.get("")
async def chat(words: int) -> StreamingResponse:
    async def answer() -> AsyncIterator[str]:
        for number in range(words):
            note = await Note.objects.order_by("pk").afirst()
            yield json.dumps({"word": number, "note": note and note.text}) + "\n"

    return StreamingResponse(answer(), media_type="application/x-ndjson")


@chats.get("/history")
def history() -> StreamingResponse:
    def lines() -> Iterator[str]:
        for note in Note.objects.order_by("pk").iterator():
            yield f"{note.text}\n"

    return StreamingResponse(lines(), media_type="text/plain")


api = FastAPI(title="Chat")
api.include_router(web)
api.include_router(chats)
