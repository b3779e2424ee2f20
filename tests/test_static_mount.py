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
from django.utils.functional import empty
from fastapi import FastAPI

from calls import ask, not_found
from djfast_mount import mount
from djfast_mount.staticfiles import StaticFiles
from harness import TESTS, Server


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a site whose static files were collected, with hashed names."""
    env = {"DJANGO_SETTINGS_MODULE": "static_settings", "TEST_STATIC_ROOT": str(tmp_path_factory.mktemp("static"))}
    command = [sys.executable, "-m", "django", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, check=True, cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS), **env})
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
