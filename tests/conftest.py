"""What every test shares: the choice of database, and the positions in which an app is served."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from harness import Server, postgres

_stack = contextlib.ExitStack()

# No test of the suite asserts how long something takes: the machine may be busy.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=("sqlite", "postgres"), default="sqlite", help="the database of the test project")
    parser.addoption("--everything", action="store_true", help="the long tests too")


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests marked `long`, and on a second database those marked `once`, unless their file is named."""
    if config.getoption("--everything"):
        return
    marks = ["long"] if config.getoption("--db") == "sqlite" else ["long", "once"]
    left_out = [
        item
        for item in items
        if any(map(item.get_closest_marker, marks)) and not any(item.path.name in named for named in config.args)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    # What the imports have made is there to stay. To look through it again and again took an eighth of the run.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Lets go of connections before the test databases are deleted: PostgreSQL deletes none that is in use.

    A thread that has ended without closing its connection leaves it in a circle of Django's objects. The threads of an
    app that was never stopped end when the app is collected.
    """
    yield
    gc.unfreeze()
    gc.collect()


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
