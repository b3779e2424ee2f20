"""The order of a list: what callers may order by, and the terms that a request comes to.

1. The primary key is always the last term, so that the order is the same each time.
2. Nulls come last, whichever way, on every database. Columns without nulls are ordered plainly, so that indexes serve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import CharField, CompositePrimaryKey, Model, TextField

from djfast_mount.crud.declaring.exposure import Exposure, is_to_many, relation
from djfast_mount.crud.query.fields import kind_of, stored_type
from djfast_mount.crud.query.model_ordering import as_own_column, behind_own_column, ordering_of
from djfast_mount.crud.query.terms import LONGEST_ORDERED, Term
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.spelling import did_you_mean

__all__ = ["Ordering"]


class Ordering:
    """What the callers of one resource may order by, and what they get by default.

    Args:
        default: Names as callers write them, ``-`` for descending. None: the model's own ordering, up to the first
            column that callers may not ask for.

    Raises:
        ConfigurationError: `default` names what nobody can order by, or the model's ordering has what is no column.
    """

    def __init__(self, exposure: Exposure, default: Sequence[str] | None = None) -> None:
        self._model = exposure.model
        self._terms = {term.name: term for term in (*_terms(exposure), *_counts(exposure))}
        for name in default or ():
            if name.removeprefix("-") not in self._terms:
                known = did_you_mean(name, self._terms, f"There are {', '.join(self._terms)}.")
                raise ConfigurationError(
                    exposure.why_hidden("order_by=", name.removeprefix("-"))
                    or f"order_by= names {name!r}, by which a {exposure.model.__name__} cannot be ordered. {known}"
                )
        self.left_out: str | None = None
        """The column at which the default order ends, since the model's ordering has it and callers may not."""
        self._default = list(self._of_model(exposure)) if default is None else self._chosen(default)
        self._key = list(_key(exposure.model))

    @property
    def default(self) -> list[str]:
        """What a list is ordered by if nobody asks, as callers write it."""
        return [f"{'-' if term.descending else ''}{term.name}" for term in self._default]

    @property
    def choices(self) -> tuple[str, ...]:
        """Everything that ``order_by`` may be."""
        return tuple(sign + name for name in self._terms for sign in ("", "-"))

    def terms(self, asked: Sequence[str] = ()) -> list[Term]:
        """Returns the terms of an order that was `asked` for, or of the default one; the primary key is the last."""
        found: dict[str, Term] = {}
        for term in self._chosen(asked) if asked else self._default:
            # The first mention counts: `a,-a` is one term, and a second one would only make cursors longer.
            found.setdefault(term.name, term)
        columns = {term.column for term in found.values() if not term.path and not term.counted}
        return [*found.values(), *(term for term in self._key if term.column not in columns)]

    def _of_model(self, exposure: Exposure) -> Iterator[Term]:
        # The first term of a place counts, which is that of the row itself.
        terms = reversed([term for term in self._terms.values() if not term.counted])
        by_place = {(term.path, term.column): term for term in terms}
        for found in ordering_of(exposure.model):
            ways = (found, as_own_column(exposure.model, found), behind_own_column(exposure.model, found))
            term = next((by_place[way[:2]] for way in ways if way[:2] in by_place), None)
            # Columns behind a hidden one say nothing without it.
            if term is None:
                self.left_out = "__".join((*found.path, found.column))
                return
            yield replace(term, descending=found.descending, nulls_first=found.nulls_first and term.nullable)

    def _chosen(self, names: Sequence[str]) -> list[Term]:
        return [replace(self._terms[name.removeprefix("-")], descending=name.startswith("-")) for name in names]


def _terms(exposure: Exposure) -> Iterator[Term]:
    for path, below in exposure.walk():
        model: type[Model] = exposure.model
        nullable = False
        for name in path:
            found = relation(model, name)
            nullable = nullable or not is_forward(found) or found.null
            # A row has no single place in an order by many related rows; their number does.
            if is_to_many(found):
                break
            model = found.related_model
        else:
            yield from _own_terms(path, below, nullable)


def _own_terms(path: tuple[str, ...], exposure: Exposure, nullable: bool) -> Iterator[Term]:
    for name, field in exposure.fields.items():
        if kind_of(field) is None or isinstance(field, CompositePrimaryKey):
            continue
        if name in exposure.as_rows:
            target: Any = field
            way = (*path, field.name)
            kind = stored_type(field)
            yield Term("__".join((*path, name)), way, target.target_field.attname, True, kind)
            continue
        # A related row may be hidden, and its value null then.
        null = nullable or field.null or bool(path)
        is_key = not path and field in exposure.model._meta.pk_fields
        is_long = not is_key and _may_be_long(field)
        kind = stored_type(field)
        yield Term("__".join((*path, name)), path, field.attname, null, kind, is_key=is_key, is_long=is_long)


def _may_be_long(field: Any) -> bool:
    text = isinstance(field, CharField | TextField)
    return text and (field.max_length is None or field.max_length > LONGEST_ORDERED)


def _counts(exposure: Exposure) -> Iterator[Term]:
    for name in exposure.countable():
        yield Term(f"{name}__count", (), name, False, int, counted=True)


def _key(model: type[Model]) -> Iterator[Term]:
    key = model._meta.pk
    fields: Any = key.fields if isinstance(key, CompositePrimaryKey) else [key]
    for field in fields:
        yield Term(field.attname, (), field.attname, False, stored_type(field), is_key=True)
