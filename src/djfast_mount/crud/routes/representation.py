"""What is sent: one row, its tag, what the preconditions of a request make of them, and what caches are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote

from django.db.models import Case, Model, Value, When
from starlette.responses import Response

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.scopes import has_scope
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.routes.caching import cache_headers
from djfast_mount.crud.writing.etags import etag_of, is_signed, is_unchanged, listed
from djfast_mount.crud.writing.paths import path_keys
from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.declaring.mapping import as_caller

__all__ = ["read_response", "read_rows", "told_to_caches", "told_to_schemas", "written_response"]


def read_rows(call: Call, rows: Sequence[Model]) -> list[Any]:
    """Returns the schemas of `rows`, read anew, in their order."""
    found = [row.pk for row in rows]
    # `IN` gives rows in any order, and the answer to a bulk request follows the request.
    order = Case(*(When(pk=key, then=Value(number)) for number, key in enumerate(found)), default=Value(0))
    return call.items(call.written().filter(pk__in=found).order_by(order))


def read_response(call: Call, row: Model) -> Response:
    """Returns the answer to a GET: 304 where the client has the row as it is."""
    body, shape = call.json_of(row), shape_of(call.resource.schema)
    headers = {"ETag": etag_of(body, shape)}
    # RFC 9110, section 15.4.5: a 304 has the ETag, and no body.
    if is_unchanged(listed(call.request.headers, "if-none-match"), headers["ETag"]) and not is_signed(body, shape):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def written_response(call: Call, row: Model, status: int) -> Response:
    """Returns the answer to a write: the row as it is now, or nothing where the client prefers that; with 201 its URL
    too."""
    body = call.json_of(row)
    headers = {"ETag": etag_of(body, shape_of(call.resource.schema))}
    if status == 201:
        keys = (quote(str(key), safe="") for key in path_keys(call.resource, row))
        headers["Location"] = "/".join((call.path, *keys))
    if "return=minimal" in (listed(call.request.headers, "prefer") or "").replace(" ", ""):
        # 204 says that there is no body; what was made is 201 all the same.
        headers["Preference-Applied"] = "return=minimal"
        return Response(None, status if status == 201 else 204, headers)
    return Response(body, status, headers, "application/json")


def told_to_caches(resource: Resource, run: Callable[..., Response]) -> Callable[..., Response]:
    """Returns `run`, an endpoint of GET, whose answers say which caches may keep them."""
    if resource.cache_control is None and resource.caller is None:
        return run
    # Made with the first request: by then all that `security` names is there.
    headers = cache(lambda: cache_headers(resource))

    def with_headers(**sent: Any) -> Response:
        answer = run(**sent)
        answer.headers.update(headers())
        return answer

    return with_headers


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
    # Fields with scopes show nothing then: without a caller there is nobody to have one.
    if call.access is None:
        yield
        return
    with as_caller(_Caller(call.access)):
        yield
