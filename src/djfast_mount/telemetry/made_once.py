"""An attribute that is made when it is first asked for. Standard library only.

Python's own `cached_property` makes the instance's dictionary, which every attribute of the instance then pays for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["made_once"]


class _MadeOnce:
    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = self._make(instance)
        setattr(instance, self._name, value)  # It is found there from now on, for this is no data descriptor.
        return value


def made_once(make: Callable[[Any], Any]) -> Any:
    """Returns an attribute of a class. Its value is `make(instance)`, which is called once for each instance.

    An attribute that is set before is not made. Two threads that ask for it at the same time may make it twice.
    """
    return _MadeOnce(make)
