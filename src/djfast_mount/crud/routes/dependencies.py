"""Dependencies for routes that are written by hand: the row of the path, and the list that was asked for.

They are bound to their resource when FastAPI reads their signature: by then a child knows its parents.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.call_dependency import CallOf
from djfast_mount.crud.access.callers import check_callers
from djfast_mount.crud.access.scopes import Action, check_permission, check_scopes
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.pages.listing import Listing
from djfast_mount.crud.query.list_query import ListQuery, list_fields
from djfast_mount.crud.writing.writes import check_row_permission

__all__ = ["CallLater", "CallerLater", "ListingOf", "RowOf"]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class CallLater:
    """A dependency: the `Call` of a caller who may do `action`. To FastAPI it is the `CallOf` that it comes to."""

    def __init__(self, resource: Callable[[], Resource], action: Action) -> None:
        self._resource = resource
        self._action = action
        self._made: CallOf | None = None

    def _call_of(self) -> CallOf:
        resource = self._resource()
        # The router makes its resource anew when it becomes somebody's child.
        if self._made is None or self._made.resource is not resource:
            self._made = CallOf(resource, self._action)
        return self._made

    def __eq__(self, other: object) -> bool:
        return self._call_of() == (other._call_of() if isinstance(other, CallLater) else other)

    def __hash__(self) -> int:
        return hash(self._call_of())

    @property
    def __signature__(self) -> inspect.Signature:
        return self._call_of().__signature__

    def __call__(self, **values: Any) -> Call:
        return self._call_of()(**values)


class CallerLater:
    """A dependency of WebSockets: the caller, who may read; else the handshake is refused, with 401 or 403."""

    def __init__(self, resource: Callable[[], Resource]) -> None:
        self._resource = resource

    @property
    def __signature__(self) -> inspect.Signature:
        resource = self._resource()
        check_callers(resource)
        if resource.caller is None:
            return inspect.Signature()
        access = Annotated[Any, Depends(resource.caller)]
        return inspect.Signature([inspect.Parameter("access", _KEYWORD, annotation=access)])

    def __call__(self, access: Any = None) -> None:
        resource = self._resource()
        if resource.caller is not None:
            check_scopes(access, resource.scopes.of("read"))
        if resource.permissions is not None:
            check_permission(access, resource.permission("read"))


class RowOf:
    """A dependency: the row that the path names, if the caller may see it and do `action`; else 404, 401 or 403."""

    def __init__(self, resource: Callable[[], Resource], action: Action) -> None:
        self._resource = resource
        self._action = action

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowOf) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[int, Action]:
        return id(self._resource()), self._action

    @property
    def __signature__(self) -> inspect.Signature:
        resource = self._resource()
        call = Annotated[Call, Depends(CallOf(resource, self._action))]
        keys = [inspect.Parameter(key.parameter, _KEYWORD, annotation=key.type) for key in resource.keys]
        return inspect.Signature([inspect.Parameter("call", _KEYWORD, annotation=call), *keys])

    def __call__(self, call: Call, **keys: Any) -> Any:
        row = call.find(keys)
        check_row_permission(call, row)
        return row


class ListingOf:
    """A dependency: the `Listing` that a request asks for, with the filters, the order and the paging of the list."""

    def __init__(self, resource: Callable[[], Resource]) -> None:
        self._resource = resource
        self._query: ListQuery | None = None

    @property
    def __signature__(self) -> inspect.Signature:
        resource = self._resource()
        self._query = ListQuery(resource, list_fields(resource))
        call = Annotated[Call, Depends(CallOf(resource, "list"))]
        return inspect.Signature([inspect.Parameter("call", _KEYWORD, annotation=call)])

    def __call__(self, call: Call) -> Listing:
        assert self._query is not None, "FastAPI reads the signature first"
        return Listing(call, self._query.values(call.request))
