"""SIGTERM to a container's first process ends it, at whatever moment of its life it comes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from container.image import Image
from container.running import Container
from container.sites import start
from djfast_mount.management.migration_lock import _KEY as MIGRATION_LOCK

# One second is what nothing of this takes; ten is what a container gets before it is killed.
LIMIT = 8
# In the command of an image without an entry point of its own.
MIGRATES = "python manage.py mount_migrate"
ENDS = (0, 15, 128 + 15)


@pytest.fixture(params=["quickstart", "books"])
def image(request: pytest.FixtureRequest) -> Image:
    found: Image = request.getfixturevalue(request.param)
    return found


@contextlib.contextmanager
def held(database: str, statement: str) -> Iterator[None]:
    """A transaction that holds the locks that the statement takes."""
    with psycopg.connect(database) as connection:
        connection.execute(statement.encode())
        yield
        connection.rollback()


def someone_waits(database: str) -> bool:
    """Whether a connection waits for a lock. Asked on a connection of its own: a transaction would see one moment."""
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchone() is not None


def assert_it_ends(container: Container) -> None:
    begun = time.monotonic()
    container.terminate()
    assert container.process.wait(30) in ENDS, container.log
    assert time.monotonic() - begun < LIMIT


def test_as_soon_as_it_is_there(image: Image, database: str, tmp_path: Path) -> None:
    """Nothing has run yet but the entry point."""
    with start(image, tmp_path, database) as container:
        # Before it, there are the mounts that the test makes, whose shell takes no signal.
        container.until(lambda: "entrypoint.sh" in container.command() or MIGRATES in container.command(), "a command")
        assert_it_ends(container)


def test_while_another_one_migrates(image: Image, database: str, tmp_path: Path) -> None:
    """Then it waits for the lock of the migration, which has no end."""
    with held(database, f"select pg_advisory_lock({MIGRATION_LOCK})"), start(image, tmp_path, database) as container:
        container.until(lambda: "Another process migrates" in container.log, "waiting")
        assert_it_ends(container)


def test_while_it_migrates(image: Image, database: str, tmp_path: Path) -> None:
    """A migration that takes long is given up, and what it had done is undone by the database."""
    with psycopg.connect(database) as connection:
        connection.execute("create table django_migrations (id int, app text, name text, applied timestamptz)")
    with held(database, "lock table django_migrations"), start(image, tmp_path, database) as container:
        container.until(lambda: someone_waits(database), "the migration")
        assert_it_ends(container)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5, 1.0])
def test_while_the_server_starts(quickstart: Image, database: str, tmp_path: Path, delay: float) -> None:
    """Python is about to import what it needs, and has no handler of its own yet, or a lifespan begins."""
    with start(quickstart, tmp_path, database, MIGRATE="0") as container:
        container.until(lambda: "uvicorn" in container.command(), "the server")
        time.sleep(delay)
        assert_it_ends(container)


def test_while_it_serves(image: Image, database: str, tmp_path: Path) -> None:
    """Then the server ends by itself, and says so."""
    with start(image, tmp_path, database) as container:
        container.until_healthy()
        assert_it_ends(container)
        assert "Application shutdown complete." in container.log
