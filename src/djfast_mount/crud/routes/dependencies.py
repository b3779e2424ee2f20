"""What projects add to a router: dependencies for it, the order in which it is tried, and that it asks for the caller.

Dependencies are bound to their resource when FastAPI reads their signature: by then a child knows its parents.

FastAPI's routes take dependencies. An ASGI app, a plain route of Starlette's and its WebSocket take none: they are
refused where the router asks for something.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter, ValidationError
from starlette.routing import BaseRoute

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.call_dependency import CallOf
from djfast_mount.crud.access.callers import check_callers, check_named_scopes
from djfast_mount.crud.access.scopes import Action, check_permission, check_scopes
from djfast_mount.crud.declaring.keys import Key
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.pages.listing import Listing
from djfast_mount.crud.query.list_query import ListQuery, list_fields
from djfast_mount.crud.writing.writes import check_row_permission
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = [
    "CallLater",
    "CallerLater",
    "Guard",
    "ListingOf",
    "RowOf",
    "as_endpoint",
    "check_guarded",
    "check_included",
    "check_keys",
    "has_fixed_paths",
    "is_at",
    "needs_request",
    "place_of",
]

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class CallLater:
    """A dependency: the `Call` of a caller who may do `action`. To FastAPI it is the `CallOf` that it comes to."""

    def __init__(self, resource: Callable[[], Resource], action: Action) -> None:
        if action not in (known := get_args(Action)):
            told = did_you_mean(action, known, f"The actions are {', '.join(known)}.")
            raise ConfigurationError(f"{resource().label}: allowing() got {action!r}, which is no action. {told}")
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
        call = self._call_of()(**values)
        _check_permission(call)
        return call


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
            check_scopes(access, resource.wanted_scopes("read"))
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


class Guard:
    """A dependency of routes of other routers: the caller may read, or with other methods than GET update; the row that
    the path names, if it does, is visible."""

    def __init__(self, resource: Callable[[], Resource]) -> None:
        self._resource = resource

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guard) and self._resource() is other._resource()

    def __hash__(self) -> int:
        return hash((Guard, id(self._resource())))

    @property
    def __signature__(self) -> inspect.Signature:
        # The same for both actions.
        return CallOf(self._resource(), "read").__signature__

    def __call__(self, request: Request, **values: Any) -> None:
        resource = self._resource()
        reads = request.method in ("GET", "HEAD")
        # Whether the path names a row is known by now alone: one router is included at several places.
        names_row = all(key.parameter in request.path_params for key in resource.keys)
        call = CallOf(resource, ("read" if names_row else "list") if reads else "update")(request, **values)
        if names_row:
            check_row_permission(call, call.find(_keys_in(request, resource)))
        else:
            _check_permission(call)


def _check_permission(call: Call) -> None:
    """Raises HTTPException 403 or 404 where Django's permissions do not allow the action of a route that a project has
    written: on the row that its path names, which may count as deleted, or else on the model."""
    resource, action = call.resource, call.action
    # Of the first three the call itself has asked for the model's permission.
    if resource.permissions is None or action in ("list", "aggregate", "create"):
        return
    if all(key.parameter in call.request.path_params for key in resource.keys):
        check_row_permission(call, call.find(_keys_in(call.request, resource), call.rows(gone=True)))
    else:
        check_permission(call.access, resource.permission(action))


def _keys_in(request: Request, resource: Resource) -> dict[str, Any]:
    return {key.parameter: _value(request, key) for key in resource.keys}


def _value(request: Request, key: Key) -> Any:
    try:
        return TypeAdapter(key.type).validate_python(request.path_params[key.parameter])
    except ValidationError as error:
        told = [{**each, "loc": ("path", key.parameter)} for each in error.errors(include_url=False)]
        raise RequestValidationError(told) from error


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


def is_at(route: Any, path: str, methods: set[str]) -> bool:
    """Whether `route` answers one of `methods` at `path`."""
    return isinstance(route, APIRoute) and route.path == path and bool(methods & (route.methods or set()))


def place_of(route: Any) -> tuple[int, ...]:
    """Returns by what the routes of a router are sorted: fixed paths before those with a parameter."""
    path = getattr(route, "path", None)
    # Included routers have none, and most begin with the key of a row: they come last.
    return (9,) if path is None else tuple(int(part.startswith("{")) for part in path.split("/"))


def has_fixed_paths(router: APIRouter, prefix: str) -> bool:
    """Whether every path of `router`, included at `prefix`, begins with a fixed part."""
    paths = [f"{prefix}{getattr(each, 'path', '')}" for each in iter_route_contexts(router.routes)]
    return not any(path.startswith("/{") for path in paths)


def needs_request(dependant: Dependant) -> bool:
    """Whether a dependency, at any depth, takes a Request."""
    return dependant.request_param_name is not None or any(map(needs_request, dependant.dependencies))


def as_endpoint(function: Any) -> Callable[..., Any] | None:
    """Returns the endpoint of FastAPI's that answers as `function`, one of Starlette's, does; None for an ASGI app."""
    plain = function
    while isinstance(plain, partial):
        plain = plain.func
    # Starlette takes whatever else is callable for an ASGI app.
    if not inspect.isroutine(plain):
        return None

    def endpoint(request: Request) -> Any:
        return function(request)

    async def coroutine(request: Request) -> Any:
        return await function(request)

    made = coroutine if inspect.iscoroutinefunction(plain) else endpoint
    made.__name__ = made.__qualname__ = plain.__name__
    return made


def check_keys(resource: Resource) -> None:
    """Raises ConfigurationError where the path of `resource` would call two rows the same, as in a tree of a model."""
    names = [key.parameter for each in (*resource.parents(), resource) for key in each.keys]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"{resource.label}: its path would have {{{name}}} twice, for its own row and for one above. Give it "
                'another name, as in name="subsidiary".'
            )


def check_guarded(resource: Resource, routes: Iterable[BaseRoute]) -> None:
    """Raises ConfigurationError where one of the `routes` is none of FastAPI's, and so asks nothing of the caller.

    It says nothing of a router that asks nothing either.
    """
    if resource.caller is None and not any(each.rows for each in resource.root().walk()):
        return
    for each in iter_route_contexts(list(routes)):
        route: Any = each.original_route
        if not isinstance(route, APIRoute):
            raise ConfigurationError(
                f"{resource.label}: the {type(route).__name__} at {getattr(route, 'path', '?')!r} would ask neither "
                "for the caller nor for rows=. Add it to the app, or write it with @router.get() or "
                "@router.websocket() of this router."
            )


def check_included(resource: Resource, router: APIRouter) -> None:
    """Raises ConfigurationError where routes of `router` cannot ask for the caller, or have no scopes to ask for."""
    check_guarded(resource, router.routes)
    routes: list[Any] = [each.original_route for each in iter_route_contexts(router.routes)]
    # What `Guard` asks for with other methods.
    if any(set(getattr(each, "methods", None) or ()) - {"GET", "HEAD"} for each in routes):
        check_named_scopes(resource, "update")
