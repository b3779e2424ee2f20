"""What the terms of an order come to in the database.

1. A related row that may not be seen orders as if its value were null.
2. A text is ordered by as far as the database looks. MySQL looks at the first 1,024 bytes (`max_sort_length`), and
   compares whole texts all the same: behind a row there would not be the rows that the list has there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections
from django.db.models import F, Model, QuerySet, Subquery
from django.db.models.functions import Left

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.crud.query.measures import count_of
from djfast_mount.crud.query.terms import LONGEST_ORDERED, Term

__all__ = ["prepared", "shown_key"]


def prepared(rows: QuerySet[Any], terms: Sequence[Term], visibility: Visibility) -> QuerySet[Any]:
    """Returns `rows` with an alias for each term that is no column of theirs, in no order yet."""
    # `alias()`, not `annotate()`: the values are ordered by and compared, and are not among the columns of the rows.
    made = {term.alias: _expression(rows, term, visibility) for term in terms if not term.is_plain}
    return rows.alias(**made) if made else rows


def _expression(rows: QuerySet[Any], term: Term, visibility: Visibility) -> Any:
    if term.counted:
        return count_of(visibility, rows.model, term.column)
    found = _behind(rows.model, term.path, term.column, visibility)
    cut = term.is_long and connections[rows.db].vendor == "mysql"
    return Left(found, LONGEST_ORDERED) if cut else found


def shown_key(model: type[Model], key: Any, visibility: Visibility) -> Any:
    """An expression: the value of the foreign key `key`, or null where the row that it leads to may not be seen."""
    return _behind(model, (key.name,), key.target_field.attname, visibility)


def _behind(model: type[Model], path: tuple[str, ...], column: str, visibility: Visibility) -> Any:
    """The value of a column of the row that `path` leads to, or null where that row may not be seen."""
    # A join serves, and an index can; the subquery is for rows that may be hidden, whose values the order would tell.
    if not _restricted(model, path, visibility):
        return F("__".join((*_query_names(model, path), column)))
    found = relation(model, path[0])
    related = visibility.related(model, path[0])
    if len(path) > 1:
        further = _behind(found.related_model, path[1:], column, visibility)
        return Subquery(related.annotate(_value=further).values("_value")[:1])
    return Subquery(related.values(column)[:1])


def _restricted(model: type[Model], path: tuple[str, ...], visibility: Visibility) -> bool:
    for name in path:
        model = relation(model, name).related_model
        if visibility.restricts(model):
            return True
    return False


def _query_names(model: type[Model], path: tuple[str, ...]) -> Iterator[str]:
    for name in path:
        found = relation(model, name)
        yield found.name
        model = found.related_model
