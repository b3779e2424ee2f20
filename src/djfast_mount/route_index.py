"""An index before FastAPI's scan of its routes, which tries one after another.

1. It only leaves out what cannot match: routes whose leading literal segments are not those of the path. The rest are
   tried in their order, and the first that takes path and method is handed to FastAPI's own router, as its only route.
2. Where none does (405, a slash to redirect, 404, `frontend()`), FastAPI scans them all, as ever.
3. What cannot be judged by its path (mounts, hosts, routes and routers of other classes) is always tried.
4. Routes may change at any time: the index is built anew then.

Names used here that are not public, each with a canary test:

    fastapi.routing     _IncludedRouter with effective_candidates() and original_router; APIRouter._routes_version
    starlette._utils    get_route_path
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, _IncludedRouter
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.one_hop import in_one_hop, is_plain
from djfast_mount.telemetry import UNASKED, ask_again

__all__ = ["add_route_index", "is_indexed"]


def add_route_index(api: FastAPI, above: Sequence[FastAPI] = ()) -> None:
    """Puts an index before the routes of `api`, and of every FastAPI mounted in it. A second call changes nothing.

    A router with middleware of its own is left as it is: its scan is out of reach.

    Args:
        above: In which `api` is mounted.
    """
    router, apis = api.router, (*above, api)
    if _finds_by_itself(type(router)) and router.middleware_stack == router.app:
        router.middleware_stack = cast(Any, _Indexed(router, apis))
    for route in api.routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            add_route_index(route.app, apis)


def is_indexed(api: FastAPI) -> bool:
    """Whether an index is before the routes of `api`."""
    return isinstance(api.router.middleware_stack, _Indexed)


def _finds_by_itself(router: type[APIRouter]) -> bool:
    """Whether a class of routers looks for its routes as FastAPI's own does."""
    return all(getattr(router, name) is getattr(APIRouter, name) for name in ("__call__", "app", "handle", "matches"))


class _Indexed:
    """ASGI: in the place of `router.app`."""

    def __init__(self, router: APIRouter, apis: Sequence[FastAPI]) -> None:
        self.router = router
        self._apis = apis
        self._index: _Index | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine function: each costs its time.
        if scope["type"] != "http":
            return self.router.app(scope, receive, send)
        if UNASKED in scope:
            ask_again(scope)
        index = self._index
        if index is None or not index.holds():
            index = self._index = _Index(self.router, self._apis)
        app = index.find(scope) or self.router.app
        scope.setdefault("router", self.router)
        return app(scope, receive, send)


class _Only(_IncludedRouter):
    """An included router as if it had one route."""

    def __init__(self, included: _IncludedRouter, candidate: Any) -> None:
        vars(self).update(vars(included))
        self._only = [candidate]

    def effective_candidates(self) -> list[Any]:
        return self._only


class _Literal:
    """An APIRoute without parameters, as its router sees it for a request that is known to be the route's.

    What `matches` returns is what the route would return for such a request.
    """

    def __init__(self, route: APIRoute) -> None:
        self._route = route
        self.path_format = route.path_format
        self.handle = route.handle

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        route = self._route
        path_params = dict(scope.get("path_params", ()))
        return Match.FULL, {"endpoint": route.endpoint, "path_params": path_params, "route": route}


class _Leaf:
    """A route, wherever it was included.

    Attributes:
        app: The router as if this were its only route.
        known: The same, for requests whose method and path are known to be the route's.
    """

    __slots__ = ("app", "judged", "known", "literal", "order", "regex", "route", "whole")

    def __init__(self, order: int, router: APIRouter, route: BaseRoute, judged: Any, apis: Sequence[FastAPI]) -> None:
        self.order = order
        self.route = route
        self.regex = getattr(judged, "path_regex", None)
        self.judged = judged  # Asked for its methods with each request: they may change.
        self.literal, self.whole = _literal_segments(judged.path_format) if judged is not None else ((), False)
        hop = partial(in_one_hop, route=judged, apis=apis) if _is_plain(judged) else None
        self.app = self.known = _alone(router, route, hop)
        if self.whole and judged is route and type(route) is APIRoute:
            self.known = _alone(router, _Literal(route), hop)

    def takes(self, scope: Scope, path: str) -> bool:
        if self.regex is None:
            return self.route.matches(scope)[0] is Match.FULL
        return self.allows(scope["method"]) and self.has(path)

    def has(self, path: str) -> bool:
        return self.regex is not None and self.regex.match(path) is not None

    def allows(self, method: str) -> bool:
        return not self.judged.methods or method in self.judged.methods


def _alone(router: APIRouter, route: Any, around: Callable[[ASGIApp], ASGIApp] | None) -> ASGIApp:
    """The router as if `route` were its only one."""
    narrow = copy.copy(router)
    narrow.routes = [route]
    return narrow.app if around is None else around(narrow.app)


def _is_plain(judged: Any) -> bool:
    return judged is not None and is_plain(judged, getattr(judged, "original_route", judged))


def _literal_segments(path_format: str) -> tuple[tuple[str, ...], bool]:
    """The segments before the first with a parameter, and whether that is all of the path."""
    before, brace, _ = path_format.partition("{")
    segments = before.split("/")
    return tuple(segments[:-1] if brace else segments), not brace


class _Node:
    """Where the literal segments so far have led."""

    __slots__ = ("below", "ending", "leaves")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.leaves: list[_Leaf] = []  # that go on with a parameter
        self.ending: list[_Leaf] = []  # that end here


class _Index:
    """The routes of one router, as they are now."""

    def __init__(self, router: APIRouter, apis: Sequence[FastAPI]) -> None:
        self._router = router
        self._routes = list(router.routes)
        self._versions: list[tuple[APIRouter, int]] = []
        self._root = _Node()
        found = self._flattened(self._routes, lambda route: route)
        self._leaves = [_Leaf(order, router, route, judged, apis) for order, (route, judged) in enumerate(found)]
        for leaf in self._leaves:
            self._add(leaf)
        # By method and path: what takes them, and what comes before it and has the path, though not the method.
        self._known: dict[tuple[str, str], tuple[_Leaf, list[_Leaf]]] = {}
        for leaf in self._leaves:
            self._look_up(leaf)

    def holds(self) -> bool:
        """Whether the routes are those that were indexed."""
        for router, version in self._versions:
            if router._routes_version != version:
                return False
        return self._router.routes == self._routes  # Elements are compared by identity first: a microsecond for 300.

    def find(self, scope: Scope) -> ASGIApp | None:
        """Returns the router as if the route for this request were its only one; None when that is not known."""
        path, method = get_route_path(scope), scope["method"]
        known = self._known.get((method, path))
        if known is not None:
            leaf, earlier = known
            if leaf.allows(method) and not (earlier and any(other.allows(method) for other in earlier)):
                return leaf.known
        if "\n" in path:
            return None  # The end of a regular expression matches before one too.
        for leaf in self._candidates(path):
            if leaf.takes(scope, path):
                return leaf.app
        return None

    def _candidates(self, path: str) -> list[_Leaf]:
        node = self._root
        found = node.leaves
        for segment in path.split("/"):
            below = node.below.get(segment)
            if below is None:
                break
            node = below
            if node.leaves:
                found = [*found, *node.leaves]
        else:
            found = [*found, *node.ending]
        return sorted(found, key=_order) if len(found) > 1 else found

    def _look_up(self, leaf: _Leaf) -> None:
        """Notes what `find` is to return for the path of `leaf`, where that has no parameter."""
        path = "/".join(leaf.literal)
        if not leaf.whole or "\n" in path:
            return
        candidates = self._candidates(path)
        sure = list(takewhile(_is_judged_by_path, candidates))  # The others may look at more than method and path.
        owners = [candidate for candidate in sure if candidate.has(path)]
        for method in leaf.judged.methods or ():
            number = next((number for number, owner in enumerate(owners) if owner.allows(method)), None)
            if number is not None:
                self._known[method, path] = owners[number], owners[:number]

    def _add(self, leaf: _Leaf) -> None:
        node = self._root
        for segment in leaf.literal:
            node = node.below.setdefault(segment, _Node())
        (node.ending if leaf.whole else node.leaves).append(leaf)

    def _flattened(
        self, candidates: list[Any], included: Callable[[Any], BaseRoute]
    ) -> Iterator[tuple[BaseRoute, Any]]:
        """Each route as its router shall have it alone, and what its path is judged by: None where it cannot be."""
        for candidate in candidates:
            if not isinstance(candidate, _IncludedRouter):
                if not _is_websocket(candidate):
                    yield included(candidate), _judged(candidate)
            elif _finds_by_itself(type(candidate.original_router)):
                self._versions.append((candidate.original_router, candidate.original_router._routes_version))
                yield from self._flattened(candidate.effective_candidates(), _within(candidate, included))
            else:
                yield included(candidate), None


def _within(router: _IncludedRouter, included: Callable[[Any], BaseRoute]) -> Callable[[Any], BaseRoute]:
    return lambda candidate: included(_Only(router, candidate))


def _order(leaf: _Leaf) -> int:
    return leaf.order


def _is_judged_by_path(leaf: _Leaf) -> bool:
    return leaf.regex is not None


def _is_websocket(candidate: Any) -> bool:
    """Whether this is a route that takes no HTTP request."""
    return type(getattr(candidate, "starlette_route", None) or candidate) in (WebSocketRoute, APIWebSocketRoute)


def _judged(candidate: Any) -> Any:
    """What holds the path of a route, as its router sees it; None where it decides in a way of its own."""
    original = getattr(candidate, "original_route", candidate)
    if isinstance(original, APIRoute):
        return candidate if type(original).matches is APIRoute.matches else None
    effective = getattr(candidate, "starlette_route", None) or candidate
    return effective if type(effective) is Route else None
