"""The API: its routes are at the root of the host."""

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel

from moving.notes.models import Note

router = APIRouter(prefix="/notes", tags=["notes"])


class NoteIn(BaseModel):
    text: str


@router.get("/")
def notes() -> list[str]:
    return list(Note.objects.order_by("pk").values_list("text", flat=True))


@router.post("/", status_code=201)
def create(note: NoteIn) -> str:
    return Note.objects.create(text=note.text).text


@router.get("/first")
async def first() -> str:
    note = await Note.objects.order_by("pk").afirst()
    if note is None:
        raise HTTPException(404, "no note")
    return note.text


@router.delete("/")
def delete() -> int:
    return Note.objects.all().delete()[0]


api = FastAPI(title="Notes")
api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["*"])
api.include_router(router)


@api.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
