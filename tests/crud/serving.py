"""A client of resources that `mount()` serves."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.types import ASGIApp

from crud.resources import api_of
from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.testing import Client


def served(*routers: ModelRouter) -> ASGIApp:
    return mount("/api", api_of(*routers))


class Api(Client):
    """A client of one tenant, with every scope."""

    def __init__(self, app: ASGIApp, root_path: str = "", token: str = "1", **options: Any) -> None:
        super().__init__(app, root_path=root_path, **options)
        self.base_url = self.base_url.join("/api")
        self.headers["X-Token"] = token

    def of(self, token: str) -> dict[str, Any]:
        return {"headers": {"X-Token": token}}


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None
