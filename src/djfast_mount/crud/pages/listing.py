"""A list: what a request asks of it, its pages, and its total where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from starlette.responses import Response

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.pages.paging import Asked, Part, linked
from djfast_mount.crud.query.conditions import condition_of
from djfast_mount.crud.query.filters import NOT, RESERVED
from djfast_mount.crud.query.order_expressions import prepared
from djfast_mount.schemas.pages import Page

__all__ = ["Listing"]


class Listing:
    """What one request asks of a list. Its methods run on the request thread.

    Args:
        values: What it sent, by parameter.
    """

    def __init__(self, call: Call, values: Mapping[str, Any]) -> None:
        self.call = call
        self.values = values

    def rows(self) -> QuerySet[Any]:
        """Returns every row that the caller may see and asked for, in no order."""
        call, resource = self.call, self.call.resource
        # A client that filters by the mark itself asks for deleted rows. It would find nothing otherwise.
        rows = call.rows(gone=any(value is not None and self._is_of_mark(name) for name, value in self.values.items()))
        if condition := condition_of(resource.filters, self.values, call.visibility):
            rows = rows.filter(condition)
        if resource.filters.own is not None:
            rows = resource.filters.own.narrowed(rows, self.values)
        text = self.values.get("search")
        return call.searched(rows, text) if text else rows

    def part(self) -> Part:
        """Returns the page that was asked for: its items are schemas."""
        rows = self.rows()
        asked = self._asked
        return self.call.resource.paging.part(prepared(rows, asked.terms, self.call.visibility), asked, self.call)

    def response(self) -> Response:
        """Returns the page as it is sent, with ``Link`` and, where it was asked for, its total."""
        part = self.part()
        prefer = self.call.request.headers.get("prefer", "").replace(" ", "")
        counted = self.values.get("total") or "count=exact" in prefer
        # Only on demand: PostgreSQL counts by reading every row that passes.
        total = self.rows().count() if counted else None
        page = Page[self.call.resource.schema](items=part.items, next=part.next, total=total)  # type: ignore[name-defined]
        headers = {"Link": linked(part, self._asked, self._asked.path)}
        if "count=exact" in prefer:
            headers["Preference-Applied"] = "count=exact"
        return Response(page.model_dump_json(by_alias=True), 200, headers, "application/json")

    def _is_of_mark(self, name: str) -> bool:
        """Whether the parameter `name` asks for a field that says which rows count as deleted."""
        resource = self.call.resource
        parameter = resource.filters.parameters.get(name.removeprefix(NOT))
        if parameter is None:  # It is one of a FilterSet, or no filter.
            return name not in RESERVED and name.partition("__")[0] in resource.deletion.fields
        # Not by its own name: the schema may call the field otherwise.
        column = parameter.lookup.partition("__")[0]
        marks = (each for each in resource.model._meta.concrete_fields if each.name in resource.deletion.fields)
        return not parameter.path and any(column in (each.name, each.attname) for each in marks)

    @cached_property
    def _asked(self) -> Asked:
        request = self.call.request
        terms = self.call.resource.ordering.terms(self.values.get("order_by") or ())
        return Asked(self.values, terms, request.query_params.multi_items(), self.call.path)
