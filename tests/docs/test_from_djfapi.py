"""The guide from djfapi: its diffs are applied, and each answer is that of djfapi, or differs as the guide tells.

djfapi 0.0.70 runs with Pydantic 1 (fastapi 0.99.1, starlette 0.27.0, django-health-check 3.18.3) and so cannot share an
environment with this suite. What it answered is in from_djfapi.json. To ask it anew, give a Python that has it:
DJFAPI_PYTHON=/path/to/python pytest tests/docs/test_from_djfapi.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from diffs import DOCS, apply
from harness import PYTHONPATH, TESTS

jwt = pytest.importorskip("jwt")

pytestmark = [pytest.mark.once, pytest.mark.long]

GUIDES = Path(__file__).parent / "guides"
KEY = "not a secret: this key signs tokens of tests alone"
ALL = ["read", "create", "update", "delete"]
# Method, path, body, token, djfapi's answer; where it is another one now, that one and the words of the guide for it.
ROWS: list[Any] = json.loads((Path(__file__).parent / "from_djfapi.json").read_text())


def token(actions: list[str], tenant: str = "acme", lasts: int = 600) -> str:
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "iat": now, "nbf": now, "exp": now + lasts, "sub": "ada", "jti": "1"}
    scopes = [f"directory.companies.{action}" for action in actions]
    return str(jwt.encode({**claims, "ten": tenant, "aud": scopes}, KEY, algorithm="HS256"))


def answers(folder: Path, python: str, path: str) -> list[Any]:
    tokens = {
        "writer": token(ALL),
        "reader": token(["read"]),
        "stranger": token(ALL, "other"),
        "late": token(["read"], lasts=-60),
        "garbage": "garbage",
        None: None,
    }
    requests = [[method, path, body, tokens[holder]] for method, path, body, holder, *_ in ROWS]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO")},
        "PYTHONPATH": f"{folder}{os.pathsep}{path}",
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "GUIDE_DATABASE": str(folder / "db.sqlite3"),
        "GUIDE_KEY": KEY,
    }
    done = subprocess.run(
        [python, "-W", "ignore", str(TESTS / "docs" / "asked_in_turn.py"), "mysite.asgi:app"],
        input=json.dumps(requests),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [told(*answer) for answer in json.loads(done.stdout.splitlines()[-1])]


def told(status: int, body: Any) -> list[Any]:
    """Errors are compared by their status: the guide tells that they have another shape."""
    if status >= 300:
        return [status, None]
    new = {"next", "total"}
    return [
        status,
        {name: value for name, value in body.items() if name not in new} if isinstance(body, dict) else body,
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(GUIDES / "from_djfapi", tmp_path / "project")


def test_what_djfapi_answered(folder: Path) -> None:
    """djfapi itself answers as from_djfapi.json says."""
    if "DJFAPI_PYTHON" not in os.environ:
        pytest.skip("DJFAPI_PYTHON names no Python that has djfapi.")
    found = answers(folder, os.environ["DJFAPI_PYTHON"], "")
    assert [row[:5] for row in ROWS] == [[*row[:4], answer] for row, answer in zip(ROWS, found, strict=True)]


def test_the_project_answers_as_the_guide_tells(folder: Path) -> None:
    """With the diffs of the page applied, each answer is djfapi's, or the other one that the page has a row for."""
    apply("from-djfapi", folder)
    found = answers(folder, sys.executable, PYTHONPATH)
    expected = [row[5] if len(row) > 5 else row[4] for row in ROWS]
    for row, answer, want in zip(ROWS, found, expected, strict=True):
        assert answer == want, row
    left = (folder / "mysite" / "asgi.py").read_text() + (folder / "companies" / "api.py").read_text()
    assert "import DjangoFastAPI" not in left
    assert "from djdantic" not in left


def test_the_guide_has_a_row_for_each_difference() -> None:
    """Each answer that differs has its row in the table of the page."""
    table = (DOCS / "from-djfapi.md").read_text().partition("## What is different")[2]
    first = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    missing = [row[6] for row in ROWS if len(row) > 5 and not any(row[6] in cell for cell in first)]
    assert missing == []
