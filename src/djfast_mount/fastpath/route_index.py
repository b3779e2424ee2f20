"""An index of FastAPI's routes, which FastAPI tries one after another.

1. It only leaves out what cannot match: routes whose leading literal segments are not those of the path. The rest are
   tried in their order, and the first that takes path and method is the one.
2. Where none does, FastAPI's own router answers 405 as if it had the first route with the path alone, and 404 as if it
   had none, where it is certain that no other would answer. Else (a slash to redirect, `frontend()`) it scans them all.
3. What cannot be judged by its path (mounts, hosts, routes and routers of other classes, and those whose `matches` was
   replaced) is always tried. So is a route whose regular expression is not the one that Starlette makes of its path.
4. Routes may change at any time: the index is built anew then. Only this is not seen: a regular expression, or a
   `matches`, that was replaced after the first request, for what begins with the literal segments of another route.
"""

from __future__ import annotations

import copy
import enum
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from operator import eq
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.convertors import PathConvertor, StringConvertor
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Scope

from djfast_mount.fastpath.private_names import private
from djfast_mount.routing.endpoints import METHODS

__all__ = ["STALE", "Found", "Leaf", "RouteIndex", "Stale", "finds_by_itself"]

_FINDING = ("__call__", "app", "handle", "matches")
_TEXTS = (StringConvertor, PathConvertor)


def finds_by_itself(router: APIRouter) -> bool:
    """Whether a router looks for its routes as FastAPI's own class does."""
    kind = type(router)
    return vars(router).keys().isdisjoint(_FINDING) and all(
        getattr(kind, name) is getattr(APIRouter, name) for name in _FINDING
    )


def _only(included: Any, candidate: Any) -> Any:
    """Returns an included router as if it had one route."""
    only: Any = copy.copy(included)
    vars(only)["effective_candidates"] = lambda: [candidate]
    return only


class Leaf:
    """A route, wherever it was included.

    Args:
        order: Its place among all routes.
        router: The router that has been indexed.
        route: What that router is to have as its only route, so that it comes to this one.
        judged: What holds the path of the route; None: it decides in a way of its own.
        included: The innermost of the included routers that the route is in, if any.

    Attributes:
        app: The router as if this were its only route.
        inside: Where its plan stands when it serves in the place of its router.
        original: The route itself.
        own, own_of_original: The attributes of what is judged, and of the route.
        plan: That of the route, or in words why there is none. None: it has not been made yet.
        takes_texts: Whether its parameters are texts, which need no conversion.
        regex: The regular expression as it was.
        rivals: It, and the routes before it that may share a path with it, by their literal segments. None: not looked
            up yet.
    """

    __slots__ = (
        *("plan", "takes_texts", "app", "included", "inside", "judged", "literal", "order", "original"),
        *("own", "own_of_original", "regex", "rivals", "route", "whole"),
    )

    def __init__(self, order: int, router: APIRouter, route: BaseRoute, judged: Any, included: Any) -> None:
        self.order = order
        self.route = route
        self.regex: Any = None if judged is None else judged.path_regex
        self.judged = judged  # Asked for its methods with each request: they may change.
        self.literal, self.whole = ((), False) if judged is None else _literal_segments(judged)
        self.rivals: list[Leaf] | None = None
        self.included = included
        self.inside: Any = None
        self.original = None if judged is None else _original(judged)
        self.own: dict[str, Any] = {"path_regex": None} if judged is None else vars(judged)
        self.own_of_original: dict[str, Any] = {} if judged is None else vars(self.original)
        self.plan: Any = None if isinstance(self.original, APIRoute) else "no APIRoute"
        convertors = {} if judged is None else judged.param_convertors
        self.takes_texts = all(type(convertor) in _TEXTS for convertor in convertors.values())
        self.app = _alone(router, route)

    def takes(self, scope: Scope) -> bool:
        """Whether a route that decides in a way of its own takes a request."""
        return self.route.matches(scope)[0] is Match.FULL

    def allows(self, method: str) -> bool:
        return not self.judged.methods or method in self.judged.methods

    def path_params(self, match: re.Match[str] | None, scope: Scope) -> dict[str, Any]:
        """Returns the path parameters, as the route would put them into the scope."""
        outer = scope.get("path_params")
        if match is None:
            return dict(outer) if outer else {}
        params: dict[str, Any] = match.groupdict()
        if not self.takes_texts:
            convertors = self.judged.param_convertors
            params = {name: convertors[name].convert(value) for name, value in params.items()}
        return {**outer, **params} if outer else params


def _alone(router: APIRouter, *routes: Any) -> ASGIApp:
    """The router as if it had no other than `routes`."""
    # A copy: the router that it comes from goes on to have all of its routes.
    narrow = copy.copy(router)
    narrow.routes = [*routes]
    return narrow.app


def _path_in(scope: Scope) -> str:
    """Returns the path that routes are matched with."""
    path: str = scope["path"]
    root_path = scope.get("root_path")
    # As Starlette does it, written out for the path that it mostly is.
    inside = path.removeprefix(root_path) if root_path else path
    return inside if inside[:1] == "/" else str(private.get_route_path(scope))


def _literal_segments(judged: Any) -> tuple[tuple[str, ...], bool]:
    """The segments before the first with a parameter, and whether that is all of the path.

    There are none where the regular expression, which decides, is not that of the path.
    """
    try:
        regex, path_format, _ = compile_path(judged.path)
    except (AssertionError, ValueError):  # The path has been replaced too, by one that is none.
        return (), False
    # Somebody has put another regular expression there, which decides. The literal text says nothing then.
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
        self.leaves: list[Leaf] = []  # that go on with a parameter
        self.ending: list[Leaf] = []  # that end here


Found = tuple[Leaf, re.Match[str] | None]
_UNKNOWN: tuple[None, list[Leaf]] = (None, [])


class Stale(enum.Enum):
    """What is found in an index of routes that have changed."""

    STALE = enum.auto()


STALE: Final = Stale.STALE


class RouteIndex:
    """The routes of one router, as they are now.

    Attributes:
        routes: Those of the router itself.
        versions: The routers that are included in it, and the versions of their routes.
    """

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self.routes = list(router.routes)
        self.versions: list[tuple[Any, int]] = []
        self._root = _Node()
        self._nothing = _alone(router)
        self._has_frontends = bool(router._low_priority_routes)
        found = self._flattened(self.routes, lambda route: route, None)
        self.leaves = [Leaf(order, router, *each) for order, each in enumerate(found)]
        for leaf in self.leaves:
            self._add(leaf)
        # By method and path: what takes them, and what comes before it and has the path, though not the method.
        self._known: dict[tuple[str, str], tuple[Found, list[Leaf]]] = {}
        for leaf in self.leaves:
            self._look_up(leaf)

    def find(self, scope: Scope) -> Found | Stale | None:
        """Returns the route for this request, with the match of its regular expression; None: it is not known.

        STALE, if the routes are not those that were indexed, or are judged by something else than then.
        """
        # Calls are written out here: each would slow every request.
        if self._router.routes != self.routes:  # Elements are compared by identity first: a microsecond for 300.
            return STALE
        if self.versions and any(map(_has_other_routes, self.versions)):
            return STALE
        path, method = scope["path"], scope["method"]
        if root_path := scope.get("root_path"):
            path = path.removeprefix(root_path)
        found, earlier = self._known.get((method, path), _UNKNOWN)
        if (
            found is None
            or method not in (found[0].judged.methods or ())
            or (earlier and any(map(_allowing(method), earlier)))
        ):
            found = self._try(scope, path if path[:1] == "/" else _path_in(scope), method)
        if found is not None and any(map(self.is_changed, found[0].rivals or self.rivals_of(found[0]))):
            return STALE
        return found

    @staticmethod
    def is_changed(leaf: Leaf) -> bool:
        """Whether a route is judged by something else than it was."""
        return leaf.own["path_regex"] is not leaf.regex or "matches" in leaf.own_of_original

    def rivals_of(self, leaf: Leaf) -> list[Leaf]:
        """Returns the routes that decide whether `leaf` is found: see there."""
        earlier = self.leaves[: leaf.order + 1]
        leaf.rivals = [
            other for other in earlier if other.regex is not None and _may_share(other.literal, leaf.literal)
        ]
        return leaf.rivals

    def knows_by_path(self, leaf: Leaf, method: str) -> bool:
        """Whether the path of `leaf`, which has no parameter then, leads there for certain, if the method is so."""
        found, _ = self._known.get((method, "/".join(leaf.literal)), _UNKNOWN)
        return leaf.whole and found is not None and found[0] is leaf

    def match(self, scope: Scope) -> Found | None:
        """Returns the route for this request, as `find` does, where paths alone decide.

        Whether the routes have changed is not asked.
        """
        root_path, path = scope.get("root_path"), scope["path"]
        inside = path.removeprefix(root_path) if root_path else path
        if inside[:1] != "/" or "\n" in inside:
            return None
        method = scope["method"]
        for leaf in self._candidates(inside):
            if leaf.regex is None:
                return None
            if leaf.allows(method) and (match := leaf.regex.match(inside)) is not None:
                return leaf, match
        return None

    def _try(self, scope: Scope, path: str, method: str) -> Found | None:
        """Returns the first route that takes a request, of those that may."""
        if "\n" in path:
            return None  # The end of a regular expression matches before one too.
        for leaf in self._candidates(path):
            if leaf.regex is None:
                if leaf.takes(scope):
                    return leaf, None
            elif leaf.allows(method) and (match := leaf.regex.match(path)) is not None:
                return leaf, match
        return None

    def find_refusal(self, scope: Scope) -> ASGIApp | None:
        """Returns what answers a request that no route takes; None: that is for all routes to decide."""
        path = _path_in(scope)
        candidates = self._candidates(path)
        if self._has_frontends or "\n" in path or not all(map(_is_judged_by_path, candidates)):
            return None
        having = [leaf for leaf in candidates if leaf.regex.match(path) is not None]
        if having:  # They have the path, though not the method.
            scope[METHODS] = set().union(*(leaf.judged.methods or () for leaf in having))
            return having[0].app
        return None if self._may_redirect(scope, path) else self._nothing

    def _may_redirect(self, scope: Scope, path: str) -> bool:
        """Whether a route may have the path with a slash at its end, or without."""
        if not self._router.redirect_slashes or path == "/":
            return False
        full: str = scope["path"]
        other = private.get_route_path({**scope, "path": full.rstrip("/") if path.endswith("/") else full + "/"})
        return any(leaf.regex is None or leaf.regex.match(other) is not None for leaf in self._candidates(other))

    def _candidates(self, path: str) -> list[Leaf]:
        node = self._root
        found = node.leaves
        for segment in path.split("/"):
            below = node.below.get(segment)
            if below is None:
                break
            node = below
            if node.leaves:
                found = [*found, *node.leaves] if found else node.leaves
        else:
            if node.ending:
                found = [*found, *node.ending]
        return sorted(found, key=_order) if len(found) > 1 else found

    def _look_up(self, leaf: Leaf) -> None:
        """Notes what `find` is to return for the path of `leaf`, where that has no parameter."""
        path = "/".join(leaf.literal)
        if not leaf.whole or "\n" in path:
            return
        candidates = self._candidates(path)
        sure = list(takewhile(_is_judged_by_path, candidates))  # The others may look at more than method and path.
        owners = [candidate for candidate in sure if candidate.regex.match(path) is not None]
        for method in leaf.judged.methods or ():
            number = next((number for number, owner in enumerate(owners) if owner.allows(method)), None)
            if number is not None:
                owner = owners[number]
                match = None if owner.whole else owner.regex.match(path)
                self._known[method, path] = (owner, match), owners[:number]

    def _add(self, leaf: Leaf) -> None:
        node = self._root
        for segment in leaf.literal:
            node = node.below.setdefault(segment, _Node())
        (node.ending if leaf.whole else node.leaves).append(leaf)

    def _flattened(
        self, candidates: list[Any], outer: Callable[[Any], BaseRoute], included: Any
    ) -> Iterator[tuple[BaseRoute, Any, Any]]:
        """Each route as its router shall have it alone, what its path is judged by, and the router that includes it."""
        for candidate in candidates:
            if not isinstance(candidate, private._IncludedRouter):
                if not _is_websocket(candidate):
                    yield outer(candidate), _judged(candidate), included
            elif finds_by_itself(candidate.original_router) and "matches" not in vars(candidate):
                self.versions.append((candidate.original_router, candidate.original_router._routes_version))
                self._has_frontends = self._has_frontends or bool(candidate.original_router._low_priority_routes)
                yield from self._flattened(candidate.effective_candidates(), _within(candidate, outer), candidate)
            else:
                yield outer(candidate), None, included


def _within(router: Any, outer: Callable[[Any], BaseRoute]) -> Callable[[Any], BaseRoute]:
    return lambda candidate: outer(_only(router, candidate))


def _allowing(method: str) -> Callable[[Leaf], bool]:
    return lambda leaf: leaf.allows(method)


def _has_other_routes(router_and_version: tuple[Any, int]) -> bool:
    router, version = router_and_version
    return bool(router._routes_version != version)


def _order(leaf: Leaf) -> int:
    return leaf.order


def _is_judged_by_path(leaf: Leaf) -> bool:
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
