"""Static files over ASGI: what is answered, what is left to the app behind, in production and with autorefresh.

Holds `staticfiles/table.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import itertools
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import brotli
import pytest
from django.core import mail

from calls import Answer, ask, call, http_scope, not_found
from djfast_mount.staticfiles.app import StaticFiles

pytestmark = pytest.mark.once

CSS = b"body { color: black }\n" * 40
Build = Callable[..., StaticFiles]


@pytest.fixture(params=["production", "autorefresh"])
def mode(request: pytest.FixtureRequest) -> str:
    """Every test of what is answered runs in both modes."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "css").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "css" / "app.css").write_bytes(CSS)
    (root / "css" / "app.css.gz").write_bytes(gzip.compress(CSS))
    (root / "css" / "app.css.br").write_bytes(brotli.compress(CSS))
    (root / "docs" / "index.html").write_bytes(b"<p>index</p>")
    (root / "na\u00efve \u2713.txt").write_bytes(b"non-ASCII")
    (root / "empty.txt").write_bytes(b"")
    return root


@pytest.fixture
def build(folder: Path, mode: str, settings: Any) -> Build:
    """StaticFiles over `folder` in the mode of this test, with these settings."""

    def make(app: Any = not_found, *, guard: Any = None, memory: int = 2**20, **named: Any) -> StaticFiles:
        chosen = {
            "STATIC_URL": "/static/",
            "STATIC_ROOT": str(folder),
            "WHITENOISE_AUTOREFRESH": mode == "autorefresh",
            **named,
        }
        for name, value in chosen.items():
            setattr(settings, name, value)
        return StaticFiles(app, guard=guard, memory=memory)

    return make


def from_behind(answer: Answer) -> bool:
    return answer.status == 404 and answer.headers == {"x-from": "behind"}


def test_a_file_with_whitenoise_headers(build: Build, root_path: str) -> None:
    """A file comes whole, with the headers that WhiteNoise gives it."""
    answer = ask(build(), "/static/css/app.css", root_path=root_path)
    assert (answer.status, answer.body) == (200, CSS)
    assert answer.headers["content-type"] == 'text/css; charset="utf-8"'
    assert answer.headers["cache-control"] == "max-age=60, public"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-length"] == str(len(CSS))
    assert {"etag", "last-modified"} < set(answer.headers)


def test_non_ascii_name(build: Build, root_path: str) -> None:
    """A file whose name is not ASCII is found under its decoded path."""
    assert ask(build(), "/static/na\u00efve \u2713.txt", root_path=root_path).body == b"non-ASCII"


def test_an_empty_file(build: Build, root_path: str) -> None:
    """An empty file is answered with no bytes, from memory and from the disk."""
    for memory in (2**20, 0):
        answer = ask(build(memory=memory), "/static/empty.txt", root_path=root_path)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
        assert answer.messages[-1]["type"] == "http.response.body"
        assert not answer.messages[-1].get("more_body")


@pytest.mark.parametrize(
    "path", ["/", "/static", "/static/", "/static/css", "/static/css/", "/static/css/no.css", "/css/app.css", "/x"]
)
def test_all_else_goes_on(build: Build, root_path: str, path: str) -> None:
    """A path that is no file's goes to the app behind, folders too."""
    assert from_behind(ask(build(), path, root_path=root_path))


def test_the_app_behind_gets_the_request_untouched(build: Build, root_path: str) -> None:
    """What is no static file reaches the app behind with its own scope, receive and send."""
    seen: list[Any] = []

    async def behind(*args: Any) -> None:
        seen.extend(args)
        await not_found(*args)

    ask(build(behind), "/page/", root_path=root_path)
    assert (seen[0]["path"], seen[0]["root_path"]) == (f"{root_path}/page/", root_path)


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "unknown"])
def test_other_scope_types_go_on(build: Build, kind: str) -> None:
    """Only http is looked at: a scope of another type, which may have no path, goes to the app behind."""
    scopes = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    coroutine = build(behind)({"type": kind}, None, None)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert scopes == [{"type": kind}]


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_encoded_variants(build: Build, root_path: str, coding: str) -> None:
    """A variant encoded beforehand is sent to who accepts it, with an entity tag of its own."""
    static = build()
    plain = ask(static, "/static/css/app.css", root_path=root_path)
    answer = ask(static, "/static/css/app.css", headers={"Accept-Encoding": coding}, root_path=root_path)
    assert answer.headers["content-encoding"] == coding
    assert {"gzip": gzip.decompress, "br": brotli.decompress}[coding](answer.body) == CSS
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["etag"] != plain.headers["etag"]
    again = {"Accept-Encoding": coding, "If-None-Match": answer.headers["etag"]}
    unchanged = ask(static, "/static/css/app.css", headers=again, root_path=root_path)
    assert (unchanged.status, unchanged.headers["etag"]) == (304, answer.headers["etag"])


def test_encoded_variants_have_no_path_of_their_own(build: Build, root_path: str) -> None:
    """A compressed variant is not served as a file."""
    assert from_behind(ask(build(), "/static/css/app.css.gz", root_path=root_path))


def test_no_acceptable_coding(build: Build, root_path: str) -> None:
    """Who excludes every coding that there is gets 406."""
    answer = ask(build(), "/static/css/app.css", headers={"Accept-Encoding": "identity;q=0"}, root_path=root_path)
    assert (answer.status, answer.body) == (406, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(build: Build, root_path: str, method: str) -> None:
    """A file answers GET and HEAD alone, and says so."""
    static = build(WHITENOISE_INDEX_FILE=True)
    for path in ("/static/css/app.css", "/static/docs"):
        if path == "/static/docs" and method == "OPTIONS":
            continue
        answer = ask(static, path, method=method, root_path=root_path)
        assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET, HEAD", b"")


@pytest.mark.parametrize("memory", [2**20, 0])
def test_head(build: Build, root_path: str, memory: int) -> None:
    """HEAD has the headers of GET and no body, and Range means nothing to it."""
    static = build(memory=memory)
    get = ask(static, "/static/css/app.css", root_path=root_path)
    head = ask(static, "/static/css/app.css", method="HEAD", headers={"Range": "bytes=0-1"}, root_path=root_path)
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")


def test_conditions_and_ranges_meet(build: Build, root_path: str) -> None:
    """A condition is looked at before the range, and If-Range before the part is cut."""
    static = build()
    first = ask(static, "/static/css/app.css", root_path=root_path).headers
    path, etag, part = "/static/css/app.css", first["etag"], "bytes=3-5"
    table: list[tuple[dict[str, str], int, bytes]] = [
        ({"Range": part}, 206, CSS[3:6]),
        ({"Range": part, "If-Range": etag}, 206, CSS[3:6]),
        ({"Range": part, "If-Range": first["last-modified"]}, 206, CSS[3:6]),
        ({"Range": part, "If-Range": '"other"'}, 200, CSS),
        ({"Range": part, "If-Range": f"W/{etag}"}, 200, CSS),
        ({"Range": part, "If-None-Match": etag}, 304, b""),
        ({"Range": part, "If-Match": '"other"'}, 412, b""),
        ({"Range": "bytes=0-1,3-4"}, 200, CSS),
        ({"Range": "bytes=-0"}, 416, b""),
        ({"Range": "bytes=-0", "If-Range": '"other"'}, 200, CSS),
    ]
    for headers, status, body in table:
        answer = ask(static, path, headers=headers, root_path=root_path)
        assert (headers, answer.status, answer.body) == (headers, status, body)
    unsatisfied = ask(static, path, headers={"Range": "bytes=-0"}, root_path=root_path)
    assert unsatisfied.headers["content-range"] == f"bytes */{len(CSS)}"


def test_not_modified_headers(build: Build, root_path: str) -> None:
    """A 304 has the headers that keep the client's copy fresh, and none about a body."""
    static = build()
    date = ask(static, "/static/css/app.css", root_path=root_path).headers["last-modified"]
    answer = ask(static, "/static/css/app.css", headers={"If-Modified-Since": date}, root_path=root_path)
    of_security = {"cross-origin-opener-policy", "referrer-policy", "x-content-type-options"}
    assert (answer.status, set(answer.headers)) == (304, {"cache-control", "etag", "vary"} | of_security)


def test_headers_are_fresh_for_each_answer(build: Build) -> None:
    """What middleware adds to the headers of one answer is not in the next."""
    static = build()
    for headers in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}):
        first = ask(static, "/static/css/app.css", headers=headers)
        before = len(first.messages[0]["headers"])
        first.messages[0]["headers"].append((b"x-added", b"1"))
        first.messages[0]["x"] = first.messages[-1]["body"] = b"spoilt"
        again = ask(static, "/static/css/app.css", headers=headers)
        assert len(again.messages[0]["headers"]) == before
        assert again.body == {200: CSS, 206: CSS[:2], 304: b""}[again.status]


def test_settings_of_whitenoise(build: Build, root_path: str) -> None:
    """The settings of WhiteNoise mean what they mean to WhiteNoise."""
    static = build(
        WHITENOISE_MAX_AGE=7,
        WHITENOISE_ALLOW_ALL_ORIGINS=False,
        WHITENOISE_CHARSET="latin-1",
        WHITENOISE_MIMETYPES={"app.css": "text/x-own"},
        WHITENOISE_STATIC_PREFIX="/assets/",
    )
    answer = ask(static, "/assets/css/app.css", root_path=root_path)
    assert answer.headers["cache-control"] == "max-age=7, public"
    assert answer.headers["content-type"] == 'text/x-own; charset="latin-1"'
    assert "access-control-allow-origin" not in answer.headers


def test_add_headers_function(build: Build, root_path: str) -> None:
    """A headers function may add headers, also several of one name, and replace ours."""

    def add_headers(headers: Any, path: str, url: str) -> None:
        headers["X-Place"] = f"{Path(path).name} {url}"
        headers["ETag"] = 'W/"own"'
        headers.add_header("Link", "<a>")
        headers.add_header("Link", "<b>")

    static = build(WHITENOISE_ADD_HEADERS_FUNCTION=add_headers)
    answer = ask(static, "/static/css/app.css", root_path=root_path)
    assert answer.headers["x-place"] == "app.css /static/css/app.css"
    assert [value for name, value in answer.messages[0]["headers"] if name == b"link"] == [b"<a>", b"<b>"]
    assert ask(static, "/static/css/app.css", headers={"If-None-Match": '"own"'}, root_path=root_path).status == 304
    encoded = ask(static, "/static/css/app.css", headers={"Accept-Encoding": "br"}, root_path=root_path)
    assert encoded.headers["etag"] == 'W/"own-br"'
    other = ask(static, "/static/na\u00efve \u2713.txt", root_path=root_path)
    assert other.headers["x-place"].startswith("=?utf-8?")


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_collected_while_files_are_looked_up(build: Build, mode: str, enabled: bool) -> None:
    """The garbage collector rests while a table is filled, and is left as it was found, also where that fails."""
    seen: list[bool] = []

    def add_headers(headers: Any, path: str, url: str) -> None:
        seen.append(gc.isenabled())
        raise LookupError(url)

    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.nullcontext() if mode == "autorefresh" else pytest.raises(LookupError):
            build(WHITENOISE_ADD_HEADERS_FUNCTION=add_headers)
        assert seen == ([] if mode == "autorefresh" else [False])
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_root_files(build: Build, root_path: str, tmp_path: Path) -> None:
    """The files of WHITENOISE_ROOT are served at the root of the site."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "robots.txt").write_bytes(b"User-agent: *")
    static = build(WHITENOISE_ROOT=tmp_path / "site")
    assert ask(static, "/robots.txt", root_path=root_path).body == b"User-agent: *"
    assert ask(static, "/static/css/app.css", root_path=root_path).body == CSS
    assert from_behind(ask(static, "/other/", root_path=root_path))


@pytest.mark.parametrize(("path", "leads_to"), [("/static/docs", "/static/docs/"), ("/static/docs/index.html", None)])
def test_index_files(build: Build, root_path: str, path: str, leads_to: str | None) -> None:
    """A folder's index file is served at the folder's path, to which the other two paths lead."""
    static = build(WHITENOISE_INDEX_FILE=True)
    assert ask(static, "/static/docs/", root_path=root_path).body == b"<p>index</p>"
    answer = ask(static, path, root_path=root_path)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (302, b"", "0")
    assert urljoin(root_path + path, answer.headers["location"]) == f"{root_path}/static/docs/"
    assert from_behind(ask(static, "/static/css", root_path=root_path))


def test_index_file_of_the_site(build: Build, mode: str, folder: Path) -> None:
    """The index file of the whole site is found at an outer prefix too, with its slash and, in production, without."""
    (folder / "index.html").write_bytes(b"home")
    static = build(STATIC_ROOT=None, WHITENOISE_ROOT=str(folder), WHITENOISE_INDEX_FILE=True)
    assert ask(static, "/", root_path="/pre").body == b"home"
    bare = ask(static, "", root_path="/pre")
    if mode == "production":
        assert (bare.status, urljoin("http://h/pre", bare.headers["location"])) == (302, "http://h/pre/")
    else:
        assert from_behind(bare)


def test_finders(build: Build, root_path: str) -> None:
    """With the finders the static files of apps are served without collectstatic."""
    static = build(STATIC_ROOT=None, WHITENOISE_USE_FINDERS=True)
    answer = ask(static, "/static/admin/css/base.css", root_path=root_path)
    assert (answer.status, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')
    assert from_behind(ask(static, "/static/admin/css", root_path=root_path))


def test_guard_sees_requests_for_files_alone(build: Build, root_path: str) -> None:
    """The guard stands before the files, and before nothing else."""
    seen = []

    def guard(app: Any) -> Any:
        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            if scope["headers"][0] == (b"host", b"testserver"):
                await send({"type": "http.response.start", "status": 400, "headers": []})
                await send({"type": "http.response.body"})
            else:
                await app(scope, receive, send)

        return guarded

    static = build(guard=guard)
    assert ask(static, "/static/css/app.css", root_path=root_path).status == 400
    assert from_behind(ask(static, "/page/", root_path=root_path))
    assert from_behind(ask(static, "/static/none.css", root_path=root_path))
    assert seen == [f"{root_path}/static/css/app.css"]


def test_a_vanished_file_is_left_to_the_app_behind(build: Build, root_path: str, folder: Path) -> None:
    """A file that has vanished since the start is the app's 404, also for its parts and its headers."""
    static = build()
    (folder / "css" / "app.css").unlink()
    for method, headers in [("GET", {}), ("GET", {"Range": "bytes=0-1"}), ("HEAD", {})]:
        answer = ask(static, "/static/css/app.css", method=method, headers=headers, root_path=root_path)
        assert from_behind(answer)


def test_a_large_vanished_file(build: Build, root_path: str, folder: Path) -> None:
    """A file that would be streamed, and is gone, is the app's 404, also where the server would send it."""
    static = build(memory=0)
    (folder / "css" / "app.css").unlink()
    assert from_behind(ask(static, "/static/css/app.css", root_path=root_path))
    answer = ask(static, "/static/css/app.css", root_path=root_path, extensions={"http.response.pathsend": {}})
    assert from_behind(answer)


def test_a_file_in_memory_outlives_the_one_on_the_disk(build: Build, mode: str, folder: Path) -> None:
    """In production a file is read once; with autorefresh it is gone when it is gone."""
    static = build()
    ask(static, "/static/css/app.css")
    (folder / "css" / "app.css").unlink()
    answer = ask(static, "/static/css/app.css")
    assert answer.body == CSS if mode == "production" else from_behind(answer)


@pytest.mark.parametrize("memory", [2**20, 0])
def test_a_changed_file_has_its_new_length(build: Build, root_path: str, folder: Path, memory: int) -> None:
    """A file that was changed after the start, before it was read, comes whole, with headers that fit it."""
    static = build(memory=memory)
    for content in (b"a longer text " * 500, b"short"):
        (folder / "css" / "app.css").write_bytes(content)
        answer = ask(static, "/static/css/app.css", root_path=root_path)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, content, str(len(content)))


@pytest.mark.parametrize("mode", ["autorefresh"])
def test_autorefresh_sees_every_change(build: Build, folder: Path) -> None:
    """With autorefresh new, changed and removed files are seen at once."""
    static = build()
    new = folder / "new.txt"
    assert from_behind(ask(static, "/static/new.txt"))
    for content in (b"one", b"two!", b"3"):
        new.write_bytes(content)
        assert ask(static, "/static/new.txt").body == content
    new.unlink()
    assert from_behind(ask(static, "/static/new.txt"))
    assert static._table._known_files.memory.used == 0


def test_the_disk_is_not_asked_for_an_unknown_path(build: Build, mode: str, root_path: str, folder: Path) -> None:
    """An unknown path sends nobody to the disk: in production none does, with autorefresh none outside STATIC_URL."""
    static = build()
    (folder / "new.txt").write_bytes(b"new")

    async def ask_here(path: str) -> bool:
        assert from_behind(await call(static, http_scope(root_path + path, root_path=root_path)))
        return any(thread.name == "AnyIO worker thread" for thread in threading.enumerate())

    assert not asyncio.run(ask_here("/page/"))
    assert not asyncio.run(ask_here("/static/folder/"))
    assert not asyncio.run(ask_here("/static/none\0.css"))
    assert asyncio.run(ask_here("/static/none.css")) is (mode == "autorefresh")
    assert (ask(static, "/static/new.txt", root_path=root_path).body == b"new") is (mode == "autorefresh")


def test_a_link_inside_the_roots_is_served(build: Build, root_path: str, folder: Path) -> None:
    """A symlink to a file of another root is served, as `collectstatic --link` makes them."""
    static_folder = Path(__import__("django").__file__).parent / "contrib" / "admin" / "static"
    (folder / "base.css").symlink_to(static_folder / "admin" / "css" / "base.css")
    (folder / "linked").symlink_to(folder / "css")
    static = build()
    assert ask(static, "/static/base.css", root_path=root_path).status == 200
    assert ask(static, "/static/linked/app.css", root_path=root_path).body == CSS


def test_a_link_out_of_the_roots(build: Build, mode: str, root_path: str, folder: Path, tmp_path: Path) -> None:
    """A symlink out of the roots is served if it was there at the start, and never with autorefresh."""
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("file.txt", "index.html", "app.css.gz"):
        (secret / name).write_bytes(b"secret")
    (folder / "file.txt").symlink_to(secret / "file.txt")
    (folder / "dir").symlink_to(secret)
    (folder / "docs" / "index.html").unlink()
    (folder / "docs" / "index.html").symlink_to(secret / "index.html")
    (folder / "css" / "app.css.gz").unlink()
    (folder / "css" / "app.css.gz").symlink_to(secret / "app.css.gz")
    static = build(WHITENOISE_INDEX_FILE=True)
    encoded = ask(static, "/static/css/app.css", headers={"Accept-Encoding": "gzip"}, root_path=root_path)
    paths = ["/static/file.txt", "/static/dir/file.txt", "/static/docs/", "/static/dir/"]
    answers = [ask(static, path, root_path=root_path) for path in paths]
    if mode == "production":
        assert [answer.body for answer in [*answers, encoded]] == [b"secret"] * 5
    else:
        assert all(from_behind(answer) for answer in answers)
        assert (encoded.status, encoded.body) == (200, CSS)


def test_links_that_lead_nowhere(build: Build, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Dangling links, links that lead back, and pipes stop neither the start nor a request."""
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "css" / "up").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    static = build()
    for name in ("dangling", "itself", "css/up", "pipe"):
        assert from_behind(ask(static, f"/static/{name}"))
    assert ask(static, "/static/css/app.css").body == CSS
    assert len(static._table.files) < 10


STEPS = ("..", ".", "", "...", "....", "..;", "..\\", "..\\..", "\\", "%2e%2e", "..%2f", "%00", "\0", "\x01", "C:", "~")
TARGETS = ("secret.txt", "secret.txt\0.css", "css/../../secret.txt", "\\secret.txt", "secret.txt/", "secret.txt/.")


def test_traversal(build: Build, root_path: str, folder: Path, tmp_path: Path) -> None:
    """No path leads to a file outside of the roots, and none raises an exception."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (folder.parent / "root_secret").mkdir()
    (folder.parent / "root_secret" / "secret.txt").write_bytes(b"secret")
    static = build(WHITENOISE_ROOT=str(folder / "docs"), WHITENOISE_USE_FINDERS=True, WHITENOISE_INDEX_FILE=True)
    heads = ("/static/", "/static/css/", "/", "//", "/static//", "/static", "", "/static/../")
    paths = [
        head + "/".join(steps) + "/" + target
        for head, steps, target in itertools.product(heads, itertools.product(STEPS, repeat=2), TARGETS[:2])
    ]
    paths += [head + target for head, target in itertools.product(heads, TARGETS)]
    paths += [f"/static/{tmp_path}/secret.txt", f"/static/{folder}/../secret.txt", "/static/../root_secret/secret.txt"]
    paths += [f"{tmp_path}/secret.txt", f"/{tmp_path}/secret.txt", "/static/" + "a" * 5000, "/static/" + "a/" * 3000]
    paths += ["/static/\udcff", "/static/\ud800.css", "/static/css/app.css\0", "/static/css\\app.css", "/static/.."]

    async def ask_for_all() -> None:
        for path in paths:
            answer = await call(static, http_scope(root_path + path, root_path=root_path))
            assert (path, from_behind(answer)) == (path, True)

    asyncio.run(ask_for_all())


def test_a_path_that_django_suspects(build: Build, root_path: str) -> None:
    """A path that leads out of a finder's folder, at which Django raises SuspiciousFileOperation, is no file's."""
    static = build(WHITENOISE_STATIC_PREFIX="/", WHITENOISE_USE_FINDERS=True)
    assert ask(static, "/admin/css/base.css", root_path=root_path).status == 200
    assert from_behind(ask(static, "//etc/passwd", root_path=root_path))


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "named",
    [
        {"STATIC_URL": None},
        {"STATIC_URL": None, "STATIC_ROOT": None},
        {"STATIC_ROOT": None},
        {"STATIC_ROOT": "/nowhere/at/all"},
        {"STATIC_ROOT": ""},
        {"STATIC_URL": None, "INSTALLED_APPS": ["django.contrib.contenttypes"]},
        {"STORAGES": {}},
        {"STORAGES": {"staticfiles": {"BACKEND": "no.such.Storage"}}},
        {"STATICFILES_DIRS": ["/nowhere/at/all"]},
    ],
    ids=lambda named: " ".join(f"{name}={value}" for name, value in named.items()),
)
def test_settings_that_name_no_files(build: Build, settings: Any, named: dict[str, Any], debug: bool) -> None:
    """Missing settings and folders stop nothing: without a file, all goes to the app behind."""
    settings.DEBUG = debug
    static = build(**named)
    assert from_behind(ask(static, "/page/"))
    assert from_behind(ask(static, "/static/none.css"))
    if "STATIC_URL" in named:
        assert from_behind(ask(static, "/admin/css/base.css"))


@pytest.mark.parametrize("static_root", [None, "/nowhere/at/all"])
def test_missing_files_are_logged_once_in_production(
    build: Build, mode: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, static_root: str | None
) -> None:
    """Production says once what it lacks, and tests do not; with autorefresh a folder may come later."""
    with caplog.at_level(logging.WARNING, "djfast_mount"):
        build(STATIC_ROOT=static_root)
        assert caplog.records == []
        monkeypatch.delattr(mail, "outbox")  # what Django's set-up of tests has made
        build(STATIC_ROOT=static_root)
    assert len(caplog.records) == (1 if mode == "production" else 0)
    assert all(record.name == "djfast_mount" and "collectstatic" in record.getMessage() for record in caplog.records)


def test_an_unreadable_file_is_logged(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is there and may not be read is the app's 404, with the cause in the log."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        Path(root, "file.txt").write_bytes(b"x")
        os.chmod(Path(root, "file.txt"), 0)
        static = build(STATIC_ROOT=root)
        superuser = os.geteuid() == 0
        try:
            if superuser:
                os.seteuid(65534)
            answer = ask(static, "/static/file.txt")
        finally:
            if superuser:
                os.seteuid(0)
    assert from_behind(answer)
    assert "Permission denied" in caplog.text
