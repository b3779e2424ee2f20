"""Django's users in a mounted FastAPI: session, API key, bearer token; staff, superusers, permissions.

Holds `auth/login.py`, `auth/permission_names.py`, `django_for_api/request_layer.py` and
`django_for_api/http_request.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.signals import request_started
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api_client import ApiClient, both, committed_rows
from calls import call, http_scope, websocket
from calls import request as raw_request
from djfast_mount import mount
from djfast_mount.auth import (
    CurrentUser,
    OptionalUser,
    StaffUser,
    SuperUser,
    api_key,
    bearer,
    current_user,
    get_request,
    require_perm,
    router,
    session,
)
from djfast_mount.django_for_api.request_layer import http_request
from djfast_mount.exceptions import ConfigurationError, MountError
from project.library.models import Author, Book, Key

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
PASSWORD = "correct horse"


# The schemes that settings name by their import strings.


def lookup(key: str) -> User | None:
    found = Key.objects.select_related("user").filter(key=key).first()
    return found.user if found else None


async def verify(token: str) -> User | None:
    return await User.objects.filter(username=token.removeprefix("token-of-")).afirst()


key_scheme = api_key("X-API-Key", lookup)
bearer_scheme = bearer(verify)
second_bearer = bearer(lookup)
wrong_scheme = bearer(lambda token: {"sub": token})  # type: ignore[arg-type,return-value]
no_scheme = "no scheme"
ALL = ["djfast_mount.auth.session", f"{__name__}.key_scheme", f"{__name__}.bearer_scheme"]


class OwnerBackend(BaseBackend):
    """Object permissions: the owner of a book may lend it."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return perm == "library.lend_book" and obj is not None and obj.owner_id == user_obj.pk


class MottoBackend(ModelBackend):
    """Knows users by another word than their passwords."""

    def authenticate(self, request: Any, username: Any = None, password: Any = None, **_: Any) -> Any:
        user = User.objects.filter(username=username).first()
        return user if password == f"motto of {username}" else None


def get_book(pk: int) -> Book:
    found = Book.objects.filter(pk=pk).first()
    if found is None:
        raise HTTPException(404)
    return found


def make_api() -> FastAPI:
    """Its routes are made anew for each choice of schemes: they stand in its OpenAPI."""
    api = FastAPI()

    @both(api, "GET", "/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @both(api, "POST", "/me")
    def change_me(user: CurrentUser) -> str:
        return user.get_username()

    @both(api, "GET", "/maybe")
    def maybe(user: OptionalUser) -> str | None:
        return user.get_username() if user else None

    @both(api, "GET", "/staff")
    def staff(user: StaffUser) -> str:
        return user.get_username()

    @both(api, "GET", "/super")
    def super_(user: SuperUser) -> str:
        return user.get_username()

    @both(api, "GET", "/lend", dependencies=[require_perm("library.lend_book", "library.view_book")])
    def lend() -> str:
        return "lent"

    @both(api, "GET", "/books/{pk}")
    def lend_one(
        user: Annotated[User, require_perm("library.lend_book", obj=get_book)], book: Annotated[Book, Depends(get_book)]
    ) -> str:
        return f"{book.title} by {user.get_username()}"

    @both(api, "GET", "/open")
    def open_() -> str:
        return "open"

    api.include_router(router, prefix="/auth")
    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def schemes(settings: Any) -> list[str]:
    settings.DJFAST_MOUNT = {"authentication": ALL}
    return ALL


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", make_api()), root_path)


@pytest.fixture
def combined(schemes: list[str], root_path: str) -> ApiClient:
    return ApiClient(mount("/api", make_api(), docs_access="public"), root_path)


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD)


def log_in(client: ApiClient, user: User) -> None:
    """As the Django site does: a session in the database, its key in the cookie."""
    django = Client()
    django.force_login(user)
    client.set_cookie("sessionid", django.cookies["sessionid"].value)


# Who calls --------------------------------------------------------------------------------------------------------


def test_a_stranger_is_401(client: ApiClient, kind: str) -> None:
    """Without a credential CurrentUser is a 401 that says what would be one."""
    answer = client.get(f"/api/{kind}/me")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    assert answer.headers["www-authenticate"] == "APIKey"


def test_the_session_of_the_site_logs_in(client: ApiClient, kind: str, ada: User) -> None:
    """The session cookie of the Django site is a user in the API."""
    log_in(client, ada)
    assert client.get(f"/api/{kind}/me").json() == "ada"


def test_the_admins_login_logs_in(client: ApiClient, kind: str) -> None:
    """Who has logged in on the admin's page, served by the same root, is logged in to the API."""
    User.objects.create_superuser("root", password=PASSWORD)
    page = client.get("/admin/login/")
    form = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": page.cookies["csrftoken"]}
    assert client.post("/admin/login/", data=form).status_code == 302
    assert client.get(f"/api/{kind}/super").json() == "root"


def test_a_cookie_of_no_session_is_nobody(client: ApiClient, kind: str) -> None:
    """A session that is over, or was never there, is no error: it is nobody."""
    client.set_cookie("sessionid", "x" * 32)
    assert client.get(f"/api/{kind}/me").status_code == 401
    assert client.get(f"/api/{kind}/maybe").json() is None


def test_an_inactive_user_is_nobody(client: ApiClient, kind: str, ada: User) -> None:
    """Who was deactivated after the login is out, as on the site."""
    log_in(client, ada)
    User.objects.update(is_active=False)
    assert client.get(f"/api/{kind}/me").status_code == 401


def test_an_optional_user(client: ApiClient, kind: str, ada: User) -> None:
    """OptionalUser is None for a stranger, and the user once there is one."""
    assert client.get(f"/api/{kind}/maybe").json() is None
    log_in(client, ada)
    assert client.get(f"/api/{kind}/maybe").json() == "ada"


@pytest.mark.parametrize(("path", "flag"), [("staff", "is_staff"), ("super", "is_superuser")])
def test_staff_and_superusers(client: ApiClient, kind: str, ada: User, path: str, flag: str) -> None:
    """A stranger is a 401; a user who is known and may not, a 403; one who may passes."""
    assert client.get(f"/api/{kind}/{path}").status_code == 401
    log_in(client, ada)
    answer = client.get(f"/api/{kind}/{path}")
    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})
    User.objects.update(**{flag: True})
    assert client.get(f"/api/{kind}/{path}").json() == "ada"


def test_an_open_endpoint_asks_nothing(client: ApiClient, kind: str, ada: User) -> None:
    """Who calls an endpoint that asks for no user is not looked up."""
    log_in(client, ada)
    answer = client.get(f"/api/{kind}/open")
    assert "cookie" not in answer.headers.get("vary", "").lower()


def test_no_thread_is_taken_for_a_stranger(client: ApiClient) -> None:
    """A call without a credential is refused without a thread, and so without a connection."""
    begun: list[object] = []

    def note(**_: object) -> None:
        begun.append(1)

    request_started.connect(note)
    try:
        assert client.get("/api/async/me").status_code == 401
    finally:
        request_started.disconnect(note)
    assert begun == []


def test_an_override_in_tests(root_path: str, kind: str) -> None:
    """dependency_overrides sets the user of an app that mount() does not even serve."""
    api = make_api()
    api.dependency_overrides[current_user] = lambda: User(username="grace", is_staff=True)
    for app, prefix in ((api, ""), (mount("/api", api), "/api")):
        assert ApiClient(app, root_path if prefix else "").get(f"{prefix}/{kind}/staff").json() == "grace"


# Permissions ------------------------------------------------------------------------------------------------------


def test_permissions(client: ApiClient, kind: str, ada: User) -> None:
    """All permissions are wanted: 401 for a stranger, 403 until the user has each of them."""
    assert client.get(f"/api/{kind}/lend").status_code == 401
    log_in(client, ada)
    for codename in ("lend_book", "view_book"):
        assert client.get(f"/api/{kind}/lend").status_code == 403
        ada.user_permissions.add(Permission.objects.get(codename=codename))
    assert client.get(f"/api/{kind}/lend").json() == "lent"


def test_permissions_of_an_object(root_path: str, kind: str, ada: User, settings: Any) -> None:
    """A backend is asked with the object that another dependency gets, and the endpoint gets the same."""
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{__name__}.OwnerBackend"]
    author = Author.objects.create(name="Woolf")
    mine, theirs = (Book.objects.create(title=title, author=author, pages=1) for title in ("Orlando", "Flush"))
    Book.objects.filter(id=mine.id).update(owner=ada)
    client = ApiClient(mount("/api", make_api()), root_path)
    log_in(client, ada)
    assert client.get(f"/api/{kind}/books/{mine.id}").json() == "Orlando by ada"
    assert client.get(f"/api/{kind}/books/{theirs.id}").status_code == 403
    assert client.get(f"/api/{kind}/books/0").status_code == 404
    Book.objects.update(owner=None)


def test_a_permission_without_an_app() -> None:
    """A name without a dot is refused where it is written, with the nearest that there are."""
    with pytest.raises(ConfigurationError, match=r'write "app.codename".* Did you mean .*library.lend_book'):
        require_perm("lend_book")


@pytest.mark.parametrize("names", [(), ("",), (7,)])
def test_no_permission(names: Any) -> None:
    """No name, and what is no name, is refused where it is written."""
    with pytest.raises(ConfigurationError, match=r"Name (one|a permission), as in"):
        require_perm(*names)


def test_an_object_that_is_no_dependency() -> None:
    """An object in the place of the dependency that gets it is refused where it is written."""
    with pytest.raises(ConfigurationError, match="Give the dependency that returns the object"):
        require_perm("library.lend_book", obj=Book())  # type: ignore[arg-type]


def test_a_permission_that_there_is_not(root_path: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt permission is an error at its first use, for a superuser too, that names the nearest."""
    api = FastAPI()

    @both(api, "GET", "/", dependencies=[require_perm("library.lent_book")])
    def lend() -> str:
        return "lent"

    client = ApiClient(mount("/api", api), root_path)
    log_in(client, User.objects.create_superuser("root"))
    assert client.get(f"/api/{kind}/").status_code == 500
    assert "there is no such permission. Did you mean 'library.lend_book'" in caplog.text


def test_a_permission_of_the_table_alone(root_path: str, kind: str, ada: User) -> None:
    """A permission that a migration made, and no model declares, is one."""
    view = Permission.objects.get(codename="view_book")
    made = Permission.objects.create(codename="burn_book", name="Can burn", content_type=view.content_type)
    ada.user_permissions.add(made)
    api = FastAPI()

    @both(api, "GET", "/", dependencies=[require_perm("library.burn_book")])
    def burn() -> str:
        return "burnt"

    client = ApiClient(mount("/api", api), root_path)
    log_in(client, ada)
    assert client.get(f"/api/{kind}/").json() == "burnt"
    made.delete()


# Other credentials ------------------------------------------------------------------------------------------------


@pytest.fixture
def key(ada: User) -> dict[str, str]:
    Key.objects.create(key="k-1", user=ada)
    return {"X-API-Key": "k-1"}


def test_an_api_key(combined: ApiClient, kind: str, key: dict[str, str]) -> None:
    """A key that the lookup knows is its user; one that it does not, a 401, even where a user is optional."""
    assert combined.get(f"/api/{kind}/me", headers=key).json() == "ada"
    for path in ("me", "maybe"):
        answer = combined.get(f"/api/{kind}/{path}", headers={"X-API-Key": "k-2"})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid credentials"})


def test_a_bearer_token(combined: ApiClient, kind: str, ada: User) -> None:
    """A token that is verified is its user; one that is not, a 401 that says so in the header too."""
    assert combined.get(f"/api/{kind}/me", headers={"Authorization": "Bearer token-of-ada"}).json() == "ada"
    answer = combined.get(f"/api/{kind}/maybe", headers={"authorization": "bearer nobody"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_another_authorization_is_not_ours(combined: ApiClient, kind: str) -> None:
    """Authorization of another kind, which a proxy may want, is no credential."""
    assert combined.get(f"/api/{kind}/maybe", headers={"Authorization": "Basic YTpi"}).json() is None


def test_an_inactive_user_of_a_key(combined: ApiClient, kind: str, key: dict[str, str]) -> None:
    """A key does not outlive its user's being active."""
    User.objects.update(is_active=False)
    assert combined.get(f"/api/{kind}/me", headers=key).status_code == 401


def test_a_header_wins_over_the_cookie(combined: ApiClient, kind: str, key: dict[str, str]) -> None:
    """The credential that was given by hand counts, not the one that the browser sends by itself."""
    log_in(combined, User.objects.create_user("grace"))
    assert combined.get(f"/api/{kind}/me").json() == "grace"
    assert combined.get(f"/api/{kind}/me", headers=key).json() == "ada"


def test_a_401_asks_for_all_of_them(combined: ApiClient, kind: str) -> None:
    """A stranger is told each kind of credential once."""
    assert combined.get(f"/api/{kind}/me").headers["www-authenticate"] == "APIKey, Bearer"


def test_the_request_has_the_user_of_the_key(
    schemes: list[str], root_path: str, kind: str, key: dict[str, str]
) -> None:
    """The Django request of a call with a key has the key's user, whatever the session says."""
    api = FastAPI()

    @both(api, "GET", "/first")
    def first(request: DjangoRequest, user: CurrentUser) -> list[str]:
        return [request.user.get_username(), user.get_username()]

    @both(api, "GET", "/last")
    def last(user: CurrentUser, request: DjangoRequest) -> list[str]:
        return [request.user.get_username(), user.get_username()]

    @api.get("/auser")
    async def auser(user: CurrentUser, request: DjangoRequest) -> str:
        return (await request.auser()).get_username()

    client = ApiClient(mount("/api", api), root_path)
    log_in(client, User.objects.create_user("grace"))
    assert client.get(f"/api/{kind}/first", headers=key).json() == ["ada", "ada"]
    assert client.get(f"/api/{kind}/last", headers=key).json() == ["ada", "ada"]
    assert client.get("/api/auser", headers=key).json() == "ada"


def test_a_scheme_by_itself(root_path: str, kind: str, key: dict[str, str]) -> None:
    """A scheme as a dependency of its own is the only way in, and stands in OpenAPI."""
    api = FastAPI()

    @both(api, "GET", "/key")
    def by_key(user: Annotated[User, Depends(key_scheme)]) -> str:
        return user.get_username()

    client = ApiClient(mount("/api", api), root_path)
    assert client.get(f"/api/{kind}/key", headers=key).json() == "ada"
    assert client.get(f"/api/{kind}/key").headers["www-authenticate"] == "APIKey"
    assert client.get(f"/api/{kind}/key", headers={"X-API-Key": "k-2"}).status_code == 401
    log_in(client, User.objects.get())
    assert client.get(f"/api/{kind}/key").status_code == 401
    schema = client.get("/api/openapi.json").json()
    assert schema["paths"][f"/{kind}/key"]["get"]["security"] == [{"X-API-Key": []}]


def test_the_schemes_stand_in_openapi(combined: ApiClient) -> None:
    """Swagger's Authorize knows each scheme, and any one will do for an operation that asks for a user."""
    schema = combined.get("/api/openapi.json").json()
    assert schema["components"]["securitySchemes"] == {
        "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
    }
    for path in ("me", "maybe", "staff", "super", "lend", "books/{pk}"):
        security = schema["paths"][f"/sync/{path}"]["get"]["security"]
        assert sorted(name for entry in security for name in entry) == ["X-API-Key", "bearer", "session"]
    assert "security" not in schema["paths"]["/sync/open"]["get"]
    assert [one["name"] for one in schema["paths"]["/sync/books/{pk}"]["get"]["parameters"]] == ["pk"]


def test_a_function_that_returns_no_user(settings: Any, root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A verifying function that returns claims in the place of a user is an error, and lets nobody in."""
    settings.DJFAST_MOUNT = {"authentication": [f"{__name__}.wrong_scheme"]}
    client = ApiClient(mount("/api", make_api()), root_path)
    assert client.get("/api/sync/maybe", headers={"Authorization": "Bearer x"}).status_code == 500
    assert "returned a dict. Return the user, or None" in caplog.text


# What is configured wrongly ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("djfast_mount.auth.session", "Give a list of import strings"),
        ([], "Give a list of import strings"),
        (7, "Give a list of import strings"),
        (["djfast_mount.auth.sesion"], "'djfast_mount.auth.sesion', which cannot be imported.*api_key"),
        (["no.such.module"], "'no.such.module', which cannot be imported"),
        ([f"{__name__}.no_scheme"], "which is 'no scheme' and no scheme"),
        ([f"{__name__}.bearer_scheme", f"{__name__}.second_bearer"], "two schemes named 'bearer'"),
    ],
)
def test_a_wrong_setting(settings: Any, value: Any, message: str) -> None:
    """A setting that names no schemes is refused at start-up, with what to write."""
    settings.DJFAST_MOUNT = {"authentication": value}
    with pytest.raises(ConfigurationError, match=message):
        mount("/api", make_api())


def test_a_scheme_that_protects_nothing(schemes: list[str]) -> None:
    """Schemes that are configured while no endpoint asks for a user are refused at start-up."""
    api = FastAPI()

    @api.get("/")
    def open_() -> None: ...

    with pytest.raises(ConfigurationError, match="lists the scheme 'X-API-Key', and no endpoint asks who the user is"):
        mount("/api", api)


def test_a_scheme_that_an_inner_app_uses(schemes: list[str]) -> None:
    """An endpoint of an app that is mounted in the app counts, and so does any of several apps."""
    outer = FastAPI()
    outer.mount("/inner", make_api())
    mount("/api", outer)
    mount({"/a": FastAPI(), "/b": make_api()})


@pytest.mark.parametrize("header", ["", "X API Key", "X-Käy", None])
def test_a_header_that_is_none(header: Any) -> None:
    """A key's header must be one."""
    with pytest.raises(ConfigurationError, match="Name one"):
        api_key(header, lookup)


@pytest.mark.parametrize("make", [lambda: api_key("X-API-Key", "secret"), lambda: bearer(None)])
def test_a_lookup_that_is_none(make: Callable[[], Any]) -> None:
    """What looks credentials up must be a function."""
    with pytest.raises(ConfigurationError, match="Give a function"):
        make()


def test_a_site_without_sessions(
    settings: Any, root_path: str, kind: str, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Without SessionMiddleware the cookie cannot log in, and the error says so."""
    client = ApiClient(mount("/api", make_api(), django=False), root_path)
    log_in(client, ada)
    settings.MIDDLEWARE = []
    assert client.get(f"/api/{kind}/me").status_code == 500
    assert "put both into settings.MIDDLEWARE" in caplog.text


def test_an_app_that_is_not_mounted(kind: str) -> None:
    """get_request says that it needs mount()."""
    api = FastAPI()

    @both(api, "GET", "/")
    def path(request: DjangoRequest) -> str:
        return request.path

    with pytest.raises(MountError, match="not served by mount"):
        ApiClient(api).get(f"/{kind}/")


# The Django request -----------------------------------------------------------------------------------------------


def request_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/path")
    def path(request: DjangoRequest) -> dict[str, Any]:
        return {
            "path": request.path,
            "path_info": request.path_info,
            "script_name": request.META["SCRIPT_NAME"],
            "absolute": request.build_absolute_uri(),
            "method": request.method,
            "query": request.GET["q"],
            "cookie": request.COOKIES["c"],
            "language": request.LANGUAGE_CODE,
            "agent": request.headers["user-agent"],
            "same": request.get_host(),
        }

    @both(api, "GET", "/count")
    def count(request: DjangoRequest) -> int:
        request.session.get("n", 0)
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    @api.get("/acount")
    async def acount(request: DjangoRequest) -> int:
        n = await request.session.aget("n", 0) + 1
        await request.session.aset("n", n)
        return int(n)

    @both(api, "GET", "/queries")
    def queries(request: DjangoRequest) -> list[int]:
        counts = []
        for touch in (lambda: request.META, lambda: request.user, lambda: request.user.is_authenticated):
            with CaptureQueriesContext(connection) as captured:
                touch()
            counts.append(len(captured))
        return counts

    @both(api, "GET", "/user")
    def user(request: DjangoRequest) -> str:
        return str(request.user)

    @api.get("/auser")
    async def auser(request: DjangoRequest) -> str:
        return str(await request.auser())

    @both(api, "GET", "/fail/{status}")
    def fail(status: int, request: DjangoRequest) -> None:
        request.session["status"] = status
        if status == 599:
            raise RuntimeError
        raise HTTPException(status)

    @both(api, "GET", "/response")
    def response(request: DjangoRequest) -> JSONResponse:
        request.session["n"] = 7
        response = JSONResponse("own", headers={"vary": "Accept", "x-own": "1"})
        response.set_cookie("own", "1")
        return response

    @both(api, "GET", "/message")
    def message(request: DjangoRequest) -> None:
        messages.info(request, "Well done.")

    @both(api, "GET", "/messages")
    def read(request: DjangoRequest) -> list[str]:
        return [str(message) for message in messages.get_messages(request)]

    @both(api, "GET", "/flush")
    def flush(request: DjangoRequest) -> None:
        request.session.flush()

    @both(api, "GET", "/deleted")
    def deleted(request: DjangoRequest) -> None:
        request.session["n"] = 1
        Session.objects.all().delete()

    @both(api, "POST", "/body")
    def body(request: DjangoRequest, body: dict[str, int]) -> list[Any]:
        try:
            content = repr(request.body)
        except Exception as error:
            content = type(error).__name__
        return [content, dict(request.POST), body]

    @api.get("/twice")
    def twice(one: DjangoRequest, two: Annotated[HttpRequest, Depends(http_request)]) -> bool:
        return one is two

    return api


@pytest.fixture
def requests(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", request_api()), root_path)


def test_the_request_is_djangos(requests: ApiClient, kind: str, root_path: str) -> None:
    """Path, query, cookies, headers and language are what Django's half would see of the same request."""
    headers = {"accept-language": "de-CH, en;q=0.5", "user-agent": "test"}
    requests.set_cookie("c", "1")
    path = f"{root_path}/api/{kind}/path"
    assert requests.get(f"/api/{kind}/path?q=%C3%A4", headers=headers).json() == {
        "path": path,
        "path_info": f"/api/{kind}/path",
        "script_name": root_path,
        "absolute": f"http://testserver{path}?q=%C3%A4",
        "method": "GET",
        "query": "ä",
        "cookie": "1",
        "language": "de",
        "agent": "test",
        "same": "testserver",
    }


def test_a_query_that_is_no_text(requests: ApiClient, kind: str, root_path: str) -> None:
    """A query in bytes that Django cannot read is a 400, as in Django's half."""
    answer = raw_request(requests.app, f"{root_path}/api/{kind}/user", root_path=root_path, query_string=b"q=\xff")
    assert answer.status == 400


def test_only_what_is_touched_is_read(requests: ApiClient, kind: str, ada: User) -> None:
    """The request and its lazy user cost nothing; the user costs the session and the user."""
    log_in(requests, ada)
    assert requests.get(f"/api/{kind}/queries").json() == [0, 0, 2]


def test_an_untouched_session_sets_nothing(requests: ApiClient, kind: str, ada: User) -> None:
    """A request whose session nobody touched leaves no trace on the response."""
    log_in(requests, ada)
    requests.set_cookie("c", "1")
    answer = requests.get(f"/api/{kind}/path?q=1")
    assert "set-cookie" not in answer.headers
    assert answer.headers["vary"] == "Accept-Language, Cookie"  # It reads the language.


@pytest.mark.parametrize("path", ["sync/count", "async/count", "acount"])
def test_session_changes_are_saved(requests: ApiClient, path: str) -> None:
    """What an endpoint puts into the session is there in the next call, and Django sees it."""
    assert [requests.get(f"/api/{path}").json() for _ in range(3)] == [1, 2, 3]
    assert SessionStore(requests.cookies["sessionid"])["n"] == 3


def test_a_session_cookie_is_djangos(requests: ApiClient, kind: str, settings: Any) -> None:
    """The cookie bears the attributes of Django's settings, and the response varies on it."""
    settings.SESSION_COOKIE_SAMESITE = "Strict"
    settings.SESSION_COOKIE_PATH = "/pre"
    answer = requests.get(f"/api/{kind}/count")
    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith("sessionid=")
    for part in ("; HttpOnly", "; Path=/pre", "; SameSite=Strict", "; Max-Age=1209600"):
        assert part in cookie
    assert answer.headers["vary"] == "Cookie"


def test_a_response_of_the_endpoints_own(requests: ApiClient, kind: str) -> None:
    """A response that the endpoint made gets the cookie too, and keeps its headers."""
    answer = requests.get(f"/api/{kind}/response")
    assert sorted(cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")) == ["own", "sessionid"]
    assert (answer.json(), answer.headers["vary"], answer.headers["x-own"]) == ("own", "Accept, Cookie", "1")


@pytest.mark.parametrize(("status", "saved"), [(404, True), (400, True), (503, False), (599, False)])
def test_the_session_of_a_failed_call(requests: ApiClient, kind: str, status: int, saved: bool) -> None:
    """As with Django, an error of the client's saves the session, and one of the server's does not."""
    requests.get(f"/api/{kind}/fail/{status}")
    assert ("sessionid" in requests.cookies) is saved
    assert Session.objects.exists() is saved


def test_an_emptied_session_takes_its_cookie_away(requests: ApiClient, kind: str) -> None:
    """flush() deletes the session and the cookie."""
    requests.get(f"/api/{kind}/count")
    assert "sessionid" in requests.cookies
    requests.get(f"/api/{kind}/flush")
    assert "sessionid" not in requests.cookies
    assert not Session.objects.exists()


def test_a_session_that_was_deleted_meanwhile(requests: ApiClient, kind: str) -> None:
    """A session that somebody else deletes during the call is a 400, as with Django."""
    requests.get(f"/api/{kind}/count")
    answer = requests.get(f"/api/{kind}/deleted")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Bad Request"})


def test_messages_cross_over(requests: ApiClient, kind: str) -> None:
    """A message that the API leaves is read once, by the next call or by a page of the site."""
    requests.get(f"/api/{kind}/message")
    assert requests.get(f"/api/{kind}/messages").json() == ["Well done."]
    assert requests.get(f"/api/{kind}/messages").json() == []


def test_the_user_of_the_request(requests: ApiClient, kind: str, ada: User) -> None:
    """request.user and auser() are the session's user, anonymous without one."""
    assert requests.get(f"/api/{kind}/user").json() == "AnonymousUser"
    assert requests.get("/api/auser").json() == "AnonymousUser"
    log_in(requests, ada)
    assert requests.get(f"/api/{kind}/user").json() == "ada"
    assert requests.get("/api/auser").json() == "ada"


def test_the_body_is_the_endpoints(requests: ApiClient, kind: str) -> None:
    """The body was read by FastAPI: Django's request says so, and loses nothing of it."""
    answer = requests.post(f"/api/{kind}/body", json={"n": 1})
    assert answer.json() == ["RawPostDataException", {}, {"n": 1}]


def test_there_is_one_request(requests: ApiClient) -> None:
    """Whoever asks within a call gets the same request."""
    assert requests.get("/api/twice").json() is True


# Login and logout --------------------------------------------------------------------------------------------------


def test_login_and_logout(client: ApiClient, kind: str, ada: User) -> None:
    """The router logs in to Django's session, with a new key and a CSRF token, and out of it."""
    client.set_cookie("sessionid", "x" * 32)
    answer = client.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (200, {"username": "ada"})
    assert client.cookies["sessionid"] != "x" * 32
    assert client.get(f"/api/{kind}/me").json() == "ada"
    assert client.get("/admin/").status_code == 302
    key = client.cookies["sessionid"]
    assert client.post("/api/auth/logout", headers={"X-CSRFToken": client.cookies["csrftoken"]}).status_code == 204
    assert "sessionid" not in client.cookies
    assert not Session.objects.filter(session_key=key).exists()
    assert client.get(f"/api/{kind}/me").status_code == 401


def test_login_rotates_the_key(client: ApiClient, ada: User) -> None:
    """A session that was begun before the login has a new key after it: nobody can have planted it."""
    planted = SessionStore()
    planted["cart"] = [1]
    planted.save()
    client.set_cookie("sessionid", planted.session_key)
    client.post("/api/auth/login", json={"username": "ada", "password": PASSWORD})
    assert client.cookies["sessionid"] != planted.session_key
    assert not Session.objects.filter(session_key=planted.session_key).exists()
    assert SessionStore(client.cookies["sessionid"])["cart"] == [1]


def test_a_second_login_as_the_same_user_rotates_the_key_too(client: ApiClient, ada: User) -> None:
    """Where Django would keep the session, it has a new key all the same, and the old one is of no use."""
    body = {"username": "ada", "password": PASSWORD}
    assert client.post("/api/auth/login", json=body).status_code == 200
    first = client.cookies["sessionid"]
    again = client.post("/api/auth/login", json=body, headers={"X-CSRFToken": client.cookies["csrftoken"]})
    assert again.status_code == 200
    assert client.cookies["sessionid"] != first
    assert not Session.objects.filter(session_key=first).exists()


@pytest.mark.parametrize(
    "credentials", [{"username": "ada", "password": "wrong"}, {"username": "nobody", "password": PASSWORD}]
)
def test_a_wrong_login(client: ApiClient, ada: User, credentials: dict[str, str]) -> None:
    """Wrong credentials are a 401 that does not tell which of the two is wrong, and begin no session."""
    answer = client.post("/api/auth/login", json=credentials)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Wrong username or password."})
    assert answer.headers["www-authenticate"] == "APIKey"
    assert "sessionid" not in client.cookies


def test_an_inactive_user_cannot_log_in(client: ApiClient, ada: User) -> None:
    """The backends decide: Django's own lets no inactive user in."""
    User.objects.update(is_active=False)
    assert client.post("/api/auth/login", json={"username": "ada", "password": PASSWORD}).status_code == 401


def test_backends_of_the_project(client: ApiClient, kind: str, ada: User, settings: Any) -> None:
    """Who logs in is for AUTHENTICATION_BACKENDS to say, and a session is nobody's once its backend is gone."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.MottoBackend"]
    for password, status in ((PASSWORD, 401), ("motto of ada", 200)):
        answer = client.post("/api/auth/login", json={"username": "ada", "password": password})
        assert answer.status_code == status
    assert client.get(f"/api/{kind}/me").json() == "ada"
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert client.get(f"/api/{kind}/me").status_code == 401


def test_a_new_password_ends_the_other_sessions(client: ApiClient, kind: str, ada: User) -> None:
    """A session that was begun with the old password is nobody's in the API, as on the site."""
    log_in(client, ada)
    assert client.get(f"/api/{kind}/me").json() == "ada"
    ada.set_password("another horse")
    ada.save()
    assert client.get(f"/api/{kind}/me").status_code == 401


def test_logout_without_a_session(client: ApiClient) -> None:
    """A logout of nobody is no error."""
    assert client.post("/api/auth/logout").status_code == 204


def test_a_password_is_not_shown(client: ApiClient, ada: User, caplog: pytest.LogCaptureFixture) -> None:
    """A login that fails within leaves no password in the log or the report."""
    with caplog.at_level(logging.DEBUG):
        client.post("/api/auth/login", json={"username": "ada\0", "password": PASSWORD})
    assert PASSWORD not in caplog.text


class WithoutVersion:
    """Middleware that hands on a copy of the scope, with another path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "path": scope["path"].replace("/v1", "")}, receive, send)


def test_a_request_has_the_path_that_was_asked_for(root_path: str) -> None:
    """Whatever an API's middleware makes of the path, the Django request of a call has the one that came."""
    api = FastAPI()
    api.add_middleware(WithoutVersion)

    @api.get("/thing")
    async def thing(request: DjangoRequest) -> list[str]:
        return [request.path_info, request.path]

    answer = raw_request(mount("/api", api), f"{root_path}/api/v1/thing", root_path=root_path)
    assert answer.json() == ["/api/v1/thing", f"{root_path}/api/v1/thing"]


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_task_that_outlives_its_call_knows_the_user(root_path: str, ada: User, asked_before: bool) -> None:
    """A task that goes on after the response can ask for the user of the session, more than once, whether or not the
    call has made the request."""
    api = FastAPI()
    tasks: list[asyncio.Task[list[str]]] = []

    @api.get("/begin")
    async def begin(connection: Request) -> str:
        request = await get_request(connection) if asked_before else None

        async def later() -> list[str]:
            await ended.wait()
            outlived: Any = request or http_request(connection)
            return [(await outlived.auser()).get_username() for _ in range(2)] + [outlived.path_info]

        tasks.append(asyncio.create_task(later()))
        return "begun"

    app = mount("/api", api)
    client = ApiClient(app)
    log_in(client, ada)
    headers = [(b"host", b"testserver"), (b"cookie", f"sessionid={client.cookies['sessionid']}".encode())]
    ended = asyncio.Event()

    async def run() -> list[str]:
        await call(app, http_scope(f"{root_path}/api/begin", root_path=root_path, headers=headers))
        ended.set()
        return await tasks[0]

    assert asyncio.run(run()) == ["ada", "ada", "/api/begin"]


# Websockets --------------------------------------------------------------------------------------------------------


def test_a_websocket_knows_the_user(root_path: str, ada: User) -> None:
    """A websocket's handshake bears the cookie, and its endpoint gets the user; a stranger is refused."""
    api = FastAPI()

    @api.websocket("/ws")
    async def endpoint(websocket: WebSocket, user: CurrentUser, request: DjangoRequest) -> None:
        await websocket.accept()
        await websocket.send_text(f"{user.get_username()} {request.path_info} {request.method}")
        await sync_to_async(request.session.get)("n")

    app = mount("/api", api)
    client = ApiClient(app)
    log_in(client, ada)
    host, cookie = (b"host", b"testserver"), (b"cookie", f"sessionid={client.cookies['sessionid']}".encode())
    path = f"{root_path}/api/ws"
    sent = websocket(app, path, root_path=root_path, headers=[host, cookie])
    assert [message.get("text") for message in sent[:2]] == [None, "ada /api/ws GET"]
    refused = websocket(app, path, root_path=root_path, headers=[host], extensions={"websocket.http.response": {}})
    assert refused[0]["status"] == 401
    foreign = [host, cookie, (b"origin", b"http://evil.example")]
    refused = websocket(app, path, root_path=root_path, headers=foreign, extensions={"websocket.http.response": {}})
    assert refused[0]["status"] == 403
    own = [host, cookie, (b"origin", b"http://testserver")]
    assert websocket(app, path, root_path=root_path, headers=own)[1]["text"].startswith("ada")


def test_the_session_scheme_is_public() -> None:
    """The session scheme can be listed, and is the one by default."""
    assert session.scheme_name == "session"
