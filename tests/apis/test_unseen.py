"""FastAPIs that no walk finds are prepared before their first call; their docs are kept by whatever way they are
reached, or mount() refuses."""

from __future__ import annotations

import asyncio
import copy
import inspect
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.http import Http404, HttpResponse
from django.test import override_settings
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import ask
from djfast_mount import mount
from djfast_mount.api_docs.pages import links
from djfast_mount.api_docs.routes import guard_routes
from djfast_mount.apis.unseen import MEETS, install
from djfast_mount.exceptions import ConfigurationError

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("in_production")]

PAGES = ["/openapi.json", "/docs", "/redoc"]
STORE: dict[str, Any] = {}
Copied = Callable[[Scope], Scope]


@pytest.fixture
def in_production() -> Any:
    with override_settings(DEBUG=False):
        yield
    STORE.clear()


class Kept(FastAPI):
    """One that makes its own stack, as some do to put middleware outermost."""

    def build_middleware_stack(self) -> ASGIApp:
        return super().build_middleware_stack()


def sought(kind: type[FastAPI] = FastAPI, **options: Any) -> FastAPI:
    api = kind(title="sought", **options)

    @api.get("/missing")
    def missing() -> None:
        raise Http404

    return api


def stored() -> Any:
    return vars(sys.modules[__name__])["STORE"]["api"]


def as_it_is(scope: Scope) -> Scope:
    return scope


def spread(scope: Scope) -> Scope:
    return {**scope}


def of_its_own(scope: Scope) -> Scope:
    names = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path")
    return {name: scope[name] for name in (*names, "headers", "client", "server") if name in scope}


scopes = pytest.mark.parametrize("copied", [as_it_is, spread, dict, copy.copy, of_its_own])


def function(copied: Copied) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await stored()(copied(scope), receive, send)

    return app


def slotted(copied: Copied) -> ASGIApp:
    class Slotted:
        __slots__ = ("copied",)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await stored()(self.copied(scope), receive, send)

    app = Slotted()
    app.copied = copied
    return app


def made_at_first_call(copied: Copied) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await STORE.setdefault("lazy", sought())(copied(scope), receive, send)

    return app


def made_for_each_call(copied: Copied) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sought(Kept)(copied(scope), receive, send)

    return app


def in_a_task(copied: Copied) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.create_task(stored()(copied(scope), receive, send))

    return app


def behind_middleware(copied: Copied) -> ASGIApp:
    async def dispatch(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    return Starlette(
        routes=[Mount("/", app=function(copied))], middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)]
    )


def beside_another(copied: Copied) -> ASGIApp:
    outer = FastAPI(openapi_url=None)
    outer.mount("/", function(copied))
    return outer


def returned_as_a_response(copied: Copied) -> ASGIApp:
    async def endpoint(request: Request) -> Any:
        return function(copied)

    return Starlette(routes=[Route("/{rest:path}", endpoint)])


hidden = pytest.mark.parametrize(
    "hide",
    [
        function,
        slotted,
        made_at_first_call,
        made_for_each_call,
        in_a_task,
        behind_middleware,
        beside_another,
        returned_as_a_response,
    ],
)


@hidden
@scopes
def test_docs_are_kept_from_the_first_call_on(hide: Any, copied: Copied, root_path: str) -> None:
    """No page is shown to everybody, however the FastAPI is hidden, and whatever scope it is handed."""
    STORE["api"] = sought()
    root = mount("/api", hide(copied), docs_access="auto")
    for path in PAGES:
        assert ask(root, "/api" + path, root_path=root_path).status in (302, 401)


@hidden
def test_it_is_prepared_before_its_first_call(hide: Any, root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Django's exceptions are answered in the first call, and a line in the log tells what to write instead."""
    STORE["api"] = sought(openapi_url=None)
    root = mount("/api", hide(spread), docs_access="auto")
    assert ask(root, "/api/missing", root_path=root_path).status == 404
    assert caplog.text.count("by an app that does not show it") == 1


def test_calls_are_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """ATOMIC_REQUESTS holds in one that could not be seen."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    STORE["api"] = sought()
    ask(mount("/api", function(spread)), "/api/missing")
    calls = [getattr(depends.dependency, "__name__", "") for depends in STORE["api"].router.dependencies]
    assert calls == ["_atomic_requests"]


def test_the_admin_does_not_link_to_what_may_be_gone() -> None:
    """A FastAPI that is met adds no links: there may be one for each call."""
    root = mount("/api", made_for_each_call(spread), docs_access="public")
    for _ in range(3):
        assert ask(root, "/api/docs").status == 200
    assert links == []


def test_one_that_had_begun_to_serve_is_prepared(root_path: str) -> None:
    """Its stack of middleware is built anew where it was there before."""
    api = STORE["api"] = sought()
    assert ask(api, "/openapi.json").status == 200
    root = mount("/api", function(of_its_own), docs_access="auto")
    assert ask(root, "/api/openapi.json", root_path=root_path).status == 401


def test_what_is_mounted_at_the_start_of_the_lifespan_is_prepared(root_path: str) -> None:
    """A FastAPI that another one mounts when it starts has its docs kept."""

    @asynccontextmanager
    async def starts(api: FastAPI) -> Any:
        api.mount("/in", sought())
        api.mount("/hidden", function(dict))
        yield

    STORE["api"] = sought()
    outer = FastAPI(lifespan=starts)
    root = mount("/api", outer, docs_access="auto")

    async def start() -> None:
        async with outer.router.lifespan_context(outer):
            pass

    asyncio.run(start())
    for path in PAGES:
        assert ask(root, "/api/in" + path, root_path=root_path).status in (302, 401)
        assert ask(root, "/api/hidden" + path, root_path=root_path).status in (302, 401)


def test_outside_of_a_request_nothing_is_changed() -> None:
    """A FastAPI that is served by something else has FastAPI's own docs; it is no other function than before."""
    install()
    install()
    assert inspect.iscoroutinefunction(FastAPI.__call__)
    assert getattr(FastAPI.__call__, MEETS)
    api = sought()
    mount("/api", function(spread))
    assert ask(api, "/docs").status == 200
    assert api.user_middleware == []


# Apps that are none ------------------------------------------------------------------------------------------------


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("plain")(scope, receive, send)


@pytest.mark.parametrize("app", [plain, Starlette(routes=[Route("/{rest:path}", lambda request: None)])])
def test_apps_without_a_fastapi_are_left_alone(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    """A plain ASGI app is mounted and answers as ever, without a word in the log."""
    root = mount({"/plain": plain, "/api": app}, docs_access="auto")
    assert ask(root, "/plain/openapi.json").text == "plain"
    assert caplog.text == ""


# Routes that have left their FastAPI -------------------------------------------------------------------------------


def routes_in_a_mount(api: FastAPI) -> ASGIApp:
    return Starlette(routes=[Mount("/in", routes=api.routes)])


def router_in_a_mount(api: FastAPI) -> ASGIApp:
    outer = FastAPI()
    outer.mount("/in", api.router)
    return outer


def routes_beside_others(api: FastAPI) -> ASGIApp:
    inner = FastAPI(openapi_url=None)
    inner.router.routes.extend(api.routes)
    return Starlette(routes=[Mount("/in", inner)])


def router_alone(api: FastAPI) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await api.router({**scope, "root_path": f"{scope['root_path']}/in"}, receive, send)

    return app


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("put", [routes_in_a_mount, router_in_a_mount, routes_beside_others, router_alone])
def test_a_page_that_has_left_its_fastapi_is_kept(put: Any, path: str, root_path: str) -> None:
    """A docs page asks who may see it, even where its FastAPI is not called."""
    root = mount("/api", put(sought()), docs_access="auto")
    assert ask(root, "/api/in" + path, root_path=root_path).status in (302, 401)


@pytest.mark.parametrize("path", PAGES)
def test_pages_with_parameters_in_their_path_are_kept(path: str, root_path: str) -> None:
    """Docs whose path no comparison finds are kept, too."""
    api = sought(openapi_url="/{version}/openapi.json", docs_url="/{version}/docs", redoc_url="/{version}/redoc")
    root = mount("/api", api, docs_access="auto")
    assert ask(root, "/api/v1" + path, root_path=root_path).status in (302, 401)


def included(api: FastAPI) -> FastAPI:
    outer, router = FastAPI(), APIRouter()
    router.include_router(api.router, prefix="/in")
    outer.include_router(router, prefix="/r")
    return outer


@pytest.mark.parametrize("path", PAGES)
def test_the_included_router_of_a_fastapi_keeps_its_docs(path: str, root_path: str) -> None:
    """Docs that are copied into another FastAPI ask who may see them."""
    root = mount("/api", included(sought()), docs_access="staff")
    assert ask(root, "/api/r/in" + path, root_path=root_path).status in (302, 401)
    assert ask(root, "/api/r/in/missing", root_path=root_path).status == 404


@pytest.mark.parametrize("access", ["public", "auto"])
def test_what_shows_no_docs_may_be_included(access: Any, root_path: str) -> None:
    """Nothing is refused where docs are public, or where there are none."""
    api = sought() if access == "public" else sought(openapi_url=None)
    root = mount("/api", included(api), docs_access=access)
    assert ask(root, "/api/r/in/missing", root_path=root_path).status == 404


# Where no FastAPI is called ----------------------------------------------------------------------------------------


class CallOfItsOwn(FastAPI):
    """One that is called by Starlette's way, past FastAPI's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Starlette.__call__(self, scope, receive, send)


async def called(scope: Scope, receive: Receive, send: Send) -> None:
    await stored()(of_its_own(scope), receive, send)


async def by_its_router(scope: Scope, receive: Receive, send: Send) -> None:
    await stored().router(of_its_own(scope), receive, send)


async def by_its_stack(scope: Scope, receive: Receive, send: Send) -> None:
    await stored().build_middleware_stack()(of_its_own(scope), receive, send)


async def by_its_routes(scope: Scope, receive: Receive, send: Send) -> None:
    await Router(routes=stored().routes)(of_its_own(scope), receive, send)


async def by_one_route(scope: Scope, receive: Receive, send: Send) -> None:
    [route] = [route for route in stored().routes if route.matches(scope)[0].value == 2]
    await route.handle(of_its_own(scope), receive, send)


async def by_copies(scope: Scope, receive: Receive, send: Send) -> None:
    routes = [Route(route.path, route.endpoint) for route in stored().routes if not hasattr(route, "dependant")]
    await Router(routes=routes)(of_its_own(scope), receive, send)


async def by_including(scope: Scope, receive: Receive, send: Send) -> None:
    outer = APIRouter()
    outer.include_router(stored().router)
    await outer(of_its_own(scope), receive, send)


@pytest.mark.parametrize("kind", [FastAPI, CallOfItsOwn])
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "way", [called, by_its_router, by_its_stack, by_its_routes, by_one_route, by_copies, by_including]
)
def test_no_way_past_a_fastapi_leads_to_its_docs(way: ASGIApp, path: str, kind: Any, root_path: str) -> None:
    """Docs are kept where code that nobody sees uses what belongs to a FastAPI, and does not call it."""
    STORE["api"] = sought(kind)
    root = mount("/api", way, docs_access="auto")
    assert ask(root, "/api" + path, root_path=root_path).status in (302, 401)
    with override_settings(DEBUG=True):
        assert ask(root, "/api" + path, root_path=root_path).status == 200


def test_a_fastapi_whose_docs_are_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a FastAPI makes its docs otherwise than it did, nothing is mounted."""
    monkeypatch.setattr(Route, "handle", lambda *args: None)
    monkeypatch.setattr(FastAPI, "setup", lambda self: None)
    with pytest.raises(ConfigurationError, match="cannot tell the docs routes"):
        mount("/api", sought())


def test_a_route_is_guarded_once() -> None:
    """A second call replaces nothing, and outside of a request a route is not changed."""
    before = Route.handle
    guard_routes()
    assert Route.handle is before
    assert ask(Router(routes=sought().routes), "/docs").status == 200


# Routers without a FastAPI -----------------------------------------------------------------------------------------


def in_a_fastapi(app: ASGIApp) -> FastAPI:
    outer = FastAPI(openapi_url=None)
    outer.mount("/in", app)
    return outer


def bare_router() -> APIRouter:
    router = APIRouter()

    @router.get("/missing")
    def missing() -> None:
        raise Http404

    @router.get("/atomic")
    def atomic() -> bool:
        return connection.in_atomic_block

    return router


class Refuses:
    """Django middleware that lets nobody in."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, *args: Any) -> HttpResponse:
        return HttpResponse(status=418)


@pytest.mark.parametrize("added", ["before", "later"])
@pytest.mark.django_db(transaction=True)
def test_a_router_that_is_mounted_is_prepared(added: str, root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ATOMIC_REQUESTS, Django's exceptions and `process_view` hold for an APIRouter that is mounted, also later on."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    outer = in_a_fastapi(bare_router() if added == "before" else Router())
    root = mount("/api", outer)
    if added == "later":
        outer.router.routes.insert(0, Mount("/in", bare_router()))
    assert ask(root, "/api/in/atomic", root_path=root_path).json() is True
    assert ask(root, "/api/in/missing", root_path=root_path).status == 404
    name = f"{__name__}.Refuses"
    with override_settings(MIDDLEWARE=[name]):
        root = mount("/api", in_a_fastapi(bare_router()), django_middleware_for_api=[name])
        assert ask(root, "/api/in/atomic", root_path=root_path).status == 418


@pytest.mark.django_db(transaction=True)
def test_a_router_that_hides_in_code(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/mount.md says: for a router that only a function knows, ATOMIC_REQUESTS does not hold; Django's
    exceptions do.
    """
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    STORE["api"] = bare_router()
    root = mount("/api", in_a_fastapi(function(as_it_is)))
    assert ask(root, "/api/in/atomic", root_path=root_path).json() is False
    assert ask(root, "/api/in/missing", root_path=root_path).status == 404
