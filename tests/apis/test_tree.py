"""The walk over mounted apps: it finds a FastAPI wherever it is, and tells of one that came later."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Host, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount import mount
from djfast_mount.apis.tree import RouteLists, apps_in, fastapis_in

pytestmark = pytest.mark.once


class Hidden:
    """Middleware that keeps the app under a name of its own, in a slot."""

    __slots__ = ("_inner",)

    def __init__(self, app: ASGIApp) -> None:
        self._inner = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inner(scope, receive, send)


named = FastAPI(title="named")


async def by_name(scope: Scope, receive: Receive, send: Send) -> None:
    await named(scope, receive, send)


async def given(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def closing_over(app: ASGIApp) -> ASGIApp:
    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        async def further() -> None:
            await app(scope, receive, send)

        await further()

    return inside


def included(app: ASGIApp) -> ASGIApp:
    outer, router = FastAPI(title="outer"), APIRouter()
    router.mount("/sub", app)
    outer.include_router(router, prefix="/v1")
    return outer


def beside(app: ASGIApp) -> ASGIApp:
    class Choosing(Hidden):
        def __init__(self, app: ASGIApp, other: ASGIApp) -> None:
            super().__init__(app)

    return FastAPI(title="outer", middleware=[Middleware(Choosing, other=app)])


def in_a_dict(app: ASGIApp) -> ASGIApp:
    class ByHost:
        def __init__(self) -> None:
            self.apps = {"a.example": [app]}

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    return ByHost()


PLACES: dict[str, tuple[Callable[[ASGIApp], ASGIApp], str]] = {
    "itself": (lambda app: app, "/api"),
    "cors": (CORSMiddleware, "/api"),
    "two layers": (lambda app: Hidden(CORSMiddleware(app)), "/api"),
    "partial": (lambda app: functools.partial(given, app), "/api"),
    "closure": (closing_over, "/api"),
    "bound method": (lambda app: Hidden(app).__call__, "/api"),
    "dict": (in_a_dict, "/api"),
    "starlette": (lambda app: Starlette(routes=[Mount("/in", app=app)]), "/api/in"),
    "router": (lambda app: Router([Mount("/in", app=Router([Mount("/further", app=app)]))]), "/api/in/further"),
    "host": (lambda app: Starlette(routes=[Host("a.example", app)]), "/api"),
    "route": (lambda app: Starlette(routes=[Route("/in", CORSMiddleware(app))]), "/api/in"),
    "wrapped mount": (lambda app: Starlette(routes=[Mount("/in", app=CORSMiddleware(app))]), "/api/in"),
    "mount with middleware": (
        lambda app: Starlette(routes=[Mount("/in", app=app, middleware=[Middleware(Hidden)])]),
        "/api/in",
    ),
    "included": (included, "/api/v1/sub"),
    "beside": (beside, "/api"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_fastapi_is_found(place: str) -> None:
    """Wherever it is mounted, included or wrapped, it is found, with its path."""
    api = FastAPI(title="sought")
    put, path = PLACES[place]
    assert (path, api) in [(found.path, found.app) for found in fastapis_in(put(api), "/api")]


def test_a_fastapi_that_a_function_names_is_found() -> None:
    """A plain function that calls an app of its module leads to it."""
    assert [found.app for found in fastapis_in(by_name)] == [named]


def test_the_apps_above_are_told() -> None:
    """An app knows in which others it is mounted, the outermost first."""
    innermost, inner, outer = FastAPI(), FastAPI(), FastAPI()
    inner.mount("/c", CORSMiddleware(innermost))
    outer.mount("/b", inner)
    found = {found.path: found.above for found in apps_in(outer, "/a")}
    assert found == {"/a": (), "/a/b": (outer,), "/a/b/c": (outer, inner)}


def test_an_app_at_two_paths_is_found_at_both() -> None:
    """The same app under two paths is yielded twice."""
    outer, inner = FastAPI(), FastAPI()
    outer.mount("/one", inner)
    outer.mount("/two", inner)
    assert [found.path for found in fastapis_in(outer)] == ["", "/one", "/two"]


def test_circles_end() -> None:
    """An app that leads to itself, and an object that holds itself, are walked once."""
    outer, inner = FastAPI(), FastAPI()
    outer.mount("/in", inner)
    inner.mount("/out", outer)
    wrapped: Any = CORSMiddleware(inner)
    wrapped.circle = [wrapped]
    assert {found.app for found in fastapis_in(outer)} == {outer, inner}
    assert inner in [found.app for found in fastapis_in(wrapped)]


def test_what_shows_nothing_leads_nowhere() -> None:
    """An app that imports another when it is called shows no FastAPI, and nothing of it is run."""

    class Strict:
        @property
        def app(self) -> Any:
            raise AssertionError("asked")

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    assert list(apps_in(Strict())) == []


def asked(*_: object) -> Any:
    raise AssertionError("asked")


class Proxy:
    """As werkzeug's, for which `request` of Flask stands: all that is asked of it is asked of another object."""

    __slots__ = ("__wrapped",)
    __class__ = property(asked)  # type: ignore[assignment]
    __dict__ = property(asked)  # type: ignore[assignment]
    __getattr__ = __call__ = __iter__ = __len__ = __eq__ = __bool__ = asked  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class LazyDict(dict[str, Any]):
    values = __iter__ = __getitem__ = items = asked  # type: ignore[assignment]


class LazyList(list[Any]):
    __iter__ = __getitem__ = __len__ = asked  # type: ignore[assignment]


class LazyMapping(Mapping[str, Any]):
    __getitem__ = __iter__ = __len__ = values = __call__ = asked  # type: ignore[assignment]


@pytest.mark.parametrize("beside", [Proxy, LazyDict, LazyList, LazyMapping, lambda: SimpleLazyObject(asked)])
def test_what_lies_beside_an_app_is_not_run(beside: Callable[[], Any]) -> None:
    """An app that holds a proxy, a lazy object or a container of its own kind is walked without a question to it."""
    api = FastAPI()
    lazy = beside()

    class Holding:
        def __init__(self) -> None:
            self.lazy, self.among, self.inner = lazy, [lazy, api], api

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.inner(scope, receive, send)

    def view() -> Any:
        return lazy

    outer = FastAPI()
    outer.mount("/v1", Hidden(functools.partial(closing_over, view)))
    outer.mount("/v2", Holding())
    mount("/api", outer)
    assert [found.app for found in fastapis_in(outer)] == [outer, api]


def later(outer: FastAPI) -> dict[str, Callable[[], object]]:
    router, inner, plain = APIRouter(), FastAPI(), Router()
    outer.include_router(router, prefix="/r")
    outer.mount("/inner", CORSMiddleware(inner))
    outer.mount("/plain", CORSMiddleware(plain))
    return {
        "mount": lambda: outer.mount("/new", FastAPI()),
        "included": lambda: router.mount("/new", FastAPI()),
        "inner": lambda: inner.mount("/new", FastAPI()),
        "plain router": lambda: plain.mount("/new", FastAPI()),
        "router": lambda: outer.include_router(APIRouter(prefix="/new")),
        "exchange": lambda: outer.routes.__setitem__(-1, Mount("/plain", app=FastAPI())),
        "removal": outer.routes.pop,
    }


@pytest.mark.parametrize("change", ["mount", "included", "inner", "plain router", "router", "exchange", "removal"])
def test_a_later_change_is_seen(change: str) -> None:
    """A route that comes, goes or is exchanged later, at any depth, is a change; before it there is none."""
    outer = FastAPI()
    make = later(outer)[change]
    lists = RouteLists([CORSMiddleware(outer)])
    assert lists.now == lists.then
    make()
    assert lists.now != lists.then
