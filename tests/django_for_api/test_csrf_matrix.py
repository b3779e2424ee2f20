"""Every way to a session or a user, by every credential, from every origin, with every token: who passes the check.

Holds `django_for_api/session.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import auth as djangos_auth
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils.functional import SimpleLazyObject
from fastapi import Depends, FastAPI, WebSocket
from fastapi.security import APIKeyCookie
from starlette.requests import HTTPConnection
from starlette.types import Scope

from api_client import committed_rows
from calls import call, connect, http_scope, websocket_scope
from djfast_mount import mount
from djfast_mount.auth import (
    CurrentUser,
    OptionalUser,
    Scheme,
    StaffUser,
    api_key,
    bearer,
    get_request,
    require_perm,
    session,
)

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
SECRET = "k" * 32
ORIGINS = {"own": "http://testserver", "foreign": "http://evil.example", "absent": None}
TOKENS = {"right": SECRET, "wrong": "w" * 32, "absent": None}
CREDENTIALS = ("none", "cookie", "bearer", "key", "cookie and key")

key_scheme = api_key("X-API-Key", lambda key: User.objects.filter(username=key).first())
bearer_scheme = bearer(lambda token: User.objects.filter(username=token).first())
ALL = ["djfast_mount.auth.session", f"{__name__}.key_scheme", f"{__name__}.bearer_scheme"]


# The ways -----------------------------------------------------------------------------------------------------------
# Each takes the dependencies of an endpoint and returns whom it found, or what.


def current_user(user: CurrentUser) -> str:
    return user.get_username()


async def async_current_user(user: CurrentUser) -> str:
    return user.get_username()


def optional_user(user: OptionalUser) -> str | None:
    return user.get_username() if user else None


def staff_user(user: StaffUser) -> str:
    return user.get_username()


def by_permission(user: Annotated[User, require_perm("shop.view_item")]) -> str:
    return user.get_username()


def session_scheme(user: Annotated[User, Depends(session)]) -> str:
    return user.get_username()


def session_scheme_after_another(user: OptionalUser, by_session: Annotated[User, Depends(session)]) -> str:
    return by_session.get_username()


def request_user(request: DjangoRequest) -> str:
    return str(request.user)


async def request_auser(request: DjangoRequest) -> str:
    return str(await request.auser())


def get_user(request: DjangoRequest) -> str:
    return str(djangos_auth.get_user(request))


async def aget_user(request: DjangoRequest) -> str:
    return str(await djangos_auth.aget_user(request))


def _replaced_user(request: DjangoRequest) -> None:
    request.user = SimpleLazyObject(lambda: djangos_auth.get_user(request))


def replaced_user(replaced: Annotated[None, Depends(_replaced_user)], request: DjangoRequest) -> str:
    return str(request.user)


def session_item(request: DjangoRequest) -> str | None:
    return request.session.get("who")


async def session_aget(request: DjangoRequest) -> str | None:
    found: str | None = await request.session.aget("who")
    return found


def session_load(request: DjangoRequest) -> str | None:
    return request.session.load().get("who")


def session_items(request: DjangoRequest) -> str | None:
    return dict(request.session.items()).get("who")


class _Envelope:
    """What a project may put around a session."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def session_in_an_envelope(request: DjangoRequest) -> str | None:
    request.session = _Envelope(request.session)
    return request.session.get("who")


def another_store(request: DjangoRequest) -> str | None:
    request.session = SessionStore(request.COOKIES.get("sessionid"))
    return request.session.get("who")


class _Plain:
    """A session of no class that Django knows."""

    def __init__(self, key: str | None) -> None:
        store = SessionStore(key)
        self.data = dict(store.load()) if key else {}
        self.accessed = self.modified = False

    def get(self, name: str) -> Any:
        return self.data.get(name)

    def is_empty(self) -> bool:
        return not self.data


def another_class(request: DjangoRequest) -> str | None:
    request.session = _Plain(request.COOKIES.get("sessionid"))
    found: str | None = request.session.get("who")
    return found


READS: list[Callable[..., Any]] = [
    current_user,
    async_current_user,
    optional_user,
    staff_user,
    by_permission,
    session_scheme,
    session_scheme_after_another,
    request_user,
    request_auser,
    get_user,
    aget_user,
    replaced_user,
    session_item,
    session_aget,
    session_load,
    session_items,
    session_in_an_envelope,
    another_store,
    another_class,
]


def set_item(request: DjangoRequest) -> None:
    request.session["who"] = "changed"


async def aset_item(request: DjangoRequest) -> None:
    await request.session.aset("who", "changed")


def flush(request: DjangoRequest) -> None:
    request.session.flush()


async def aflush(request: DjangoRequest) -> None:
    await request.session.aflush()


def clear(request: DjangoRequest) -> None:
    request.session.clear()


def delete(request: DjangoRequest) -> None:
    request.session.delete()


def cycle_key(request: DjangoRequest) -> None:
    request.session.cycle_key()


def set_expiry(request: DjangoRequest) -> None:
    request.session.set_expiry(7)


def mark_modified(request: DjangoRequest) -> None:
    request.session.modified = True


def save(request: DjangoRequest) -> None:
    request.session.save()


async def asave(request: DjangoRequest) -> None:
    await request.session.asave()


def logout(request: DjangoRequest) -> None:
    djangos_auth.logout(request)


WRITES: list[Callable[..., Any]] = [
    set_item,
    aset_item,
    flush,
    aflush,
    clear,
    delete,
    cycle_key,
    set_expiry,
    mark_modified,
    save,
    asave,
    logout,
]

# By which of them a key or a token names the user, so that the cookie is not asked for.
BY_ANY_SCHEME = (current_user, async_current_user, optional_user, staff_user, by_permission)


def make_api() -> FastAPI:
    api = FastAPI()
    for way in (*READS, *WRITES):
        api.api_route(f"/{way.__name__}", methods=["POST", "GET"])(way)

    for way in READS:

        @api.websocket(f"/ws/{way.__name__}")
        async def endpoint(websocket: WebSocket, found: Any = Depends(way)) -> None:  # noqa: B008
            await websocket.accept()
            await websocket.send_text(str(found))
            await websocket.close()

    @api.websocket("/late")
    async def late(websocket: WebSocket, request: DjangoRequest) -> None:
        await websocket.accept()
        await websocket.send_text(str(await request.session.aget("who")))
        await websocket.close()

    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture(autouse=True)
def ada(db: None) -> User:
    return User.objects.create_user("ada", is_staff=True, is_superuser=True)


@pytest.fixture
def cookie(ada: User) -> str:
    django = Client()
    django.force_login(ada)
    store = SessionStore(django.cookies["sessionid"].value)
    store["who"] = "ada"
    store.save()
    return str(store.session_key)


@sync_to_async
def who(cookie: str) -> object:
    """What the session holds. Leaves no connection open on the thread that asgiref has for this."""
    try:
        return SessionStore(cookie).get("who")
    finally:
        connection.close()


def headers_of(cookie: str, credential: str, origin: str | None, token: str | None) -> list[tuple[bytes, bytes]]:
    cookies = [f"csrftoken={SECRET}"]
    headers = {"host": "testserver"}
    if "cookie" in credential:
        cookies.append(f"sessionid={cookie}")
    if "key" in credential:
        headers["x-api-key"] = "ada"
    if "bearer" in credential:
        headers["authorization"] = "Bearer ada"
    headers["cookie"] = "; ".join(cookies)
    if origin:
        headers["origin"] = origin
    if token:
        headers["x-csrftoken"] = token
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def uses_the_cookie(way: Callable[..., Any], credential: str) -> bool:
    return "cookie" in credential and not ("key" in credential and way in BY_ANY_SCHEME)


@pytest.fixture
def schemes(settings: Any) -> None:
    settings.DJFAST_MOUNT = {"authentication": ALL, "docs_access": "public"}


@pytest.mark.parametrize("way", READS, ids=lambda way: way.__name__)
def test_a_post(way: Callable[..., Any], cookie: str, schemes: None, root_path: str) -> None:
    """A POST that reads the cookie's user or session passes by Django's rule alone; a key or a token is exempt."""
    app = mount("/api", make_api())

    async def ask(credential: str, origin: str, token: str) -> tuple[int, Any]:
        headers = headers_of(cookie, credential, ORIGINS[origin], TOKENS[token])
        path = f"{root_path}/api/{way.__name__}"
        answer = await call(app, http_scope(path, root_path=root_path, method="POST", headers=headers))
        return answer.status, answer.json()

    async def ask_all() -> None:
        for credential, origin, token in itertools.product(CREDENTIALS, ORIGINS, TOKENS):
            status, found = await ask(credential, origin, token)
            case = (credential, origin, token, status, found)
            if not uses_the_cookie(way, credential):
                # Nobody without a credential, and never the cookie's.
                assert status in (200, 401), case
            elif origin == "foreign" or token != "right":
                assert (status, found) == (403, {"detail": "CSRF verification failed."}), case
            else:
                assert (status, found) == (200, "ada"), case
            if credential in ("key", "bearer", "cookie and key") and way in BY_ANY_SCHEME:
                assert (status, found) == (200, "ada"), case

    asyncio.run(ask_all())


@pytest.mark.parametrize("way", WRITES, ids=lambda way: way.__name__)
def test_a_post_that_changes_the_session(way: Callable[..., Any], cookie: str, schemes: None) -> None:
    """A forged POST leaves the session of the cookie as it was, however it tries to change it."""
    app, root_path = mount("/api", make_api()), "/pre"
    path = f"{root_path}/api/{way.__name__}"

    async def ask_all() -> None:
        for credential, origin, token in itertools.product(("cookie", "cookie and key"), ORIGINS, TOKENS):
            if origin != "foreign" and token == "right":
                continue
            headers = headers_of(cookie, credential, ORIGINS[origin], TOKENS[token])
            answer = await call(app, http_scope(path, root_path=root_path, method="POST", headers=headers))
            assert answer.status == 403, (credential, origin, token)
            assert answer.header("set-cookie") is None
            assert await who(cookie) == "ada"
        headers = headers_of(cookie, "cookie", ORIGINS["own"], TOKENS["right"])
        answer = await call(app, http_scope(path, root_path=root_path, method="POST", headers=headers))
        assert answer.status == 200

    asyncio.run(ask_all())


class InACookie(Scheme):
    """A scheme of the project's own: a token in a cookie."""

    model = APIKeyCookie(name="jwt").model

    def credential(self, connection: HTTPConnection) -> str | None:
        return connection.cookies.get("jwt")

    async def user(self, connection: HTTPConnection, credential: str) -> Any:
        return await User.objects.filter(username=credential).afirst()


cookie_scheme = InACookie("jwt", "APIKey")


def by_cookie_scheme(user: Annotated[User, Depends(cookie_scheme)]) -> str:
    return user.get_username()


@pytest.mark.parametrize("way", [current_user, optional_user, by_cookie_scheme], ids=lambda way: way.__name__)
def test_a_cookie_of_another_kind(way: Callable[..., Any], settings: Any, root_path: str) -> None:
    """A scheme of the project's own that reads a cookie is held to the check, by POST and by websocket, as the session
    is; a key beside it is not.
    """
    if way is not by_cookie_scheme:
        settings.DJFAST_MOUNT = {"authentication": [f"{__name__}.cookie_scheme", *ALL]}
    api = FastAPI()
    api.post("/way")(way)

    @api.websocket("/ws")
    async def endpoint(websocket: WebSocket, found: Any = Depends(way)) -> None:  # noqa: B008
        await websocket.accept()
        await websocket.close()

    app = mount("/api", api)

    async def ask(credential: str, origin: str, token: str) -> int:
        headers = headers_of("", credential, ORIGINS[origin], TOKENS[token])
        headers = [(name, value + b"; jwt=ada" if name == b"cookie" else value) for name, value in headers]
        path = f"{root_path}/api/way"
        return (await call(app, http_scope(path, root_path=root_path, method="POST", headers=headers))).status

    async def ask_all() -> None:
        for origin, token in itertools.product(ORIGINS, TOKENS):
            passes = origin != "foreign" and token == "right"
            assert await ask("none", origin, token) == (200 if passes else 403), (origin, token)
            if way is not by_cookie_scheme:
                assert await ask("key", origin, token) == 200, (origin, token)
        for origin, status in (("foreign", 403), ("own", None), ("absent", None)):
            headers = headers_of("", "none", ORIGINS[origin], None)
            headers = [(name, value + b"; jwt=ada" if name == b"cookie" else value) for name, value in headers]
            scope = websocket_scope(f"{root_path}/api/ws", root_path=root_path, headers=headers)
            assert (await connect(app, scope))[0].get("status") == status, origin

    asyncio.run(ask_all())


@pytest.mark.parametrize("way", READS, ids=lambda way: way.__name__)
def test_a_get(way: Callable[..., Any], cookie: str, schemes: None) -> None:
    """A GET needs no token, wherever it comes from."""
    headers = headers_of(cookie, "cookie", ORIGINS["foreign"], None)
    answer = asyncio.run(call(mount("/api", make_api()), http_scope(f"/api/{way.__name__}", headers=headers)))
    assert (answer.status, answer.json()) == (200, "ada")


@pytest.mark.parametrize("way", READS, ids=lambda way: way.__name__)
def test_a_websocket(way: Callable[..., Any], cookie: str, schemes: None) -> None:
    """A websocket that uses the cookie is refused before it is accepted where its Origin is another site's."""
    app, root_path = mount("/api", make_api()), "/pre"

    async def ask_all() -> None:
        for credential, origin in itertools.product(CREDENTIALS, ORIGINS):
            scope = handshake(f"{root_path}/api/ws/{way.__name__}", root_path, cookie, credential, origin)
            sent = await connect(app, scope)
            case = (credential, origin, sent)
            if not uses_the_cookie(way, credential):
                assert sent[0].get("status") in (None, 401), case
            elif origin == "foreign":
                assert sent[0].get("status") == 403, case
            else:
                assert sent[1]["text"] == "ada", case

    asyncio.run(ask_all())


@pytest.mark.parametrize(("origin", "first"), [("foreign", 403), ("own", None), ("absent", None)])
def test_a_session_that_is_read_after_accept(cookie: str, origin: str, first: int | None) -> None:
    """A websocket that asks for the Django request is refused in time, though it reads the session later."""
    scope = handshake("/api/late", "", cookie, "cookie", origin)
    sent = asyncio.run(connect(mount("/api", make_api()), scope))
    assert sent[0].get("status") == first
    assert first or sent[1]["text"] == "ada"


def handshake(path: str, root_path: str, cookie: str, credential: str, origin: str) -> Scope:
    headers = headers_of(cookie, credential, ORIGINS[origin], None)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    return websocket_scope(path, root_path=root_path, headers=headers, extensions=extensions)


# The stores, and where the secret is --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [session_item, session_aget, request_user, clear, aflush, mark_modified])
@pytest.mark.parametrize(
    ("engine", "in_the_session"),
    [("db", False), ("db", True), ("cached_db", False), ("cache", True), ("file", False), ("signed_cookies", True)],
)
def test_every_store(
    way: Callable[..., Any], engine: str, in_the_session: bool, ada: User, settings: Any, tmp_path: Any
) -> None:
    """Each of Django's session stores is guarded, and with the CSRF secret in the session as well."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.CSRF_USE_SESSIONS = in_the_session
    app = mount("/api", make_api())
    django = Client()
    django.force_login(ada)
    store = django.session
    store["who"], store["_csrftoken"] = "ada", SECRET
    store.save()
    cookie = store.session_key

    async def ask(origin: str, token: str | None) -> int:
        headers = headers_of(cookie, "cookie", ORIGINS[origin], token)
        answer = await call(app, http_scope(f"/api/{way.__name__}", method="POST", headers=headers))
        return answer.status

    async def ask_all() -> list[int]:
        return [await ask("foreign", SECRET), await ask("own", None), await ask("own", SECRET)]

    assert asyncio.run(ask_all()) == [403, 403, 200]


def test_a_session_that_is_not_there(schemes: None) -> None:
    """A cookie that names no session brings nothing: a forged POST is one of a stranger."""
    app = mount("/api", make_api())

    async def ask(way: Callable[..., Any]) -> tuple[int, Any]:
        headers = headers_of("x" * 32, "cookie", ORIGINS["foreign"], None)
        answer = await call(app, http_scope(f"/api/{way.__name__}", method="POST", headers=headers))
        return answer.status, answer.json()

    assert asyncio.run(ask(optional_user)) == (200, None)
    assert asyncio.run(ask(current_user))[0] == 401
    assert asyncio.run(ask(session_item)) == (200, None)


def test_a_session_that_begins_with_the_call() -> None:
    """A POST without a session may begin one: there is nothing that a foreign page could have used."""
    answer = asyncio.run(call(mount("/api", make_api()), http_scope("/api/set_item", method="POST")))
    assert answer.status == 200
    begun = SimpleCookie(answer.header("set-cookie"))["sessionid"].value
    assert SessionStore(begun)["who"] == "changed"


def test_saving_every_request(cookie: str, settings: Any, schemes: None) -> None:
    """SESSION_SAVE_EVERY_REQUEST does not make a call by key one by cookie, and saves no session for a forged one."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    api = FastAPI()

    @api.post("/")
    async def both(user: CurrentUser, request: DjangoRequest) -> str:
        return user.get_username()

    app = mount("/api", api)

    async def ask(credential: str, token: str | None) -> tuple[int, bool]:
        headers = headers_of(cookie, credential, ORIGINS["own"], token)
        answer = await call(app, http_scope("/api/", method="POST", headers=headers))
        return answer.status, answer.header("set-cookie") is not None

    assert asyncio.run(ask("cookie and key", None)) == (200, False)
    assert asyncio.run(ask("cookie", None)) == (403, False)
    assert asyncio.run(ask("cookie", SECRET)) == (200, True)


# Middleware ---------------------------------------------------------------------------------------------------------


def reads_the_session(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.session.get("who")
        return get_response(request)

    return middleware


def replaces_the_user(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.user = djangos_auth.get_user(request)
        return get_response(request)

    return middleware


def changes_the_session_late(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        request.session["who"] = "changed"
        return response

    return middleware


class ReadsAsync:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    async def __call__(self, request: Any) -> Any:
        await request.session.aget("who")
        return await self.get_response(request)


@pytest.mark.parametrize(
    "middleware",
    [reads_the_session, replaces_the_user, changes_the_session_late, ReadsAsync],
    ids=lambda middleware: middleware.__name__,
)
@pytest.mark.parametrize("way", [current_user, async_current_user, session_item, flush])
def test_a_middleware_that_uses_the_session(middleware: Any, way: Callable[..., Any], cookie: str) -> None:
    """A middleware that touches the cookie's session first, or its user, opens no way around the check."""
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.{middleware.__name__}"])

    async def ask(origin: str, token: str | None) -> int:
        headers = headers_of(cookie, "cookie", ORIGINS[origin], token)
        answer = await call(app, http_scope(f"/api/{way.__name__}", method="POST", headers=headers))
        return answer.status

    async def ask_all() -> list[int]:
        refused = [await ask("foreign", SECRET), await ask("own", None)]
        assert await who(cookie) == "ada"
        return [*refused, await ask("own", SECRET)]

    assert asyncio.run(ask_all()) == [403, 403, 200]


def test_an_open_endpoint_under_middleware(cookie: str) -> None:
    """A POST to an endpoint that asks for nobody is refused as well, if a middleware uses the cookie's session."""
    api = FastAPI()

    @api.post("/")
    def open_() -> str:
        return "open"

    app = mount("/api", api, django_middleware_for_api=[f"{__name__}.reads_the_session"])
    headers = headers_of(cookie, "cookie", ORIGINS["foreign"], None)
    assert asyncio.run(call(app, http_scope("/api/", method="POST", headers=headers))).status == 403
    headers = headers_of(cookie, "none", ORIGINS["foreign"], None)
    assert asyncio.run(call(app, http_scope("/api/", method="POST", headers=headers))).status == 200


def test_a_task_that_outlives_the_call(cookie: str) -> None:
    """What goes on after a forged call cannot read the session either."""
    api = FastAPI()
    found: list[Any] = []

    async def later(request: Any) -> None:
        try:
            found.append(await sync_to_async(request.session.get)("who"))
        except Exception as error:
            found.append(type(error).__name__)

    @api.post("/")
    async def begin(connection: HTTPConnection) -> None:
        tasks.append(asyncio.create_task(later(await get_request(connection))))

    tasks: list[asyncio.Task[None]] = []
    app = mount("/api", api)

    async def run() -> None:
        headers = headers_of(cookie, "cookie", ORIGINS["foreign"], None)
        await call(app, http_scope("/api/", method="POST", headers=headers))
        await tasks[0]

    asyncio.run(run())
    assert found == ["CSRFRefused"]
