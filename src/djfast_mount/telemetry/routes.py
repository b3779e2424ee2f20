"""The template of the route that a request was led to, with all prefixes, as http.route of OpenTelemetry has it.

A router tells of itself in the scope, and Django on its request. They are asked when the response begins, for FastAPI
takes back some of it at the end.

Two names of FastAPI's that are not public are used, as djfast_mount.fastpath.private_names lists them:
_FASTAPI_SCOPE_KEY and _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY. Where they are gone, the route of an included router lacks
the prefix of that router.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from django.conf import settings
from starlette.applications import Starlette

from djfast_mount.apis.tree import apps_in
from djfast_mount.fastpath.private_names import private

__all__ = ["MountedRoutes", "no_route", "route_of_file", "route_of_view"]

_SCOPE_KEY: Any = getattr(private, "_FASTAPI_SCOPE_KEY", None)
_CONTEXT_KEY: Any = getattr(private, "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY", None)
_PARAMETER = re.compile(r"\{[^}]*\}")
# In the place of the prefix of an app that no walk finds: its path may hold what a client wrote.
_UNSEEN = "/..."


class MountedRoutes:
    """The routes of one mounted app, and of those that are mounted in it."""

    def __init__(self, app: object) -> None:
        self._app = app
        self._paths: dict[int, list[str]] = {}
        self._unseen: WeakSet[Starlette] = WeakSet()

    def __call__(self, observed: Any) -> str | None:
        """Returns the template of the route of a request; None where no route matched, or the app tells of none."""
        scope = observed.scope
        of_fastapi = scope.get(_SCOPE_KEY)
        route = (of_fastapi and of_fastapi.get(_CONTEXT_KEY)) or scope.get("route")
        try:
            path = route.path_format
        except AttributeError:
            path = getattr(route, "path", None)
            if path is None:
                return None
        if "app_root_path" in scope:
            return f"{self._inside(scope)}{path}"
        return f"{scope['root_path']}{path}"

    def _inside(self, scope: Any) -> str:
        """The prefixes of an app that is mounted in the app, as templates. What a client wrote is in none of them."""
        # The key is where Starlette's Mount keeps the root_path that it found.
        outer = scope["app_root_path"]
        known = self._known(scope.get("app"))
        if len(known) > 1:
            inside = scope["root_path"].removeprefix(outer)
            known = [path for path in known if _pattern_of(path).fullmatch(inside)] or known
        return f"{outer}{known[0] if known else _UNSEEN}"

    def _known(self, app: object) -> list[str]:
        """The paths at which an app is mounted; none where no walk finds it."""
        found = self._paths.get(id(app))
        if found is None and isinstance(app, Starlette) and app not in self._unseen:
            self._paths = _paths_of(self._app)
            found = self._paths.get(id(app))
            if found is None:
                self._unseen.add(app)
        return found or []


def _paths_of(app: object) -> dict[int, list[str]]:
    """The paths of the apps below, by their ids."""
    found: dict[int, list[str]] = {}
    for each in apps_in(app):
        paths = found.setdefault(id(each.app), [])
        # It may be met twice on its one path: by itself, and by what is wrapped around it.
        if each.path not in paths:
            paths.append(each.path)
    return found


@cache
def _pattern_of(path: str) -> re.Pattern[str]:
    """What a path matches that is one of this template."""
    return re.compile(".+".join(map(re.escape, _PARAMETER.split(path))), re.DOTALL)


def route_of_view(observed: Any) -> str | None:
    """Returns the template of the route of a view: the prefix of Django's half, and the pattern that matched."""
    match = getattr(observed.request, "resolver_match", None)
    if match is None:
        return None
    return f"{observed.scope.get('root_path', '')}/{match.route.removeprefix('^')}"


def route_of_file(observed: Any) -> str | None:
    """Returns the template of a static file: all below STATIC_URL are one route. None: it lies elsewhere."""
    scope = observed.scope
    path, outer = scope["path"], scope.get("root_path", "")
    place = urlsplit(settings.STATIC_URL).path
    for start in (outer + place, place):
        if path.startswith(start):
            return f"{start}{{path}}"
    return None


def no_route(_: object) -> None:
    """What answers has no routes."""
