"""A part of the operations, and how many cases were answered."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

# "2/4" makes the second of four parts of the operations.
PART, PARTS = map(int, os.environ.get("TEST_CONTRACT_PART", "1/1").split("/"))
answered: Counter[str] = Counter()


@pytest.fixture(scope="session")
def counts() -> Counter[str]:
    """How many cases were answered, by how they were made."""
    return answered


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = items[PART - 1 :: PARTS]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    how = ", ".join(f"{count} {kind}" for kind, count in sorted(answered.items()))
    terminalreporter.write_line(f"{answered.total()} cases: {how}")
