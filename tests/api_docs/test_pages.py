"""The docs pages of a mounted FastAPI: their files, who sees them, and their headers.

Holds `api_docs/access.py`, `api_docs/routes.py`, `api_docs/admin_index.py`, `api_docs/files.py`, `api_docs/html.py` and
`templatetags/djfast_mount_docs.py`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core.management import call_command
from django.template import Context, Template
from django.test import Client, override_settings
from django.urls import path as url_path
from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.security import OAuth2AuthorizationCodeBearer, OpenIdConnect

from api_client import ApiClient, committed_rows
from djfast_mount import mount
from djfast_mount.api_docs.admin_index import link_docs
from djfast_mount.auth import CurrentUser, api_key
from djfast_mount.exceptions import ConfigurationError
from harness import TESTS

pytestmark = pytest.mark.once

BROWSER = {"accept": "text/html,application/xhtml+xml"}
PAGES = ["/docs", "/redoc", "/docs/oauth2-redirect"]
ALL = [*PAGES, "/openapi.json"]

key_scheme = api_key("X-API-Key", lambda key: User.objects.filter(username=key).first())


def make_api(**options: Any) -> FastAPI:
    api = FastAPI(title="Shelf <&>", **options)

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    return api


def make_client(root_path: str, api: FastAPI | None = None, **options: Any) -> ApiClient:
    return ApiClient(mount("/api", api or make_api(), **options), root_path)


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


def log_in(client: ApiClient, **fields: Any) -> None:
    django = Client()
    django.force_login(User.objects.create_user("ada", **fields))
    client.set_cookie("sessionid", django.cookies["sessionid"].value)


def files_of(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def said(page: str) -> dict[str, str]:
    """What the page says to its script."""
    return {name: html.unescape(value) for name, value in re.findall(r'data-([a-z0-9-]+)="([^"]*)"', page)}


# Files --------------------------------------------------------------------------------------------------------------

NOT_INSTALLED = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
SITES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "DEBUG": ({"DEBUG": True}, {}),
    "DEBUG, not installed": ({"DEBUG": True, "INSTALLED_APPS": NOT_INSTALLED}, {}),
    "not collected": ({}, {}),
    "not installed": ({"INSTALLED_APPS": NOT_INSTALLED}, {}),
    "no static files": ({}, {"static": False}),
    "no static files, DEBUG": ({"DEBUG": True}, {"static": False}),
    "no Django": ({}, {"django": False}),
    "no STATIC_URL": ({"STATIC_URL": None}, {}),
    "no STATIC_URL, DEBUG": ({"STATIC_URL": None, "DEBUG": True, "INSTALLED_APPS": NOT_INSTALLED}, {}),
    "an absolute STATIC_URL": ({"STATIC_URL": "/static/", "INSTALLED_APPS": NOT_INSTALLED}, {}),
    "a CDN that has none of them": (
        {"STATIC_URL": "https://cdn.example/static/", "INSTALLED_APPS": NOT_INSTALLED},
        {},
    ),
    "WHITENOISE_STATIC_PREFIX": ({"WHITENOISE_STATIC_PREFIX": "/origin/", "INSTALLED_APPS": NOT_INSTALLED}, {}),
    "a manifest without them": (
        {
            "STORAGES": {
                "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
                "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
            }
        },
        {},
    ),
}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("page", PAGES)
def test_the_files_are_served(site: str, page: str, root_path: str) -> None:
    """Every file that a docs page names is on the site itself, however that serves static files, if it does at all."""
    settings, options = SITES[site]
    with override_settings(**{"STATIC_URL": "static/", **settings}):
        client = make_client(root_path, docs_access="public", **options)
        found = files_of(client.get(f"/api{page}").text)
        assert len(found) >= 2
        for url in found:
            assert url.startswith(f"{root_path}/")
            answer = client.get(url.removeprefix(root_path))
            assert answer.status_code == 200
            assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/png")


def test_under_an_absolute_static_url(root_path: str) -> None:
    """A STATIC_URL that holds the outer prefix itself does not get it twice."""
    with override_settings(STATIC_URL=f"{root_path}/static/", INSTALLED_APPS=NOT_INSTALLED):
        client = make_client(root_path, docs_access="public")
        for url in files_of(client.get("/api/docs").text):
            assert url.startswith(f"{root_path}/static/djfast_mount/")
            assert client.get(url.removeprefix(root_path)).status_code == 200


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    settings = {
        "STATIC_ROOT": str(tmp_path_factory.mktemp("collected")),
        "STATIC_URL": "static/",
        "STORAGES": {
            "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
        },
    }
    with override_settings(**settings):
        call_command("collectstatic", verbosity=0, interactive=False, ignore_patterns=["admin"])
    return settings


def test_collected_files_have_hashes(collected: dict[str, Any], root_path: str) -> None:
    """collectstatic takes the files, and the pages name them by their hashes, to be kept for ever."""
    with override_settings(**collected):
        client = make_client(root_path, docs_access="public")
        for page in ("/docs", "/redoc"):
            for url in files_of(client.get(f"/api{page}").text):
                assert re.match(rf"{root_path}/static/djfast_mount/.*\.[0-9a-f]{{12}}\.(css|js|png)$", url)
                answer = client.get(url.removeprefix(root_path))
                assert "immutable" in answer.headers["cache-control"]


def test_collected_files_of_a_cdn(collected: dict[str, Any], root_path: str) -> None:
    """With STATIC_URL on another host the pages name the files there, and their policy lets them pass."""
    with override_settings(**{**collected, "STATIC_URL": "https://cdn.example/s/"}):
        answer = make_client(root_path, docs_access="public").get("/api/docs")
    assert all(url.startswith("https://cdn.example/s/djfast_mount/") for url in files_of(answer.text))
    assert "script-src 'self' https://cdn.example;" in answer.headers["content-security-policy"]


def test_nothing_is_asked_elsewhere(root_path: str) -> None:
    """No page names another host."""
    client = make_client(root_path, docs_access="public")
    for page in PAGES:
        assert "//" not in re.sub(r"<!DOCTYPE.*?>", "", client.get(f"/api{page}").text)


def test_the_licences_are_there() -> None:
    """Each packaged project comes with its licence, and no file names a source map that is not there."""
    folder = TESTS.parent / "src" / "djfast_mount" / "static" / "djfast_mount"
    for project in ("swagger-ui", "redoc"):
        assert (folder / project / "LICENSE").read_text()
    for file in folder.rglob("*.[jc]s*"):
        assert "sourceMappingURL" not in file.read_text()[-200:]


# The pages ----------------------------------------------------------------------------------------------------------


def test_what_swagger_ui_is_told(root_path: str) -> None:
    """The app's own parameters and OAuth2 data reach Swagger UI, with FastAPI's defaults and the URLs of the prefix."""
    api = make_api(swagger_ui_parameters={"docExpansion": "none", "x": "'</script>"}, swagger_ui_init_oauth={"a": "b"})
    found = said(make_client(root_path, api, docs_access="public").get("/api/docs").text)
    parameters = json.loads(found["parameters"])
    assert (parameters["docExpansion"], parameters["x"], parameters["deepLinking"]) == ("none", "'</script>", True)
    assert json.loads(found["init-oauth"]) == {"a": "b"}
    assert found["openapi-url"] == f"{root_path}/api/openapi.json"
    assert found["oauth2-redirect-url"] == f"{root_path}/api/docs/oauth2-redirect"


def test_the_title_is_escaped(root_path: str) -> None:
    """A title is text, whatever is in it."""
    client = make_client(root_path, docs_access="public")
    assert "<title>Shelf &lt;&amp;&gt; - Swagger UI</title>" in client.get("/api/docs").text
    assert "<title>Shelf &lt;&amp;&gt; - ReDoc</title>" in client.get("/api/redoc").text


def test_the_csrf_token(db: None, root_path: str) -> None:
    """The page has a token that an unsafe call of the same session passes with, and names where the cookie's is."""
    api = make_api()

    @api.post("/posted")
    def posted(user: CurrentUser) -> str:
        return user.get_username()

    client = make_client(root_path, api, docs_access="public")
    log_in(client)
    found = said(client.get("/api/docs").text)
    assert (found["csrf-header"].lower(), found["csrf-cookie"]) == ("x-csrftoken", "csrftoken")
    assert client.post("/api/posted").status_code == 403
    for token in (found["csrf-token"], client.cookies["csrftoken"]):
        assert client.post("/api/posted", headers={found["csrf-header"]: token}).json() == "ada"


@pytest.mark.parametrize("setting", ["CSRF_COOKIE_HTTPONLY", "CSRF_USE_SESSIONS"])
def test_a_token_that_no_script_can_read(db: None, root_path: str, setting: str) -> None:
    """Where scripts cannot read the cookie, the page's own token is all that there is."""
    with override_settings(**{setting: True}, CSRF_HEADER_NAME="HTTP_X_OURS"):
        client = make_client(root_path, docs_access="public")
        log_in(client)
        found = said(client.get("/api/docs").text)
    assert found["csrf-header"] == "X-OURS"
    assert found["csrf-token"]
    assert "csrf-cookie" not in found


def test_without_sessions_there_is_no_token(root_path: str) -> None:
    """A site without sessions has no cookie to guard, and sets none for the page."""
    with override_settings(MIDDLEWARE=[]):
        answer = make_client(root_path, docs_access="public").get("/api/docs")
    assert not [name for name in said(answer.text) if name.startswith("csrf")]
    assert "set-cookie" not in answer.headers


def policy(answer: Any) -> dict[str, list[str]]:
    rules = answer.headers["content-security-policy"].split("; ")
    return {rule.split()[0]: rule.split()[1:] for rule in rules}


@pytest.mark.parametrize("page", PAGES)
def test_the_policy_is_strict(root_path: str, page: str) -> None:
    """The policy allows no inline script and no other host, and the page has neither inline script nor style."""
    answer = make_client(root_path, docs_access="public").get(f"/api{page}")
    rules = policy(answer)
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == ["'self'"]
    assert (rules["connect-src"], rules["frame-ancestors"]) == (["'self'"], ["'none'"])
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    assert all(not text for text in re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.DOTALL))


def test_redocs_nonce_is_new_each_time(root_path: str) -> None:
    """The nonce of ReDoc's styles is in the policy and in the page, and never the same."""
    client = make_client(root_path, docs_access="public")
    nonces = set()
    for _ in range(3):
        answer = client.get("/api/redoc")
        [nonce] = re.findall(r' nonce="([^"]+)"', answer.text)
        assert f"'nonce-{nonce}'" in policy(answer)["style-src"]
        assert answer.headers["cache-control"] == "no-store"
        nonces.add(nonce)
    assert len(nonces) == 3


def test_who_else_may_be_called(root_path: str) -> None:
    """Servers and OAuth2 endpoints of the schema are in the policy, and the popup of "Authorize" may answer."""
    servers = [{"url": "https://other.example/v1"}, {"url": "/here"}, {"url": "https://{region}.example"}]
    api = make_api(servers=servers)
    oauth = OAuth2AuthorizationCodeBearer("https://login.example/authorize", "https://token.example/token")
    connect = OpenIdConnect(openIdConnectUrl="https://connect.example/.well-known")
    api.get("/oauth", dependencies=[Depends(oauth), Depends(connect)])(lambda: 1)
    client = make_client(root_path, api, docs_access="public")
    answer = client.get("/api/docs")
    assert policy(answer)["connect-src"] == [
        "'self'",
        "https:",
        "https://connect.example",
        "https://other.example",
        "https://token.example",
    ]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
    assert client.get("/api/docs/oauth2-redirect").headers["cross-origin-opener-policy"] == "unsafe-none"


def test_the_headers_of_security(root_path: str) -> None:
    """The docs have the headers that SecurityMiddleware sets, even where MIDDLEWARE lacks it."""
    with override_settings(MIDDLEWARE=[], SECURE_HSTS_SECONDS=60):
        client = make_client(root_path, docs_access="public")
        for page in PAGES:
            headers = client.get(f"/api{page}", scheme="https").headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["x-frame-options"] == "DENY"
            assert headers["strict-transport-security"] == "max-age=60"
            assert "cross-origin-opener-policy" in headers


@pytest.mark.parametrize("page", PAGES)
def test_head_and_other_methods(root_path: str, page: str) -> None:
    """HEAD has the page's headers, and other methods are FastAPI's to refuse."""
    client = make_client(root_path, docs_access="public")
    head = client.request("HEAD", f"/api{page}")
    assert (head.status_code, head.content) == (200, b"")
    assert "content-security-policy" in head.headers
    assert client.post(f"/api{page}").status_code == 405


# Who sees them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("access", "debug", "status"),
    [
        ("public", False, 200),
        ("auto", True, 200),
        ("auto", False, 401),
        ("staff", False, 401),
        ("staff", True, 401),
        (None, True, 404),
        (None, False, 404),
    ],
)
def test_a_stranger(db: None, root_path: str, path: str, access: Any, debug: bool, status: int) -> None:
    """Strangers see the docs where they are public: in DEBUG by default, and never where there are none."""
    with override_settings(DEBUG=debug):
        answer = make_client(root_path, docs_access=access).get(f"/api{path}")
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"]
    if status != 200:
        assert answer.json() == {"detail": {401: "Not authenticated", 404: "Not Found"}[status]}


def test_auto_is_the_default(db: None, root_path: str) -> None:
    """With nothing said, strangers see the docs in DEBUG alone."""
    with override_settings(DJFAST_MOUNT={}):
        client = make_client(root_path)
        assert client.get("/api/openapi.json").status_code == 401
        with override_settings(DEBUG=True):
            assert client.get("/api/openapi.json").status_code == 200


USERS: dict[str, tuple[dict[str, Any], bool]] = {
    "staff": ({"is_staff": True}, True),
    "superuser": ({"is_staff": True, "is_superuser": True}, True),
    "superuser, not of the staff": ({"is_superuser": True}, False),
    "user": ({}, False),
}


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("user", USERS)
def test_a_user(db: None, root_path: str, path: str, user: str) -> None:
    """The staff sees the docs by the session of the site, and other users are told that they may not."""
    fields, may = USERS[user]
    client = make_client(root_path, docs_access="staff")
    log_in(client, **fields)
    answer = client.get(f"/api{path}")
    assert answer.status_code == (200 if may else 403)
    if not may:
        assert answer.json() == {"detail": "Forbidden"}
        assert client.get(f"/api{path}", headers=BROWSER).headers["location"].startswith(f"{root_path}/admin/login/")


def test_an_inactive_user(db: None, root_path: str) -> None:
    """Who has been made inactive since the login is nobody."""
    client = make_client(root_path, docs_access="staff")
    log_in(client, is_staff=True)
    User.objects.update(is_active=False)
    assert client.get("/api/openapi.json").status_code == 401
    with override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"]):
        client = make_client(root_path, docs_access="staff")
        User.objects.all().delete()
        django = Client()
        django.force_login(User.objects.create_user("bob", is_staff=True, is_active=False))
        client.set_cookie("sessionid", django.cookies["sessionid"].value)
        assert client.get("/api/openapi.json").status_code == 403


def test_a_cache_is_told_that_a_browser_is_answered_otherwise(db: None, root_path: str) -> None:
    """The way to the login and the 401 name what chose between them: Accept, and where credentials are."""
    client = make_client(root_path, docs_access="staff")
    for headers in (BROWSER, {}):
        vary = client.get("/api/docs", headers=headers).headers["vary"]
        assert {"Accept", "Cookie"} <= set(vary.split(", "))


@pytest.mark.parametrize("path", ALL)
def test_a_browser_is_led_to_the_login(db: None, root_path: str, path: str) -> None:
    """A browser comes to the admin's login page, and by its form back to where it wanted to go."""
    client = make_client(root_path, docs_access="staff")
    User.objects.create_user("ada", password="pass", is_staff=True)
    answer = client.get(f"/api{path}?a=1", headers=BROWSER)
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith(f"{root_path}/admin/login/?next=")
    login = client.get(location.removeprefix(root_path), headers=BROWSER)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', login.text))
    form = {**fields, "username": "ada", "password": "pass"}
    back = client.post(location.removeprefix(root_path), data=form).headers["location"]
    assert back == f"{root_path}/api{path}?a=1"
    assert client.get(f"/api{path}?a=1", headers=BROWSER).status_code == 200


class NoAdmin:
    urlpatterns: list[Any] = []


class OtherLogin:
    urlpatterns = [url_path("accounts/login/", LoginView.as_view(), name="login")]


def test_a_site_without_the_admin(db: None, root_path: str) -> None:
    """A browser is sent to LOGIN_URL where that is a page of the site, and told otherwise."""
    client = make_client(root_path, docs_access="staff")
    with override_settings(ROOT_URLCONF=OtherLogin, LOGIN_URL="login"):
        answer = client.get("/api/docs", headers=BROWSER)
        assert answer.headers["location"].startswith(f"{root_path}/accounts/login/?next=")
        with override_settings(LOGIN_URL="/accounts/login/"):  # Not this site's, where that is under a prefix.
            assert client.get("/api/docs", headers=BROWSER).status_code == (401 if root_path else 302)
        log_in(client)  # The page would send a user who is logged in straight back.
        assert client.get("/api/docs", headers=BROWSER).status_code == 403
    client.cookies.clear()
    with override_settings(ROOT_URLCONF=NoAdmin):
        assert client.get("/api/docs", headers=BROWSER).status_code == 401


def test_without_djangos_half_nobody_is_sent_to_it(db: None, root_path: str) -> None:
    """With django=False there is no login page to send a browser to."""
    client = make_client(root_path, docs_access="staff", django=False)
    assert client.get("/api/docs", headers=BROWSER).status_code == 401


def test_other_schemes(db: None, root_path: str) -> None:
    """A key of the staff opens the schema to a tool, a wrong one does not; and the admin's users need none."""
    User.objects.create_user("root", is_staff=True)
    User.objects.create_user("bob")
    with override_settings(DJFAST_MOUNT={"authentication": [f"{__name__}.key_scheme"]}):
        client = make_client(root_path, docs_access="staff")
        for key, status in (("root", 200), ("bob", 403), ("wrong", 401)):
            assert client.get("/api/openapi.json", headers={"X-API-Key": key}).status_code == status
        log_in(client, is_staff=True)
        assert client.get("/api/docs").status_code == 200


def test_what_an_app_switches_off(db: None, root_path: str) -> None:
    """docs_url, redoc_url and openapi_url mean what they mean to FastAPI."""
    client = make_client(root_path, make_api(docs_url=None), docs_access="public")
    assert [client.get(f"/api{path}").status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404, 200, 200]
    client = make_client(root_path, make_api(openapi_url=None), docs_access="public")
    assert [client.get(f"/api{path}").status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 404]


def test_other_paths(db: None, root_path: str) -> None:
    """Docs under paths of the app's own are found there, and guarded there."""
    options = {"docs_url": "/", "redoc_url": "/manual", "openapi_url": "/v1/schema.json"}
    client = make_client(root_path, make_api(**options), docs_access="public")
    assert said(client.get("/api/").text)["openapi-url"] == f"{root_path}/api/v1/schema.json"
    assert "redoc.standalone" in client.get("/api/manual").text
    client = make_client(root_path, make_api(**options), docs_access="staff")
    assert {client.get(f"/api{path}").status_code for path in options.values()} == {401}


def test_mounted_apps_are_guarded(db: None, root_path: str) -> None:
    """A FastAPI within the API, under an included router too, has docs of its own: guarded, and with our files."""
    api, inner, deep, router = make_api(), make_api(), make_api(), APIRouter()
    router.mount("/deep", deep)
    inner.include_router(router, prefix="/r")
    api.mount("/inner", inner)
    for place in ("/inner", "/inner/r/deep"):
        client = make_client(root_path, api, docs_access="public")
        page = client.get(f"/api{place}/docs").text
        assert said(page)["openapi-url"] == f"{root_path}/api{place}/openapi.json"
        assert all(url.startswith(f"{root_path}/static/") for url in files_of(page))
        client = make_client(root_path, api, docs_access="staff")
        assert client.get(f"/api{place}/openapi.json").status_code == 401


def test_two_mounts_of_one_app(db: None, root_path: str) -> None:
    """Each mount() has its own say about the same app."""
    api = make_api()
    public, none = make_client(root_path, api, docs_access="public"), make_client(root_path, api, docs_access=None)
    assert (public.get("/api/docs").status_code, none.get("/api/docs").status_code) == (200, 404)


def test_a_page_of_the_projects_own(db: None, root_path: str) -> None:
    """A page in the place of FastAPI's is served as it is, to those who may see it."""

    class Own(FastAPI):
        def setup(self) -> None:
            super().setup()
            self.router.routes = [route for route in self.routes if getattr(route, "path", "") != "/docs"]
            self.add_route("/docs", lambda request: get_swagger_ui_html(openapi_url="/x", title="Own"))

    assert "<title>Own</title>" in make_client(root_path, Own(), docs_access="public").get("/api/docs").text
    assert make_client(root_path, Own(), docs_access="staff").get("/api/docs").status_code == 401


def test_the_apps_own_middleware_stands_before(db: None, root_path: str) -> None:
    """CORS of the app holds for its schema, also for a preflight."""
    api = make_api()
    api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
    client = make_client(root_path, api, docs_access="staff")
    answer = client.get("/api/openapi.json", headers={"origin": "https://a.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "https://a.example")


def test_an_app_that_is_served_alone_has_fastapis_pages() -> None:
    """What mount() adds to an app does nothing where the app is served by something else."""
    api = make_api()
    mount("/api", api, docs_access=None)
    assert "cdn.jsdelivr.net" in ApiClient(api).get("/docs").text


@pytest.mark.parametrize("access", ["stuff", True, ["staff"], ""])
def test_a_wrong_access(access: Any) -> None:
    """What is no access is an error at start-up that names what is one."""
    with pytest.raises(ConfigurationError, match=r"Give 'auto', 'public', 'staff' or None\."):
        make_client("", docs_access=access)


# The admin ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def index_template() -> Iterator[None]:
    before = admin.site.index_template
    admin.site.index_template = None
    yield
    admin.site.index_template = before


def admin_index(client: ApiClient) -> str:
    log_in(client, is_staff=True, is_superuser=True)
    return str(client.get("/admin/").text)


def test_the_admin_links_to_the_docs(db: None, root_path: str, index_template: None) -> None:
    """The index names every docs page there is, under the outer prefix."""
    inner, api = FastAPI(title="Inner", redoc_url=None), make_api()
    api.mount("/inner", inner)
    page = admin_index(make_client(root_path, api, docs_access="staff"))
    expected = {
        f"{root_path}/api/docs": "Shelf &lt;&amp;&gt; - Swagger UI",
        f"{root_path}/api/redoc": "Shelf &lt;&amp;&gt; - ReDoc",
        f"{root_path}/api/inner/docs": "Inner - Swagger UI",
    }
    [module] = re.findall(r'<div class="module" id="djfast-mount-docs">.*?</div>', page, re.DOTALL)
    assert dict(re.findall(r'<a href="([^"]+)">([^<]+)</a>', module)) == expected


@pytest.mark.parametrize("access", ["staff", None])
def test_the_admin_links_to_what_was_mounted_since(
    db: None, root_path: str, index_template: None, access: Literal["staff"] | None
) -> None:
    """An app that is mounted after `mount()` is linked before the first call of the API, unless there are no docs."""
    api = make_api()
    client = make_client(root_path, api, docs_access=access)
    api.mount("/later", FastAPI(title="Later"))
    page = admin_index(client)
    assert (f'<a href="{root_path}/api/later/docs">' in page) is (access == "staff")


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"docs_access": None}),
        (
            {
                "INSTALLED_APPS": [
                    "django.contrib.admin",
                    "django.contrib.messages",
                    "project.shop",
                    "djfast_mount.tokens",
                    *NOT_INSTALLED,
                ]
            },
            {},
        ),
    ],
    ids=["no docs", "not installed"],
)
def test_an_admin_without_links(
    db: None, root_path: str, index_template: None, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    """Where there are no docs, or djfast_mount is not installed, the index is Django's."""
    with override_settings(**settings):
        page = admin_index(make_client(root_path, **options))
        assert "Site administration" in page
        assert "djfast-mount-docs" not in page


def test_an_index_of_the_sites_own(index_template: None) -> None:
    """A site's own index template stays."""
    admin.site.index_template = "admin/index.html"
    link_docs()
    assert admin.site.index_template == "admin/index.html"


def test_templates_that_are_not_found(index_template: None) -> None:
    """Without templates of apps the admin is left alone: a missing template would break it."""
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    with override_settings(TEMPLATES=templates):
        link_docs()
    assert admin.site.index_template is None


def test_the_tag_of_the_docs(root_path: str) -> None:
    """The tag that docs/api-docs.md shows gives links to the staff, and nothing to others."""
    page = (TESTS.parent / "docs" / "api-docs.md").read_text()
    composition = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    [tag] = re.findall(r"```html\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"mount": mount, "api": make_api()}
    exec(composition, names)
    assert ApiClient(names["app"], root_path).get("/api/openapi.json").status_code == 401
    assert "/api/docs" in Template(tag).render(Context({"user": User(is_staff=True)}))
    assert Template(tag).render(Context({"user": User()})).strip() == ""
    assert Template(tag).render(Context()).strip() == ""
