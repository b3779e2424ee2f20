"""Figures of their own for the tests of the page."""

import pytest

from djfast_mount.dashboard.figures import Figures, figures


@pytest.fixture(autouse=True)
def fresh_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each test begin with no figures.

    They are those of the process, and other tests may have called more routes in it than the page counts one by one.
    """
    for name, value in vars(Figures()).items():
        monkeypatch.setattr(figures, name, value)
