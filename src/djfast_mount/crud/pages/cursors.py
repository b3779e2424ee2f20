"""Pages by cursor: a list goes on behind a row, whatever was added or removed in the meantime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from django.db.models import F, QuerySet
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from djfast_mount.crud.pages.cursor_text import Hashed, InvalidCursor, Place, after, fingerprint, read, written
from djfast_mount.crud.pages.paging import NO_PLACE, Asked, Paging, Part, Query, Read, ordered
from djfast_mount.crud.query.terms import Term

__all__ = ["Cursor"]


class Cursor(Paging):
    """Pages that go on behind the last row: none is lost or repeated, whatever others add or remove."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        told = "Where to go on: what `next` of another page was."
        # Servers and proxies accept about 8 kB of request line. What is longer was never made here.
        text = Annotated[str, Field(max_length=8000)]
        return {**super().fields(), "cursor": (text, {"description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, read: Read) -> Part:
        limit, text = asked.values["limit"], asked.values.get("cursor")
        bound_to = fingerprint(asked.terms, _filters(asked.query), asked.path)
        place = _place(rows, text, asked.terms, bound_to) if text else None
        backward = place is not None and place.backward
        # The keys come first, with the values of the cursor: read with the rows, these could have changed since.
        found, more = _keys(rows, asked.terms, place, limit)
        if not found:
            return Part([], None, {"first": {}})
        # A row that was deleted between the two queries is missing on the page, and the cursor still leads past its
        # place.
        shown = read(ordered(rows.filter(pk__in=[row[0] for row in found]), asked.terms))
        # The page was reached from a row: there is something on the side that the client came from, and only the other
        # side is asked.
        has_next, has_previous = (True, more) if backward else (more, place is not None)
        before, following = Place(list(found[0][1:]), backward=True), Place(list(found[-1][1:]))
        places = {"prev": before} if has_previous else {}
        if has_next:
            places["next"] = following
        texts = {name: written(where, asked.terms, bound_to) for name, where in places.items()}
        links = {name: {"cursor": text} for name, text in texts.items()}
        return Part(shown, texts.get("next"), {"first": {}, **links})


def _keys(
    rows: QuerySet[Any], order: Sequence[Term], place: Place | None, limit: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """The keys of a page, each with the values of its terms, and whether there are more in the direction of `place`."""
    backward = place is not None and place.backward
    terms = [term.turned() for term in order] if backward else order
    if place is not None:
        rows = rows.filter(after(terms, place.values))
    # One more than is shown, which costs less than a count and tells whether there is another page.
    found = list(ordered(rows, terms).values_list("pk", *(F(term.alias) for term in terms))[: limit + 1])
    shown = found[:limit]
    return shown[::-1] if backward else shown, len(found) > limit


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
