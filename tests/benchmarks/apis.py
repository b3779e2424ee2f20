"""The API that is measured, alone and mounted."""

from collections.abc import Iterator
from typing import Annotated

from django.contrib.auth.models import Group
from fastapi import APIRouter, Depends, FastAPI


def opened() -> Iterator[int]:
    yield 1


Opened = Annotated[int, Depends(opened)]


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

    @api.get("/query-dependency")
    def query_dependency(one: Opened) -> dict[str, int]:
        return {"groups": Group.objects.count()}

    @api.get("/query-async")
    async def query_async() -> dict[str, int]:
        return {"groups": await Group.objects.acount()}

    return api


def make_wide_api() -> FastAPI:
    """300 routes in 10 included routers; the last is asked for."""
    api = FastAPI()
    for number in range(10):
        router = APIRouter(prefix=f"/area{number}")
        for item in range(30):

            @router.get(f"/thing{item}/{{identifier}}")
            async def read(identifier: int) -> dict[str, int]:
                return {"identifier": identifier}

        api.include_router(router)
    return api
