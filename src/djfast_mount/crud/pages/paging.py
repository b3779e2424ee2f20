"""Pages of a list: by cursor, by limit and offset, or by number.

Each kind reads one row more than it shows, and so knows whether there is a next page without counting. What a list
costs does not grow with its length unless its total is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

from django.db.models import QuerySet
from pydantic import Field

from djfast_mount.crud.query.terms import Term
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.reading.first import First

__all__ = ["NO_PLACE", "Asked", "LimitOffset", "PageNumber", "Paging", "Part", "Query", "Reader", "linked", "ordered"]

Query = Sequence[tuple[str, str]]
NO_PLACE = frozenset({"cursor", "offset", "page"})
"""The parameters that say where a page begins."""


class Reader(Protocol):
    """What makes the items of a page."""

    def items(self, rows: QuerySet[Any]) -> list[Any]:
        """Returns those of `rows`."""

    def first_items(self, rows: QuerySet[Any], limit: int, names: Sequence[str]) -> First:
        """Returns those of the first `limit` of `rows`, and what the ends have of `names`."""


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
        for name, value in (("max", max), ("limit", limit)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{type(self).__name__}() got {name}={value!r}. Write an integer from 1 on.")
        self.max = max
        self.limit = min(limit, max)

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Returns type and settings of each field of the query model that it adds."""
        told = f"The most items of one page: 1 to {self.max}."
        return {"limit": (Annotated[int, Field(ge=1, le=self.max)], {"default": self.limit, "description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, reader: Reader) -> Part:
        """Returns a page of `rows`, which have an alias for each term. Runs on the request thread."""
        raise NotImplementedError


class LimitOffset(Paging):
    """Pages by ``limit`` and ``offset``. Rows are repeated or lost where others add or remove some before them."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        told = "How many items are left out before the page."
        # Far below what any database takes, since `limit` is added to it.
        offset = Annotated[int, Field(ge=0, le=2**31 - 1)]
        return {**super().fields(), "offset": (offset, {"default": 0, "description": told})}

    def part(self, rows: QuerySet[Any], asked: Asked, reader: Reader) -> Part:
        limit, offset = asked.values["limit"], asked.values["offset"]
        items = reader.items(ordered(rows, asked.terms)[offset : offset + limit + 1])
        following = {"next": str(offset + limit)} if len(items) > limit else {}
        before = {"prev": str(max(0, offset - limit))} if offset else {}
        links = {name: {"offset": value} for name, value in {"first": "0", **before, **following}.items()}
        return Part(items[:limit], following.get("next"), links)


class PageNumber(Paging):
    """Pages by number: ``page`` from 1 on, each of ``limit`` rows."""

    def fields(self) -> dict[str, tuple[Any, Any]]:
        number = Annotated[int, Field(ge=1, le=2**20)]
        return {**super().fields(), "page": (number, {"default": 1, "description": "The number of the page."})}

    def part(self, rows: QuerySet[Any], asked: Asked, reader: Reader) -> Part:
        limit, number = asked.values["limit"], asked.values["page"]
        items = reader.items(ordered(rows, asked.terms)[(number - 1) * limit : number * limit + 1])
        following = {"next": str(number + 1)} if len(items) > limit else {}
        before = {"prev": str(number - 1)} if number > 1 else {}
        links = {name: {"page": value} for name, value in {"first": "1", **before, **following}.items()}
        return Part(items[:limit], following.get("next"), links)


def linked(part: Part, asked: Asked, url: str) -> str:
    """Returns the header ``Link`` of a page (RFC 8288), for a list at `url`."""
    # The links keep the filters and the order, as a client that follows them expects to stay in the same list.
    kept = [(name, value) for name, value in asked.query if name not in NO_PLACE]
    links = []
    for name, parameters in part.links.items():
        query = urlencode([*kept, *parameters.items()])
        links.append(f'<{url}{"?" if query else ""}{query}>; rel="{name}"')
    return ", ".join(links)


def ordered(rows: QuerySet[Any], terms: Sequence[Term]) -> QuerySet[Any]:
    """Returns `rows`, which have an alias for each term, in the order of the terms."""
    return rows.order_by(*(term.ordered() for term in terms))
