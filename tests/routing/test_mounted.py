"""The scope of the calls of what is under a prefix."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import call, http_scope, request
from djfast_mount import mount

pytestmark = pytest.mark.once

KEYS = ("type", "method", "path", "root_path", "raw_path", "query_string", "scheme", "path_params")


def make_api() -> FastAPI:
    api = FastAPI()

    @api.api_route("/seen", methods=["GET", "POST"])
    async def seen(request: Request) -> dict[str, Any]:
        scope = request.scope
        return {
            **{key: str(scope[key]) for key in KEYS},
            "app": scope["app"] is api,
            "state": sorted(scope.get("state", {})),
            "names": sorted(key for key in scope if not key.startswith("djfast_mount.")),
        }

    return api


class Copying:
    """Middleware of the root that hands on a scope of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "state": {"copied": True}}, receive, send)


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_all_ways_give_one_scope(prefix: str, method: str) -> None:
    """A call that comes to its app at once finds what one finds that takes the long way: a Host that is new, too."""
    root = mount(prefix, make_api())
    first = request(root, f"{prefix}/seen", method=method).json()
    again = request(root, f"{prefix}/seen", method=method).json()
    assert again == first
    assert first["root_path"] == prefix
    assert first["app"]


def test_what_is_around_the_root_counts() -> None:
    """A root_path, another Starlette and root middleware are seen by the app, as often as it is called."""
    root = mount("/api", make_api(), middleware=[Middleware(Copying)])
    around = Starlette(routes=[Mount("/{tenant}", app=mount("/api", make_api()))])
    for _ in range(2):
        assert request(root, "/api/seen").json()["state"] == ["copied"]
        assert request(root, "/out/api/seen", root_path="/out").json()["root_path"] == "/out/api"
        found = request(around, "/a/api/seen").json()
        assert found["root_path"] == "/a/api"
        assert "'tenant': 'a'" in found["path_params"]


def test_the_servers_scope_is_left_alone() -> None:
    """What the app finds is put into a copy."""
    scope = http_scope("/api/seen")
    root = mount("/api", make_api())
    before = {**scope, "app": root}
    asyncio.run(call(root, scope))
    assert scope == before
