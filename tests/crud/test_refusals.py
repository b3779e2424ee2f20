"""Who is let in: nobody where `security` says no in any way, WebSockets and cookies included.

Holds `crud/access/cookies.py`, `crud/access/scopes.py` and `crud/routes/dependencies.py`.
"""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.security import APIKeyCookie
from starlette.requests import HTTPConnection

from crud.resources import CompanySchema, DepartmentSchema, RateSchema, caller
from crud.serving import Api, served
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ActionScopes, ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.testing import WebSocketDenied
from project.companies.models import Rate

pytestmark = pytest.mark.django_db
SENT = {"country": "x", "year": 1, "percent": 1}


class Nobody:
    """Empty, as a token without scopes might be."""

    def __repr__(self) -> str:
        return "nobody"

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("answer", [None, False, "", 0, 0.0, {}, [], (), b"", set(), Nobody()], ids=repr)
def test_what_is_false_is_nobody(answer: Any, asynchronous: bool) -> None:
    """A call is 401 where `security` returns None, False, or what is empty, by a coroutine too."""

    async def security() -> Any:
        return answer

    for each in (security, lambda: answer):
        router = ModelRouter(RateSchema, prefix="/rates", security=each, create=True, asynchronous=asynchronous)
        client = Api(served(router))
        assert client.get("/rates").status_code == client.post("/rates", json=SENT).status_code == 401
    assert not Rate.objects.exists()


@pytest.mark.parametrize("answer", [True, "ann", 7, object()], ids=["True", "text", "number", "object"])
def test_what_is_true_is_somebody(answer: Any) -> None:
    """Whatever else `security` returns is a caller."""
    assert (
        Api(served(ModelRouter(RateSchema, prefix="/rates", security=lambda: answer))).get("/rates").status_code == 200
    )


# WebSockets ----------------------------------------------------------------------------------------------------------


def live_router(schema: Any = RateSchema, **options: Any) -> ModelRouter:
    """A router with a WebSocket."""
    router = ModelRouter(schema, prefix="/live", **options)

    @router.websocket("/feed")
    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("told")
        await socket.close()

    return router


def told(client: Api, path: str, **headers: str) -> str | None:
    with contextlib.suppress(WebSocketDenied), client.websocket_connect(path, headers=headers) as socket:
        return str(socket.receive_text())
    return None


def test_a_websocket_asks_for_the_caller(root_path: str) -> None:
    """A WebSocket of a secured router is refused without a caller, and without the scopes of reading."""
    router = live_router(security=caller, scopes=ActionScopes(read=["read"]))
    with Api(served(router), root_path) as client:
        client.headers.pop("X-Token")
        assert told(client, "/live/feed") is None
        assert told(client, "/live/feed", **{"X-Token": "1:update"}) is None
        assert told(client, "/live/feed", **{"X-Token": "1:read"}) == "told"


def test_a_websocket_asks_for_permissions() -> None:
    """With permissions="django" the handshake needs the permission to view the model."""
    router = live_router(security=CurrentUser, permissions="django")
    with Api(served(router)) as client:
        assert told(client, "/live/feed") is None
        client.force_login(User.objects.create_user("ann"))
        assert told(client, "/live/feed") is None
        client.force_login(User.objects.create_superuser("boss"))
        assert told(client, "/live/feed") == "told"


def test_a_websocket_of_an_open_router_is_open() -> None:
    """Without `security` nobody is asked for."""
    with Api(served(live_router())) as client:
        assert told(client, "/live/feed") == "told"


def test_a_websocket_of_a_child_asks_for_the_caller_of_its_parent() -> None:
    """A child that has no `security` has that of its parent, for a WebSocket that was added before it had one, too."""
    child = live_router(DepartmentSchema)
    assert child.routes
    parent = ModelRouter(CompanySchema, prefix="/companies", security=caller, children=[child])
    with Api(served(parent)) as client:
        assert told(client, "/companies/1/live/feed") == "told"
        client.headers.pop("X-Token")
        assert told(client, "/companies/1/live/feed") is None


def by_request(request: Request) -> Any:
    return request.headers.get("X-Token")


def test_a_websocket_whose_security_needs_a_request_is_refused_at_the_start() -> None:
    """A dependency that takes a Request could not be asked: the start says so, and what to do."""
    with pytest.raises(ConfigurationError, match=r"WebSocket '/feed' depends on something that takes a Request"):
        served(live_router(security=by_request))


# Cookies -------------------------------------------------------------------------------------------------------------

cookie = APIKeyCookie(name="token", auto_error=False)


async def by_cookie(token: Annotated[Any, Depends(cookie)]) -> Any:
    return token


def by_cookie_below(found: Annotated[Any, Depends(by_cookie)], connection: HTTPConnection) -> Any:
    return found or connection.headers.get("X-Key")


@pytest.mark.parametrize(
    "security", [cookie, by_cookie, by_cookie_below, Depends(by_cookie), Annotated[Any, Depends(by_cookie_below)]]
)
def test_a_cookie_of_fastapis_own_scheme_is_checked(security: Any, asynchronous: bool, root_path: str) -> None:
    """A write by a cookie that `APIKeyCookie` reads, at any depth, is 403 from a foreign page, and 201 from the own."""
    api = FastAPI()
    options: dict[str, Any] = {"create": True, "security": security, "asynchronous": asynchronous}
    api.include_router(ModelRouter(RateSchema, prefix="/rates", **options))
    with Api(mount("/api", api), root_path, enforce_csrf_checks=True) as client:
        client.cookies.set("token", "ann")
        for origin in ("https://evil.example", "null"):
            assert client.post("/rates", json=SENT, headers={"Origin": origin}).status_code == 403
        assert client.post("/rates", json=SENT).status_code == 403
        assert not Rate.objects.exists()
        assert client.get("/rates", headers={"Origin": "https://evil.example"}).status_code == 200
        client.cookies.set("csrftoken", "c" * 32)
        assert client.post("/rates", json=SENT, headers={"X-CSRFToken": "c" * 32}).status_code == 201


def test_a_header_beside_a_cookie_scheme_is_not_checked() -> None:
    """Where the cookie is not sent, a page of another site had nothing to send it with: no check is due."""
    router = ModelRouter(RateSchema, prefix="/rates", create=True, security=by_cookie_below)
    with Api(served(router), enforce_csrf_checks=True) as client:
        headers = {"X-Key": "ann", "Origin": "https://evil.example"}
        assert client.post("/rates", json=SENT, headers=headers).status_code == 201
