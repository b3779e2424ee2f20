"""Every FastAPI that an app leads to: the one walk for all that is prepared for "a FastAPI".

1. It goes through routers, mounts, hosts, and routes that have an ASGI app for their endpoint; and through what is
   wrapped around an app: its attributes, what a partial binds, what a function closes over or names.
2. An app that is served at two paths is found at both.
3. What shows nothing of what it holds, such as a function that imports an app when it is called, leads nowhere.
4. No code of what is looked at runs: a proxy such as Flask's `request`, or Django's lazy objects, would ask for what it
   stands for. So types are asked by `type()`, and attributes by the descriptors of Python's own.

Standard library, Starlette and FastAPI only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterable, Iterator, Sequence
from types import CellType, CodeType, FunctionType, GetSetDescriptorType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from djfast_mount.routing.inner_app import is_known, is_of

__all__ = ["Found", "RouteLists", "apps_in", "fastapis_in", "included_router", "leads_to", "routers_in"]

# Objects that are looked at for one wrapped app: far more than any middleware holds, and an end where a wrapper holds
# half of the process.
_MOST = 2_000


class Found(NamedTuple):
    """A FastAPI or another app of Starlette's, and where it is served."""

    path: str
    """Inside of the outer prefix, with parameters as FastAPI writes them."""
    app: Any
    above: tuple[Any, ...]
    """The apps in which it is mounted, outermost first."""


def apps_in(app: object, path: str = "") -> Iterator[Found]:
    """Yields each Starlette app, so each FastAPI too, that `app` is or leads to; outer ones first."""
    return (found for found in _below(app, path, ()) if isinstance(found.app, Starlette))


def fastapis_in(app: object, path: str = "") -> Iterator[Found]:
    """Yields each FastAPI that `app` is or leads to; outer ones first."""
    return (found for found in _below(app, path, ()) if isinstance(found.app, FastAPI))


def routers_in(app: object, path: str = "") -> Iterator[Found]:
    """Yields each APIRouter that `app` is or leads to without its FastAPI: mounted, and not included."""
    return (found for found in _below(app, path, ()) if isinstance(found.app, APIRouter))


def leads_to(start: object, targets: Collection[object]) -> bool:
    """Whether what `start` holds, as far as it shows, is or holds one of `targets`. No app is looked into."""
    seen: set[int] = set()
    sought = set(map(id, targets))
    waiting = [start]
    while waiting and len(seen) < _MOST:
        found = waiting.pop(0)
        if id(found) in sought:
            return True
        if id(found) not in seen and not is_known(found):
            waiting += filter(_may_lead_on, _held_by(found))
        seen.add(id(found))
    return False


def included_router(route: object) -> Router | None:
    """Returns the router that `route` includes, as it was written; None for a route of another kind."""
    # FastAPI keeps it in a route of a class of its own.
    inner = getattr(route, "original_router", None)
    return inner if isinstance(inner, Router) else None


class RouteLists:
    """The lists of routes that apps have, as they were: what is mounted later is a change of one.

    Args:
        apps: The apps. Lists of everything that they lead to are looked at.
    """

    def __init__(self, apps: Iterable[object]) -> None:
        self.look_again(apps)

    def look_again(self, apps: Iterable[object]) -> None:
        """Takes the lists as they are now."""
        heads = (found.app for app in apps for found in _below(app, "", ()))
        lists = {id(routes): routes for head in heads for routes in _lists(head.routes)}
        self.now = list(lists.values())
        """The lists themselves."""
        self.then = list(map(list, self.now))
        """What was in them. A route has come or gone where the two differ: elements are compared by identity first."""


def _lists(routes: list[Any]) -> Iterator[list[Any]]:
    """The list itself, and those of the routers that are included in it, whose routes may grow."""
    yield routes
    for route in routes:
        if (inner := included_router(route)) is not None:
            yield from _lists(inner.routes)


def _below(app: object, path: str, above: tuple[Any, ...]) -> Iterator[Found]:
    for head in _heads(app):
        if head in above:
            continue  # The app leads to itself. Without this the walk would not end.
        yield Found(path, head, above)
        inside = (*above, head) if isinstance(head, Starlette) else above
        for beside in _given(getattr(head, "user_middleware", ())):
            yield from _below(beside, path, inside)
        for context in iter_route_contexts(_leading_on(head.routes)):
            inner = _app_of(context.original_route)
            if inner is not None:
                yield from _below(inner, f"{path}{context.path or ''}", inside)


def _leading_on(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """The routes without those that are known to lead nowhere: endpoints of an API."""
    return [route for route in routes if not _has_endpoints_alone(route)]


def _has_endpoints_alone(route: BaseRoute) -> bool:
    """Whether `route` is an included router of nothing but endpoints: they lead nowhere.

    FastAPI makes the routes of such a router a second time when it is asked for them.
    """
    inner = included_router(route)
    if inner is None:
        return isinstance(route, Route | WebSocketRoute) and _app_of(route) is None
    return all(_has_endpoints_alone(each) for each in inner.routes)


def _app_of(route: BaseRoute | Any) -> object:
    """The ASGI app that a route leads to; None where it is an endpoint."""
    if isinstance(route, APIRoute | APIWebSocketRoute):
        return None
    endpoint = inspect.unwrap(getattr(route, "endpoint", None) or _app_of)
    if hasattr(route, "endpoint") and (inspect.isroutine(endpoint) or inspect.isclass(endpoint)):
        return None
    app: object = getattr(route, "app", None)
    return app


def _given(middleware: Sequence[Middleware]) -> Iterator[object]:
    """The apps that were given to middleware."""
    for each in middleware:
        yield from filter(is_known, (*each.args, *each.kwargs.values()))


def _heads(app: object) -> Iterator[Any]:
    """The apps and routers that are met first on all ways that begin at `app`."""
    seen: set[int] = set()
    waiting = [app]
    while waiting and len(seen) < _MOST:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        if is_known(found):
            yield found
        else:
            waiting += filter(_may_lead_on, _held_by(found))


def _may_lead_on(value: object) -> bool:
    may = callable(value) or is_of(value, dict, MappingProxyType, list, tuple)
    return may and not is_of(value, type, ModuleType)


def _held_by(value: Any) -> Iterable[object]:
    if is_of(value, dict):
        return list(dict.values(value))
    if is_of(value, MappingProxyType):
        return list(value.values())
    if is_of(value, list):
        return list.__iter__(value)
    if is_of(value, tuple):
        return tuple.__iter__(value)
    if is_of(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if is_of(value, MethodType):
        return [value.__self__, value.__func__]
    if is_of(value, FunctionType):
        return _held_by_function(value)
    return _attributes(value)


def _held_by_function(function: FunctionType) -> list[object]:
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]
    named = (function.__globals__[name] for name in _names_in(function.__code__) if name in function.__globals__)
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*cells, *defaults, *vars(function).values(), *named]


def _names_in(code: CodeType) -> Iterator[str]:
    """The names in a function, and in those that are defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _attributes(value: Any) -> list[object]:
    # Not by dir() or getattr(): a property, or a proxy, may do anything.
    slots = (vars(kind)[name] for kind in type(value).__mro__ for name in _slots_of(kind))
    own = next((vars(kind)["__dict__"] for kind in type(value).__mro__ if "__dict__" in vars(kind)), None)
    named: dict[str, object] = own.__get__(value) if type(own) is GetSetDescriptorType else {}
    return [*named.values(), *(held for slot in slots for held in _in_slot(slot, value))]


def _in_slot(slot: Any, value: object) -> list[object]:
    try:
        return [slot.__get__(value)]
    except AttributeError:  # The slot is empty.
        return []


def _slots_of(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    names: Sequence[str] = (slots,) if isinstance(slots, str) else tuple(slots)
    return [name for name in names if inspect.ismemberdescriptor(vars(kind).get(name))]
