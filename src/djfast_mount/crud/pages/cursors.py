"""Pages by cursor: a list goes on behind a row, whatever was added or removed in the meantime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from django.db.models import F, QuerySet
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from djfast_mount.crud.pages.cursor_text import Hashed, InvalidCursor, Place, after, fingerprint, read, written
from djfast_mount.crud.pages.paging import NO_PLACE, Asked, Paging, Part, Query, Reader, ordered
from djfast_mount.crud.query.terms import Term

__all__ = ["Cursor"]


class Cursor(Paging):
    """Pages that go on behind the last row: none is lost or repeated, whatever others add or remove."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        told = "Where to go on: what `next` of another page was."
        # Servers and proxies accept about 8 kB of request line. What is longer was never made here.
        text = Annotated[str, Field(max_length=8000)]
        return {**super().fields(), "cursor": (text, {"description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, reader: Reader) -> Part:
        limit, text = asked.values["limit"], asked.values.get("cursor")
        bound_to = fingerprint(asked.terms, _filters(asked.query), asked.path)
        place = _place(rows, text, asked.terms, bound_to) if text else None
        backward = place is not None and place.backward
        terms = [term.turned() for term in asked.terms] if backward else asked.terms
        if place is not None:
            rows = rows.filter(after(terms, place.values))
        items, ends, more = reader.first_items(ordered(rows, terms), limit, [term.alias for term in terms])
        if not ends:
            return Part([], None, {"first": {}})
        if backward:
            items, ends = items[::-1], ends[::-1]
        # The page was reached from a row: there is something on the side that the client came from, and only the other
        # side is asked.
        has_next, has_previous = (True, more) if backward else (more, place is not None)
        places = {"prev": Place(list(ends[0]), backward=True)} if has_previous else {}
        if has_next:
            places["next"] = Place(list(ends[1]))
        texts = {name: written(where, asked.terms, bound_to) for name, where in places.items()}
        links = {name: {"cursor": text} for name, text in texts.items()}
        return Part(items, texts.get("next"), {"first": {}, **links})


def _whole(rows: QuerySet[Any], place: Place, terms: Sequence[Term]) -> Place:
    """Returns `place` with the values that its cursor had no room for. Raises: InvalidCursor."""
    if not any(isinstance(value, Hashed) for value in place.values):
        return place
    keys = {term.alias: value for term, value in zip(terms, place.values, strict=True) if term.is_key}
    row = rows.filter(**keys).values_list(*(F(term.alias) for term in terms)).first() or [None] * len(terms)
    # The other values are those at which the page ended, whatever they are now.
    values = [
        now if isinstance(value, Hashed) and value.is_of(term, now) else value
        for term, value, now in zip(terms, place.values, row, strict=True)
    ]
    if any(isinstance(value, Hashed) for value in values):
        raise InvalidCursor("The row at the end of that page was changed, or is gone. Start again without the cursor.")
    return place._replace(values=values)


def _filters(query: Query) -> list[tuple[str, str]]:
    # What changes the page, not the list: a client may ask for longer pages on the way.
    return [(name, value) for name, value in query if name not in {*NO_PLACE, "limit", "total"}]


def _place(rows: QuerySet[Any], text: str, terms: Sequence[Term], bound_to: str) -> Place:
    try:
        return _whole(rows, read(text, terms, bound_to), terms)
    except InvalidCursor as error:
        raise RequestValidationError(
            [{"type": "invalid_cursor", "loc": ("query", "cursor"), "msg": str(error), "input": text}]
        ) from error
