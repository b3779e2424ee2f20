"""The names that a misspelt one may have meant. Standard library only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", *, most: int = 1, alike: float = 0.6) -> str:
    """Returns a sentence that asks for the nearest of the `known` names, or `otherwise` where none is near.

    Args:
        most: How many names it gives at most.
        alike: From what likeness on a name is near: 0 to 1, as `difflib.get_close_matches` takes it.
    """
    near = difflib.get_close_matches(str(name), known, most, alike)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else otherwise
