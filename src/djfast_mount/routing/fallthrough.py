"""API paths that no route matches go on to Django: `mount(fallthrough=True)`.

1. The routes are asked, before the app is called and before anything of the body is read. What the app answers once it
   has been called, a 404 of an endpoint too, stays.
2. A path that a route has, for another method, is the app's: it answers 405.
3. Where a route would match but for a last slash, the app redirects, unless Django has a view at that very path.
4. An app mounted in the app is asked in its turn. What has no routes to be asked for, as `StaticFiles`, owns its paths.
5. Websockets stay with the app.
6. A front end of the app, `api.frontend()`, comes last: where no route matches and Django has no view.
7. Middleware of the app sees only what the app serves, Django's only what Django does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.django_views import has_view
from djfast_mount.routing.fastapi_frontend import has_front_end
from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.routing.prefixes import child_scope

__all__ = ["fall_through", "route_paths", "route_taking", "takes"]


def fall_through(
    served: Mapping[str, ASGIApp], apps: Mapping[str, ASGIApp], django: ASGIApp | None
) -> dict[str, ASGIApp]:
    """Returns what serves the http calls of each prefix, with Django behind it.

    Args:
        served: What serves them without Django, by prefix.
        apps: The apps whose routes are asked, by prefix.
        django: What serves Django's half; None: nothing does.

    Raises:
        ConfigurationError: There is nothing to fall through to, or nothing whose routes could be asked.
    """
    # Refused at the start. A flag without effect would be found when the first page is missing.
    if django is None:
        raise ConfigurationError(
            "mount() got fallthrough=True and django=False: there is nothing to fall through to. Leave one of them out."
        )
    falling = {
        prefix: _FallThrough(served[prefix], unwrapped(app), django, prefix)
        for prefix, app in apps.items()
        if _has_routes(unwrapped(app))
    }
    if not falling:
        raise ConfigurationError(
            f"mount() got fallthrough=True, and none of its apps, {', '.join(map(repr, apps.values()))}, has routes "
            "that could be asked: only those of FastAPI and Starlette have. Leave fallthrough out, or give the app "
            "itself, and its middleware by add_middleware()."
        )
    return {**served, **falling}


def takes(app: object, scope: Scope) -> bool:
    """Whether a route of `app` matches. What has no routes to be asked for takes everything."""
    inner = unwrapped(app)
    return not _has_routes(inner) or _matches(inner.routes, scope)


def route_taking(app: object, path: str) -> str | None:
    """Returns the path of the route of `app` that takes `path`, inside of the app; None: no route does.

    What has no routes to be asked for is not asked.
    """
    # As small as a scope may be that Starlette's routes match: this is a question, and no request.
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    inner = unwrapped(app)
    routes = inner.routes if _has_routes(inner) else ()
    taking = next((route for route in routes if _matches([route], scope)), None)
    return None if taking is None else str(getattr(taking, "path", None) or type(taking).__name__)


def route_paths(app: object) -> list[str]:
    """Returns the paths of the routes of `app`, inside of the app; none where it has no routes to be asked for."""
    inner = unwrapped(app)
    return [context.path or "" for context in iter_route_contexts(list(getattr(inner, "routes", ())))]


def _has_routes(app: object) -> bool:
    return hasattr(app, "routes") and hasattr(app, "router")


class _FallThrough:
    """ASGI: the http calls of one prefix."""

    def __init__(self, served: ASGIApp, app: Any, django: ASGIApp, prefix: str) -> None:
        self._served = served
        self._app = app
        self._django = django
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _matches(self._app.routes, scope):
            await self._served(scope, receive, send)
            return
        path = self._prefix + scope["path"].removeprefix(scope["root_path"])
        # Django is asked last, as its resolver costs the most.
        if not has_view(path) and (self._redirects(scope) or self._has_page(path, scope)):
            await self._served(scope, receive, send)
            return
        outer = settings.FORCE_SCRIPT_NAME or scope["root_path"].removesuffix(self._prefix)
        await self._django(child_scope(scope, outer.rstrip("/"), path), receive, send)

    def _has_page(self, path: str, scope: Scope) -> bool:
        """Whether the app's front end is to answer; not where Django would redirect to the view with a last slash."""
        slash_is_missing = settings.APPEND_SLASH and not path.endswith("/") and has_view(path + "/")
        return not slash_is_missing and has_front_end(self._app, scope)

    def _redirects(self, scope: Scope) -> bool:
        path = scope["path"]
        if not self._app.router.redirect_slashes or path == scope["root_path"] + "/":
            return False
        other = path.rstrip("/") if path.endswith("/") else path + "/"
        return _matches(self._app.routes, {**scope, "path": other})


def _matches(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    """Whether one of `routes` takes the path, be it for another method."""
    takes_path = False
    for route in routes:
        match, below = route.matches(scope)
        if match is Match.FULL:
            inner = route.routes if isinstance(route, Mount) else None
            # A Mount takes every path below it. What its own app has no route for goes on to Django.
            return not inner or _matches(inner, {**scope, **below})
        # PARTIAL is Starlette's word for a path without the method: 405, which is an answer of the app's.
        takes_path = takes_path or match is Match.PARTIAL
    return takes_path
