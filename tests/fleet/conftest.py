"""The site that every instance serves, and two instances of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.instances import DRAIN, FLEET, Fleet
from harness import PYTHONPATH
from quickstart_site import QUICKSTART, Site, installed

_figures: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _figures:
        terminalreporter.write_line(line)


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Note a measured line, shown at the end of the run."""
    return _figures.append


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with installed(tmp_path_factory.mktemp("site")) as site:
        path = os.pathsep.join(map(str, (QUICKSTART, FLEET, PYTHONPATH)))
        yield Site({**site.env, "DRAIN": DRAIN, "PYTHONPATH": path})


@pytest.fixture
def fleet(tmp_path: Path, site: Site) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, site)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()
