"""Django's CSRF check in a mounted FastAPI: where the session cookie authenticates an unsafe call, and only there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import Client
from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from starlette.datastructures import UploadFile as StarletteUploadFile

from api_client import ApiClient, both, committed_rows
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, OptionalUser, StaffUser, api_key, get_request, router
from djfast_mount.django_for_api import csrf

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]

key_scheme = api_key("X-API-Key", lambda key: User.objects.filter(username=key).first())
calls: list[str] = []


def make_api() -> FastAPI:
    api = FastAPI()

    for method in ("GET", *UNSAFE):

        @both(api, method, "/me", name=f"me_{method}")
        def me(user: CurrentUser) -> str:
            calls.append(user.get_username())
            return user.get_username()

    @both(api, "POST", "/maybe")
    def maybe(user: OptionalUser) -> str | None:
        return user.get_username() if user else None

    @both(api, "POST", "/staff")
    def staff(user: StaffUser) -> str:
        return user.get_username()

    @both(api, "POST", "/request")
    def request_user(request: DjangoRequest) -> str:
        return str(request.user)

    @api.post("/auser")
    async def auser(request: DjangoRequest) -> str:
        return str(await request.auser())

    @both(api, "POST", "/open")
    def open_(request: DjangoRequest) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    @both(api, "POST", "/form")
    def form(user: CurrentUser, title: Annotated[str, Form()]) -> str:
        return title

    @both(api, "POST", "/file")
    def file(user: CurrentUser, upload: Annotated[UploadFile, File()]) -> str:
        return upload.file.read().decode()

    @api.post("/by-hand")
    async def by_hand(user: CurrentUser, request: Request) -> str:
        return str((await request.form())["title"])

    @both(api, "GET", "/token")
    def token(request: DjangoRequest) -> str:
        return get_token(request)

    api.include_router(router, prefix="/auth")
    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    calls.clear()
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def client(root_path: str, ada: User) -> ApiClient:
    """Logged in on the site, which has set its CSRF cookie too."""
    client = ApiClient(mount("/api", make_api()), root_path)
    django = Client()
    django.force_login(ada)
    client.set_cookie("sessionid", django.cookies["sessionid"].value)
    client.get("/api/sync/token")
    return client


def token(client: ApiClient) -> dict[str, str]:
    return {"X-CSRFToken": client.cookies["csrftoken"]}


@pytest.mark.parametrize("method", UNSAFE)
def test_an_unsafe_call_needs_the_token(client: ApiClient, kind: str, method: str) -> None:
    """With the cookie alone an unsafe call is refused before the endpoint runs; with the token it passes."""
    answer = client.request(method, f"/api/{kind}/me")
    assert (answer.status_code, answer.json()) == (403, {"detail": "CSRF verification failed."})
    assert calls == []
    assert client.request(method, f"/api/{kind}/me", headers=token(client)).json() == "ada"


def test_a_safe_call_needs_none(client: ApiClient, kind: str) -> None:
    """A GET passes, from wherever it comes."""
    assert client.get(f"/api/{kind}/me", headers={"origin": "http://evil.example"}).json() == "ada"


@pytest.mark.parametrize("path", ["maybe", "staff", "request"])
def test_every_way_to_the_user_is_held_to_it(client: ApiClient, kind: str, path: str) -> None:
    """Whoever asks for the cookie's user, by whichever dependency, gets it past the check alone."""
    assert client.post(f"/api/{kind}/{path}").status_code == 403
    assert client.post(f"/api/{kind}/{path}", headers=token(client)).json() == "ada"


def test_auser_is_held_to_it(client: ApiClient) -> None:
    """The async way to the user is no way around the check."""
    assert client.post("/api/auser").status_code == 403
    assert client.post("/api/auser", headers=token(client)).json() == "ada"


@pytest.mark.parametrize("value", ["", "x" * 32, "x" * 64, "not a token"])
def test_a_wrong_token(client: ApiClient, kind: str, value: str) -> None:
    """A token that is not the cookie's is none."""
    assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": value}).status_code == 403


def test_a_masked_token_is_one(client: ApiClient, kind: str) -> None:
    """What get_token() gives to a page is the token, as well as the cookie."""
    masked = client.get(f"/api/{kind}/token").json()
    assert masked != client.cookies["csrftoken"]
    assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": masked}).json() == "ada"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://testserver"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "https://testserver"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://trusted.example"}, 200),
        ({"origin": "https://a.wide.example"}, 200),
        ({"referer": "http://evil.example/"}, 200),
    ],
)
def test_the_origin(client: ApiClient, kind: str, settings: Any, headers: dict[str, str], status: int) -> None:
    """Origin must be this site's or trusted; without TLS the Referer does not matter: Django's rules."""
    settings.CSRF_TRUSTED_ORIGINS = ["http://trusted.example", "https://*.wide.example"]
    assert client.post(f"/api/{kind}/me", headers={**token(client), **headers}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"referer": "https://testserver/page"}, 200),
        ({"referer": "https://evil.example/"}, 403),
        ({"referer": "http://testserver/"}, 403),
        ({"referer": "https://trusted.example/"}, 200),
        ({"origin": "https://testserver"}, 200),
    ],
)
def test_the_referer_under_tls(
    client: ApiClient, kind: str, settings: Any, headers: dict[str, str], status: int
) -> None:
    """Under TLS a call without Origin must have a Referer of this site, or of a trusted one."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example"]
    answer = client.request("POST", f"/api/{kind}/me", scheme="https", headers={**token(client), **headers})
    assert answer.status_code == status


def test_a_form_brings_its_token(client: ApiClient, kind: str) -> None:
    """The hidden field of {% csrf_token %} is the token, in both codings of a form, whoever parses it."""
    field = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
    assert client.post(f"/api/{kind}/form", data={"title": "Orlando", **field}).json() == "Orlando"
    assert client.post(f"/api/{kind}/file", data=field, files={"upload": b"text"}).json() == "text"
    assert client.post("/api/by-hand", data={"title": "Orlando", **field}).json() == "Orlando"
    assert client.post(f"/api/{kind}/request", data=field).json() == "ada"
    assert client.post(f"/api/{kind}/me", data=field).json() == "ada"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {"title": "x"}},
        {"data": {"title": "x", "csrfmiddlewaretoken": "x" * 32}},
        {"files": {"upload": b"x"}},
        {"content": '{"title": "x"}', "headers": {"content-type": "text/plain"}},
        {"json": {"title": "x"}},
    ],
)
def test_what_a_foreign_page_can_send(client: ApiClient, kind: str, body: dict[str, Any]) -> None:
    """No body that a page of another site can have a browser send passes, whichever endpoint it is for."""
    for path in ("me", "form", "file", "staff", "request"):
        assert client.post(f"/api/{kind}/{path}", **body).status_code in (403, 422)
    assert client.post(f"/api/{kind}/me", **body).status_code == 403
    assert calls == []


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
NO_NAME = b"--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("parameters", "body"), [("; boundary=x; charset=undefined", PART), ("", PART), ("; boundary=x", NO_NAME)]
)
def test_a_form_that_cannot_be_read(client: ApiClient, kind: str, parameters: str, body: bytes) -> None:
    """A form that cannot be read for its token is a 400 of its sender's, with the cookie of a stranger as well."""
    for cookie, path in itertools.product((client.cookies["sessionid"], "x" * 32), ("me", "request", "maybe")):
        client.set_cookie("sessionid", cookie)
        headers = {"content-type": f"multipart/form-data{parameters}"}
        assert client.post(f"/api/{kind}/{path}", content=body, headers=headers).status_code == 400
    assert calls == []


def test_a_full_disk(client: ApiClient, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form whose file cannot be put down is a 400, as it is where FastAPI reads it."""

    async def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StarletteUploadFile, "write", full)
    assert client.post(f"/api/{kind}/me", files={"upload": b"x"}).status_code == 400


def test_a_key_is_exempt(settings: Any, root_path: str, kind: str, ada: User) -> None:
    """A call that a key authenticates is not checked, though the browser sends its cookie along."""
    settings.DJFAST_MOUNT = {"authentication": ["djfast_mount.auth.session", f"{__name__}.key_scheme"]}
    client = ApiClient(mount("/api", make_api()), root_path)
    django = Client()
    django.force_login(ada)
    client.set_cookie("sessionid", django.cookies["sessionid"].value)
    headers = {"X-API-Key": "ada", "origin": "http://elsewhere.example"}
    for path in ("me", "maybe", "staff"):
        assert client.post(f"/api/{kind}/{path}", headers=headers).json() == "ada"
    assert client.post(f"/api/{kind}/me").status_code == 403


def test_a_session_of_nobody_is_checked(root_path: str, kind: str) -> None:
    """A session without a user is its visitor's own as well: a POST that uses it is checked once a cookie brings it."""
    client = ApiClient(mount("/api", make_api()), root_path)
    assert client.post(f"/api/{kind}/open").json() == 1
    assert client.post(f"/api/{kind}/open").status_code == 403
    client.get(f"/api/{kind}/token")
    assert client.post(f"/api/{kind}/open", headers=token(client)).json() == 2


def test_a_refusal_is_logged_as_djangos(
    client: ApiClient, kind: str, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is in the log of django.security.csrf, as a warning, once."""
    client.post(f"/api/{kind}/me")
    [record] = [record for record in caplog.records if record.name == "django.security.csrf"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"Forbidden (CSRF token missing.): {root_path}/api/{kind}/me"
    assert vars(record)["status_code"] == 403


def test_debug_tells_the_reason(client: ApiClient, kind: str, settings: Any) -> None:
    """In DEBUG the answer says why, as Django's page does."""
    settings.DEBUG = True
    assert client.post(f"/api/{kind}/me").json() == {"detail": "CSRF verification failed. CSRF token missing."}


@pytest.mark.parametrize("name", ["CSRF_COOKIE_NAME", "CSRF_HEADER_NAME"])
def test_other_names(client: ApiClient, kind: str, settings: Any, name: str) -> None:
    """The cookie and the header have the names of Django's settings."""
    secret = client.cookies["csrftoken"]
    if name == "CSRF_COOKIE_NAME":
        settings.CSRF_COOKIE_NAME = "other"
        assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": secret}).status_code == 403
        client.set_cookie("other", secret)
        assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": secret}).status_code == 200
    else:
        settings.CSRF_HEADER_NAME = "HTTP_X_OTHER"
        assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": secret}).status_code == 403
        assert client.post(f"/api/{kind}/me", headers={"X-Other": secret}).status_code == 200


def test_the_secret_in_the_session(client: ApiClient, kind: str, settings: Any) -> None:
    """With CSRF_USE_SESSIONS the secret is the session's; to ask for the token does not change it."""
    settings.CSRF_USE_SESSIONS = True
    assert client.post(f"/api/{kind}/me").status_code == 403
    masked = client.get(f"/api/{kind}/token").json()
    secret = SessionStore(client.cookies["sessionid"])["_csrftoken"]
    assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": masked}).json() == "ada"
    client.get(f"/api/{kind}/token")
    assert SessionStore(client.cookies["sessionid"])["_csrftoken"] == secret
    assert client.post("/api/auser", headers={"X-CSRFToken": masked}).json() == "ada"


def test_a_page_is_given_the_cookie(root_path: str, kind: str) -> None:
    """get_token() in an endpoint sets the cookie once, and keeps it."""
    client = ApiClient(mount("/api", make_api()), root_path)
    answer = client.get(f"/api/{kind}/token")
    assert answer.headers["vary"] == "Cookie"
    first = client.cookies["csrftoken"]
    client.get(f"/api/{kind}/token")
    assert client.cookies["csrftoken"] == first


def test_a_login_from_a_foreign_page(client: ApiClient) -> None:
    """A page of another site cannot log its visitor in as somebody else."""
    credentials = {"username": "ada", "password": "any"}
    foreign = {"origin": "http://evil.example"}
    assert client.post("/api/auth/login", json=credentials, headers=foreign).status_code == 403
    assert client.post("/api/auth/login", json=credentials).status_code == 401


def test_a_logout_from_a_foreign_page(client: ApiClient, kind: str) -> None:
    """A page of another site cannot log its visitor out."""
    assert client.post("/api/auth/logout").status_code == 403
    assert client.get(f"/api/{kind}/me").json() == "ada"
    assert client.post("/api/auth/logout", headers=token(client)).status_code == 204


def test_a_second_login_has_a_new_key(client: ApiClient, ada: User) -> None:
    """A login as the user who is logged in gives the session a new key as well, and keeps what is in it."""
    ada.set_password("right")
    ada.save()
    credentials = {"username": "ada", "password": "right"}
    keys = []
    for _ in range(3):
        assert client.post("/api/auth/login", json=credentials).status_code == 200
        keys.append(client.cookies["sessionid"])
    assert len(set(keys)) == 3
    assert [SessionStore().exists(key) for key in keys] == [False, False, True]


# A name that is not public has moved --------------------------------------------------------------------------------


def test_django_has_the_names(client: ApiClient) -> None:
    """CsrfViewMiddleware refuses by _reject, which csrf.py overrides."""
    assert "_reject" in vars(CsrfViewMiddleware)
    assert "_reject" in CsrfViewMiddleware.process_view.__code__.co_names


def test_a_refusal_by_another_name(client: ApiClient, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Django refuses by another method than _reject, a forged call is refused all the same."""
    monkeypatch.delattr(csrf._Check, "_reject")
    calls.clear()
    for headers in ({}, {**token(client), "origin": "http://evil.example"}):
        answer = client.post(f"/api/{kind}/me", headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"detail": "CSRF verification failed."})
    assert calls == []
    assert client.post(f"/api/{kind}/me", headers=token(client)).json() == "ada"
    foreign = {"origin": "http://evil.example"}
    assert client.post("/api/auth/login", json={"username": "ada", "password": "x"}, headers=foreign).status_code == 403


@pytest.mark.parametrize("name", ["_reject", "_origin_verified", "_check_token", "_get_secret", "process_view"])
def test_a_name_of_djangos_that_is_gone(
    client: ApiClient, kind: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever Django's check lacks, a forged call does not pass."""
    monkeypatch.delattr(CsrfViewMiddleware, name)
    headers = {**token(client), "origin": "http://evil.example"}
    with contextlib.suppress(AttributeError):
        assert client.post(f"/api/{kind}/me", headers=headers).status_code in (403, 500)
    assert calls == []


def test_a_site_without_the_middleware(client: ApiClient, kind: str, settings: Any) -> None:
    """A project whose own pages go without CsrfViewMiddleware has the check in its API all the same."""
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if "Csrf" not in path]
    assert client.post(f"/api/{kind}/me").status_code == 403
    assert client.post(f"/api/{kind}/me", headers=token(client)).json() == "ada"
