"""FastAPI's half: everything under /api. Models are imported as in any Django module: Django is set up before."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Annotated

from django.db import transaction
from fastapi import Depends, FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from notes.models import Note

POLL_SECONDS = 0.5
api = FastAPI(title="Notes")


class NoteIn(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    text: str = ""


class NoteOut(NoteIn):
    model_config = ConfigDict(from_attributes=True)

    id: int
    created: datetime


def atomic() -> Iterator[None]:
    with transaction.atomic():
        yield


# The scope "function" ends the transaction before the answer is sent. FastAPI's default ends it after: a client could
# be told of a note that a next request does not see yet, or that never comes to be since the commit fails.
Atomic = Depends(atomic, scope="function")


@api.get("/notes")
def list_notes(search: str = "") -> list[NoteOut]:
    """A plain `def` with the plain ORM."""
    return [NoteOut.model_validate(note) for note in Note.objects.filter(title__icontains=search)]


@api.post("/notes", status_code=201, dependencies=[Atomic])
def create_notes(notes: list[NoteIn]) -> list[NoteOut]:
    """All of them or, where one title is there already, none: the dependency's transaction is rolled back."""
    return [NoteOut.model_validate(create(note)) for note in notes]


def create(note: NoteIn) -> Note:
    if Note.objects.filter(title=note.title).exists():
        raise HTTPException(409, f"There is a note with the title {note.title!r}.")
    return Note.objects.create(**note.model_dump())


@api.get("/notes/changes", response_class=EventSourceResponse)
async def changes(last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the notes after the last one seen, be they from the API or from the admin."""
    while True:
        async for note in Note.objects.filter(id__gt=last_event_id):
            last_event_id = note.id
            yield ServerSentEvent(data=NoteOut.model_validate(note), id=str(note.id))
        await asyncio.sleep(POLL_SECONDS)


@api.get("/notes/{note_id}")
async def get_note(note_id: int) -> NoteOut:
    """An `async def` with the async ORM."""
    note = await Note.objects.filter(id=note_id).afirst()
    if note is None:
        raise HTTPException(404, f"There is no note {note_id}.")
    return NoteOut.model_validate(note)


@api.websocket("/notes/search")
async def search(websocket: WebSocket) -> None:
    """Search as you type: every text received is answered with the titles that contain it."""
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            titles = [note.title async for note in Note.objects.filter(title__icontains=text)]
            await websocket.send_json({"search": text, "titles": titles})
    except WebSocketDisconnect:
        return
