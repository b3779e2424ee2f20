"""docs/middleware-order.md: its code, run, and each row of its tables, asked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import translation
from fastapi import FastAPI, HTTPException, WebSocket
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api_client import ApiClient
from calls import websocket
from djfast_mount import mount
from harness import TESTS

pytestmark = pytest.mark.once

DOCS = TESTS.parent / "docs"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (DOCS / "middleware-order.md").read_text(), re.DOTALL | re.MULTILINE)
ORIGIN = {"origin": "https://shop.example"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "GET"}
CORS: dict[str, Any] = {"allow_origins": ["https://shop.example"], "allow_methods": ["*"], "allow_headers": ["*"]}
seen: list[str] = []


class Noting:
    """ASGI middleware that notes what passes it."""

    def __init__(self, app: Any, name: str) -> None:
        self.app, self.name = app, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{self.name} {scope['type']}")
        await self.app(scope, receive, send)


def of_django(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        seen.append("MIDDLEWARE")
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


def for_the_api(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        seen.append("for the API")
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("x" * 2000)


class URLs:
    urlpatterns = [path("view/", view), path("api/old/", view)]


def make_api() -> FastAPI:
    api = FastAPI()
    api.get("/items")(lambda: "x" * 2000)
    api.post("/items")(lambda: 1)

    @api.get("/refused")
    def refused() -> None:
        raise HTTPException(409)

    @api.get("/broken")
    def broken() -> None:
        raise RuntimeError

    @api.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(iter(["data: x\n\n"] * 500), media_type="text/event-stream")

    @api.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(translation.get_language())
        await socket.close()

    return api


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = URLs
    settings.MIDDLEWARE = [f"{__name__}.of_django"]
    seen.clear()


def test_what_passes_which_place(root_path: str) -> None:
    """A call of the API passes the root, Django's middleware for it and the API's own; a view the root and Django's."""
    api = make_api()
    api.add_middleware(Noting, name="API")
    app = mount(
        "/api", api, middleware=[Middleware(Noting, name="root")], django_middleware_for_api=[f"{__name__}.for_the_api"]
    )
    client = ApiClient(app, root_path)
    for path_, passed in [
        ("/api/items", ["root http", "for the API", "API http"]),
        ("/view/", ["root http", "MIDDLEWARE"]),
        ("/healthz", ["root http"]),
    ]:
        seen.clear()
        assert client.get(path_).status_code == 200
        assert seen == passed
    seen.clear()
    websocket(app, f"{root_path}/api/ws", root_path=root_path)
    assert seen == ["root websocket", "API websocket"]


AT_ROOT, OF_API = "root", "API"
ROWS: list[tuple[str, str, dict[str, str], int, set[str]]] = [
    ("OPTIONS", "/api/items", PREFLIGHT, 200, {AT_ROOT, OF_API}),
    ("OPTIONS", "/view/", PREFLIGHT, 200, {AT_ROOT}),
    ("GET", "/api/items", ORIGIN, 200, {AT_ROOT, OF_API}),
    ("GET", "/api/none", ORIGIN, 404, {AT_ROOT, OF_API}),
    ("GET", "/api/refused", ORIGIN, 409, {AT_ROOT, OF_API}),
    ("GET", "/api/broken", ORIGIN, 500, {AT_ROOT}),
    ("GET", "/api/items", {**ORIGIN, "host": "evil.example"}, 400, {AT_ROOT}),
    ("POST", "/api/items", {**ORIGIN, "content-length": "5"}, 413, {AT_ROOT}),
    ("GET", "/view/", ORIGIN, 200, {AT_ROOT}),
]


@pytest.mark.parametrize(("method", "asked", "headers", "status", "places"), ROWS)
def test_cors(method: str, asked: str, headers: dict[str, str], status: int, places: set[str], root_path: str) -> None:
    """Each row of the table has the header from the places that it names, and from no other."""
    api = make_api()
    api.add_middleware(CORSMiddleware, **CORS)
    roots = {
        AT_ROOT: mount("/api", make_api(), middleware=[Middleware(CORSMiddleware, **CORS)], max_body_size=4),
        OF_API: mount("/api", api, max_body_size=4),
    }
    for place, app in roots.items():
        content = b"12345" if method == "POST" else b""
        answer = ApiClient(app, root_path).request(method, asked, headers=headers, content=content)
        assert answer.status_code == status or (method == "OPTIONS" and place not in places)
        assert ("access-control-allow-origin" in answer.headers) == (place in places), (place, answer.headers)


def test_cors_of_what_falls_through(root_path: str) -> None:
    """What falls through to Django has the header of the root's middleware, and not of the API's."""
    api = make_api()
    api.add_middleware(CORSMiddleware, **CORS)
    inside = ApiClient(mount("/api", api, fallthrough=True), root_path)
    outside = ApiClient(
        mount("/api", make_api(), fallthrough=True, middleware=[Middleware(CORSMiddleware, **CORS)]), root_path
    )
    assert "access-control-allow-origin" not in inside.get("/api/old/", headers=ORIGIN).headers
    assert "access-control-allow-origin" in outside.get("/api/old/", headers=ORIGIN).headers


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks of the page are run with."""
    api = make_api()
    return {"api": api, "WebSocket": WebSocket, "mount": lambda prefix, app, **options: mount(prefix, api, **options)}


def test_the_first_example(names: dict[str, Any], root_path: str) -> None:
    """CORS and GZip of the first block hold for both halves; a stream of events is not compressed."""
    exec(BLOCKS[0], names)
    client = ApiClient(names["app"], root_path)
    for asked in ("/api/items", "/view/"):
        answer = client.get(asked, headers={**ORIGIN, "accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert "access-control-allow-origin" in answer.headers
    assert "content-encoding" not in client.get("/api/events", headers={"accept-encoding": "gzip"}).headers


def test_a_rewritten_path_decides_on_the_half(names: dict[str, Any]) -> None:
    """The middleware of the page leads an old path to the API."""
    exec(BLOCKS[1], names)
    client = ApiClient(mount("/api", names["api"], middleware=[Middleware(names["OldPaths"])]))
    assert client.get("/v0/items").json() == "x" * 2000
    assert client.get("/v1/items").status_code == 404


def test_a_websocket_in_the_clients_language(names: dict[str, Any], root_path: str) -> None:
    """The dependency of the page chooses the language of a websocket; without it, it is the site's."""
    bare = mount("/api", names["api"])
    german = [(b"host", b"testserver"), (b"accept-language", b"de")]
    talked = websocket(bare, f"{root_path}/api/ws", root_path=root_path, headers=german)
    assert talked[1]["text"] == "en-us"
    names["api"] = FastAPI()
    exec(BLOCKS[2], names)
    endpoint = make_api().router.routes[-1].endpoint  # type: ignore[attr-defined]
    names["api"].router.routes.clear()
    names["api"].websocket("/ws", dependencies=[names["Depends"](names["language"])])(endpoint)
    app = mount("/api", names["api"])
    talked = websocket(app, f"{root_path}/api/ws", root_path=root_path, headers=german)
    assert talked[1]["text"] == "de"


def test_the_drawing_has_the_places() -> None:
    """The drawing is well-formed, and names the four places and both ends."""
    text = " ".join(ET.parse(DOCS / "images" / "middleware-order.svg").getroot().itertext())
    for word in ("root middleware", "django_middleware_for_api", "settings.MIDDLEWARE", "api.add_middleware()", "413"):
        assert word in text
