"""What may change under a running app, seen by a request whose method and path were found before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from opentelemetry import trace
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message

from calls import call, http_scope
from djfast_mount.fastpath import front
from djfast_mount.fastpath.front import before, straighten

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


def make_api() -> FastAPI:
    api = FastAPI()
    included = APIRouter(prefix="/in")
    for router in (api.router, included):
        router.add_api_route("/first", late, methods=["POST"])
        router.add_api_route("/first", read, methods=["GET"])
    api.include_router(included)
    return api


def route_of(api: FastAPI) -> Any:
    """The route of GET /first."""
    return next(
        route
        for route in api.routes
        if getattr(route, "path", "") == "/first" and "GET" in getattr(route, "methods", ())
    )


def take_earlier_inside(api: FastAPI) -> None:
    (router,) = (route.original_router for route in api.routes if hasattr(route, "original_router"))
    router.add_api_route("/first", late)
    router.routes.insert(0, router.routes.pop())


def replace_regex(api: FastAPI) -> None:
    route_of(api).path_regex = re.compile("^/gone$")


def take_earlier(api: FastAPI) -> None:
    api.add_api_route("/first", late)
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


@pytest.mark.parametrize("path", ["/first", "/in/first"])
@pytest.mark.parametrize("root_path", ["", "/pre"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(path: str, root_path: str, change: str) -> None:
    """After any change the answer is that of FastAPI alone, though requests like it were served by a plan before."""
    alone, planned = make_api(), make_api()
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


def test_clients_who_choose_the_root_path_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more places are known than a fixed number, by however many root_paths a route is reached; all are answered."""
    monkeypatch.setattr(front, "_MOST", 3)
    alone, api = make_api(), make_api()
    straighten(api)
    served: Any = before(api)
    for number in range(10):
        scope = {"root_path": f"/{number}"}
        assert ask(served, f"/{number}/first", **scope) == ask(alone, f"/{number}/first", **scope)
    assert len(served._known) == 3


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
