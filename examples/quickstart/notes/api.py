"""FastAPI's half: everything under /api. Models are imported as in any Django module: Django is set up before."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent

from djfast_mount.auth import CurrentUser
from djfast_mount.schemas import Create, ModelSchema
from djfast_mount.transactions import Atomic
from notes.models import Note

POLL_SECONDS = 0.5
api = FastAPI(title="Notes")


class NoteSchema(ModelSchema[Note]):
    """What the API shows of a note, and what it takes for a new one. The rules of the fields come from the model."""

    title: str

    class Meta:
        fields = ["id", "title", "text", "created"]


@api.get("/notes")
def list_notes(search: str = "") -> list[NoteSchema]:
    """A plain `def` with the plain ORM. Everybody may read."""
    return NoteSchema.read(Note.objects.filter(title__icontains=search))


@api.post("/notes", status_code=201)
def create_notes(notes: list[Create[NoteSchema]], user: CurrentUser, _: Atomic) -> list[NoteSchema]:
    """Users who are logged in may write. If one title exists already, `Atomic` takes all of the notes back."""
    return [NoteSchema.of(create(note)) for note in notes]


def create(note: Create[NoteSchema]) -> Note:
    if Note.objects.filter(title=note.title).exists():
        raise HTTPException(409, f"There is a note with the title {note.title!r}.")
    return note.create()


@api.get("/notes/changes", response_class=EventSourceResponse)
async def changes(last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the notes after the last one seen, be they from the API or from the admin."""
    while True:
        async for note in Note.objects.filter(id__gt=last_event_id):
            last_event_id = note.id
            yield ServerSentEvent(data=await NoteSchema.aof(note), id=str(note.id))
        await asyncio.sleep(POLL_SECONDS)


@api.get("/notes/{note_id}")
async def get_note(note_id: int) -> NoteSchema:
    """An `async def` with the async ORM."""
    note = await Note.objects.filter(id=note_id).afirst()
    if note is None:
        raise HTTPException(404, f"There is no note {note_id}.")
    return await NoteSchema.aof(note)


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
