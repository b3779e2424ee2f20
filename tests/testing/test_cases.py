"""The unittest classes under Django's own runner: tests/testing_project/books/tests.py in processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from harness import TESTS

pytestmark = pytest.mark.once

POSTGRES = os.environ.get("DATABASE_URL", "")
Runner = Callable[..., str]


@pytest.fixture
def name() -> str:
    """What the names of this test's databases contain."""
    return uuid4().hex[:8]


@pytest.fixture
def runner(name: str, tmp_path: Path) -> Runner:
    """``manage.py test``, with every warning an error. Returns what it has written."""

    def run(*options: str, database: str = POSTGRES or "sqlite") -> str:
        process = subprocess.run(
            [sys.executable, "-W", "error", "-m", "testing_project.manage", "test", "testing_project.books", *options],
            cwd=TESTS,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "testing_project.settings",
                "PYTHONPATH": str(TESTS),
                "TESTING_DATABASE": database,
                "TESTING_FOLDER": str(tmp_path),
                "TESTING_NAME": name,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        output = process.stdout + process.stderr
        assert process.returncode == 0, output
        assert re.search(r"^Ran 2\d tests", output, re.MULTILINE), output
        return output

    return run


def databases(name: str, folder: Path) -> list[str]:
    """The test databases that are left."""
    if not POSTGRES:
        return sorted(path.name for path in folder.glob(f"test-{name}*"))
    with psycopg.connect(POSTGRES) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"test_{name}%"]).fetchall()
    return sorted(row[0] for row in rows)


def sessions(name: str) -> list[Any]:
    """The sessions that PostgreSQL has with them."""
    with psycopg.connect(POSTGRES) as connection:
        query = "SELECT pid, query FROM pg_stat_activity WHERE datname LIKE %s"
        return connection.execute(query, [f"test_{name}%"]).fetchall()


@pytest.fixture(autouse=True)
def no_database_is_left(name: str) -> Iterator[None]:
    yield
    if POSTGRES:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            for database in databases(name, Path()):
                connection.execute(f'DROP DATABASE "{database}"')


def test_the_databases_are_dropped(runner: Runner, name: str, tmp_path: Path) -> None:
    """In an order that is not the file's, Django's runner drops its databases: no connection is left to them.

    PostgreSQL drops no database that somebody is connected to, and the settings keep connections for a minute.
    """
    runner("--shuffle", "1")
    assert databases(name, tmp_path) == []


def test_parallel_processes(runner: Runner, name: str, tmp_path: Path) -> None:
    """With --parallel every process has databases of its own, which are dropped too."""
    output = runner("--parallel", "2")
    assert "Cloning test database" in output
    assert databases(name, tmp_path) == []


def test_kept_databases(runner: Runner, name: str, tmp_path: Path) -> None:
    """With --keepdb the databases stay, nobody is connected to them, and the next run passes on them."""
    runner("--keepdb")
    assert len(databases(name, tmp_path)) == 2
    if POSTGRES:
        assert sessions(name) == []
    assert "Using existing test database" in runner("--keepdb", "-v", "2")


@pytest.mark.skipif(bool(POSTGRES), reason="SQLite alone has it")
def test_databases_in_memory(runner: Runner) -> None:
    """SQLite in memory, Django's default for tests, serves them too; the live server shares its one connection."""
    runner("--parallel", "2", database="memory")
