"""The map in docs/contributing.md: every file that it names is there."""

from __future__ import annotations

import re

import pytest

from harness import TESTS

pytestmark = pytest.mark.once

PAGE = (TESTS.parent / "docs" / "contributing.md").read_text()
PACKAGE = TESTS.parent / "src" / "djfast_mount"
ROWS = dict(re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|$", PAGE, re.MULTILINE))


def test_there_is_a_map() -> None:
    """The table answers at least twenty questions, each with no more than four files."""
    assert len(ROWS) >= 20
    assert all(1 <= files.count(",") + 1 <= 4 for files in ROWS.values())


@pytest.mark.parametrize("question", ROWS)
def test_the_files_of_the_map_exist(question: str) -> None:
    """Whatever you want to change, the files that you are sent to are there."""
    for name in re.findall(r"`([^`]+)`", ROWS[question]):
        assert (PACKAGE / name).exists(), name


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:\w+/)?\w+\.py)`", PAGE)) - {"private_names.py", "tests/test_layout.py"})
)
def test_the_files_of_the_text_exist(name: str) -> None:
    """A file that a sentence names is there."""
    assert (PACKAGE / name).exists()
