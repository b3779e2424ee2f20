"""The API that is measured, alone and mounted."""

from collections.abc import Iterator
from typing import Annotated, Any

from django.contrib.auth.models import Group
from django.db.models import Func, TextField, Value
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict


def plain() -> int:
    return 1


def opened() -> Iterator[int]:
    yield 1


Plain = Annotated[int, Depends(plain)]
Opened = Annotated[int, Depends(opened)]


class Row(BaseModel):
    """A group, as each framework writes one by its own means."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @api.get("/hello-sync")
    def hello_sync() -> dict[str, str]:
        return {"hello": "world"}

    @api.get("/query")
    def query() -> dict[str, int]:
        return {"groups": Group.objects.count()}

    @api.get("/row/{pk}", response_model=Row)
    def row(pk: int) -> Group:
        return Group.objects.get(pk=pk)

    @api.get("/query-dependency")
    def query_dependency(one: Plain) -> dict[str, int]:
        return {"groups": Group.objects.count()}

    @api.get("/query-yield")
    def query_yield(one: Opened) -> dict[str, int]:
        return {"groups": Group.objects.count()}

    @api.get("/query-async")
    async def query_async() -> dict[str, int]:
        return {"groups": await Group.objects.acount()}

    @api.get("/wait-async")
    async def wait_async() -> dict[str, bool]:
        """The one group there is, after 50 ms in the database."""
        sleep: Any = Func(Value(0.05), function="pg_sleep", output_field=TextField())
        return {"found": await Group.objects.annotate(slept=sleep).values_list("slept").afirst() is not None}

    return api


def make_wide_api(areas: int, things: int) -> FastAPI:
    """So many included routers with so many routes each."""
    api = FastAPI()
    for number in range(areas):
        router = APIRouter(prefix=f"/area{number}")
        for item in range(things):

            @router.get(f"/thing{item}/{{identifier}}")
            async def read(identifier: int) -> dict[str, int]:
                return {"identifier": identifier}

        api.include_router(router)
    return api
