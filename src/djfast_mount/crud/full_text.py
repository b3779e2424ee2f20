"""Full-text search of PostgreSQL, for ``search=``. Needs ``django.contrib.postgres`` and psycopg."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Model, QuerySet

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.query.searching import Search, check_searched

__all__ = ["FullText"]


class FullText(Search):
    """Finds rows by PostgreSQL's full-text search: stems of words, and the operators of web searches.

    Args:
        fields: Fields of the model. Those of related rows would repeat rows, and are refused.
        config: The text search configuration, ``"english"``; None for the database's own.
    """

    def __init__(self, *fields: str, config: str | None = None) -> None:
        # A search vector over a relation to many joins it, and each row comes once for every related row.
        if not fields or any("__" in name for name in fields):
            raise ValueError(f"FullText() got {fields!r}. Name fields of the model itself.")
        self.fields = fields
        self._vector = SearchVector(*fields, config=config)
        self._config = config

    def check(self, model: type[Model]) -> None:
        for name in self.fields:
            check_searched(model, name)

    def found(self, rows: QuerySet[Any], text: str, visibility: Visibility) -> QuerySet[Any]:
        # "websearch" is the one kind that takes any text without a syntax error, quotes and minus signs of strangers
        # included.
        query = SearchQuery(text, search_type="websearch", config=self._config)
        return rows.alias(_vector=self._vector).filter(_vector=query)
