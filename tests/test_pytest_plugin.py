"""The pytest plugin: tests/testing_project/checks_*.py in processes of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from harness import TESTS

pytestmark = pytest.mark.long

POSTGRES = os.environ.get("DATABASE_URL", "")
PROJECT = TESTS / "testing_project"


def run(folder: Path, *options: str, database: str = POSTGRES or "sqlite", **env: str) -> str:
    """What pytest writes, and at its end the names of the databases that it has left."""
    name = uuid4().hex[:8]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pytest.ini", *options],
        cwd=PROJECT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "testing_project.settings",
            "TESTING_DATABASE": database,
            "TESTING_FOLDER": str(folder),
            "TESTING_NAME": name,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = process.stdout + process.stderr
    assert process.returncode == 0, output
    assert databases(name, folder) == []
    return output


def databases(name: str, folder: Path) -> list[str]:
    if not POSTGRES:
        return [path.name for path in folder.glob(f"test-{name}*")]
    with psycopg.connect(POSTGRES) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"test_{name}%"])
        return [row[0] for row in rows]


def test_the_fixtures(tmp_path: Path) -> None:
    """The clients and the live server work with pytest-django's fixtures, and leave no database behind."""
    assert "21 passed" in run(tmp_path, "checks_plugin.py", "-p", "no:asyncio")


def test_xdist(tmp_path: Path) -> None:
    """They work in several processes at once, each with databases of its own."""
    output = run(tmp_path, "checks_plugin.py", "-p", "no:asyncio", "-n", "2")
    assert "2 workers" in output
    assert "21 passed" in output


@pytest.mark.skipif(importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed")
def test_pytest_asyncio(tmp_path: Path) -> None:
    """Where the loop runs in the test's own thread, `db` is enough for the API to see the data."""
    option = "asyncio_default_fixture_loop_scope=function"
    assert "4 passed" in run(tmp_path, "checks_asyncio.py", "-o", option)


@pytest.mark.skipif(bool(POSTGRES), reason="SQLite alone has it")
def test_databases_in_memory(tmp_path: Path) -> None:
    """A database in memory has one connection: the test's, which the live server shares."""
    assert "21 passed" in run(tmp_path, "checks_plugin.py", "-p", "no:asyncio", database="memory")


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """pytest loads the plugin in every project: it imports neither Django, nor FastAPI, nor httpx."""
    code = "import djfast_mount.pytest_plugin, sys; print(sorted({'django', 'fastapi', 'httpx'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
