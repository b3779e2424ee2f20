"""The API that is measured, by django-bolt and its own serializers."""

from django.contrib.auth.models import Group
from django_bolt import BoltAPI
from django_bolt.serializers import Serializer


class Row(Serializer):
    id: int
    name: str


# Neither uvicorn nor gunicorn writes a line for each request here.
api = BoltAPI(enable_logging=False)


class Item(Serializer):
    number: int
    name: str
    limit: int


class Line(Serializer):
    article: str
    count: int
    price: float


class Order(Serializer):
    number: int
    customer: str
    lines: list[Line]


class Added(Serializer):
    number: int
    lines: int


ITEMS = [Item(number=number, name=f"item {number}", limit=number) for number in range(100)]


@api.get("/api/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@api.get("/api/items/{number}")
async def read(number: int, name: str, limit: int = 10) -> Item:
    return Item(number=number, name=name, limit=limit)


@api.post("/api/orders")
async def order(order: Order) -> Added:
    return Added(number=order.number, lines=len(order.lines))


@api.get("/api/list")
async def items() -> list[Item]:
    return ITEMS


@api.get("/api/query")
def query() -> dict[str, int]:
    return {"groups": Group.objects.count()}


@api.get("/api/row/{pk}")
def row(pk: int) -> Row:
    return Row.from_model(Group.objects.get(pk=pk))
