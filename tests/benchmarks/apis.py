"""The API that is measured, alone and mounted."""

from collections.abc import Iterator
from typing import Annotated, Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Func, TextField, Value
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict


def plain() -> int:
    return 1


def opened() -> Iterator[int]:
    yield 1


def in_transaction() -> Iterator[None]:
    with transaction.atomic():
        yield


async def first() -> int:
    return 1


async def second(one: Annotated[int, Depends(first)]) -> int:
    return one + 1


async def third(two: Annotated[int, Depends(second)]) -> int:
    return two + 1


Plain = Annotated[int, Depends(plain)]
Opened = Annotated[int, Depends(opened)]


class Row(BaseModel):
    """A group, as each framework writes one by its own means."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str


class Line(BaseModel):
    article: str
    count: int
    price: float


class Order(BaseModel):
    number: int
    customer: str
    lines: list[Line]


class Item(BaseModel):
    number: int
    name: str
    limit: int


class Added(BaseModel):
    number: int
    lines: int


ITEMS = [Item(number=number, name=f"item {number}", limit=number) for number in range(100)]


def make_api() -> FastAPI:
    """The API: what asks the database, and what asks nothing."""
    api = FastAPI()
    _add_plain(api)
    _add_queries(api)
    return api


def _add_plain(api: FastAPI) -> None:
    @api.get("/items/{number}")
    async def read(number: int, name: str, limit: int = 10) -> Item:
        return Item(number=number, name=name, limit=limit)

    @api.post("/orders")
    async def order(order: Order) -> Added:
        return Added(number=order.number, lines=len(order.lines))

    @api.get("/list")
    async def items() -> list[Item]:
        return ITEMS

    @api.get("/three-dependencies")
    async def three_dependencies(number: Annotated[int, Depends(third)]) -> dict[str, int]:
        return {"number": number}


def _add_queries(api: FastAPI) -> None:

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

    @api.get("/query-atomic", dependencies=[Depends(in_transaction)])
    def query_atomic() -> dict[str, int]:
        return {"groups": Group.objects.count()}

    @api.get("/query-async")
    async def query_async() -> dict[str, int]:
        return {"groups": await Group.objects.acount()}

    @api.get("/wait-async")
    async def wait_async() -> dict[str, bool]:
        """The one group there is, after 50 ms in the database."""
        sleep: Any = Func(Value(0.05), function="pg_sleep", output_field=TextField())
        return {"found": await Group.objects.annotate(slept=sleep).values_list("slept").afirst() is not None}


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
