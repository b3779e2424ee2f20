"""The first rows of a queryset, with what leads on from them."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["First", "ends_of"]


class First(NamedTuple):
    """The first rows of a queryset.

    Attributes:
        items: What is made of them.
        ends: What the first and the last of them have of the columns and annotations that were named; empty where there
            are no rows.
        more: Whether there are more rows.
    """

    items: list[Any]
    ends: list[tuple[Any, ...]]
    more: bool


def ends_of(rows: list[Any]) -> list[Any]:
    """Returns the first and the last of `rows`, if there are any."""
    return [rows[0], rows[-1]] if rows else []
