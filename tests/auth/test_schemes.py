"""Credentials in a mounted FastAPI: what a cache is told of them, what a database is spared, who else names users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from fastapi import Depends, FastAPI, Response, WebSocket
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBase
from starlette.requests import HTTPConnection

from api_client import ApiClient, both, committed_rows
from calls import ask, request, websocket
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, OptionalUser, Scheme, api_key, bearer, get_request

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
looked_up: list[str] = []


def lookup(key: str) -> User | None:
    looked_up.append(key)
    return User.objects.filter(username=key).first()


class Basic(Scheme):
    """A scheme of a project's own."""

    model = HTTPBase(scheme="basic")

    def credential(self, connection: HTTPConnection) -> str | None:
        return connection.headers.get("authorization")

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        return await User.objects.filter(username=credential).afirst()


class InQuery(Scheme):
    model = APIKey(**{"in": APIKeyIn.query, "name": "key"})

    def credential(self, connection: HTTPConnection) -> str | None:
        return connection.query_params.get("key")

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        return await User.objects.filter(username=credential).afirst()


key_scheme = api_key("X-API-Key", lookup)
bearer_scheme = bearer(lookup)
basic_scheme = Basic("basic", "Basic")
query_scheme = InQuery("in query", "APIKey")
ALL = [f"{__name__}.{name}" for name in ("key_scheme", "bearer_scheme", "query_scheme")]
ALL.append("djfast_mount.auth.session")


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    looked_up.clear()
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture(autouse=True)
def ada(db: None) -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @both(api, "GET", "/maybe")
    def maybe(user: OptionalUser) -> str | None:
        return user.get_username() if user else None

    @both(api, "GET", "/basic")
    def basic(user: Annotated[User, Depends(basic_scheme)]) -> str:
        return user.get_username()

    @both(api, "GET", "/varies")
    def varies(user: OptionalUser, response: Response) -> None:
        response.headers["vary"] = "Accept, cookie"

    @both(api, "GET", "/star")
    def star(user: OptionalUser, response: Response) -> None:
        response.headers["vary"] = "*"

    @both(api, "GET", "/language")
    def language(request: DjangoRequest) -> str:
        return str(request.LANGUAGE_CODE)

    @both(api, "GET", "/open")
    def open_() -> str:
        return "open"

    @both(api, "GET", "/who")
    def who(user: OptionalUser, request: DjangoRequest) -> list[str | None]:
        return [user.get_username() if user else None, str(request.user)]

    @api.websocket("/ws")
    async def ws(websocket: WebSocket, user: OptionalUser) -> None:
        await websocket.accept()
        await websocket.send_text(str(user))
        await websocket.close()

    return api


# What a cache is told -----------------------------------------------------------------------------------------------


@pytest.fixture
def client(settings: Any, root_path: str) -> ApiClient:
    settings.DJFAST_MOUNT = {"authentication": ALL, "docs_access": "staff"}
    return ApiClient(mount("/api", make_api()), root_path)


EVERY = "X-API-Key, Authorization, Cookie"


@pytest.mark.parametrize("path", ["me", "maybe"])
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "ada"}, {"x-api-key": "no"}, {"authorization": "Bearer ada"}])
def test_an_answer_varies_on_every_credential(client: ApiClient, kind: str, path: str, headers: dict[str, str]) -> None:
    """An answer that depends on who calls names each header that can say it, also to a stranger and in a refusal."""
    assert client.get(f"/api/{kind}/{path}", headers=headers).headers["vary"] == EVERY


def test_an_answer_by_the_cookie_varies_on_them_too(client: ApiClient, kind: str) -> None:
    """The user of the session's cookie is chosen for want of the other credentials."""
    django = Client()
    django.force_login(User.objects.get())
    client.set_cookie("sessionid", django.cookies["sessionid"].value)
    answer = client.get(f"/api/{kind}/me")
    assert answer.json() == "ada"
    assert sorted(answer.headers["vary"].split(", ")) == sorted(EVERY.split(", "))


def test_a_scheme_alone(client: ApiClient, kind: str) -> None:
    """A scheme as a dependency of its own names its own header."""
    for headers in ({}, {"authorization": "ada"}):
        assert client.get(f"/api/{kind}/basic", headers=headers).headers["vary"] == "Authorization"


def test_a_vary_of_the_endpoints_own(client: ApiClient, kind: str) -> None:
    """What an endpoint says itself stays, and no name stands there twice."""
    assert client.get(f"/api/{kind}/varies").headers["vary"] == "Accept, cookie, X-API-Key, Authorization"
    assert client.get(f"/api/{kind}/star").headers["vary"] == "*"


def test_a_language_that_was_chosen(client: ApiClient, kind: str) -> None:
    """The language of the Django request is chosen by Accept-Language, or by the cookie of a language."""
    assert client.get(f"/api/{kind}/language").headers["vary"] == "Accept-Language, Cookie"


def test_an_answer_that_nothing_chose(client: ApiClient, kind: str) -> None:
    """An endpoint that asks for nobody has no Vary header: a cache may keep its answer for all."""
    assert "vary" not in client.get(f"/api/{kind}/open", headers={"x-api-key": "ada"}).headers


def test_the_schema_for_the_staff(client: ApiClient) -> None:
    """The schema, which only some may see, says so to a cache."""
    for headers in ({}, {"x-api-key": "ada"}):
        vary = client.get("/api/openapi.json", headers=headers).headers["vary"]
        # A browser that may not see it is led to the login.
        assert sorted(vary.split(", ")) == sorted([*EVERY.split(", "), *["Accept"] * (not headers)])


# What a database is spared --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cookie", [rb'"aaaaaaaa\000bbbb"', rb'"aaaaaaaa\001bbbb"', "aaaaaaaaä".encode(), b"a" * 9000, rb'"aaaaaaaa\377"']
)
def test_a_cookie_that_is_no_key(client: ApiClient, root_path: str, kind: str, cookie: bytes) -> None:
    """A session cookie that no store can have made names no session: the call is a stranger's, of the docs too."""
    headers = [(b"host", b"testserver"), (b"cookie", b"sessionid=" + cookie)]
    app = client.app
    for path, status in ((f"/{kind}/me", 401), (f"/{kind}/maybe", 200), ("/openapi.json", 401), (f"/{kind}/who", 200)):
        answer = ask(app, f"/api{path}", root_path=root_path, headers=headers)
        assert answer.status == status, path
        assert status == 401 or answer.json() in (None, [None, "AnonymousUser"])
    sent = websocket(app, f"{root_path}/api/ws", root_path=root_path, headers=headers)
    assert sent[1]["text"] == "None"


@pytest.mark.parametrize("value", [b"a\0b", b"\0", b"a\x01", b"a\x7f"])
def test_a_credential_that_no_database_can_hold(client: ApiClient, root_path: str, kind: str, value: bytes) -> None:
    """A key or a token with a control character is a 401, and nothing is looked up for it."""
    for header in ((b"x-api-key", value), (b"authorization", b"Bearer " + value)):
        headers = [(b"host", b"testserver"), header]
        for path in ("me", "maybe"):
            answer = ask(client.app, f"/api/{kind}/{path}", root_path=root_path, headers=headers)
            assert (answer.status, answer.json()) == (401, {"detail": "Invalid credentials"})
    in_query = {"query_string": b"key=a%00b", "headers": [(b"host", b"testserver")]}
    assert ask(client.app, f"/api/{kind}/me", root_path=root_path, **in_query).status == 401
    assert looked_up == []


# Who else names users -----------------------------------------------------------------------------------------------


def names_grace(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.user = User(username="grace")
        return get_response(request)

    return middleware


@pytest.mark.parametrize("cookie", [None, "x" * 32, "of ada"])
def test_a_user_that_a_middleware_names(root_path: str, kind: str, cookie: str | None) -> None:
    """CurrentUser, OptionalUser and the Django request agree, with no cookie, with a stale and with a valid one."""
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.names_grace"])
    client = ApiClient(app, root_path)
    if cookie == "of ada":
        django = Client()
        django.force_login(User.objects.get())
        cookie = django.cookies["sessionid"].value
    if cookie:
        client.set_cookie("sessionid", cookie)
    assert client.get(f"/api/{kind}/me").json() == "grace"
    assert client.get(f"/api/{kind}/who").json() == ["grace", "grace"]


def test_a_key_before_a_middleware(client: ApiClient, root_path: str, kind: str) -> None:
    """A key that was presented counts, for CurrentUser and for the Django request alike."""
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.names_grace"])
    answer = ApiClient(app, root_path).get(f"/api/{kind}/who", headers={"x-api-key": "ada"})
    assert answer.json() == ["ada", "ada"]


# A scope without a scheme -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxied", [False, True])
def test_a_scope_without_a_scheme(root_path: str, kind: str, settings: Any, proxied: bool) -> None:
    """A server may leave the scheme out (ASGI): it is http, or ws."""
    if proxied:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        settings.SECURE_SSL_REDIRECT = True
    app = mount("/api", make_api())
    headers = [(b"host", b"testserver")] + ([(b"x-forwarded-proto", b"https")] if proxied else [])
    for path in (
        f"/api/{kind}/who",
        f"/api/{kind}/me",
        "/api/docs",
        "/api/openapi.json",
        "/api/none",
        "/",
        "/static/x",
    ):
        answer = without_scheme(app, path, root_path, headers)
        assert answer.status in (200, 401, 404), path
    sent = websocket(app, f"{root_path}/api/ws", root_path=root_path, headers=headers, scheme="")
    assert sent[1]["text"] == "None"
    assert without_scheme(app, "/api/none", root_path, [(b"host", b"?")]).status == 400


def without_scheme(app: Any, path: str, root_path: str, headers: Any) -> Any:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        del scope["scheme"]
        await app(scope, receive, send)

    return ask(serve, path, root_path=root_path, headers=headers)


def test_a_user_of_a_middleware_is_held_to_the_csrf_check(db: None, settings: Any) -> None:
    """What a proxy says of the user may go along with a foreign page's call, so an unsafe one needs Django's token."""
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    api = FastAPI()

    @api.api_route("/me", methods=["GET", "POST"])
    def me(user: CurrentUser) -> str:
        return user.get_username()

    paths = ("sessions.middleware.Session", "auth.middleware.Authentication", "auth.middleware.RemoteUser")
    root = mount("/api", api, django_middleware_for_api=[f"django.contrib.{path}Middleware" for path in paths])
    said = {"host": "testserver", "remote-user": "ada"}
    token = "a" * 32
    sent = {**said, "origin": "http://testserver", "cookie": f"csrftoken={token}", "x-csrftoken": token}
    for method, headers, status in (
        ("GET", said, 200),
        ("POST", said, 403),
        ("POST", {**sent, "origin": "https://evil.example"}, 403),
        ("POST", sent, 200),
    ):
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        assert request(root, "/api/me", method=method, headers=raw).status == status, (method, headers)
