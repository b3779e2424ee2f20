"""The API, under /api/v1, with its docs at /docs; the front end has the rest."""

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from moving.notes.models import Note
from moving.spa_at_root.spa import DIST

router = APIRouter(prefix="/api/v1")


@router.get("/notes")
def notes() -> list[str]:
    return list(Note.objects.order_by("pk").values_list("text", flat=True))


@router.post("/notes")
def create(text: str) -> str:
    return Note.objects.create(text=text).text


@router.get("/double/{number}")
async def double(number: int) -> int:
    return 2 * number


api = FastAPI(title="Boilerplate", docs_url="/docs", redoc_url="/redoc", openapi_url="/openapi.json")
api.include_router(router)
api.mount("/assets", StaticFiles(directory=DIST / "assets"))
