"""Who is asking: fields with scopes are shown and written by what this caller may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from django.core.exceptions import PermissionDenied

from djfast_mount.schemas.invalid import Path

__all__ = ["Caller", "as_caller", "check_write", "may"]


class Caller(Protocol):
    """What fields with scopes ask about the caller."""

    @property
    def critical(self) -> bool:
        """Whether the caller may write critical fields just now."""

    def has_scope(self, scope: str) -> bool:
        """Whether the caller has been granted `scope`."""


_caller: ContextVar[Caller | None] = ContextVar("djfast_mount_caller", default=None)


@contextmanager
def as_caller(caller: Caller) -> Iterator[None]:
    """Has fields with scopes ask `caller`. Where nobody is told, they are masked and refused."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def may(scopes: Sequence[str]) -> bool:
    """Whether the caller has one of `scopes`; nobody needs any where there are none."""
    caller = _caller.get()
    return not scopes or (caller is not None and any(map(caller.has_scope, scopes)))


def check_write(slots: Sequence[Any], path: Path) -> None:
    """Raises: PermissionDenied, with the path into the body, when the caller may not write one of `slots`."""
    caller = _caller.get()
    for slot in slots:
        orm = slot.orm
        if not may(orm.write_scopes) or (orm.critical and (caller is None or not caller.critical)):
            place = ".".join(map(str, (*path, slot.key)))
            raise PermissionDenied(f"{place} may not be written by this caller.")
