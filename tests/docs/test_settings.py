"""docs/settings.md: its table is the table of options."""

from __future__ import annotations

import re

import pytest

from djfast_mount.conf import OPTIONS, Option
from harness import TESTS

pytestmark = pytest.mark.once

PAGE = TESTS.parent / "docs" / "settings.md"
SIZES = {2**20: "1 MiB", 32 * 2**20: "32 MiB", 100 * 2**20: "100 MiB"}


def row(name: str, option: Option) -> str:
    default = option.default
    if isinstance(default, tuple):
        default = list(default)
    shown = f"{SIZES[default]}" if option.unit == "bytes" else f"`{default!r}`".replace("'", '"')
    unit = f" ({option.unit})" if option.unit and option.unit != "bytes" else ""
    return f"| `{name}` | {shown}{unit} | {option.since} | {option.help} |"


def rows(arguments: bool) -> list[str]:
    return [row(name, option) for name, option in OPTIONS.items() if option.is_argument == arguments]


def test_the_page_has_the_table_of_options() -> None:
    """Each option stands there with its default, its unit, its first version and what it is, and no other does."""
    found = [line for line in PAGE.read_text().splitlines() if re.match(r"\| `\w+` \|", line)]
    assert found == [*rows(True), *rows(False)]


def test_each_page_that_is_named_is_there() -> None:
    """The links of the table lead to pages of the docs."""
    named = {name for option in OPTIONS.values() for name in re.findall(r"\(([\w-]+\.md)", option.help)}
    assert len(named) > 5
    assert [name for name in named if not (PAGE.parent / name).is_file()] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_says_what_it_is(name: str) -> None:
    """A default is one that the option may have, and what is said of it are a few whole sentences."""
    option = OPTIONS[name]
    assert option.kind.fits(option.default)
    assert 10 < len(option.help) < 220
    assert re.fullmatch(r"[A-Z`].*[.]", option.help)
    assert ";" not in option.help
