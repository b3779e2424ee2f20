"""Options and fixtures of the stress programs: which root, which seed, and what was measured, told at the end.

Each program runs against both roots. It returns what it found wrong, by name; the library's root must leave that
empty, and the hand-made one must show the names that the test says it shows, or the program could not tell.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import pytest

from harness import Server
from stress.databases import database, migrate, name_of
from stress.server import Figures, Serve, under_load

ROOTS = ("hand_made", "mounted")
_figures: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--root", action="append", help="a root of roots.py to run against (default: all that apply)")
    parser.addoption("--seed", type=int, default=None, help="of all that is random here (default: another each time)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "root" in metafunc.fixturenames:
        faulty = [marker.args[0] for marker in metafunc.definition.iter_markers("faulty")]
        metafunc.parametrize("root", metafunc.config.getoption("--root") or [*ROOTS, *faulty])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faulty(root): the library's root without one rule, which must be seen")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
    for line in _figures:
        terminalreporter.write_line(line)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figures:
    """Note a measured line, shown at the end of the run."""
    return lambda line: _figures.append(f"{request.node.name}: {line}")


@pytest.fixture
def chance(request: pytest.FixtureRequest, figure: Figures) -> random.Random:
    """The random numbers of this program. Their seed is among the figures."""
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    figure(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """A migrated database on the run's PostgreSQL, to be copied."""
    if "DATABASE_URL" not in os.environ:
        pytest.skip("needs PostgreSQL: run with --db postgres")
    with database(os.environ["DATABASE_URL"]) as url:
        migrate({"DATABASE_URL": url})
        yield url


@pytest.fixture
def postgres_url(migrated: str) -> Iterator[str]:
    """A fresh, migrated database on the run's PostgreSQL."""
    with database(migrated, template=name_of(migrated)) as url:
        yield url


@pytest.fixture
def serve(root: str, postgres_url: str) -> Serve:
    """Serve the root on the fresh database: `with serve(threads=4, max_age=600) as server`."""

    def start(*uvicorn: str, **options: object) -> contextlib.AbstractContextManager[Server]:
        return under_load(root, postgres_url, *uvicorn, **options)  # type: ignore[arg-type]

    return start
