"""Templates of routes: nothing that a client has written is in one, and so in no label."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Router
from starlette.types import Receive, Scope, Send

from calls import ask
from djfast_mount.telemetry import routes
from telemetry_site import records, site

pytestmark = pytest.mark.once

HIDDEN: dict[str, Any] = {}


def tenant() -> FastAPI:
    api = FastAPI()

    @api.get("/orders/{order}")
    async def order(order: int) -> int:
        return order

    return api


def twice(api: FastAPI) -> Any:
    outer = FastAPI()
    outer.mount("/a/{name}", api)
    outer.mount("/b/{name}", api)
    return outer


def in_itself(api: FastAPI) -> Any:
    outer = FastAPI()
    outer.mount("/a/{name}", Router([Mount("/{name}", api), Mount("/b", api)]))
    outer.mount("/b/{name}", api)
    return outer


async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await vars(sys.modules[__name__])["HIDDEN"]["api"](scope, receive, send)


def hidden(api: FastAPI) -> Any:
    HIDDEN["api"] = api
    outer = FastAPI()
    outer.mount("/a/{name}", opaque)
    outer.mount("/b/{name}", opaque)
    return outer


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (twice, ["/a/{name}/orders/{order}", "/b/{name}/orders/{order}"]),
        (in_itself, ["/b/{name}/orders/{order}"]),
        (hidden, ["/.../orders/{order}"]),
    ],
)
def test_no_template_has_what_a_client_wrote(put: Callable[[FastAPI], Any], told: list[str], root_path: str) -> None:
    """However an app is mounted, its routes have the same few templates for all values in their paths."""
    with records() as found, site(api=put(tenant())) as root:
        for name in ("anna", "7", "x%2Fy"):
            for prefix in ("a", "b"):
                ask(root, f"/api/{prefix}/{name}/orders/1", root_path=root_path)
    templates = sorted({record.route for record in found if record.status == 200 and record.route})
    assert templates == [f"{root_path}/api{path}" for path in told]


@pytest.mark.parametrize("put", [twice, hidden])
def test_apps_are_looked_for_once(put: Callable[[FastAPI], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A request does not walk through all apps to find its own, wherever that is mounted."""
    walks: list[object] = []
    walk = routes._paths_of
    monkeypatch.setattr(routes, "_paths_of", lambda app: walks.append(app) or walk(app))
    with records(), site(api=put(tenant())) as root:
        for _ in range(5):
            assert ask(root, "/api/a/anna/orders/1").status == 200
    # The usual way of a call and the way of all others begin at layers of their own.
    assert len(walks) == len({*walks}) <= 2
