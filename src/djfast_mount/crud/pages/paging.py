"""Pages of a list: by cursor, by limit and offset, or by number.

Each kind reads one row more than it shows, and so knows whether there is a next page without counting. What a list
costs does not grow with its length unless its total is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from django.db.models import F, QuerySet
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from djfast_mount.crud.pages.cursors import InvalidCursor, Place, after, fingerprint, read, written
from djfast_mount.crud.query.ordering import Term
from djfast_mount.exceptions import ConfigurationError

__all__ = ["Asked", "Cursor", "LimitOffset", "PageNumber", "Paging", "Part", "linked"]

Query = Sequence[tuple[str, str]]
Read = Callable[[QuerySet[Any]], list[Any]]
_NO_PLACE = frozenset({"cursor", "offset", "page"})


@dataclass(frozen=True)
class Asked:
    """What a request asked of a list.

    Args:
        values: What it sent for the fields of `Paging.fields`.
        terms: The order.
        query: All parameters of its URL.
        path: The path of its URL.
    """

    values: Mapping[str, Any]
    terms: Sequence[Term]
    query: Query
    path: str


@dataclass(frozen=True)
class Part:
    """One page: its items, and how to go on.

    Args:
        next: The value that leads to the next page; None at the end.
        links: The parameters of the URLs of other pages, by relation: first, prev, next.
    """

    items: list[Any]
    next: str | None
    links: Mapping[str, Mapping[str, str]]


class Paging:
    """How a list is cut into pages.

    Args:
        max: The most rows of one page.
        limit: How many it has where the caller does not say.
    """

    def __init__(self, *, max: int = 1000, limit: int = 100) -> None:  # noqa: A002  (what callers read best)
        if max < 1:
            raise ConfigurationError(f"{type(self).__name__}() got max={max!r}. Give a number from 1 on.")
        self.max = max
        self.limit = min(limit, max)

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Returns type and settings of each field of the query model that it adds."""
        told = f"The most items of one page: 1 to {self.max}."
        return {"limit": (Annotated[int, Field(ge=1, le=self.max)], {"default": self.limit, "description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, read: Read) -> Part:
        """Returns a page of `rows`, which have an alias for each term. Runs on the request thread.

        Args:
            read: Makes the items of a queryset.
        """
        raise NotImplementedError


class LimitOffset(Paging):
    """Pages by ``limit`` and ``offset``. Rows are repeated or lost where others add or remove some before them."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        told = "How many items are left out before the page."
        offset = Annotated[int, Field(ge=0, le=2**31 - 1)]
        return {**super().fields(), "offset": (offset, {"default": 0, "description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, read: Read) -> Part:
        limit, offset = asked.values["limit"], asked.values["offset"]
        items = read(_ordered(rows, asked.terms)[offset : offset + limit + 1])
        following = {"next": str(offset + limit)} if len(items) > limit else {}
        before = {"prev": str(max(0, offset - limit))} if offset else {}
        links = {name: {"offset": value} for name, value in {"first": "0", **before, **following}.items()}
        return Part(items[:limit], following.get("next"), links)


class PageNumber(Paging):
    """Pages by number: ``page`` from 1 on, each of ``limit`` rows."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        number = Annotated[int, Field(ge=1, le=2**20)]
        return {**super().fields(), "page": (number, {"default": 1, "description": "The number of the page."})}

    def part(self, rows: QuerySet[Any], asked: Asked, read: Read) -> Part:
        limit, number = asked.values["limit"], asked.values["page"]
        items = read(_ordered(rows, asked.terms)[(number - 1) * limit : number * limit + 1])
        following = {"next": str(number + 1)} if len(items) > limit else {}
        before = {"prev": str(number - 1)} if number > 1 else {}
        links = {name: {"page": value} for name, value in {"first": "1", **before, **following}.items()}
        return Part(items[:limit], following.get("next"), links)


class Cursor(Paging):
    """Pages that go on behind the last row: none is lost or repeated, whatever others add or remove."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        told = "Where to go on: what `next` of another page was."
        text = Annotated[str, Field(max_length=8000)]
        return {**super().fields(), "cursor": (text, {"description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, read: Read) -> Part:
        limit, text = asked.values["limit"], asked.values.get("cursor")
        bound_to = fingerprint(asked.terms, _filters(asked.query), asked.path)
        place = _place(text, asked.terms, bound_to) if text else None
        backward = place is not None and place.backward
        # The keys come first, with the values of the cursor: read with the rows, these could have changed since.
        found, more = _keys(rows, asked.terms, place, limit)
        if not found:
            return Part([], None, {"first": {}})
        shown = read(_ordered(rows.filter(pk__in=[row[0] for row in found]), asked.terms))
        places = [Place(list(found[0][1:]), backward=True), Place(list(found[-1][1:]))]
        before, following = (written(place, asked.terms, bound_to) for place in places)
        has_next, has_previous = (True, more) if backward else (more, place is not None)
        links = _cursors(prev=before if has_previous else None, next=following if has_next else None)
        return Part(shown, following if has_next else None, {"first": {}, **links})


def _keys(
    rows: QuerySet[Any], order: Sequence[Term], place: Place | None, limit: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """The keys of a page, each with the values of its terms, and whether there are more in the direction of `place`."""
    backward = place is not None and place.backward
    terms = [term.turned() for term in order] if backward else order
    if place is not None:
        rows = rows.filter(after(terms, place.values))
    found = list(_ordered(rows, terms).values_list("pk", *(F(term.alias) for term in terms))[: limit + 1])
    shown = found[:limit]
    return shown[::-1] if backward else shown, len(found) > limit


def _cursors(**links: str | None) -> dict[str, dict[str, str]]:
    return {name: {"cursor": cursor} for name, cursor in links.items() if cursor is not None}


def linked(part: Part, asked: Asked, url: str) -> str:
    """Returns the header ``Link`` of a page (RFC 8288), for a list at `url`."""
    kept = [(name, value) for name, value in asked.query if name not in _NO_PLACE]
    links = []
    for name, parameters in part.links.items():
        query = urlencode([*kept, *parameters.items()])
        links.append(f'<{url}{"?" if query else ""}{query}>; rel="{name}"')
    return ", ".join(links)


def _filters(query: Query) -> list[tuple[str, str]]:
    # What changes the page, not the list: a client may ask for longer pages on the way.
    return [(name, value) for name, value in query if name not in {*_NO_PLACE, "limit", "total"}]


def _place(text: str, terms: Sequence[Term], bound_to: str) -> Place:
    try:
        return read(text, terms, bound_to)
    except InvalidCursor as error:
        raise RequestValidationError(
            [{"type": "invalid_cursor", "loc": ("query", "cursor"), "msg": str(error), "input": text}]
        ) from error


def _ordered(rows: QuerySet[Any], terms: Sequence[Term]) -> QuerySet[Any]:
    return rows.order_by(*(term.ordered() for term in terms))
