"""The template of the route that a request was led to, with all prefixes, as http.route of OpenTelemetry has it.

A router tells of itself in the scope, and Django on its request. They are asked when the response begins, for FastAPI
takes back some of it at the end.

Two names of FastAPI's that are not public are used, as djfast_mount.fastpath.private_names lists them:
_FASTAPI_SCOPE_KEY and _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY. Where they are gone, the route of an included router lacks
the prefix of that router.
"""

from __future__ import annotations

from typing import Any

from djfast_mount.apis.tree import apps_in
from djfast_mount.fastpath.private_names import private

__all__ = ["MountedRoutes", "no_route", "route_of_view"]

_SCOPE_KEY: Any = getattr(private, "_FASTAPI_SCOPE_KEY", None)
_CONTEXT_KEY: Any = getattr(private, "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY", None)


class MountedRoutes:
    """The routes of one mounted app, and of those that are mounted in it."""

    def __init__(self, app: object) -> None:
        self._app = app
        self._paths: dict[int, str | None] = {}

    def __call__(self, observed: Any) -> str | None:
        """Returns the template of the route of a request; None where no route matched, or the app tells of none."""
        scope = observed.scope
        of_fastapi = scope.get(_SCOPE_KEY)
        route = of_fastapi.get(_CONTEXT_KEY) if of_fastapi else None
        if route is None:
            route = scope.get("route")
            if route is None:
                return None
        path = getattr(route, "path_format", None)
        if path is None:
            path = getattr(route, "path", None)
            if path is None:
                return None
        if "app_root_path" not in scope:
            return str(scope["root_path"] + path)
        return f"{self._inside(scope)}{path}"

    def _inside(self, scope: Any) -> str:
        """The prefixes of an app that is mounted in the app. The path on which it is mounted may have parameters."""
        app = scope.get("app")
        found = self._paths.get(id(app))
        if found is None:
            self._paths = _paths_of(self._app)
            found = self._paths.get(id(app))
        # The key is where Starlette's Mount keeps the root_path that it found.
        return str(scope["root_path"] if found is None else scope["app_root_path"] + found)


def _paths_of(app: object) -> dict[int, str | None]:
    """The paths of the apps below, by their ids. One that is mounted at two paths has none."""
    found: dict[int, str | None] = {}
    for each in apps_in(app):
        # It may be met twice on its one path: by itself, and by what is wrapped around it.
        found[id(each.app)] = each.path if found.get(id(each.app), each.path) == each.path else None
    return found


def route_of_view(observed: Any) -> str | None:
    """Returns the template of the route of a view: the prefix of Django's half, and the pattern that matched."""
    match = getattr(observed.request, "resolver_match", None)
    if match is None:
        return None
    return f"{observed.scope.get('root_path', '')}/{match.route.removeprefix('^')}"


def no_route(_: object) -> None:
    """What answers has no routes."""
