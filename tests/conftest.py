"""What every test shares: the choice of database, and the positions in which an app is served."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Server, postgres

_stack = contextlib.ExitStack()

# Left to `nox -s tests`, which asks for everything: of the laws, a fifth is enough for every day; and what starts many
# processes.
_LONG = {
    *(path.name for path in (Path(__file__).parent / "laws").glob("test_*.py")),
    "test_doctor.py",
    "test_examples.py",
    "test_handlers.py",
    "test_health.py",
    "test_logs.py",
    "test_mount_migrate.py",
    "test_mount_routes.py",
    "test_pytest_plugin.py",
    "test_runserver.py",
    "test_startproject.py",
} - {"test_lazy.py", "test_one_thread.py"}
# What asks no database, or starts processes with databases of their own, need not run on a second one.
_ONCE = {
    "test_api_docs.py",
    "test_checks.py",
    "test_conf.py",
    "test_dependency_solving.py",
    "test_doors.py",
    "test_exception_server.py",
    "test_file_contents.py",
    "test_file_responses.py",
    "test_hosts.py",
    "test_layout.py",
    "test_lifespan.py",
    "test_lifespan_failures.py",
    "test_limits.py",
    "test_loading.py",
    "test_negotiation.py",
    "test_package.py",
    "test_readme.py",
    "test_route_index.py",
    "test_route_table.py",
    "test_routing.py",
    "test_settings_parity.py",
    "test_static_mount.py",
    "test_staticfiles.py",
    "test_telemetry.py",
    "test_testing_cases.py",
    "test_threads.py",
    "test_threads_machine.py",
    "test_urls.py",
    "test_urls_docs.py",
}


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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not collection_path.name.startswith("test_") or collection_path.is_dir():
        return None
    named = any(collection_path.name in argument for argument in config.args)
    if named or config.getoption("--everything"):
        return None
    once = config.getoption("--db") != "sqlite" and collection_path.name in _ONCE
    return True if once or collection_path.name in _LONG else None


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
