"""Which related rows a write may touch: asked at every depth, where somebody has said so.

A body knows nothing of callers. `ModelRouter` says for the time of one write which rows are hidden from its caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from django.db.models import Model
from pydantic import BaseModel

from djfast_mount.schemas.writing.invalid import Path

__all__ = ["RowRules", "row_rules", "ruled_by"]


class RowRules(Protocol):
    """What a write asks before it touches a related row. Each method may raise, and so end the write.

    A slot is a `djfast_mount.schemas.writing.slots.Slot`.
    """

    def passes_over(self, row: Model, body: BaseModel | None, slot: Any) -> bool:
        """Whether the one row that `row` leads to stays as it is, whatever `body` says."""

    def check_list(self, row: Model, slot: Any) -> None:
        """Is asked before the rows of the relation become those of a list."""

    def kept_keys(self, row: Model, slot: Any) -> Sequence[Any]:
        """Returns the keys that stay linked though the list of keys lacks them."""

    def path_of(self, row: Model) -> Any:
        """Returns the values by which paths name `row`, before it is written."""

    def wrote(self, row: Model, below: Any, path: Path, before: Any) -> None:
        """Is told of every related row that was written.

        Args:
            below: The foreign key to the row that it is nested in.
            path: Where it stands in the body.
            before: What `path_of` returned; None for a new row.
        """


class _EveryRow:
    def passes_over(self, row: Model, body: BaseModel | None, slot: Any) -> bool:
        return False

    def check_list(self, row: Model, slot: Any) -> None:
        pass

    def kept_keys(self, row: Model, slot: Any) -> Sequence[Any]:
        return ()

    def path_of(self, row: Model) -> Any:
        return None

    def wrote(self, row: Model, below: Any, path: Path, before: Any) -> None:
        pass


# A context variable, since hooks of a project's own stand between who has the rules and the body that is written.
_rules: ContextVar[RowRules | None] = ContextVar("djfast_mount_row_rules", default=None)
_every_row = _EveryRow()


def row_rules() -> RowRules:
    """Returns what the write that goes on is to ask."""
    return _rules.get() or _every_row


@contextmanager
def ruled_by(rules: RowRules) -> Iterator[None]:
    """Has writes ask `rules`."""
    token = _rules.set(rules)
    try:
        yield
    finally:
        _rules.reset(token)
