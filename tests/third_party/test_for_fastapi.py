"""Packages made for FastAPI and Starlette beneath `mount()`: each does one thing that its users do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
import strawberry
from django.contrib.auth.models import User
from fastapi import FastAPI, Request
from fastapi_pagination import Page, add_pagination
from fastapi_pagination.ext.django import paginate
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from slowapi.extension import _rate_limit_exceeded_handler
from slowapi.util import get_remote_address
from sse_starlette import EventSourceResponse
from strawberry.fastapi import GraphQLRouter

from djfast_mount import mount
from djfast_mount.auth import OptionalUser
from djfast_mount.testing import Client
from third_party.shelf.models import Book

pytestmark = pytest.mark.django_db


def client_of(api: Any, root_path: str, **options: Any) -> Client:
    return Client(mount("/api", api, **options), root_path=root_path)


class BookOut(BaseModel):
    title: str

    model_config = {"from_attributes": True}


def test_fastapi_pagination_counts_and_slices(root_path: str) -> None:
    """A page of a queryset, in a `def` endpoint, has its rows and the count of all."""
    Book.objects.bulk_create([Book(title=f"Book {number}") for number in range(5)])
    api = FastAPI()

    @api.get("/books")
    def books() -> Page[BookOut]:
        return paginate(Book.objects.order_by("pk"))  # type: ignore[no-any-return]

    add_pagination(api)
    found = client_of(api, root_path).get("/api/books", params={"page": 2, "size": 2}).json()
    assert (found["total"], [book["title"] for book in found["items"]]) == (5, ["Book 2", "Book 3"])


def test_slowapi_limits_an_endpoint(root_path: str) -> None:
    """The third call within a minute is 429, for `def` and `async def` endpoints."""
    api, limiter = FastAPI(), Limiter(key_func=get_remote_address)
    api.state.limiter = limiter
    api.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

    @api.get("/def")
    @limiter.limit("2/minute")
    def sync(request: Request) -> int:
        return Book.objects.count()

    @api.get("/async")
    @limiter.limit("2/minute")
    async def asynchronous(request: Request) -> int:
        return await Book.objects.acount()

    client = client_of(api, root_path)
    for path in ("/api/def", "/api/async"):
        assert [client.get(path).status_code for _ in range(3)] == [200, 200, 429]


def test_the_instrumentator_counts_calls(root_path: str) -> None:
    """/metrics of the API has the calls of an endpoint, by its path with parameters."""
    api = FastAPI()

    @api.get("/books/{pk}")
    def book(pk: int) -> int:
        return Book.objects.filter(pk=pk).count()

    Instrumentator().instrument(api).expose(api)
    client = client_of(api, root_path)
    assert client.get("/api/books/1").status_code == 200
    metrics = client.get("/api/metrics").text
    assert re.search(r'http_requests_total\{handler="[^"]*/books/\{pk\}",method="GET",status="2xx"\} 1\.0', metrics)


def test_sse_starlette_sends_events(root_path: str) -> None:
    """Events that ask the database come one by one."""
    Book.objects.create(title="Emma")
    api = FastAPI()

    @api.get("/events")
    async def events() -> EventSourceResponse:
        async def rows() -> AsyncIterator[dict[str, str]]:
            async for book in Book.objects.order_by("pk"):
                yield {"event": "book", "data": book.title}

        return EventSourceResponse(rows())

    answer = client_of(api, root_path).get("/api/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: book\r\ndata: Emma" in answer.text


@strawberry.type
class Query:
    @strawberry.field
    def titles(self) -> list[str]:
        return list(Book.objects.values_list("title", flat=True))

    @strawberry.field
    async def me(self, info: strawberry.Info) -> str:
        return str(info.context["user"].get_username())


async def context(user: OptionalUser) -> dict[str, Any]:
    return {"user": user}


def test_strawberry_asks_for_the_user(root_path: str) -> None:
    """A query of GraphQL knows the user of the session, by a dependency of its context."""
    api = FastAPI()
    api.include_router(GraphQLRouter(strawberry.Schema(Query), context_getter=context), prefix="/graphql")
    client = client_of(api, root_path)
    client.force_login(User.objects.create_user("ann"), "django.contrib.auth.backends.ModelBackend")
    found = client.post("/api/graphql", json={"query": "{ me }"})
    assert found.json() == {"data": {"me": "ann"}}


def test_socketio_under_a_prefix_of_its_own(root_path: str) -> None:
    """The handshake of Engine.IO is answered by the app that is mounted beside the API."""
    server = socketio.AsyncServer(async_mode="asgi")
    app = mount({"/api": FastAPI(), "/ws": socketio.ASGIApp(server, socketio_path="")})
    answer = Client(app, root_path=root_path).get("/ws/", params={"EIO": 4, "transport": "polling"})
    assert answer.status_code == 200
    assert answer.text.startswith('0{"sid":')
