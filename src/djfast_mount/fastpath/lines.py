"""Lines of Python that are being written, and the objects that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Lines", "Objects", "named_in"]

_NAME = re.compile(r"[A-Za-z_]\w*")


def named_in(source: str) -> set[str]:
    """Returns every name in `source`."""
    return set(_NAME.findall(source))


class Objects:
    """The objects that the written source names, by those names."""

    def __init__(self) -> None:
        self.by_name: dict[str, Any] = {}

    def add(self, value: Any, hint: str) -> str:
        """Returns a name for `value` that begins with `hint`: one that it has already, or a new one."""
        for name, known in self.by_name.items():
            if known is value and name.rpartition("_")[0] == hint:
                return name
        name = f"{hint}_{len(self.by_name)}"
        self.by_name[name] = value
        return name


class Lines:
    """Lines with their indentation."""

    def __init__(self, depth: int = 0) -> None:
        self._lines: list[str] = []
        self._depth = depth

    def add(self, *lines: str) -> None:
        """Adds `lines` at the present depth."""
        self._lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Adds `head`, and what is added within one step deeper."""
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    def names(self) -> set[str]:
        """Returns every name in the lines."""
        return named_in("\n".join(self._lines))

    def take(self, other: Lines) -> None:
        """Adds what was written apart, at the present depth."""
        self.add(*other._lines)

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
