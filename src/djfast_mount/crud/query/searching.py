"""Search: words that a row must hold, each in any of its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Model, Q, QuerySet
from fastapi.exceptions import RequestValidationError

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.declaring.exposure import relation
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.spelling import did_you_mean

__all__ = ["Search", "Words", "check_searched"]

# Each word is a LIKE for each field, which no ordinary index serves.
_MOST_WORDS = 20


class Search:
    """How the parameter ``search`` finds rows."""

    fields: Sequence[str] = ()
    """The fields that it looks into."""

    def check(self, model: type[Model]) -> None:
        """Raises ConfigurationError when `model` cannot be searched so."""

    def found(self, rows: QuerySet[Any], text: str, visibility: Visibility) -> QuerySet[Any]:
        """Returns the `rows` that `text` finds. No row comes twice. Raises: RequestValidationError, for a text that is
        too much to search for."""
        raise NotImplementedError


def check_searched(model: type[Model], name: str) -> None:
    """Raises ConfigurationError when `model` has no field `name` with a text to look into."""
    known = [field.name for field in model._meta.concrete_fields if not field.is_relation]
    if name in known:
        return
    told = did_you_mean(name, known, f"Its fields are {', '.join(known)}.")
    if name in {field.name for field in model._meta.get_fields() if is_forward(field)}:
        # Django has no `icontains` for it, which would be a 500 for the first who searches.
        told = f"It leads to another row: name a field of that one, as in {name}__name."
        raise ConfigurationError(f"search= names {name!r} of {model.__name__}, which has no text. {told}")
    raise ConfigurationError(f"search= names {name!r}, and {model.__name__} has no such field. {told}")


class Words(Search):
    """Finds rows that hold every word of a text, each in any of the fields, in upper or lower case.

    Args:
        fields: Fields of the model, or of related rows as in ``departments__name``.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self._ways = [tuple(name.split("__")) for name in fields]

    def check(self, model: type[Model]) -> None:
        for *path, column in self._ways:
            below: Any = model
            for name in path:
                try:
                    below = relation(below, name).related_model
                except LookupError as error:
                    raise ConfigurationError(f"search= leads over {name!r}. {error}") from error
            check_searched(below, column)

    def found(self, rows: QuerySet[Any], text: str, visibility: Visibility) -> QuerySet[Any]:
        words = text.split()
        if len(words) > _MOST_WORDS:
            told = f"A search has at most {_MOST_WORDS} words, and there are {len(words)}."
            raise RequestValidationError([{"type": "too_long", "loc": ("query", "search"), "msg": told, "input": text}])
        # A filter for each word, not one for the text: "smith john" finds "John Smith".
        for word in words:
            condition = Q()
            for way in self._ways:
                condition |= _holds(rows.model, way, word, visibility)
            rows = rows.filter(condition)
        return rows


def _holds(model: type[Model], way: tuple[str, ...], word: str, visibility: Visibility) -> Q:
    if len(way) == 1:
        return Q((f"{way[0]}__icontains", word))
    inner = _holds(relation(model, way[0]).related_model, way[1:], word, visibility)
    return Q(visibility.behind(model, way[0], inner))
