"""The settings of examples/companies instead of the test project's, for all that is run with this folder."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from harness import postgres

_stack = contextlib.ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before ../conftest.py reads the settings: those that are read first stay.
    if config.getoption("--db") == "postgres" and "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _stack.enter_context(postgres())
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "companies"))
    os.environ["DEBUG"] = "1"
    os.environ["DJANGO_SETTINGS_MODULE"] = "directory.settings"
    from django.conf import settings  # noqa: PLC0415

    if settings.ROOT_URLCONF != "directory.urls":
        raise pytest.UsageError("Run tests/attack by itself: the settings of other tests are loaded already.")


def pytest_unconfigure() -> None:
    _stack.close()
