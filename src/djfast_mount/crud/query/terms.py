"""One term of an order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.db.models import F
from pydantic import TypeAdapter

__all__ = ["LONGEST_ORDERED", "Term"]

LONGEST_ORDERED = 255
"""The characters of a text that every database orders by: of four bytes each, MySQL looks at so many."""


@dataclass(frozen=True)
class Term:
    """One term of an order.

    Args:
        name: What callers call it.
        path: The relations that lead to the ordered column; all of them to one row.
        column: The column's attribute there; of a count, the relation.
        nullable: Whether its value may be null.
        type: What its values are validated as when they come back in a cursor.
        is_key: Whether it is the key of the listed row itself, or a part of it.
        is_long: Whether its values may be longer texts than MySQL orders by.
    """

    name: str
    path: tuple[str, ...]
    column: str
    nullable: bool
    type: Any
    counted: bool = False
    is_key: bool = False
    descending: bool = False
    nulls_first: bool = False
    is_long: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is a column of the listed rows themselves, as it is."""
        return not (self.path or self.counted or self.is_long)

    @property
    def alias(self) -> str:
        """The name by which a queryset knows it."""
        if self.is_plain:
            return self.column
        # Not of the name that callers use: one that ends in an underscore would be split elsewhere by Django.
        counted = ("count",) if self.counted else ()
        found = f"_order_of_{'_of_'.join((*counted, *self.path, self.column))}"
        # So would `_order`, the column of `order_with_respect_to`, behind another underscore.
        return found.replace("__", "_U_")

    def turned(self) -> Term:
        """Returns the term of the reversed order."""
        # Both turn together: a page backwards is read in the reversed order, in which nulls come first.
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    def ordered(self) -> Any:
        """Returns what a queryset is ordered by, once `prepared()` has given it the alias."""
        # Plainly, since `NULLS LAST` keeps PostgreSQL from using an ordinary index for DESC.
        if not self.nullable:
            return f"-{self.alias}" if self.descending else self.alias
        nulls = {"nulls_first": True} if self.nulls_first else {"nulls_last": True}
        return F(self.alias).desc(**nulls) if self.descending else F(self.alias).asc(**nulls)

    def validator(self) -> TypeAdapter[Any]:
        return _validator_of(self.type)


# Each page writes and reads cursors: to build its validators anew took more time than to use them.
@cache
def _validator_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
