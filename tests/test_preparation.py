"""What is prepared for "a FastAPI" is prepared wherever it is: wrapped, nested, mounted later; or mount() refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from django.http import Http404
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import ask
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.urls import reverse, route_table

pytestmark = pytest.mark.once

Put = Callable[[FastAPI, Callable[[ASGIApp], None]], None]


def sought() -> FastAPI:
    api = FastAPI(title="sought")

    @api.get("/missing")
    def missing() -> None:
        raise Http404

    @api.get("/item/{item_id}", name="item")
    async def item(item_id: int) -> int:
        return item_id

    return api


async def given(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


class Opaque:
    """Shows nothing of the app that it calls."""

    __slots__ = ("call",)
    apps: list[ASGIApp] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await getattr(Opaque, "apps")[0](scope, receive, send)  # noqa: B009


def wrapped(api: FastAPI) -> tuple[ASGIApp, str]:
    return mount("/api", CORSMiddleware(api, allow_origins=["*"]), docs_access="staff"), "/api"


def bound(api: FastAPI) -> tuple[ASGIApp, str]:
    return mount("/api", functools.partial(given, api), docs_access="staff"), "/api"


def nested(api: FastAPI) -> tuple[ASGIApp, str]:
    outer = FastAPI(openapi_url=None)
    outer.mount("/in", CORSMiddleware(api))
    return mount("/api", outer, docs_access="staff"), "/api/in"


def mounted_later(api: FastAPI) -> tuple[ASGIApp, str]:
    outer = FastAPI()
    root = mount("/api", outer, docs_access="staff")
    assert ask(root, "/api/in/missing").status == 404
    outer.mount("/in", api)
    return root, "/api/in"


def included_later(api: FastAPI) -> tuple[ASGIApp, str]:
    outer = FastAPI()
    root = mount("/api", CORSMiddleware(outer), docs_access="staff")
    router = APIRouter()
    router.mount("/in", CORSMiddleware(api))
    assert ask(root, "/api/r/in/missing").status == 404
    outer.include_router(router, prefix="/r")
    return root, "/api/r/in"


places = pytest.mark.parametrize("place", [wrapped, bound, nested, mounted_later, included_later])


@places
@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc"])
def test_docs_are_for_the_staff(place: Any, path: str, root_path: str) -> None:
    """Nobody sees the docs without a login, wherever the FastAPI is."""
    root, prefix = place(sought())
    assert ask(root, prefix + path, root_path=root_path).status in (302, 401)


@places
def test_djangos_exceptions_are_answered(place: Any, root_path: str) -> None:
    """Http404 is 404, wherever the FastAPI is."""
    root, prefix = place(sought())
    assert ask(root, prefix + "/missing", root_path=root_path).status == 404


@places
def test_names_are_known(place: Any) -> None:
    """`reverse` and the route table know the endpoints, wherever the FastAPI is."""
    root, prefix = place(sought())
    if prefix == "/api":
        assert ask(root, prefix + "/item/1").json() == 1
        assert reverse("api:item", item_id=1) == "/api/item/1"
    paths = [row.path for row in route_table(root)]
    assert f"{prefix}/item/{{item_id}}" in paths


@places
def test_atomic_requests_hold(place: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is a transaction under ATOMIC_REQUESTS, wherever the FastAPI is."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    api = sought()
    root, prefix = place(api)
    ask(root, prefix + "/item/1")
    calls = [getattr(depends.dependency, "__name__", "") for depends in api.router.dependencies]
    assert calls == ["_atomic_requests"]


@pytest.fixture
def opaque() -> Iterator[FastAPI]:
    api = sought()
    Opaque.apps[:] = [api]
    yield api
    Opaque.apps.clear()


@pytest.mark.parametrize("access", ["staff", None])
def test_an_app_that_shows_nothing_is_refused_where_docs_are_to_be_kept(access: Any, opaque: FastAPI) -> None:
    """With docs_access, an app in which no FastAPI can be seen is an error at the start that names the remedy."""
    with pytest.raises(ConfigurationError, match="Give mount\\(\\) the FastAPI itself"):
        mount("/api", Opaque(), docs_access=access)


def test_a_wrapped_fastapi_with_a_root_path_is_refused() -> None:
    """Its own root_path would overwrite the prefix, wrapped or not."""
    api = FastAPI()
    api.root_path = "/own"
    with pytest.raises(ConfigurationError, match="Remove root_path="):
        mount("/api", CORSMiddleware(api))


def test_falling_through_asks_a_wrapped_app(root_path: str) -> None:
    """A path that no route of a wrapped FastAPI has goes on to Django."""
    root = mount("/api", CORSMiddleware(sought()), fallthrough=True)
    assert ask(root, "/api/item/1", root_path=root_path).json() == 1
    assert "detail" not in ask(root, "/api/nowhere", root_path=root_path).text
