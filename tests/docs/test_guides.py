"""The guides for moving in: each diff is applied to a project of its shape, which then answers as it did before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffs import apply
from harness import PYTHONPATH, TESTS

pytestmark = [pytest.mark.once, pytest.mark.long]

GUIDES = Path(__file__).parent / "guides"
DJANGOS = ["/count/", "/count", "/none/", "POST /count/"]
APIS = ["/api/users", "/api/none", "POST /api/users"]
SERVED = ["/server/count/", "/server/count", "/server/none/", "/users", "/none", "POST /users"]

# The guide, the app before and after the diffs, what both are asked for, and what is new.
MOVES: list[tuple[str, str, str, list[str], list[str]]] = [
    ("from-a-mount", "mysite.asgi:application", "mysite.asgi:application", DJANGOS + APIS, []),
    ("from-a-mount", "mysite.main:application", "mysite.main:application", SERVED, []),
    ("from-a-mount", "mysite.wsgi_main:application", "mysite.wsgi_main:application", SERVED, []),
    ("from-two-servers", "mysite.asgi:application", "mysite.asgi:application", DJANGOS, APIS),
    ("from-wsgi", "mysite.wsgi:application", "mysite.asgi:application", DJANGOS, APIS),
    (
        "from-drf",
        "mysite.asgi:application",
        "mysite.asgi:application",
        ["/api/users/", "/api/users/1/", "/api/groups/", "/api/users", "/api/none/", "POST /api/users/"],
        ["/api/users/9/"],
    ),
    (
        "from-django-ninja",
        "mysite.asgi:application",
        "mysite.asgi:application",
        ["/api/users", "/api/users/1", "/api/users/9", "/api/count", "/api/none"],
        ["/api/openapi.json"],
    ),
]


def answers(folder: Path, target: str, rows: list[str]) -> list[Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO")},
        "PYTHONPATH": f"{folder}{os.pathsep}{PYTHONPATH}",
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "GUIDE_DATABASE": str(folder / "db.sqlite3"),
    }
    command = [sys.executable, "-W", "ignore", str(TESTS / "docs" / "asked.py"), target, *rows]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return [[row, *same(answer)] for row, answer in zip(rows, found, strict=True)]


def same(answer: list[Any]) -> list[Any]:
    """JSON is compared as such: FastAPI writes it without spaces."""
    status, kind, location, text = answer
    return [status, (kind or "").split(";")[0], location, json.loads(text) if "json" in (kind or "") else text]


@pytest.mark.parametrize(("guide", "before", "after", "rows", "new"), MOVES, ids=[f"{m[0]} {m[1]}" for m in MOVES])
def test_the_project_answers_as_before(
    guide: str, before: str, after: str, rows: list[str], new: list[str], tmp_path: Path
) -> None:
    """With the diffs of the page applied, every path is answered as it was, and what is new is answered."""
    folder = tmp_path / "project"
    shutil.copytree(GUIDES / guide.replace("-", "_"), folder)
    then = answers(folder, before, rows)
    apply(guide, folder)
    now = answers(folder, after, [*rows, *new])
    different = [(old, found) for old, found in zip(then, now[: len(rows)], strict=True) if old != found]
    assert different == []
    assert {found[1] for found in now[len(rows) :]} <= {200, 404, 405}


def test_two_servers_are_one(tmp_path: Path) -> None:
    """What the API's own server answered behind the proxy, which strips the prefix, the one process answers."""
    folder = tmp_path / "project"
    shutil.copytree(GUIDES / "from_two_servers", folder)
    [(_, *then)] = answers(folder, "mysite.api:api", ["/users"])
    apply("from-two-servers", folder)
    [(_, *now)] = answers(folder, "mysite.asgi:application", ["/api/users"])
    assert now == then
    assert "location /api/" not in (folder / "nginx.conf").read_text()
