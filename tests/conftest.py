"""What every test shares: the choice of database, and the positions in which an app is served."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from harness import Server, postgres

_stack = contextlib.ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=("sqlite", "postgres"), default="sqlite", help="the database of the test project")


def pytest_configure(config: pytest.Config) -> None:
    # Here and not in pyproject.toml: the database must be up, and named, before the settings are read.
    scratch = tempfile.mkdtemp(prefix="djfast-mount-tests-")
    _stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    os.environ["TEST_SCRATCH"] = scratch
    if config.getoption("--db") == "postgres" and "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _stack.enter_context(postgres())
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    from django.conf import settings  # noqa: PLC0415

    assert settings.configured or settings.DATABASES


def pytest_unconfigure() -> None:
    _stack.close()


@pytest.fixture(params=["", "/pre"], ids=["bare", "root_path"])
def root_path(request: pytest.FixtureRequest) -> str:
    """Every request test runs twice: at the root of the host, and under an outer prefix."""
    return str(request.param)


@pytest.fixture(scope="session")
def project_servers() -> Iterator[dict[str, Server]]:
    """The test project under uvicorn: at the root of its host, and behind a proxy that strips /pre."""
    servers = {"": Server("project.asgi:app"), "/pre": Server("project.asgi:app", "--root-path", "/pre")}
    with contextlib.ExitStack() as stack:
        for server in servers.values():
            stack.push(server)
        for server in servers.values():
            server.wait_until_ready(timeout=120)
        yield servers


@pytest.fixture
def project_server(project_servers: dict[str, Server], root_path: str) -> Server:
    return project_servers[root_path]
