"""docs/other-origin.md: its settings and code, and a browser's requests from another origin."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from fastapi import WebSocket
from httpx import Response

from api_client import ApiClient
from calls import websocket
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from harness import TESTS

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]

PAGE = (TESTS.parent / "docs" / "other-origin.md").read_text()
SETTINGS, ASGI, API, BY_TOKEN = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FRONT_END = {"origin": "https://app.example.com"}
STRANGER = {"origin": "https://evil.example"}


@pytest.fixture
def names(settings: Any) -> dict[str, Any]:
    """The project of the page, with its settings set."""
    said: dict[str, Any] = {}
    exec(SETTINGS, said)
    for name in filter(str.isupper, said):
        setattr(settings, name, said[name])
    made: dict[str, Any] = {}
    exec(API, made)
    made["mount"] = lambda prefix, app, **options: mount(prefix, made["api"], **options)

    @made["api"].websocket("/ws")
    async def talk(socket: WebSocket, user: CurrentUser) -> None:
        await socket.accept()
        await socket.close()

    exec(ASGI, made)
    return made


class Page(ApiClient):
    """The page's requests: each as the browser sends it, with the origin and, for an unsafe one, a preflight."""

    def request(self, method: str, path: str, **options: Any) -> Response:
        return super().request(method, path, **{"scheme": "https", **options})

    def call(self, path: str, body: Any, origin: dict[str, str] = FRONT_END, token: str | None = None) -> Response:
        preflight = {
            **origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-csrftoken",
        }
        allowed = self.request("OPTIONS", path, headers=preflight)
        if token is None:
            token = self.get("/api/csrf", headers=origin).json()
        headers = {**origin, "content-type": "application/json", "x-csrftoken": token}
        answer = self.request("POST", path, headers=headers, content=json.dumps(body).encode())
        answer.extensions["preflight"] = allowed.status_code
        return answer


def test_the_page_logs_in_and_calls(names: dict[str, Any], root_path: str) -> None:
    """A page of the trusted origin logs in and calls; the answers bear the headers that let it read them."""
    User.objects.create_user("ann", password="a long one")
    page = Page(names["app"], root_path)
    login = page.call("/api/auth/login", {"username": "ann", "password": "a long one"})
    assert (login.extensions["preflight"], login.status_code) == (200, 200), login.text
    ordered = page.call("/api/orders", {})
    assert (ordered.extensions["preflight"], ordered.json()) == (200, "ann")
    assert ordered.headers["access-control-allow-origin"] == FRONT_END["origin"]
    assert ordered.headers["access-control-allow-credentials"] == "true"


def test_a_stranger_and_a_forgotten_token(names: dict[str, Any], root_path: str) -> None:
    """Another origin passes neither preflight nor check; without the token the trusted one is refused too."""
    User.objects.create_user("ann", password="a long one")
    page = Page(names["app"], root_path)
    page.call("/api/auth/login", {"username": "ann", "password": "a long one"})
    stolen = page.call("/api/orders", {}, STRANGER)
    assert (stolen.extensions["preflight"], stolen.status_code) == (400, 403)
    assert "access-control-allow-origin" not in stolen.headers
    assert page.call("/api/orders", {}, token="").status_code == 403


def test_websockets(names: dict[str, Any], root_path: str) -> None:
    """A websocket that uses the session is refused from an origin that is not trusted."""
    user = User.objects.create_user("ann", password="a long one")
    page = Page(names["app"], root_path)
    page.call("/api/auth/login", {"username": user.username, "password": "a long one"})
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())

    def opened(origin: str) -> bool:
        headers = [(b"host", b"testserver"), (b"origin", origin.encode()), (b"cookie", cookies.encode())]
        return websocket(names["app"], f"{root_path}/api/ws", root_path=root_path, headers=headers)[0]["type"] == (
            "websocket.accept"
        )

    assert opened(FRONT_END["origin"])
    assert not opened(STRANGER["origin"])


def test_the_block_for_tokens(names: dict[str, Any], root_path: str) -> None:
    """CORS of the second way allows the header of the token, and no cookies."""
    exec(BY_TOKEN, names)
    app = mount("/api", names["api"], middleware=[names["cors"]])
    asked = {**FRONT_END, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = ApiClient(app, root_path).request("OPTIONS", "/api/orders", headers=asked)
    assert allowed.status_code == 200
    assert "access-control-allow-credentials" not in allowed.headers
