"""The CSRF check where middleware has another request than the client's for what is within it.

Holds `django_for_api/sent_by_client.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import pytest
from django.contrib.auth.models import User
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import call, connect, http_scope
from django_for_api.test_csrf_matrix import (
    ORIGINS,
    READS,
    SECRET,
    WRITES,
    ada,
    cookie,
    current_user,
    db,
    flush,
    handshake,
    headers_of,
    make_api,
    request_user,
    schemes,
    session_item,
    who,
)
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, bearer, get_request

__all__ = ["ada", "cookie", "db", "schemes"]  # fixtures

ROOT = "/pre"
Change = Callable[[Scope], None]


class Rewriting:
    """ASGI: changes http and websocket scopes, copies of them or themselves."""

    def __init__(self, app: ASGIApp, change: Change, *, copies: bool, asks: bool = False) -> None:
        self.app = app
        self._change = change
        self._copies = copies
        self._asks = asks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if self._asks:
            request: Any = await get_request(Request(scope, receive))
            await request.auser()
        scope = dict(scope) if self._copies else scope
        self._change(scope)
        await self.app(scope, receive, send)


def has_method(method: str) -> Change:
    def change(scope: Scope) -> None:
        scope["method"] = method

    return change


def without_origin(scope: Scope) -> None:
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"origin"]


def with_bearer_of_the_cookie(scope: Scope) -> None:
    cookies = dict(parse_qsl(dict(scope["headers"])[b"cookie"].decode().replace("; ", "&")))
    if "token" in cookies:
        scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {cookies['token']}".encode())]


async def ask(
    app: ASGIApp, way: Callable[..., Any], method: str, headers: list[tuple[bytes, bytes]]
) -> tuple[int, Any]:
    path = f"{ROOT}/api/{way.__name__}"
    answer = await call(app, http_scope(path, root_path=ROOT, method=method, headers=headers))
    return answer.status, answer.json()


def rewritten(change: Change, **how: Any) -> ASGIApp:
    api = make_api()
    api.add_middleware(Rewriting, change=change, **how)
    return mount("/api", api)


def wrapped(change: Change, **how: Any) -> ASGIApp:
    return mount("/api", Rewriting(make_api(), change, **how))


placed = pytest.mark.parametrize("place", [rewritten, wrapped])
copied = pytest.mark.parametrize("copies", [True, False])


@placed
@copied
@pytest.mark.parametrize(("sent", "served"), [("GET", "POST"), ("POST", "GET")])
def test_a_method_that_is_overridden(sent: str, served: str, copies: bool, place: Any, cookie: str) -> None:
    """A call by cookie is checked if the client's method or the endpoint's is unsafe."""
    app = place(has_method(served), copies=copies)

    async def ask_all() -> None:
        for way in READS:
            forged = headers_of(cookie, "cookie", ORIGINS["foreign"], SECRET)
            assert (await ask(app, way, sent, forged))[0] == 403, way
            assert (await ask(app, way, sent, headers_of(cookie, "cookie", ORIGINS["own"], None)))[0] == 403, way
            own = headers_of(cookie, "cookie", ORIGINS["own"], SECRET)
            assert await ask(app, way, sent, own) == (200, "ada"), way

    asyncio.run(ask_all())


@copied
def test_what_an_overridden_method_changes(copies: bool, cookie: str) -> None:
    """A forged GET that is served as a POST leaves the session as it was."""
    app = rewritten(has_method("POST"), copies=copies)

    async def ask_all() -> None:
        forged = headers_of(cookie, "cookie", ORIGINS["foreign"], SECRET)
        for way in WRITES:
            assert (await ask(app, way, "GET", forged))[0] == 403, way
            assert await who(cookie) == "ada", way

    asyncio.run(ask_all())


@copied
@pytest.mark.parametrize("way", [current_user, request_user, session_item, flush])
def test_a_user_who_was_asked_for_before(way: Callable[..., Any], copies: bool, cookie: str) -> None:
    """That the session was used while the method was safe does not permit it for an unsafe one."""
    app = rewritten(has_method("POST"), copies=copies, asks=True)

    async def ask_all() -> None:
        forged = headers_of(cookie, "cookie", ORIGINS["foreign"], SECRET)
        assert (await ask(app, way, "GET", forged))[0] == 403
        assert await who(cookie) == "ada"
        assert (await ask(app, way, "GET", headers_of(cookie, "cookie", ORIGINS["own"], SECRET)))[0] == 200

    asyncio.run(ask_all())


def says_that_it_is_safe(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.method = "GET"
        return get_response(request)

    return middleware


@pytest.mark.parametrize("way", [current_user, request_user, session_item, flush])
def test_a_django_middleware_that_overrides(way: Callable[..., Any], cookie: str) -> None:
    """What a Django middleware writes into `request.method` does not make a POST safe."""
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.says_that_it_is_safe"])

    async def ask_all() -> None:
        forged = headers_of(cookie, "cookie", ORIGINS["foreign"], SECRET)
        assert (await ask(app, way, "POST", forged))[0] == 403
        assert (await ask(app, way, "POST", headers_of(cookie, "cookie", ORIGINS["own"], SECRET)))[0] == 200

    asyncio.run(ask_all())


@pytest.mark.parametrize("served", ["POST", "GET"])
def test_saving_every_request(served: str, cookie: str, settings: Any) -> None:
    """SESSION_SAVE_EVERY_REQUEST neither refuses an overridden call that uses no session, nor saves one for it."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    api = FastAPI()

    @api.api_route("/open", methods=["GET", "POST"])
    def open_(request: Annotated[Any, Depends(get_request)]) -> str:
        return "open"

    api.add_middleware(Rewriting, change=has_method(served), copies=True)
    headers = headers_of(cookie, "cookie", ORIGINS["foreign"], None)
    sent = "GET" if served == "POST" else "POST"
    answer = asyncio.run(call(mount("/api", api), http_scope("/api/open", method=sent, headers=headers)))
    assert (answer.status, answer.header("set-cookie")) == (200, None)


@placed
@copied
def test_a_websocket_whose_origin_is_taken_off(place: Any, copies: bool, cookie: str) -> None:
    """The Origin of a websocket is the client's, whatever a middleware within makes of the headers."""
    app = place(without_origin, copies=copies)
    scope = handshake(f"{ROOT}/api/ws/current_user", ROOT, cookie, "cookie", "foreign")
    assert asyncio.run(connect(app, scope))[0].get("status") == 403


# Credentials that are made of a cookie ------------------------------------------------------------------------------

by_token = bearer(lambda token: User.objects.filter(username=token).first())


@placed
@copied
@pytest.mark.parametrize("as_what", ["dependency", "current user"])
def test_a_bearer_token_that_was_in_a_cookie(
    as_what: str, copies: bool, place: Any, ada: User, settings: Any, root_path: str
) -> None:
    """What a middleware puts into a header is no header of the client's: with cookies, the token is due."""
    settings.DJFAST_MOUNT = {"authentication": [f"{__name__}.by_token"], "docs_access": "public"}
    api = FastAPI()

    @api.post("/dependency")
    def dependency(user: Annotated[Any, Depends(by_token)]) -> str:
        return str(user.get_username())

    @api.post("/current user")
    def current(user: CurrentUser) -> str:
        return user.get_username()

    if place is rewritten:
        api.add_middleware(Rewriting, change=with_bearer_of_the_cookie, copies=copies)
        app = mount("/api", api)
    else:
        app = mount("/api", Rewriting(api, with_bearer_of_the_cookie, copies=copies))

    async def post(headers: list[tuple[bytes, bytes]]) -> tuple[int, Any]:
        answer = await call(
            app, http_scope(f"{root_path}/api/{as_what}", root_path=root_path, method="POST", headers=headers)
        )
        return answer.status, answer.json()

    async def ask_all() -> None:
        cookies = [(b"host", b"testserver"), (b"cookie", f"csrftoken={SECRET}; token=ada".encode())]
        token, own = (b"x-csrftoken", SECRET.encode()), (b"origin", b"http://testserver")
        assert (await post(cookies))[0] == 403
        assert (await post([*cookies, token, (b"origin", b"http://evil.example")]))[0] == 403
        assert await post([*cookies, token, own]) == (200, "ada")
        # The client's own header is no credential that a foreign page could make a browser send.
        sent = [(b"host", b"testserver"), (b"cookie", b"other=1"), (b"authorization", b"Bearer ada")]
        assert await post(sent) == (200, "ada")

    asyncio.run(ask_all())
