"""An index before FastAPI's scan of its routes, which tries one after another.

1. It only leaves out what cannot match: routes whose leading literal segments are not those of the path. The rest are
   tried in their order, and the first that takes path and method is handed to FastAPI's own router, as its only route.
2. Where none does (405, a slash to redirect, 404, `frontend()`), FastAPI scans them all, as ever.
3. What cannot be judged by its path (mounts, hosts, routes and routers of other classes, and those whose `matches` was
   replaced) is always tried. So is a route whose regular expression is not the one that Starlette makes of its path.
4. Routes may change at any time: the index is built anew then. Only this is not seen: a regular expression, or a
   `matches`, that was replaced after the first request, for what begins with the literal segments of another route.

Names used here that are not public, each with a canary test:

    fastapi.routing     _IncludedRouter with effective_candidates() and original_router; APIRouter._routes_version
    starlette._utils    get_route_path
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from operator import eq
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, _IncludedRouter
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.fastpath.one_hop import in_one_hop, is_plain
from djfast_mount.fastpath.telemetry import UNASKED, ask_again

__all__ = ["add_route_index", "is_indexed"]

_FINDING = ("__call__", "app", "handle", "matches")


def add_route_index(api: FastAPI, above: Sequence[FastAPI] = ()) -> None:
    """Puts an index before the routes of `api`, and of every FastAPI mounted in it. A second call changes nothing.

    A router with middleware of its own is left as it is: its scan is out of reach.

    Args:
        above: In which `api` is mounted.
    """
    router, apis = api.router, (*above, api)
    if _finds_by_itself(router) and router.middleware_stack == router.app:
        router.middleware_stack = cast(Any, _Indexed(router, apis))
    for route in api.routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            add_route_index(route.app, apis)


def is_indexed(api: FastAPI) -> bool:
    """Whether an index is before the routes of `api`."""
    return isinstance(api.router.middleware_stack, _Indexed)


def _finds_by_itself(router: APIRouter) -> bool:
    """Whether a router looks for its routes as FastAPI's own class does."""
    kind = type(router)
    return vars(router).keys().isdisjoint(_FINDING) and all(
        getattr(kind, name) is getattr(APIRouter, name) for name in _FINDING
    )


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
        found = index.find(scope)
        if found is not None and not index.is_as_built(found[0]):
            index = self._index = _Index(self.router, self._apis)
            found = index.find(scope)
        scope.setdefault("router", self.router)
        return (self.router.app if found is None else found[1])(scope, receive, send)


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

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        route = self._route
        path_params = dict(scope.get("path_params", ()))
        return Match.FULL, {"endpoint": route.endpoint, "path_params": path_params, "route": route}

    @property
    def handle(self) -> ASGIApp:
        return self._route.handle  # It may have been replaced.


_Rival = tuple[dict[str, Any], Any, dict[str, Any]]


class _Leaf:
    """A route, wherever it was included.

    Attributes:
        app: The router as if this were its only route.
        known: The same, for requests whose method and path are known to be the route's.
        rivals: The route itself, and those before it that may share a path with it, by their literal segments: the
            attributes of what is judged, its regular expression, the attributes of the route. None: not looked up yet.
    """

    __slots__ = ("app", "judged", "known", "literal", "order", "regex", "rivals", "route", "whole")

    def __init__(self, order: int, router: APIRouter, route: BaseRoute, judged: Any, apis: Sequence[FastAPI]) -> None:
        self.order = order
        self.route = route
        self.regex = None if judged is None else judged.path_regex
        self.judged = judged  # Asked for its methods with each request: they may change.
        self.literal, self.whole = ((), False) if judged is None else _literal_segments(judged)
        self.rivals: list[_Rival] | None = None
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
    return judged is not None and is_plain(judged, _original(judged))


def _literal_segments(judged: Any) -> tuple[tuple[str, ...], bool]:
    """The segments before the first with a parameter, and whether that is all of the path.

    There are none where the regular expression, which decides, is not that of the path.
    """
    try:
        regex, path_format, _ = compile_path(judged.path)
    except (AssertionError, ValueError):  # The path has been replaced too, by one that is none.
        return (), False
    if judged.path_regex != regex:
        return (), False
    before, brace, _ = path_format.partition("{")
    segments = before.split("/")
    return tuple(segments[:-1] if brace else segments), not brace


def _may_share(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a path may begin with the literal segments of both."""
    return all(map(eq, one, other))


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

    def is_as_built(self, leaf: _Leaf) -> bool:
        """Whether a route, and those before it that may share a path with it, are judged by what they were then."""
        rivals = leaf.rivals
        if rivals is None:
            rivals = leaf.rivals = self._rivals(leaf)
        for own, regex, original in rivals:  # noqa: SIM110 - a generator costs more than the few that there are.
            if own["path_regex"] is not regex or "matches" in original:
                return False
        return True

    def _rivals(self, leaf: _Leaf) -> list[_Rival]:
        earlier = self._leaves[: leaf.order + 1]
        judged = [other for other in earlier if other.regex is not None and _may_share(other.literal, leaf.literal)]
        return [(vars(other.judged), other.regex, vars(_original(other.judged))) for other in judged]

    def find(self, scope: Scope) -> tuple[_Leaf, ASGIApp] | None:
        """Returns the route for this request, and the router as if it had no other; None when that is not known."""
        path, method = get_route_path(scope), scope["method"]
        known = self._known.get((method, path))
        if known is not None:
            leaf, earlier = known
            if leaf.allows(method) and not (earlier and any(other.allows(method) for other in earlier)):
                return leaf, leaf.known
        if "\n" in path:
            return None  # The end of a regular expression matches before one too.
        for leaf in self._candidates(path):
            if leaf.takes(scope, path):
                return leaf, leaf.app
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
            elif _finds_by_itself(candidate.original_router) and "matches" not in vars(candidate):
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
    original = _original(candidate)
    if isinstance(original, APIRoute):
        is_known = type(original).matches is APIRoute.matches and _is_as_made(original)
        return candidate if is_known and _is_as_made(candidate) else None
    effective = getattr(candidate, "starlette_route", None) or candidate
    return effective if type(effective) is Route and _is_as_made(effective) else None


def _is_as_made(route: Any) -> bool:
    """Whether a route holds its regular expression itself, and has no `matches` of its own."""
    return "matches" not in vars(route) and vars(route).get("path_regex") is route.path_regex


def _original(candidate: Any) -> Any:
    return getattr(candidate, "original_route", candidate)
