"""Names that a project writes: whether there are several, and which a misspelt one may have meant. Standard library
only."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

__all__ = ["are_names", "did_you_mean"]


def are_names(value: object) -> bool:
    """Whether `value` is a list of names, or another collection of them. A text is none: it would be its letters."""
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        return False
    return all(isinstance(each, str) for each in value)


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", *, most: int = 1, alike: float = 0.6) -> str:
    """Returns a sentence that asks for the nearest of the `known` names, or `otherwise` where none is near.

    Args:
        most: How many names it gives at most.
        alike: From what likeness on a name is near: 0 to 1, as `difflib.get_close_matches` takes it.
    """
    near = difflib.get_close_matches(str(name), known, most, alike)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else otherwise
