"""What may change under a running app, seen by a request whose method and path were found before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, cast

import pytest
from django.test import override_settings
from fastapi import APIRouter, Depends, FastAPI, Request
from opentelemetry import trace
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message

from calls import Answer, call, http_scope, request
from djfast_mount import mount
from djfast_mount.fastpath.before_stack import before, straighten
from djfast_mount.offload.current import KEY

pytestmark = pytest.mark.once


def number() -> int:
    return 1


def other() -> int:
    return 2


async def read(number: Annotated[int, Depends(number)], request: Request) -> dict[str, Any]:
    route: Any = request.scope["route"]
    return {"number": number, "route": route.path, "params": request.path_params, "root": request.scope["root_path"]}


async def late() -> str:
    return "late"


def make_api(path: str = "/first") -> FastAPI:
    api = FastAPI()
    included = APIRouter(prefix="/in")
    for router in (api.router, included):
        router.add_api_route(path, late, methods=["POST"])
        router.add_api_route(path, read, methods=["GET"])
    api.include_router(included)
    return api


def route_of(api: FastAPI) -> Any:
    """The route of GET that is not in the included router."""
    return next(route for route in api.routes if getattr(route, "endpoint", None) is read)


def take_earlier_inside(api: FastAPI) -> None:
    (router,) = (route.original_router for route in api.routes if hasattr(route, "original_router"))
    router.add_api_route(route_of(api).path, late)
    router.routes.insert(0, router.routes.pop())


def replace_regex(api: FastAPI) -> None:
    route_of(api).path_regex = re.compile("^/gone$")


def take_earlier(api: FastAPI) -> None:
    api.add_api_route(route_of(api).path, late)
    api.routes.insert(0, api.routes.pop())


def add_middleware(api: FastAPI) -> None:
    api.user_middleware.append(Middleware(CORSMiddleware, allow_origins=["*"]))
    api.middleware_stack = None


CHANGES: dict[str, Callable[[FastAPI], Any]] = {
    "nothing": lambda api: None,
    "a route before": take_earlier,
    "a route before in a router": take_earlier_inside,
    "another method": lambda api: setattr(route_of(api), "methods", {"PUT"}),
    "another app": lambda api: setattr(route_of(api), "app", api.routes[0].app),
    "the method of one before": lambda api: api.routes[-3].methods.add("GET"),
    "a regular expression": replace_regex,
    "matches": lambda api: setattr(route_of(api), "matches", api.routes[0].matches),
    "handle": lambda api: setattr(route_of(api), "handle", api.routes[0].handle),
    "an override": lambda api: api.dependency_overrides.update({number: other}),
    "another dependency": lambda api: setattr(route_of(api).dependant.dependencies[0], "call", other),
    "a root_path": lambda api: setattr(api, "root_path", "/elsewhere"),
    "middleware": add_middleware,
    "no routes": lambda api: api.routes.clear(),
}


def ask(app: ASGIApp, path: str, **scope: Any) -> list[Message]:
    headers = [(b"host", b"testserver"), (b"origin", b"https://a.example")]
    return asyncio.run(call(app, http_scope(path, headers=headers, **scope))).messages


@pytest.mark.parametrize("path", ["/first", "/item/{name}", "/number/{number:int}", "/{any:path}"])
@pytest.mark.parametrize(("outer", "root_path"), [("", ""), ("/in", "/pre")])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(path: str, outer: str, root_path: str, change: str) -> None:
    """After any change the answer is that of FastAPI alone, though requests like it were served by a plan before."""
    alone, planned = make_api(path), make_api(path)
    path = outer + path.replace("{name}", "a b").replace("{number:int}", "3").replace("{any:path}", "x/y")
    straighten(planned)
    served = before(planned)
    for time in ("as it was", "once more", "changed", "changed still"):
        if time == "changed":
            CHANGES[change](alone)
            CHANGES[change](planned)
        for method in ("GET", "POST", "HEAD"):
            scope = {"root_path": root_path, "method": method}
            assert ask(served, root_path + path, **scope) == ask(alone, root_path + path, **scope)


def test_the_parameters_of_a_mount_around_it_are_merged_in() -> None:
    """Path parameters that an outer Mount has put there are in the scope, though the path was found without them."""
    api = make_api()
    straighten(api)
    served = before(api)
    assert b'"params":{}' in ask(served, "/a/first", root_path="/a")[-1]["body"]
    sent = ask(Router([Mount("/{tenant}", app=served)]), "/a/first")
    assert b'"params":{"tenant":"a"}' in sent[-1]["body"]


@pytest.mark.parametrize("fast_path", [True, False])
def test_the_docs_are_kept_from_a_route_that_takes_every_path(fast_path: bool) -> None:
    """A route that takes every path is not asked for the docs, though its plan has served other paths before."""
    api = FastAPI()
    api.add_api_route("/{path:path}", late)
    api.routes.insert(0, api.routes.pop())
    root = mount("/api", api, docs_access="staff", fast_path=fast_path)
    for path, status in (("/api/a", 200), ("/api/a/b", 200), ("/api/docs", 401), ("/api/openapi.json", 401)):
        assert request(root, path).status == status


@pytest.mark.parametrize(("path", "asked"), [("/first", "/first"), ("/item/{name}", "/item/3")])
def test_settings_hold_for_a_route_that_was_served_before(path: str, asked: str, root_path: str) -> None:
    """Django's settings of security are in force for each request of a route, and a change of one for the next."""
    root = mount("/api", make_api(path))

    def answer() -> Answer:
        return request(root, f"{root_path}/api{asked}", root_path=root_path)

    for _ in range(3):  # A Host that is new since a change of settings takes the long way.
        assert answer().header("x-content-type-options") == "nosniff"
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert [answer().status for _ in range(3)] == [301, 301, 301]
    with override_settings(SECURE_CONTENT_TYPE_NOSNIFF=False):
        assert [answer().header("x-content-type-options") for _ in range(3)] == [None, None, None]
    assert answer().header("x-content-type-options") == "nosniff"


def test_two_ways_to_one_api_are_apart() -> None:
    """An API that is mounted twice is served each time by what is around it there, whoever was first."""
    api = make_api("/item/{name}")
    straighten(api)
    direct, other = before(api, is_direct=True), before(api)
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    class Sender:
        change = None
        may_be_passed = False

        async def send_start(self, start: Message) -> None:
            sent.append("its own start")

        async def send_body(self, body: bytes) -> None:
            sent.append("its own body")

    async def receive() -> Message:
        return {"type": "http.request"}

    for _ in range(2):
        for app in (direct, other):
            asyncio.run(cast(Any, app({**http_scope("/item/3"), KEY: Sender()}, receive, send)))
    assert sent == ["its own start", "its own body", "http.response.start", "http.response.body"] * 2


def test_clients_who_choose_the_root_path_fill_no_memory() -> None:
    """A route has one place, by however many root_paths it is reached, and all requests are answered."""
    alone, api = make_api(), make_api()
    straighten(api)
    served: Any = before(api)
    for number in range(10):
        scope = {"root_path": f"/{number}"}
        assert ask(served, f"/{number}/first", **scope) == ask(alone, f"/{number}/first", **scope)
    assert len(served._known) == len(served._places) == 1


def test_a_provider_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer provider that is set after requests were served is asked with the next one."""
    asked: list[str] = []
    api = make_api()
    straighten(api)
    served = before(api)
    ask(served, "/first")

    def get_tracer_provider() -> Any:
        asked.append("asked")
        return trace.ProxyTracerProvider()

    monkeypatch.setattr(trace, "get_tracer_provider", get_tracer_provider)
    ask(served, "/first")
    assert asked
