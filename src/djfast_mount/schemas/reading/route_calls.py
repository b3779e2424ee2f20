"""Routes of `mount()` that return a queryset under ``response_model=list[CompanySchema]``: their call reads it.

FastAPI would have Pydantic iterate the queryset: on the event loop for a coroutine, with a database error told as an
invalid list. So the call of such a route is replaced once, at start-up, by one that reads what comes out of it by the
schema, on the thread of the request. All else about the route stays FastAPI's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from asgiref.sync import sync_to_async
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute

from djfast_mount.apis.preparation_hooks import preparations
from djfast_mount.apis.tree import included_router
from djfast_mount.schemas.declaring.declaration import declared, nested_schema
from djfast_mount.schemas.reading.ways import of, read, read_json

__all__ = ["read_what_routes_return"]

_READS = "__reads_rows__"


def read_what_routes_return(api: FastAPI | APIRouter) -> None:
    """Has the routes of `api`, and of the apps mounted in it, read the rows that their endpoints return."""
    for context in iter_route_contexts([route for route in api.routes if _may_return_rows(route)]):
        route = context.original_route
        if isinstance(route, APIRoute):
            _replace_call(context)
        elif isinstance(route, Mount) and isinstance(route.app, FastAPI):
            read_what_routes_return(route.app)


preparations.append(read_what_routes_return)


def _may_return_rows(route: Any) -> bool:
    """Whether `route`, or one of an included router, may return rows, or leads to an app with such routes."""
    # Asked first, as FastAPI makes all routes of an included router a second time when it is asked for them.
    if (inner := included_router(route)) is not None:
        return any(map(_may_return_rows, inner.routes))
    if isinstance(route, APIRoute):
        return _returned(route.response_model) is not None
    # All others are looked at: an included router too, if FastAPI has renamed what is asked for above.
    return not isinstance(route, Route | WebSocketRoute)


class _Returned(NamedTuple):
    """What a route returns by its annotation: the `schema`, `many` of them, and whether it is a `plain` list."""

    schema: type[BaseModel]
    many: bool
    plain: bool


_LISTS = (list, tuple, Collection, Iterable, Sequence)


def _returned(annotation: Any) -> _Returned | None:
    """Returns None for all but a schema, a list of one, as a tuple or a sequence too, and either of them or None."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _returned(inner[0])
    if origin in (Union, UnionType):
        others = [each for each in inner if each is not type(None)]
        return _returned(others[0]) if len(others) == 1 else None
    if origin in _LISTS:
        # The types of a tuple are of its places, but for `tuple[CompanySchema, ...]`.
        schema, many = nested_schema(inner[0]) if origin is not tuple or inner[1:] == (...,) else (None, False)
        return None if schema is None or many else _Returned(schema, True, inner[0] is schema)
    schema, many = nested_schema(annotation)
    return None if schema is None or many else _Returned(schema, False, False)


def _replace_call(context: Any) -> None:
    returned, dependant = _returned(context.response_model), context.dependant
    if returned is None or hasattr(dependant.call, _READS):
        return
    whole = returned.plain and _is_plain(context)
    # `Dependant.call` is what FastAPI calls, so that signature, dependencies, OpenAPI and overrides are as they were.
    dependant.call = _reading(dependant.call, functools.partial(_read, returned.schema, returned.many, whole))


def _is_plain(context: Any) -> bool:
    """Whether FastAPI would send all of each item with 200 and no headers but its own."""
    options = ("include", "exclude", "exclude_unset", "exclude_defaults", "exclude_none")
    chosen = any(getattr(context, f"response_model_{option}", None) for option in options)
    # A response class of the route's own may encode otherwise than the database does.
    plain = not isinstance(context.response_class, type)  # FastAPI's placeholder for its default
    return plain and not chosen and context.response_model_by_alias and not _sets_headers(context)


def _sets_headers(context: Any) -> bool:
    waiting = [context.dependant]
    while waiting:
        dependant = waiting.pop()
        if dependant.response_param_name is not None:
            return True
        waiting += dependant.dependencies
    return context.status_code not in (None, 200)


def _reading(call: Callable[..., Any], read_rows: Callable[[Any], Any]) -> Callable[..., Any]:
    """Returns `call`, of the same kind and name, with what it returns read."""

    @functools.wraps(call)
    def sync(*args: Any, **kwargs: Any) -> Any:
        return read_rows(call(*args, **kwargs))

    @functools.wraps(call)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        found = await call(*args, **kwargs)
        # Only rows need the thread. A coroutine that returns a dict takes none.
        return await sync_to_async(read_rows)(found) if _is_rows(found) else found

    replaced = asynchronous if _is_coroutine_function(call) else sync
    setattr(replaced, _READS, True)
    return replaced


def _is_coroutine_function(call: Any) -> bool:
    plain = inspect.unwrap(call)
    while isinstance(plain, functools.partial):
        plain = plain.func
    return inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(getattr(plain, "__call__", None))  # noqa: B004


def _is_rows(found: Any) -> bool:
    if isinstance(found, QuerySet | Manager | RawQuerySet | Model):
        return True
    return isinstance(found, list) and bool(found) and isinstance(found[0], Model)


def _read(schema: type[BaseModel], many: bool, whole: bool, found: Any) -> Any:
    """Returns what the route is to send for `found`: its schemas, or a response that the database has made."""
    if not _is_rows(found) or isinstance(found, Model) is many:
        return found
    if isinstance(found, Model):
        return of(schema, found)
    if whole and declared(schema).options.way == "database":
        return Response(read_json(schema, found), media_type="application/json")
    return read(schema, found)
