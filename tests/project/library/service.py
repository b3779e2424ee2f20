"""An API that fails, and one that the session cookie of the site logs in to. Not named api.py: it is found by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import FastAPI, Form
from fastapi.responses import StreamingResponse

from djfast_mount.auth import CurrentUser, router
from project.shop.models import Item

api = FastAPI()
api.include_router(router, prefix="/auth")


@api.get("/ping")
async def ping() -> str:
    return "pong"


@api.get("/boom/{name}")
def boom(name: str) -> None:
    raise RuntimeError(f"boom {name}")


@api.get("/aboom/{name}")
async def aboom(name: str) -> None:
    raise RuntimeError(f"boom {name}")


@api.get("/half")
def half() -> StreamingResponse:
    def body() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("boom half")

    return StreamingResponse(body())


@api.get("/me")
def me(user: CurrentUser) -> str:
    return user.get_username()


@api.post("/gift")
def gift(user: CurrentUser, name: Annotated[str, Form()] = "nothing") -> int:
    return Item.objects.create(name=name).pk


@api.post("/bodyless")
async def bodyless(user: CurrentUser) -> int:
    return (await Item.objects.acreate(name="bodyless")).pk


@api.get("/gifts")
def gifts() -> list[str]:
    return [item.name for item in Item.objects.order_by("pk")]
