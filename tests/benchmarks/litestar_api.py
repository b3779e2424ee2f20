"""The API that is measured, by Litestar and its own structs."""

from litestar import Litestar, get, post
from msgspec import Struct


class Item(Struct):
    number: int
    name: str
    limit: int


class Line(Struct):
    article: str
    count: int
    price: float


class Order(Struct):
    number: int
    customer: str
    lines: list[Line]


class Added(Struct):
    number: int
    lines: int


ITEMS = [Item(number, f"item {number}", number) for number in range(100)]


@get("/api/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@get("/api/items/{number:int}")
async def read(number: int, name: str, limit: int = 10) -> Item:
    return Item(number, name, limit)


@post("/api/orders", status_code=200)
async def order(data: Order) -> Added:
    return Added(data.number, len(data.lines))


@get("/api/list")
async def items() -> list[Item]:
    return ITEMS


app = Litestar([hello, read, order, items], openapi_config=None, logging_config=None)
