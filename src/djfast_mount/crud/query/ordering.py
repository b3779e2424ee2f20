"""The order of a list: what callers may order by, and the terms that a request comes to.

1. The primary key is always the last term, so that the order is the same each time.
2. Nulls come last, whichever way, on every database. Columns without nulls are ordered plainly, so that indexes serve.
3. A related row that may not be seen orders as if its value were null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import CompositePrimaryKey, F, Model, QuerySet, Subquery
from pydantic import TypeAdapter

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import Exposure, is_to_many, relation
from djfast_mount.crud.query.fields import kind_of, stored_type
from djfast_mount.crud.query.measures import count_of
from djfast_mount.crud.query.parameters import countable
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Ordering", "Term"]


@dataclass(frozen=True)
class Term:
    """One term of an order.

    Args:
        name: What callers call it.
        path: The relations that lead to the ordered column; all of them to one row.
        column: The column's attribute there; of a count, the relation.
        nullable: Whether its value may be null.
        type: What its values are validated as when they come back in a cursor.
    """

    name: str
    path: tuple[str, ...]
    column: str
    nullable: bool
    type: Any
    counted: bool = False
    descending: bool = False
    nulls_first: bool = False

    @property
    def alias(self) -> str:
        """The name of its expression among those of a queryset."""
        return f"_order_{self.name.replace('__', '_of_')}"

    def turned(self) -> Term:
        """Returns the term of the reversed order."""
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    def ordered(self) -> Any:
        """Returns what a queryset is ordered by, once `Ordering.prepared` has given it the alias."""
        if not self.nullable:
            return f"-{self.alias}" if self.descending else self.alias
        nulls = {"nulls_first": True} if self.nulls_first else {"nulls_last": True}
        return F(self.alias).desc(**nulls) if self.descending else F(self.alias).asc(**nulls)

    def validator(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.type)


class Ordering:
    """What the callers of one resource may order by, and what they get unasked.

    Args:
        default: Names as callers write them, ``-`` for descending. None: the model's own ordering, as far as callers
            may ask for it.

    Raises:
        ConfigurationError: `default` names what nobody can order by.
    """

    def __init__(self, exposure: Exposure, default: Sequence[str] | None = None) -> None:
        self._model = exposure.model
        self._terms = {term.name: term for term in (*_terms(exposure), *_counts(exposure))}
        for name in default or ():
            if name.removeprefix("-") not in self._terms:
                known = did_you_mean(name, self._terms, f"There are {', '.join(self._terms)}.")
                raise ConfigurationError(
                    f"order_by= names {name!r}, by which a {exposure.model.__name__} cannot be ordered. {known}"
                )
        self.default = list(_of_model(exposure.model, self._terms) if default is None else default)
        self._key = list(_key(exposure.model))

    @property
    def choices(self) -> tuple[str, ...]:
        """Everything that ``order_by`` may be."""
        return tuple(sign + name for name in self._terms for sign in ("", "-"))

    def terms(self, asked: Sequence[str] = ()) -> list[Term]:
        """Returns the terms of an order that was `asked` for, or of the default one; the primary key is the last."""
        found: dict[str, Term] = {}
        for name in asked or self.default:
            term = self._terms[name.removeprefix("-")]
            found.setdefault(term.name, replace(term, descending=name.startswith("-")))
        columns = {term.column for term in found.values() if not term.path and not term.counted}
        return [*found.values(), *(term for term in self._key if term.column not in columns)]

    def prepared(self, rows: QuerySet[Any], terms: Sequence[Term], visibility: Visibility) -> QuerySet[Any]:
        """Returns `rows` with an alias for each term, in no order yet."""
        return rows.alias(**{term.alias: _expression(self._model, term, visibility) for term in terms})


def _terms(exposure: Exposure) -> Iterator[Term]:
    for path, below in exposure.walk():
        model: type[Model] = exposure.model
        nullable = False
        for name in path:
            found = relation(model, name)
            nullable = nullable or not found.concrete or found.null
            if is_to_many(found):
                break
            model = found.related_model
        else:
            yield from _own_terms(path, below, nullable)


def _own_terms(path: tuple[str, ...], exposure: Exposure, nullable: bool) -> Iterator[Term]:
    for name, field in exposure.fields.items():
        if kind_of(field) is None or isinstance(field, CompositePrimaryKey):
            continue
        # A related row may be hidden, and its value null then.
        null = nullable or field.null or bool(path)
        yield Term("__".join((*path, name)), path, field.attname, null, stored_type(field))


def _counts(exposure: Exposure) -> Iterator[Term]:
    for name in countable(exposure):
        yield Term(f"{name}__count", (), name, False, int, counted=True)


def _key(model: type[Model]) -> Iterator[Term]:
    key = model._meta.pk
    fields: Any = key.fields if isinstance(key, CompositePrimaryKey) else [key]
    for field in fields:
        yield Term(field.attname, (), field.attname, False, stored_type(field))


def _of_model(model: type[Model], terms: Mapping[str, Term]) -> Iterator[str]:
    for name in model._meta.ordering or ():
        if isinstance(name, str) and name.removeprefix("-") in terms:
            yield name


def _expression(model: type[Model], term: Term, visibility: Visibility) -> Any:
    if term.counted:
        return count_of(visibility, model, term.column)
    if not term.path:
        return F(term.column)
    return _behind(model, term.path, term.column, visibility)


def _behind(model: type[Model], path: tuple[str, ...], column: str, visibility: Visibility) -> Any:
    """The value of a column of the row that `path` leads to, or null where that row may not be seen."""
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
