"""The attributes of Django's connection objects: which of them Django sets itself, and whether one has changed."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import FunctionType
from typing import Any

__all__ = ["differs", "is_overridden", "noted", "own_names", "stored_names"]


def noted(value: Any) -> tuple[Any, Any]:
    """Returns `value`, and a copy where it is of a kind that is changed in place."""
    return value, value.copy() if isinstance(value, dict | list | set) else value


def differs(value: Any, before: tuple[Any, Any] | None) -> bool:
    """Whether `value` is another one than was noted before, or has been changed in place. None: nothing was noted."""
    if before is None:
        # None and False are no state: instrumentation sets such flags on every connection.
        return not (value is None or value is False)
    if value is not before[0]:
        return True
    return isinstance(value, dict | list | set) and bool(value != before[1])


@functools.cache
def own_names(kind: type) -> frozenset[str]:
    """Returns the names of attributes that Django itself gives to the connections of a class."""
    djangos = [each for each in kind.__mro__ if each.__module__.partition(".")[0] in ("django", "builtins")]
    names: set[str] = set()
    for each in djangos:
        names.update(vars(each), stored_names(each))
    return frozenset(names)


def stored_names(kind: type) -> set[str]:
    """Returns the names that a class's own functions store as attributes of whatever they have in hand."""
    return {
        instruction.argval
        for function in _functions_of(kind)
        for instruction in dis.get_instructions(function)
        if instruction.opname == "STORE_ATTR"
    }


def _functions_of(kind: type) -> Iterator[FunctionType]:
    for value in vars(kind).values():
        function = getattr(value, "fget", None) or getattr(value, "func", None) or value
        function = getattr(function, "__wrapped__", function)
        if isinstance(function, FunctionType):
            yield function


def is_overridden(kind: type, name: str) -> bool:
    """Whether a class that is none of Django's has its own method of this name."""
    return any(name in vars(each) and not each.__module__.startswith("django.") for each in kind.__mro__)
