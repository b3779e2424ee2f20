"""manage.py mount_routes: who answers what, and what nobody will ever see answered.

Holds `management/commands/mount_routes.py`, `management/unreachable_routes.py` and `management/tables.py`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dev_site import Folder, Running

pytestmark = pytest.mark.long

API = """
from typing import Annotated
from fastapi import APIRouter, FastAPI, WebSocket
from djfast_mount.auth import StaffUser
api = FastAPI(title="Pages")
@api.get("/words/{word}", name="word")
def word(word: str) -> str:
    return word
@api.get("/words/latest", name="latest")
async def latest() -> str:
    return "latest"
@api.post("/words/latest", name="add")
async def add(user: StaffUser) -> str:
    return "added"
@api.websocket("/words/{word}")
async def listen(websocket: WebSocket, word: str) -> None:
    await websocket.accept()
@api.get("/files/{path:path}", name="files")
def files(path: str) -> str:
    return path
@api.get("/files/a/b", name="one_file")
def one_file() -> str:
    return "a/b"
"""
URLS = """
from django.contrib import admin
from django.urls import include, path, re_path
from pages.views import home
urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("items/<int:id>/", home, name="item"),
    path("items/<slug:slug>/", home, name="by_slug"),
    path("items/7/", home, name="seven"),
    path("items/new/", home, name="new"),
    re_path(r"^old/(?P<year>[0-9]{4})/$", home, name="old"),
    path("api/", include([path("legacy/", home, name="legacy")])),
    path("healthz", home, name="health"),
]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("routes"))
    folder.write("pages/api.py", API)
    folder.write("mysite/urls.py", URLS)
    return folder


def run(folder: Folder, *options: str) -> subprocess.CompletedProcess[str]:
    done = folder.manage("mount_routes", *options)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def table(folder: Folder) -> dict[str, dict[str, Any]]:
    """The whole table, by name."""
    return {row["name"]: row for row in json.loads(run(folder, "--json").stdout)}


def test_both_halves_are_in_one_table(table: dict[str, dict[str, Any]]) -> None:
    """Each route has path, methods, name, owner, whether it is async, and whom it is for."""
    assert table["api:add"] == {
        "path": "/api/words/latest",
        "methods": ["POST"],
        "name": "api:add",
        "owner": "FastAPI",
        "is_async": True,
        "auth": "staff",
        "shadowed_by": "",
    }
    assert (table["item"]["path"], table["item"]["owner"], table["item"]["is_async"]) == (
        "/items/<int:id>/",
        "Django",
        False,
    )
    assert table["admin:index"]["auth"] == "staff"


def test_shadowed_routes_are_named(folder: Folder, table: dict[str, dict[str, Any]]) -> None:
    """A route whose every path an earlier one takes, with its methods, is told with what answers first."""
    assert {name: row["shadowed_by"] for name, row in table.items() if row["shadowed_by"]} == {
        "api:latest": "/api/words/{word}",
        "api:one_file": "/api/files/{path:path}",
        "seven": "/items/<int:id>/",
        "new": "/items/<slug:slug>/",
        "health": "/healthz",
    }
    told = run(folder).stderr
    assert "/api/words/latest is never reached: /api/words/{word} answers first." in told
    assert "/api/legacy/ of the URLconf is never reached: all of /api is another app's." in told


def test_each_url_has_the_library_that_serves_it(folder: Folder) -> None:
    """In the order in which they are asked: health by the root, the API by FastAPI, static files, and Django's rest."""
    rows = json.loads(run(folder, "--json").stdout)
    assert list(dict.fromkeys(row["owner"] for row in rows)) == ["root", "FastAPI", "static", "Django"]
    assert [row["path"] for row in rows if row["owner"] == "root"] == ["/healthz", "/readyz"]
    assert [row["path"] for row in rows if row["owner"] == "static"] == ["/static/{path:path}"]


def test_static_files_under_a_prefix_are_told(tmp_path: Path) -> None:
    """A STATIC_URL under the prefix of an app, whose it is, is warned of."""
    folder = Folder(tmp_path)
    folder.change("mysite/settings.py", 'STATIC_URL = "static/"', 'STATIC_URL = "/api/static/"')
    told = run(folder).stderr
    assert "/api/static/{path:path} of the static files is never reached: all of /api is another app's." in told


def test_rows_can_be_chosen(folder: Folder) -> None:
    """Words, an owner and a method each leave the rows that have them."""

    def names(*options: str) -> set[str]:
        return {row["name"] for row in json.loads(run(folder, "--json", *options).stdout)}

    assert names("words", "staff") == {"api:add"}
    assert names("ITEMS", "--owner", "django") == {"item", "by_slug", "seven", "new"}
    assert {row["path"] for row in json.loads(run(folder, "--json", "--owner", "STATIC").stdout)} == {
        "/static/{path:path}"
    }
    assert names("words", "--method", "post") == {"api:add"}
    assert names("words", "--method", "websocket") == {"api:listen"}


def test_plain_columns_are_written_to_a_pipe(folder: Folder) -> None:
    """Where no terminal reads, each row is a line of plain columns, and the last one counts them."""
    lines = run(folder, "words").stdout.splitlines()
    assert lines[0].split() == ["path", "methods", "name", "owner", "runs", "auth"]
    assert lines[2].split() == ["/api/words/{word}", "GET", "api:word", "FastAPI", "sync"]
    assert lines[-1].startswith("4 of ")
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_table(folder: Folder) -> None:
    """On a terminal the rows stand in a table with lines."""
    with Running(folder, "manage.py", "mount_routes", "items", port=0, COLUMNS="120") as running:
        assert running.until_ended() == 0
        assert "────" in running.log
        assert "/items/<int:id>/" in running.log


def test_the_app_may_be_named(tmp_path: Path) -> None:
    """settings.ASGI_APPLICATION says where the app is, in Django's words or a server's; a wrong one is told."""
    folder = Folder(tmp_path)
    (tmp_path / "mysite" / "asgi.py").rename(tmp_path / "mysite" / "entry.py")
    for named in ("mysite.entry.app", "mysite.entry:app"):
        folder.write("mysite/local.py", f'from mysite.settings import *\nASGI_APPLICATION = "{named}"\n')
        done = folder.manage("mount_routes", "word", DJANGO_SETTINGS_MODULE="mysite.local")
        assert "/api/word" in done.stdout
    folder.write("mysite/local.py", 'from mysite.settings import *\nASGI_APPLICATION = "mysite.entry.api"\n')
    done = folder.manage("mount_routes", DJANGO_SETTINGS_MODULE="mysite.local")
    assert done.returncode == 1
    assert "mysite.entry has no 'api'" in done.stderr
    folder.write("mysite/local.py", 'from mysite.settings import *\nASGI_APPLICATION = "mysite.entry"\n')
    done = folder.manage("mount_routes", DJANGO_SETTINGS_MODULE="mysite.local")
    assert 'ASGI_APPLICATION = "mysite.entry.app"' in done.stderr


def test_a_wrapped_app_is_found(tmp_path: Path) -> None:
    """What mount() returned is found beside the app that was put around it, and missed where it was not kept."""
    folder = Folder(tmp_path)
    folder.change("mysite/asgi.py", "app = mount(", "root = mount(")
    asgi = (tmp_path / "mysite" / "asgi.py").read_text()
    folder.write(
        "mysite/asgi.py", asgi + "async def app(scope, receive, send):\n    await root(scope, receive, send)\n"
    )
    assert "/api/word" in folder.manage("mount_routes").stdout
    folder.change("mysite/asgi.py", "root = mount(", "roots = [mount(")
    folder.change("mysite/asgi.py", '"pages.api:api")', '"pages.api:api")]')
    assert "in which no app of mount() can be found" in folder.manage("mount_routes").stderr


def test_plans_are_told_with_the_reasons_where_there_is_none(folder: Folder) -> None:
    """`--plans` lists FastAPI's routes, those that a plan serves and those that FastAPI serves, with the reason."""
    ways = {(row["path"], row["methods"]): row for row in json.loads(run(folder, "--plans", "--json").stdout)}
    assert ways["/api/words/{word}", "GET"]["served_by"] == "plan"
    assert ways["/api/openapi.json", "GET HEAD"] == {
        "path": "/api/openapi.json",
        "methods": "GET HEAD",
        "served_by": "FastAPI",
        "reason": "no APIRoute",
    }
    assert "5 of 9 routes are served by a plan" in run(folder, "--plans").stdout
