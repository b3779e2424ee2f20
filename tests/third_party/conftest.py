"""The settings of this folder instead of the test project's, for all that is run with it."""

from __future__ import annotations

import contextlib
import os
import tempfile

import pytest

from harness import postgres

_stack = contextlib.ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before ../conftest.py reads the settings: those that are read first stay.
    os.environ["TEST_SCRATCH"] = _stack.enter_context(tempfile.TemporaryDirectory(prefix="djfast-mount-third-party-"))
    if config.getoption("--db") == "postgres" and "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _stack.enter_context(postgres())
    os.environ["DJANGO_SETTINGS_MODULE"] = "third_party.settings"
    from django.conf import settings  # noqa: PLC0415

    if settings.ROOT_URLCONF != "third_party.urls":
        raise pytest.UsageError("Run tests/third_party by itself: the settings of other tests are loaded already.")


def pytest_unconfigure() -> None:
    _stack.close()
