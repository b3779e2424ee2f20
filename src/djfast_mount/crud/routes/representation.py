"""One row as it is sent: its JSON, its tag, and what the preconditions of a request make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.models import Case, Model, Value, When
from fastapi import HTTPException
from starlette.responses import Response

from djfast_mount.crud.access.call import Call, not_found
from djfast_mount.crud.access.scopes import has_scope
from djfast_mount.crud.pages.listing import items_of
from djfast_mount.crud.writing.etags import check_if_match, etag_of, is_unchanged
from djfast_mount.schemas import as_caller

__all__ = ["body_of", "check_unchanged", "read_response", "read_rows", "told_to_schemas", "written_response"]


def body_of(call: Call, row: Model) -> bytes:
    """Returns the JSON of `row`, read anew. Raises: HTTPException 404, when it has gone."""
    rows = call.visibility.rows(call.resource.model, call.resource.hooks.queryset(call), gone=True)
    items = items_of(call, rows.filter(pk=row.pk))
    if not items:
        raise not_found()
    body: str = items[0].model_dump_json(by_alias=True)
    return body.encode()


def read_rows(call: Call, rows: Sequence[Model]) -> list[Any]:
    """Returns the schemas of `rows`, read anew, in their order."""
    every = call.visibility.rows(call.resource.model, call.resource.hooks.queryset(call), gone=True)
    found = [row.pk for row in rows]
    order = Case(*(When(pk=key, then=Value(number)) for number, key in enumerate(found)), default=Value(0))
    return items_of(call, every.filter(pk__in=found).order_by(order))


def read_response(call: Call, row: Model) -> Response:
    """Returns the answer to a GET: 304 where the client has the row as it is."""
    body = body_of(call, row)
    headers = {"ETag": etag_of(body)}
    if is_unchanged(call.request.headers.get("if-none-match"), headers["ETag"]):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def written_response(call: Call, row: Model, status: int, location: str | None = None) -> Response:
    """Returns the answer to a write: the row as it is now, or nothing where the client prefers that."""
    body = body_of(call, row)
    headers = {"ETag": etag_of(body)}
    if location is not None:
        headers["Location"] = location
    if "return=minimal" in call.request.headers.get("prefer", "").replace(" ", ""):
        # 204 says that there is no body; what was made is 201 all the same.
        headers["Preference-Applied"] = "return=minimal"
        return Response(None, status if status == 201 else 204, headers)
    return Response(body, status, headers, "application/json")


def check_unchanged(call: Call, row: Model) -> None:
    """Raises HTTPException 412 where the client's ``If-Match`` is stale, 428 where it is needed and absent.

    Call it while the row is locked.
    """
    kind = call.resource.if_match
    if_match = call.request.headers.get("if-match")
    if if_match is None and kind == "required":
        raise HTTPException(428, "Send If-Match with the ETag of the row as you know it.")
    if if_match is not None and kind != "off":
        check_if_match(if_match, etag_of(body_of(call, row)))


class _Caller:
    """What fields with scopes ask of whatever `security` returned."""

    def __init__(self, access: Any) -> None:
        self._access = access

    @property
    def critical(self) -> bool:
        return getattr(self._access, "critical", False) is True

    def has_scope(self, scope: str) -> bool:
        return has_scope(self._access, scope)


@contextmanager
def told_to_schemas(call: Call) -> Iterator[None]:
    """Has the fields of schemas that have scopes ask the caller of `call`."""
    if call.access is None:
        yield
        return
    with as_caller(_Caller(call.access)):
        yield
