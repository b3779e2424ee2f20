"""Static files through `mount()` and uvicorn: the admin is styled, wherever the site is served."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as lazy_settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIHandler
from django.middleware.security import SecurityMiddleware
from django.utils.functional import empty
from fastapi import FastAPI
from starlette.types import ASGIApp
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from calls import Answer, ask, not_found, request
from djfast_mount import mount
from djfast_mount.staticfiles.app import StaticFiles
from harness import PYTHONPATH, TESTS, Server

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a site whose static files were collected, with hashed names."""
    env = {"DJANGO_SETTINGS_MODULE": "static_settings", "TEST_STATIC_ROOT": str(tmp_path_factory.mktemp("static"))}
    command = [sys.executable, "-m", "django", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, check=True, cwd=TESTS, env={**os.environ, "PYTHONPATH": PYTHONPATH, **env})
    return env


@dataclass
class Site:
    """A running site: what clients put in front of a path, and what stands in front of its links."""

    server: Server
    outer: str = ""
    linked: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        with self.server.client() as client:
            return client.get(self.outer + path, headers=headers)

    def get_link(self, link: str) -> httpx.Response:
        assert link.startswith(f"{self.linked}/static/")
        return self.get(link.removeprefix(self.linked))


@contextlib.contextmanager
def running(env: dict[str, str], *options: str, outer: str = "", linked: str = "") -> Iterator[Site]:
    with Server("static_mount:app", "--log-level", "warning", *options, env=env) as server:
        yield Site(server, outer, linked)
        assert "Traceback" not in server.log, server.log
        assert "synchronous iterators" not in server.log, server.log


POSITIONS: dict[str, dict[str, Any]] = {
    "bare": {},
    "stripped": {"options": ["--root-path", "/pre"], "linked": "/pre"},
    "kept": {"env": {"TEST_FORCE_SCRIPT_NAME": "/pre"}, "outer": "/pre", "linked": "/pre"},
}


@pytest.fixture(scope="module", params=POSITIONS)
def site(request: pytest.FixtureRequest, collected: dict[str, str]) -> Iterator[Site]:
    """The site at the root of the host, behind a proxy that strips the outer prefix, behind one that keeps it."""
    position = POSITIONS[request.param]
    env = {**collected, **position.get("env", {})}
    with running(
        env, *position.get("options", []), outer=position.get("outer", ""), linked=position.get("linked", "")
    ) as found:
        yield found


def assert_styled(site: Site) -> None:
    page = site.get("/admin/login/")
    assert page.status_code == 200
    links = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        answer = site.get_link(link)
        assert (link, answer.status_code, answer.headers["content-type"]) == (link, 200, 'text/css; charset="utf-8"')
        immutable = re.search(r"\.[0-9a-f]{12}\.css$", link) is not None
        assert ("immutable" in answer.headers["cache-control"]) is immutable
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_admin_is_styled(site: Site) -> None:
    """The links of the admin's pages bear the outer prefix, lead to files, and hashed names are immutable."""
    assert_styled(site)


@pytest.mark.parametrize(
    ("options", "linked"), [([], ""), (["--root-path", "/pre"], "/pre")], ids=["bare", "root_path"]
)
def test_in_development(options: list[str], linked: str) -> None:
    """With DEBUG the admin is styled without collectstatic."""
    with running({"TEST_DEBUG": "1"}, *options, linked=linked) as site:
        assert_styled(site)


def test_with_whitenoise_still_in_the_middleware(collected: dict[str, str]) -> None:
    """A project that keeps WhiteNoiseMiddleware goes on to work, without its warning about iterators."""
    with running({**collected, "TEST_WHITENOISE_MIDDLEWARE": "1"}) as site:
        assert_styled(site)
        assert site.get("/static/none.css").status_code == 404


def test_other_hosts_get_no_file(site: Site) -> None:
    """A Host that ALLOWED_HOSTS does not name gets 400 from a static file, as from Django."""
    for path in ("/static/admin/css/base.css", "/admin/login/"):
        assert site.get(path, Host="evil.example").status_code == 400
        assert site.get(path).status_code == 200


def test_a_missing_file_is_djangos_404(site: Site, collected: dict[str, str]) -> None:
    """Django answers for a static file that is missing, and for one that vanished."""
    for path in Path(collected["TEST_STATIC_ROOT"], "admin", "css", "vendor", "select2").glob("select2.css*"):
        path.unlink()
    for name in ("none.css", "admin/css/vendor/select2/select2.css", "admin/"):
        answer = site.get(f"/static/{name}")
        assert (name, answer.status_code) == (name, 404)
        assert "Not Found" in answer.text


@pytest.mark.parametrize("max_body_size", [None, 10])
def test_a_file_that_changes_is_served_anew(
    settings: Any, tmp_path: Path, root_path: str, max_body_size: int | None
) -> None:
    """A file that is another than at the start is sent as it is now, and one that has gone is Django's 404."""
    settings.STATIC_ROOT = str(tmp_path)
    for name in ("changed.css", "gone.css"):
        (tmp_path / name).write_bytes(b"before")
    root = mount("/api", FastAPI(), max_body_size=max_body_size)
    (tmp_path / "changed.css").write_bytes(b"afterwards")
    (tmp_path / "gone.css").unlink()
    assert ask(root, "/static/changed.css", root_path=root_path).body == b"afterwards"
    gone = ask(root, "/static/gone.css", root_path=root_path)
    assert gone.status == 404
    assert b"Not Found" in gone.body


def test_a_prefix_owns_its_paths(settings: Any, tmp_path: Path, root_path: str) -> None:
    """A path under a prefix is the app's, though there is a static file of that path."""
    settings.STATIC_ROOT = str(tmp_path)
    (tmp_path / "app.css").write_bytes(b"the file")
    (tmp_path / "of").mkdir()
    (tmp_path / "of" / "app.css").write_bytes(b"the file")
    api = FastAPI()
    api.add_api_route("/app.css", lambda: "the app")
    root = mount("/static/of", api)
    assert ask(root, "/static/app.css", root_path=root_path).body == b"the file"
    assert ask(root, "/static/of/app.css", root_path=root_path).body == b'"the app"'


@pytest.fixture
def unread(settings: Any) -> Iterator[Any]:
    """Django as it is before any request: no static URL has been read yet."""
    settings.STATIC_URL = "static/"
    before = staticfiles_storage._wrapped, dict(storages._storages)
    staticfiles_storage._wrapped = empty
    storages._storages.clear()
    yield settings
    staticfiles_storage._wrapped = before[0]
    storages._storages.update(before[1])


@pytest.mark.parametrize("autorefresh", [False, True])
@pytest.mark.parametrize("backend", ["ManifestStaticFilesStorage", "StaticFilesStorage"])
def test_the_table_reads_no_static_url_for_good(unread: Any, tmp_path: Path, backend: str, autorefresh: bool) -> None:
    """Neither the start nor a request leaves a STATIC_URL, a MEDIA_URL or a storage behind that knows a prefix."""
    path = f"django.contrib.staticfiles.storage.{backend}"
    unread.STORAGES = {"staticfiles": {"BACKEND": path}}
    unread.STATIC_ROOT, unread.MEDIA_URL, unread.WHITENOISE_AUTOREFRESH = str(tmp_path), "media/", autorefresh
    (tmp_path / "app.0123456789ab.css").write_bytes(b"x")
    static = StaticFiles(not_found)
    assert ask(static, "/static/app.0123456789ab.css", root_path="/pre").body == b"x"
    assert not {"STATIC_URL", "MEDIA_URL"} & set(vars(lazy_settings))
    assert staticfiles_storage._wrapped is empty
    assert "staticfiles" not in storages._storages


def test_a_static_url_that_was_read_before_stays(unread: Any, tmp_path: Path) -> None:
    """A value that others have read already is the same after the start."""
    unread.STATIC_ROOT = str(tmp_path)
    assert unread.STATIC_URL == "/static/"
    StaticFiles(not_found)
    assert "STATIC_URL" in vars(lazy_settings)


@pytest.mark.parametrize(
    ("static_url", "script_name", "served_at"),
    [
        ("static/", None, "/static/"),
        ("/static/", None, "/static/"),
        ("static/", "/pre", "/static/"),
        ("/pre/static/", "/pre", "/static/"),
        ("/pre/static/", "/pre/", "/static/"),
        ("/pre/static/", None, "/static/"),
        ("/static/", "/s", "/static/"),
        ("static/", "/s", "/static/"),
        ("https://cdn.example/assets/", None, "/assets/"),
        ("https://cdn.example/pre/assets/", "/pre", "/assets/"),
    ],
)
@pytest.mark.parametrize("autorefresh", [False, True])
def test_where_files_are_served(
    unread: Any, tmp_path: Path, static_url: str, script_name: str | None, served_at: str, autorefresh: bool
) -> None:
    """Files are served at the path of STATIC_URL, less the script name at a segment's boundary."""
    unread.WHITENOISE_AUTOREFRESH = autorefresh
    unread.STATIC_URL, unread.FORCE_SCRIPT_NAME, unread.STATIC_ROOT = static_url, script_name, str(tmp_path)
    (tmp_path / "app.css").write_bytes(b"x")
    assert ask(StaticFiles(not_found), f"{served_at}app.css", root_path="/pre").body == b"x"


SECURITY = "django.middleware.security.SecurityMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
BELOW = [SECURITY, "whitenoise.middleware.WhiteNoiseMiddleware", FRAMES]
OF_SECURITY = {"x-content-type-options", "referrer-policy", "cross-origin-opener-policy"}
HSTS = "strict-transport-security"
PROXIED = {"X-Forwarded-Proto": "https"}


class OwnSecurityMiddleware(SecurityMiddleware):
    """What a project may list in the place of Django's."""


@pytest.fixture(params=["production", "debug"])
def secured(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Any:
    """Settings under which files are found beforehand, and on the disk; SecurityMiddleware is above WhiteNoise's."""
    (tmp_path / "app.css").write_bytes(b"0123456789")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_bytes(b"index")
    settings.STATIC_ROOT, settings.WHITENOISE_INDEX_FILE = str(tmp_path), True
    settings.DEBUG = settings.WHITENOISE_AUTOREFRESH = request.param == "debug"
    settings.WHITENOISE_MAX_AGE = 60
    settings.MIDDLEWARE = BELOW
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return settings


@pytest.fixture(params=["1.1", "2"])
def version(request: pytest.FixtureRequest) -> str:
    """The two ways to a file: HTTP/1.1 tells that a request has no body, and is sent the file before all else."""
    return str(request.param)


def secured_mount(**options: Any) -> ASGIApp:
    """The front door, which knows its host already: a file is sent before all else to such a one alone."""
    root = mount("/api", FastAPI(), **options)
    request(root, "/api/")
    return root


def fields(answer: Answer) -> dict[str, str]:
    """The headers, each once; Django does not send their names in lower case."""
    assert len(answer.messages[0]["headers"]) == len({name.lower() for name in answer.headers})
    return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("over", [{}, {"scheme": "https"}, {"headers": PROXIED}], ids=["http", "https", "proxied"])
@pytest.mark.parametrize("hsts", [0, 60])
def test_the_headers_are_those_below_security_middleware(
    secured: Any, root_path: str, version: str, over: dict[str, Any], hsts: int
) -> None:
    """A file has the headers that WhiteNoise's middleware sends below SecurityMiddleware, in every answer."""
    secured.SECURE_HSTS_SECONDS, secured.SECURE_HSTS_PRELOAD = hsts, True
    beside, root = ASGIHandler(), secured_mount()  # type: ignore[no-untyped-call]
    etag = ask(root, "/static/app.css", root_path=root_path).headers["etag"]
    headers = over.get("headers", {})
    asked: list[tuple[str, str, dict[str, str], int]] = [
        ("GET", "app.css", {}, 200),
        ("HEAD", "app.css", {}, 200),
        ("GET", "app.css", {"Range": "bytes=2-3"}, 206),
        ("GET", "app.css", {"If-None-Match": etag}, 304),
        ("POST", "app.css", {}, 405),
        ("GET", "app.css", {"Range": "bytes=99-"}, 416),
        ("GET", "docs/", {}, 200),
        ("GET", "docs", {}, 302),
    ]
    for method, name, more, status in asked:
        request = {**over, "root_path": root_path, "method": method, "headers": {**headers, **more}}
        theirs = ask(beside, f"/static/{name}", **request)
        ours = ask(root, f"/static/{name}", http_version=version, **request)
        # Of an empty body WhiteNoise gives no length.
        empty = {"content-length"} if status in (302, 405, 416) else set()
        assert (method, name, ours.status, ours.body) == (method, name, status, theirs.body)
        assert {**fields(theirs), **dict.fromkeys(empty, "0")} == fields(ours)
        assert set(ours.headers) >= OF_SECURITY
        assert (HSTS in ours.headers) is bool(hsts and over)


def test_no_header_twice(secured: Any, root_path: str, version: str) -> None:
    """No answer has one of the headers twice, nor has the next what was added to this one's."""
    secured.SECURE_HSTS_SECONDS = 60
    root = secured_mount()
    for more in [{}, {}, {"If-None-Match": "*"}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}]:
        headers = {**PROXIED, **more}
        answer = ask(root, "/static/app.css", root_path=root_path, http_version=version, headers=headers)
        assert HSTS in fields(answer)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_headers_function_sets_wins(secured: Any, root_path: str, version: str, scheme: str) -> None:
    """Headers that WHITENOISE_ADD_HEADERS_FUNCTION sets stay, in a 304 too, which a cache takes the values from."""

    def add_headers(headers: Any, path: str, url: str) -> None:
        headers["cross-origin-opener-policy"] = "unsafe-none"
        headers["Strict-Transport-Security"] = "max-age=1"

    secured.WHITENOISE_ADD_HEADERS_FUNCTION, secured.SECURE_HSTS_SECONDS = add_headers, 60
    root = secured_mount()
    for headers, status in [({}, 200), ({"Range": "bytes=0-1"}, 206), ({"If-None-Match": "*"}, 304)]:
        options = {"root_path": root_path, "http_version": version, "scheme": scheme}
        answer = ask(root, "/static/app.css", headers=headers, **options)
        found = fields(answer)
        assert (answer.status, found["cross-origin-opener-policy"]) == (status, "unsafe-none")
        assert found["x-content-type-options"] == "nosniff"
        assert found[HSTS] == "max-age=1"


@pytest.mark.parametrize(
    ("settings_of_redirect", "url"),
    [
        ({}, "https://testserver{path}?x=1"),
        ({"SECURE_SSL_HOST": "secure.example"}, "https://secure.example{path}?x=1"),
        ({"SECURE_REDIRECT_EXEMPT": [r"static/"]}, None),
        ({"SECURE_REDIRECT_EXEMPT": [r"other/"]}, "https://testserver{path}?x=1"),
        ({"SECURE_SSL_REDIRECT": False}, None),
    ],
)
def test_files_are_sent_to_https(
    secured: Any, root_path: str, version: str, settings_of_redirect: dict[str, Any], url: str | None
) -> None:
    """With SECURE_SSL_REDIRECT a file that is asked for without TLS is a redirect, as Django's middleware makes it."""
    for name, value in {"SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 60, **settings_of_redirect}.items():
        setattr(secured, name, value)
    root = secured_mount()
    options = {"root_path": root_path, "http_version": version, "query_string": b"x=1"}
    for name in ("app.css", "docs"):
        plain = ask(root, f"/static/{name}", **options)
        path = f"{root_path}/static/{name}"
        if url is None:
            assert plain.status == {"app.css": 200, "docs": 302}[name]
        else:
            assert (plain.status, plain.body, plain.headers["location"]) == (301, b"", url.format(path=path))
        assert set(plain.headers) >= OF_SECURITY
        assert HSTS not in plain.headers
    for secure in ({"scheme": "https", "headers": PROXIED}, {"headers": PROXIED}):
        answer = ask(root, "/static/app.css", **options, **secure)
        assert (answer.status, answer.body, answer.headers[HSTS]) == (200, b"0123456789", "max-age=60")
    told_plain = ask(root, "/static/app.css", **options, scheme="https", headers={"X-Forwarded-Proto": "http"})
    assert told_plain.status == (200 if url is None else 301)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_the_redirect_has_the_headers_of_djangos(secured: Any, root_path: str) -> None:
    """The redirect has the status, the place and the headers that it has below Django's own handler."""
    secured.SECURE_SSL_REDIRECT = True
    theirs = ask(ASGIHandler(), "/static/app.css", root_path=root_path)  # type: ignore[no-untyped-call]
    ours = ask(secured_mount(), "/static/app.css", root_path=root_path)
    assert ours.status == theirs.status == 301
    # Of an empty body Django tells the type, and we the length.
    assert {**fields(ours), "content-type": "text/html; charset=utf-8"} == {**fields(theirs), "content-length": "0"}


@pytest.mark.parametrize("root", ["", "/pre"])
@pytest.mark.parametrize("path", ["/pre/static/", "/static/"])
def test_the_redirect_bears_the_script_name(secured: Any, version: str, root: str, path: str) -> None:
    """Under FORCE_SCRIPT_NAME a file is sent where a page at its place is sent, whether the proxy keeps the prefix."""
    secured.SECURE_SSL_REDIRECT, secured.FORCE_SCRIPT_NAME = True, "/pre"
    mounted = secured_mount()
    found, missing = (
        request(mounted, path + name, root_path=root, http_version=version) for name in ("app.css", "none.css")
    )
    assert found.status == missing.status == 301
    assert found.headers["location"] == fields(missing)["location"].replace("none", "app")
    assert found.headers["location"] == "https://testserver/pre/static/app.css"


def test_a_host_that_is_not_allowed_is_sent_nowhere(secured: Any, root_path: str, version: str) -> None:
    """A Host that ALLOWED_HOSTS does not name gets 400, and no redirect to it, with and without our check of hosts."""
    secured.SECURE_SSL_REDIRECT = True
    for checked in (True, False):
        root = secured_mount(host_check=checked)
        headers = [(b"host", b"evil.example")]
        answer = ask(root, "/static/app.css", root_path=root_path, http_version=version, headers=headers)
        assert (checked, answer.status, answer.header("location")) == (checked, 400, None)


@pytest.mark.parametrize("middleware", [[], [FRAMES, "django.middleware.common.CommonMiddleware"]])
def test_without_security_middleware(secured: Any, root_path: str, version: str, middleware: list[str]) -> None:
    """Where MIDDLEWARE does not list SecurityMiddleware, files have WhiteNoise's headers alone, and no redirect."""
    secured.MIDDLEWARE, secured.SECURE_SSL_REDIRECT, secured.SECURE_HSTS_SECONDS = middleware, True, 60
    root = secured_mount()
    for scheme in ("http", "https"):
        answer = ask(root, "/static/app.css", root_path=root_path, http_version=version, scheme=scheme)
        assert answer.status == 200
        assert not (OF_SECURITY | {HSTS, "x-frame-options"}) & set(answer.headers)


def test_a_subclass_counts_and_the_switch_of_the_api_does_not(secured: Any, root_path: str, version: str) -> None:
    """A class made of SecurityMiddleware is one; what is chosen for the API says nothing of files."""
    secured.MIDDLEWARE = [f"{__name__}.{OwnSecurityMiddleware.__qualname__}"]
    secured.SECURE_SSL_REDIRECT, secured.SECURE_HSTS_SECONDS = True, 60
    secured.DJFAST_MOUNT = {"django_settings_for_api": False}
    root = secured_mount()
    options = {"root_path": root_path, "http_version": version}
    assert OF_SECURITY | {HSTS} <= set(ask(root, "/static/app.css", headers=PROXIED, **options).headers)
    assert ask(root, "/static/app.css", **options).status == 301


def test_what_changed_on_the_disk_is_secured_too(secured: Any, tmp_path: Path, root_path: str, version: str) -> None:
    """A file that is another than at the start has the headers; one that has gone is Django's answer, with its own."""
    secured.SECURE_HSTS_SECONDS, secured.MIDDLEWARE = 60, [SECURITY]
    root = secured_mount()
    options = {"root_path": root_path, "http_version": version, "headers": PROXIED}
    (tmp_path / "app.css").write_bytes(b"afterwards")
    os.utime(tmp_path / "app.css", (1, 1))
    changed = ask(root, "/static/app.css", **options)
    assert (changed.status, changed.body, changed.headers[HSTS]) == (200, b"afterwards", "max-age=60")
    (tmp_path / "docs" / "index.html").unlink()
    gone = ask(root, "/static/docs/", **options)
    assert gone.status == 404
    for answer in (changed, gone):
        assert OF_SECURITY | {HSTS} <= set(fields(answer))


@pytest.mark.parametrize("static", [True, False])
def test_the_files_of_the_docs_are_secured_too(secured: Any, root_path: str, version: str, static: bool) -> None:
    """The files of the API's docs pages, which come with the package, have the headers and the redirect too."""
    secured.SECURE_SSL_REDIRECT, secured.SECURE_HSTS_SECONDS = True, 60
    root = secured_mount(static=static, docs_access="public")
    path, options = "/static/djfast_mount/docs.css", {"root_path": root_path, "http_version": version}
    answer = ask(root, path, headers=PROXIED, **options)
    assert answer.status == 200
    assert OF_SECURITY | {HSTS} <= set(answer.headers)
    assert ask(root, path, **options).headers["location"] == f"https://testserver{root_path}{path}"


@pytest.mark.parametrize("whitenoise", ["WhiteNoiseMiddleware", "Own"])
def test_a_vanished_file_that_whitenoise_knows_too(
    whitenoise: str, tmp_path: Path, settings: Any, root_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone before its first request is 404 where WhiteNoiseMiddleware is still in MIDDLEWARE."""
    (tmp_path / "app.css").write_text("body {}")
    (tmp_path / "kept.css").write_text("body {}")
    settings.STATIC_ROOT, settings.STATIC_URL, settings.ROOT_URLCONF = str(tmp_path), "/static/", "project.urls"
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = False
    known = "whitenoise.middleware.WhiteNoiseMiddleware"
    settings.MIDDLEWARE = [known if whitenoise != "Own" else f"{__name__}.Own", *settings.MIDDLEWARE]
    root = mount("/api", FastAPI())
    (tmp_path / "app.css").unlink()
    assert ask(root, "/static/app.css", root_path=root_path).status == 404
    assert ask(root, "/static/kept.css", root_path=root_path).status == 200


class Own(WhiteNoiseMiddleware):
    """A project's own."""
