"""Two host names in one process, by the code of docs/moving.md: the API on one, Django on the other."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI, Request, WebSocket

from api_client import ApiClient, committed_rows
from calls import websocket
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from harness import TESTS
from lifespan_drive import Drive

PAGE = (TESTS.parent / "docs" / "moving.md").read_text()
[CODE] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if ".host(" in block]
[MOUNTED] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "mysite.hosts:site" in block]
API, SITE = {"host": "api.example.com"}, {"host": "www.example.com"}
events: list[str] = []


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"Django on {request.get_host()}")


class URLs:
    urlpatterns = [path("items/", view), path("", view)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    events.append("up")
    yield
    events.append("down")


def make_api() -> FastAPI:
    api = FastAPI(lifespan=lifespan)

    @api.get("/items/")
    def items(request: Request) -> str:
        return str(request.url_for("items"))

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @api.get("/broken")
    def broken() -> None:
        User.objects.get(username="nobody")

    @api.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def app(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.ROOT_URLCONF = URLs
    settings.ALLOWED_HOSTS = ["api.example.com", "www.example.com"]
    module = ModuleType("mysite.api")
    module.api = make_api()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    monkeypatch.setitem(sys.modules, "mysite.api", module)
    hosts = ModuleType("mysite.hosts")
    exec(CODE, vars(hosts))
    monkeypatch.setitem(sys.modules, "mysite.hosts", hosts)
    names: dict[str, Any] = {"mount": mount}
    exec(MOUNTED, names)
    return names["app"]


def test_each_host_has_its_half(app: Any, root_path: str) -> None:
    """The API's host has nothing of Django's, the other nothing of the API's, and a third is refused."""
    client = ApiClient(app, root_path)
    assert client.get("/items/", headers=API).json() == f"http://api.example.com{root_path}/items/"
    assert client.get("/items/", headers=SITE).text == "Django on www.example.com"
    assert client.get("/", headers=API).json() == {"detail": "Not Found"}
    assert client.get("/me", headers=SITE).headers["content-type"].startswith("text/html")
    assert client.get("/items/", headers={"host": "evil.example"}).status_code == 400


def test_the_api_is_at_home_in_django(app: Any, root_path: str) -> None:
    """Django's exceptions are answered, and the session is the user's, as under a prefix."""
    client = ApiClient(app, root_path)
    assert client.get("/broken", headers=API).status_code == 404
    assert client.get("/me", headers=API).status_code == 401
    assert websocket(app, f"{root_path}/ws", root_path=root_path, headers=[(b"host", b"api.example.com")])[1] == {
        "type": "websocket.send",
        "text": "hello",
    }


def test_the_lifespan_of_the_api_runs(app: Any) -> None:
    """The lifespan of the API behind the host name is run once."""
    events.clear()

    async def run() -> None:
        async with Drive(app):
            assert events == ["up"]

    asyncio.run(run())
    assert events == ["up", "down"]
