"""PostgreSQL with a PgBouncer before it: Debian 12's 1.18, which keeps no prepared statements, and two newer ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from container.image import REPOSITORY, tools
from container.running import over_tcp
from harness import postgres
from pgbouncer.bouncer import Bouncer, what_is_missing

# The one of this machine, and in which Debian the others are.
VERSIONS = {"old": None, "new": "trixie", "newest": "sid"}


def root_of(which: str) -> Path | None:
    kept = Path(os.environ.get("CONTAINER_BASES") or REPOSITORY / ".nox" / "bases")
    suite = VERSIONS[which]
    return None if suite is None else tools(kept, suite)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """PostgreSQL itself."""
    if missing := what_is_missing():
        pytest.fail(missing, pytrace=False)
    with postgres() as url, over_tcp(url) as forwarded:
        yield forwarded


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The URL of an empty database, without PgBouncer."""
    name = f"bouncer_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(params=VERSIONS)
def bouncer(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[Bouncer]:
    with Bouncer(database, tmp_path, root_of(request.param), "ignore_startup_parameters = options") as bouncer:
        yield bouncer
