"""The merged route table: which endpoint or view answers which path, in the order in which they are asked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute

from djfast_mount.auth.permission_names import audience_of, permissions_asked_by
from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.routing.prefixes import PrefixRouter, namespace_of
from djfast_mount.routing.root_interface import Root

__all__ = ["Route", "route_table", "rows_elsewhere", "taking_prefix"]

_READ = ("GET", "HEAD")
_LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


class Route(NamedTuple):
    """One row of the table."""

    path: str
    """From the root of the host, as the framework writes it: ``/api/items/{id}``, ``/items/<int:id>/``."""
    methods: tuple[str, ...]
    """Sorted. ``("WEBSOCKET",)`` for a websocket; empty where it is left to the view or the app."""
    name: str
    """As `reverse` takes it, ``api:item``; empty when it has none."""
    owner: str
    """Who answers: ``"Django"``, ``"FastAPI"``, the class of another app, ``"static"``, or ``"root"`` (health)."""
    is_async: bool
    """Whether the endpoint or view is a coroutine function, and so runs on the event loop."""
    auth: str
    """Whom it is for, as far as can be told from outside: ``user``, ``staff``, ``shop.change_item``; empty: anyone."""


def route_table(app: Root) -> list[Route]:
    """Returns every route of what `mount()` returned, in the order in which they are asked.

    These are the paths of health and telemetry, the prefixes, the longest foremost, static files, the app at the root,
    and Django's URLconf. What static files and Django have under the prefix of an app is left out, for nobody is led
    there, unless the app falls through. It imports the URLconf; any thread may call it. Of an app that is neither
    FastAPI's nor Starlette's there is one row.
    """
    apps = {route.path: route.app for route in app.routes if isinstance(route, Mount)}
    # First, as the root answers them before all else.
    rows = [Route(path, _READ, "", "root", True, "") for path in app.own_paths]
    rows += [
        row for prefix in sorted(apps, key=len, reverse=True) if prefix for row in _rows_of_app(prefix, apps[prefix])
    ]
    reached = [row for row in rows_elsewhere(app) if app.falls_through or not taking_prefix(app, row.path)]
    rows += [row for row in reached if row.owner == "static"]
    if "" in apps:
        rows += _rows_of_app("", apps[""])
    return rows + [row for row in reached if row.owner != "static"]


def taking_prefix(app: Root, path: str) -> str:
    """Returns the prefix of the mounted app that answers `path` before static files and Django; empty: none does."""
    prefixes = {route.path: True for route in app.routes if isinstance(route, Mount) and route.path}
    prefix, taken = PrefixRouter({**prefixes, app.django_prefix: False}).match(path) or ("", False)
    return prefix if taken else ""


def rows_elsewhere(app: Root) -> Iterator[Route]:
    """Yields the static files' rows, then those of Django's URLconf, as if no prefix took any of them away."""
    if app.static_files is not None:
        yield from (Route(path, _READ, "", "static", True, "") for path in app.static_files.paths())
    if app.serves_django:
        yield from _django_rows(get_resolver().url_patterns, f"{app.django_prefix}/", "")


# The mounted apps ---------------------------------------------------------------------------------------------------


def _rows_of_app(prefix: str, app: Any) -> Iterator[Route]:
    namespace, app = namespace_of(prefix), unwrapped(app)
    routes = getattr(app, "routes", None)
    if routes is None:
        yield Route(f"{prefix}/{{path:path}}", (), "", type(app).__name__, True, "")
    else:
        yield from _api_rows(routes, prefix, f"{namespace}:", type(app).__name__)


def _api_rows(routes: Iterable[BaseRoute], prefix: str, namespace: str, owner: str) -> Iterator[Route]:
    for context in iter_route_contexts(list(routes)):
        route: Any = context.original_route
        path, name = prefix + (context.path or ""), context.name
        if isinstance(route, Mount | Host):
            below = f"{namespace}{name}:" if name else namespace
            inner = unwrapped(route.app)
            if getattr(inner, "routes", None):
                yield from _api_rows(inner.routes, path, below, type(inner).__name__)
            else:
                yield Route(f"{path}/{{path:path}}", (), "", type(route.app).__name__, True, "")
            continue
        is_websocket = isinstance(route, WebSocketRoute)
        methods = ("WEBSOCKET",) if is_websocket else tuple(sorted(context.methods or ()))
        endpoint_is_async = _is_async(context.endpoint)
        auth = _auth_of_dependant(getattr(context, "dependant", None))
        yield Route(path, methods, f"{namespace}{name}" if name else "", owner, endpoint_is_async, auth)


def _is_async(endpoint: Any) -> bool:
    # As FastAPI and Starlette themselves look through a partial to decide where an endpoint runs.
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if inspect.isclass(endpoint):
        return True  # Starlette's HTTPEndpoint and its kin are ASGI.
    call = endpoint if inspect.isroutine(endpoint) else getattr(endpoint, "__call__", endpoint)  # noqa: B004
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


def _auth_of_dependant(dependant: Dependant | None) -> str:
    """The permissions, or else the strictest of our dependencies, or else the security schemes."""
    if dependant is None:
        return ""
    calls = list(_calls(dependant))
    permissions = [name for call in calls for name in permissions_asked_by(call)]
    schemes = [call.scheme_name for call in calls if isinstance(call, SecurityBase)]
    return ", ".join(dict.fromkeys(permissions or audience_of(calls) or schemes))


def _calls(dependant: Dependant) -> Iterator[Any]:
    for below in dependant.dependencies:
        yield below.call
        yield from _calls(below)


# Django -------------------------------------------------------------------------------------------------------------


def _django_rows(patterns: Iterable[URLPattern | URLResolver], path: str, namespace: str) -> Iterator[Route]:
    for pattern in patterns:
        here = path + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            below = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _django_rows(pattern.url_patterns, here, below)
        else:
            name = f"{namespace}{pattern.name}" if pattern.name else ""
            view = pattern.callback
            yield Route(here, _methods_of(view), name, "Django", _is_async_view(view), _auth_of_view(view))


def _is_async_view(view: Any) -> bool:
    return inspect.iscoroutinefunction(view)


def _methods_of(view: Any) -> tuple[str, ...]:
    cls = getattr(view, "view_class", None)
    # A function may answer any method: only a class tells.
    names = () if cls is None else (name for name in cls.http_method_names if hasattr(cls, name))
    return tuple(sorted(name.upper() for name in names))


def _auth_of_view(view: Any) -> str:
    # Recognized by their attributes, since importing Django's mixins would load models.
    cls: Any = getattr(view, "view_class", None)
    if hasattr(cls, "get_permission_required"):
        wanted = cls.permission_required or "permission"
        return wanted if isinstance(wanted, str) else ", ".join(wanted)
    if _is_of_admin(view):
        return "staff"
    if hasattr(view, "login_url") or hasattr(cls, "handle_no_permission"):
        return "user"
    everywhere = _LOGIN_REQUIRED in settings.MIDDLEWARE
    return "user" if everywhere and getattr(view, "login_required", True) else ""


def _is_of_admin(view: Any) -> bool:
    # `admin_view()` wraps bound methods of a ModelAdmin or an AdminSite, and leaves no other mark.
    owner = getattr(inspect.unwrap(view, stop=inspect.ismethod), "__self__", None)
    return hasattr(view, "admin_site") or hasattr(view, "model_admin") or hasattr(owner, "admin_site")
