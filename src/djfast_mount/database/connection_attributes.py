"""The attributes of Django's connection objects: which of them Django sets itself, and whether one has changed."""

from __future__ import annotations

import dis
import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from django.utils.functional import cached_property

__all__ = ["Attributes", "Noted", "differs", "is_overridden", "noted", "own_names", "stored_names"]


# How deep what an attribute holds is looked into, and how many objects of one attribute at most.
_DEEPEST = 4
_MOST = 500
# Objects of these packages change by themselves, or lead to half of the process.
_NOT_LOOKED_INTO = {
    *sys.stdlib_module_names,
    *("django", "djfast_mount", "MySQLdb", "psycopg", "psycopg_pool", "psycopg2"),
}


def noted(value: Any) -> tuple[Any, Any]:
    """Returns `value`, and an image of it as it is now, for `differs`."""
    return value, _image(value, _DEEPEST, [_MOST])


def differs(value: Any, before: tuple[Any, Any] | None) -> bool:
    """Whether `value` is another one than was noted before, or has been changed in place. None: nothing was noted."""
    if before is None:
        # None and False are no state: instrumentation sets such flags on every connection.
        return not (value is None or value is False)
    return value is not before[0] or bool(_image(value, _DEEPEST, [_MOST]) != before[1])


Noted = dict[str, tuple[Any, Any]]


class _Holder(NamedTuple):
    held: dict[str, Any]
    """What the object holds, as it is at any time."""
    known: frozenset[str]
    """Names that are no news."""
    found: Noted
    """What others had given to it when it was last looked at."""

    def noted(self) -> Noted:
        return {name: noted(value) for name, value in self.now().items()}

    def take_in(self, before: Noted) -> None:
        for name, now in self.noted().items():
            if name not in before or differs(now[0], before[name]):
                self.found[name] = now

    def has_changed(self) -> bool:
        now, found = self.now(), self.found
        return any(differs(value, found.get(name)) for name, value in now.items()) or not now.keys() >= found.keys()

    def now(self) -> dict[str, Any]:
        held = self.held
        return {name: held[name] for name in held.keys() - self.known}


class Attributes:
    """The attributes of objects of Django's that others have given to them.

    Args:
        holders: The objects, each with further names that are no news: a connection, and its parts, such as its `ops`.
    """

    def __init__(self, holders: Iterable[tuple[Any, frozenset[str]]]) -> None:
        self._holders = [_holder(each, known) for each, known in holders]

    # Most connections have no such attribute, and all three are asked for each new connection, the last one at the end
    # of each spell too: so one comparison tells of most objects.

    def noted(self) -> list[Noted]:
        """Returns them as they are now."""
        return [{} if each.held.keys() <= each.known else each.noted() for each in self._holders]

    def take_in(self, before: Sequence[Noted]) -> None:
        """Counts what has come or changed since `before` among what was found."""
        for holder, then in zip(self._holders, before, strict=True):
            if not holder.held.keys() <= holder.known:
                holder.take_in(then)

    def have_changed(self) -> bool:
        """Whether one has come, gone or changed since it was found."""
        for holder in self._holders:
            if (holder.found or not holder.held.keys() <= holder.known) and holder.has_changed():
                return True
        return False


def _holder(value: Any, known: frozenset[str]) -> _Holder:
    kind: type = type(value)
    # The alias and the settings of a connection are parts as well.
    held = vars(value) if kind.__dictoffset__ else {}
    holder = _Holder(held, own_names(kind) | _computed_names(kind) | known, {})
    holder.found.update(holder.noted())
    return holder


class _Same:
    """An object that equals itself alone. To compare any other way might run code of the object's own."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


def _image(value: Any, depth: int, left: list[int]) -> Any:
    """What can be compared with a later image: containers and objects by what they hold, anything else by identity."""
    left[0] -= 1
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if depth == 0 or left[0] < 0:
        return _Same(value)
    if isinstance(value, dict):
        return _Same(value), {key: _image(each, depth - 1, left) for key, each in dict.items(value)}
    if isinstance(value, list | deque | tuple):
        return _Same(value), [_image(each, depth - 1, left) for each in value]
    if isinstance(value, set):
        return _Same(value), set(value)
    kind = type(value)
    if issubclass(kind, type | FunctionType) or kind.__module__.partition(".")[0] in _NOT_LOOKED_INTO:
        return _Same(value)
    # Not by getattr(): a proxy would ask what it stands for.
    held = object.__getattribute__(value, "__dict__") if kind.__dictoffset__ else {}
    return _Same(value), {name: _image(each, depth - 1, left) for name, each in held.items()}


@functools.cache
def own_names(kind: type) -> frozenset[str]:
    """Returns the names of attributes that Django itself gives to the connections of a class."""
    djangos = [each for each in kind.__mro__ if each.__module__.partition(".")[0] in ("django", "builtins")]
    names: set[str] = set()
    for each in djangos:
        names.update(vars(each), stored_names(each))
    return frozenset(names)


@functools.cache
def _computed_names(kind: type) -> frozenset[str]:
    """Returns the cached properties of a class, a backend's own too: what they keep was computed, and not set."""
    kinds = (functools.cached_property, cached_property)
    return frozenset(name for each in kind.__mro__ for name, value in vars(each).items() if isinstance(value, kinds))


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
