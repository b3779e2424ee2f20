"""Where plans stand: before an API whose stack has nothing of the user's, and in the place of its router.

What fails before the stack, and no handler answers, goes up inside of it: the failure is put into the scope, the API is
called as the server would call it, and where its router stands the failure is taken out and raised. A replay goes the
same way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.fastpath.errors import Failure, Watched, without_start
from djfast_mount.fastpath.plan import Plan, plan_for
from djfast_mount.fastpath.private_names import private, unknown
from djfast_mount.fastpath.route_index import STALE, Found, Leaf, RouteIndex, Stale, finds_by_itself
from djfast_mount.fastpath.telemetry import is_traced
from djfast_mount.offload.current import current_response

__all__ = [
    "CHOSEN",
    "MAX_BODY_SIZE",
    "TELEMETRY",
    "InTheStack",
    "Inside",
    "Way",
    "leave_to_fastapi",
    "plan_now",
    "put_included",
    "straighten",
    "tell_if_unknown",
    "ways_of",
]

logger = logging.getLogger("djfast_mount")

CHOSEN = "djfast_mount.fastpath"
"""The key in a scope of what is to be called where the router stands."""
TELEMETRY = "fastapi.telemetry"
MAX_BODY_SIZE = getattr(private, "MAX_BODY_SIZE_SCOPE_KEY", None)


def tell_if_unknown() -> None:
    """Says in the log if this FastAPI is not known. There are no plans then."""
    if unknown is not None:
        logger.warning(
            "This FastAPI is not known to djfast_mount: %s. It serves its routes itself, which is slower. Nothing else "
            "changes.",
            unknown,
        )


def straighten(api: FastAPI, above: Sequence[FastAPI] = ()) -> None:
    """Has `api` find its routes by an index and serve them by plans. A second call changes nothing.

    A router with middleware of its own is left as it is: its scan is out of reach. Where this FastAPI is not known, all
    is left as it is.

    Args:
        above: In which `api` is mounted.
    """
    router = api.router
    if unknown is None and finds_by_itself(router) and router.middleware_stack == router.app:
        router.middleware_stack = cast(Any, InTheStack(router, (*above, api)))


def leave_to_fastapi(api: FastAPI) -> None:
    """Has `api` find and serve its routes itself, whatever a `mount()` before has done."""
    if isinstance(api.router.middleware_stack, InTheStack):
        api.router.middleware_stack = api.router.app


def _has_calls_after(api: FastAPI) -> bool:
    """Whether `api` has middleware that may make sync calls after an endpoint."""
    kinds: list[Any] = [middleware.cls for middleware in api.user_middleware]
    # A class makes no such calls only if it says so. Otherwise the spell goes on until the request ends.
    return not all(getattr(kind, "makes_no_calls_after", False) for kind in kinds)


class Way(NamedTuple):
    """Which way the requests of one route go."""

    path: str
    methods: tuple[str, ...]
    plan: Plan | None
    reason: str
    """Why there is no plan. Empty where there is one."""


def ways_of(api: FastAPI, prefix: str = "") -> list[Way]:
    """Returns the way of each route of `api`, and of every FastAPI mounted in it, in order. The plans are made now."""
    if unknown is not None:
        return _without_plans(api, prefix, "this FastAPI is not known")
    if not isinstance(api.router.middleware_stack, InTheStack):
        return _without_plans(api, prefix, "fast_path is off, or the router is one of its own")
    ways: list[Way] = []
    for leaf in RouteIndex(api.router).leaves:
        judged: Any = leaf.judged or leaf.route
        if isinstance(judged, Mount) and isinstance(judged.app, FastAPI):
            ways += ways_of(judged.app, prefix + judged.path)
        else:
            plan = plan_of(leaf)
            is_plan = isinstance(plan, Plan)
            ways.append(_way(judged, prefix, plan if is_plan else None, "" if is_plan else str(plan)))
    return ways


def _without_plans(api: FastAPI, prefix: str, reason: str) -> list[Way]:
    return [_way(route, prefix, None, reason) for route in api.routes]


def _way(route: Any, prefix: str, plan: Any, reason: str) -> Way:
    path = str(getattr(route, "path_format", None) or getattr(route, "path", ""))
    return Way(prefix + path, tuple(sorted(getattr(route, "methods", None) or ())), plan, reason)


class InTheStack:
    """ASGI: in the place of `router.app`."""

    def __init__(self, router: Any, apis: Sequence[FastAPI]) -> None:
        self.router = router
        self._apis = apis
        self._is_last = False
        self.index: RouteIndex | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        if scope["type"] != "http":
            return cast(Awaitable[None], self.router.app(scope, receive, send))
        chosen = scope.pop(CHOSEN, None)
        if chosen is not None:
            scope.pop(TELEMETRY, None)  # _Before has put it there.
            return cast(Awaitable[None], chosen(scope, receive, send))
        found = self.find(scope)
        if found is None:
            scope.setdefault("router", self.router)
            app = self.index.find_refusal(scope) if self.index is not None else None
            return cast(Awaitable[None], (app or self.router.app)(scope, receive, send))
        leaf = found[0]
        # Without a source this is no request of ours: the API may be served by others besides.
        is_ours = current_response() is not None and scope.get(TELEMETRY) is None and not is_traced()
        plan = plan_now(leaf, scope) if is_ours else None
        if plan is not None and self.enter(scope, found):
            if leaf.inside is None:
                leaf.inside = Inside(leaf, self._is_last)
            return plan.serve(leaf.inside, scope, receive, send)
        scope.setdefault("router", self.router)
        return leaf.app(scope, receive, send)

    def find(self, scope: Scope) -> Found | None:
        """Returns the route for a request, by an index of the routes as they are now."""
        found: Found | Stale | None = STALE if self.index is None else self.index.find(scope)
        if found is STALE:
            # With the index, not once: middleware may be added until the first request.
            self._is_last = not any(map(_has_calls_after, self._apis))
            self.index = RouteIndex(self.router)
            found = self.index.find(scope)
        return None if found is STALE else found

    def enter(self, scope: Scope, found: Found) -> bool:
        """Puts into the scope what the router would. Returns whether that was possible: a convertor may raise."""
        leaf, match = found
        if match is None and "path_params" not in scope:
            path_params = {}
        else:
            try:
                path_params = leaf.path_params(match, scope)
            except Exception:
                return False
        if "router" not in scope:
            scope["router"] = self.router
        scope["path_params"] = path_params
        scope["endpoint"] = leaf.judged.endpoint
        scope["route"] = leaf.original
        if leaf.included is not None:
            put_included(leaf, scope)
        return True


def put_included(leaf: Leaf, scope: Scope) -> None:
    """Puts into the scope what FastAPI's router has there for a route that was included."""
    scope.setdefault(private._FASTAPI_SCOPE_KEY, {}).update(
        {
            private._FASTAPI_INCLUDED_ROUTER_KEY: leaf.included,
            private._FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY: leaf.judged,
        }
    )


def plan_of(leaf: Leaf) -> Plan | str:
    """Returns the plan of a route, or in words why there is none. It is made now if it has not been made yet."""
    if leaf.plan is None:
        leaf.plan = plan_for(leaf.judged, leaf.original)
    made: Plan | str = leaf.plan
    return made


def plan_now(leaf: Leaf, scope: Scope) -> Plan | None:
    """Returns the plan for a request, if there is one and nothing has changed since it was made."""
    plan = leaf.plan or plan_of(leaf)
    return plan if type(plan) is Plan and MAX_BODY_SIZE not in scope and plan.holds() else None


class Inside:
    """Where a plan stands that serves in the place of the router.

    Attributes:
        is_last: Whether nothing outside makes sync calls once the answer is made.
        is_direct: Whether the answer is sent by the request itself: nothing stands between.
    """

    __slots__ = ("is_direct", "is_last", "leaf")

    def __init__(self, leaf: Leaf, is_last: bool, is_direct: bool = False) -> None:
        self.leaf = leaf
        self.is_last = is_last
        self.is_direct = is_direct

    async def replay(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has FastAPI serve the request."""
        await self.leaf.app(scope, receive, send)

    async def fail(
        self,
        box: list[Exception],
        request: Request,
        started: Message | Watched | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Raises the exception in `box` where FastAPI would."""
        failure = Failure(box, request, started)
        await failure(scope, receive, without_start(send, failure.start))
