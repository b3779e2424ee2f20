"""Where plans stand: before an API whose stack has nothing of the user's, and in the place of its router.

What fails before the stack, and no handler answers, goes up inside of it: the failure is put into the scope, the API is
called as the server would call it, and where its router stands the failure is taken out and raised. A replay goes the
same way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.fastpath.errors import Failure, Raised, Watched, without_start
from djfast_mount.fastpath.guard import guard_of
from djfast_mount.fastpath.plan import Plan
from djfast_mount.fastpath.private_names import private, unknown
from djfast_mount.fastpath.route_index import STALE, Found, Leaf, RouteIndex, Stale, finds_by_itself
from djfast_mount.fastpath.telemetry import is_traced, question_of
from djfast_mount.offload.current import current_response

__all__ = ["Way", "before", "leave_to_fastapi", "straighten", "tell_if_unknown", "ways_of"]

logger = logging.getLogger("djfast_mount")

_CHOSEN = "djfast_mount.fastpath"
"""The key in a scope of what is to be called where the router stands."""
_TELEMETRY = "fastapi.telemetry"
_MOST = 4096  # Places known by path: middleware may take root_path from a header, where a client puts anything.
_MAX_BODY_SIZE = getattr(private, "MAX_BODY_SIZE_SCOPE_KEY", None)


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
        router.middleware_stack = cast(Any, _InTheStack(router, (*above, api)))


def leave_to_fastapi(api: FastAPI) -> None:
    """Has `api` find and serve its routes itself, whatever a `mount()` before has done."""
    if isinstance(api.router.middleware_stack, _InTheStack):
        api.router.middleware_stack = api.router.app


def before(api: FastAPI, *, is_direct: bool = False) -> ASGIApp:
    """Returns what is to be called in the place of `api`, so that plans need not pass its stack.

    Args:
        is_direct: Whether the `send` of its calls is that of the request which their scope names.
    """
    inside = api.router.middleware_stack
    return _BeforeTheStack(api, inside, is_direct) if isinstance(inside, _InTheStack) else api


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
    if not isinstance(api.router.middleware_stack, _InTheStack):
        return _without_plans(api, prefix, "fast_path is off, or the router is one of its own")
    ways: list[Way] = []
    for leaf in RouteIndex(api.router).leaves:
        judged: Any = leaf.judged or leaf.route
        if isinstance(judged, Mount) and isinstance(judged.app, FastAPI):
            ways += ways_of(judged.app, prefix + judged.path)
        else:
            plan = leaf.plan or leaf.make_plan()
            is_plan = isinstance(plan, Plan)
            ways.append(_way(judged, prefix, plan if is_plan else None, "" if is_plan else str(plan)))
    return ways


def _without_plans(api: FastAPI, prefix: str, reason: str) -> list[Way]:
    return [_way(route, prefix, None, reason) for route in api.routes]


def _way(route: Any, prefix: str, plan: Any, reason: str) -> Way:
    path = str(getattr(route, "path_format", None) or getattr(route, "path", ""))
    return Way(prefix + path, tuple(sorted(getattr(route, "methods", None) or ())), plan, reason)


class _InTheStack:
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
        chosen = scope.pop(_CHOSEN, None)
        if chosen is not None:
            scope.pop(_TELEMETRY, None)  # _Before has put it there.
            return cast(Awaitable[None], chosen(scope, receive, send))
        found = self.find(scope)
        if found is None:
            scope.setdefault("router", self.router)
            app = self.index.find_refusal(scope) if self.index is not None else None
            return cast(Awaitable[None], (app or self.router.app)(scope, receive, send))
        leaf = found[0]
        # Without a source this is no request of ours: the API may be served by others besides.
        is_ours = current_response() is not None and scope.get(_TELEMETRY) is None and not is_traced()
        plan = plan_now(leaf, scope) if is_ours else None
        if plan is not None and self.enter(scope, found):
            if leaf.inside is None:
                leaf.inside = _Inside(leaf, self._is_last)
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
            _put_included(leaf, scope)
        return True


def _put_included(leaf: Leaf, scope: Scope) -> None:
    """Puts into the scope what FastAPI's router has there for a route that was included."""
    scope.setdefault(private._FASTAPI_SCOPE_KEY, {}).update(
        {
            private._FASTAPI_INCLUDED_ROUTER_KEY: leaf.included,
            private._FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY: leaf.judged,
        }
    )


def plan_now(leaf: Leaf, scope: Scope) -> Plan | None:
    """Returns the plan for a request, if there is one and nothing has changed since it was made."""
    plan = leaf.plan or leaf.make_plan()
    return plan if type(plan) is Plan and _MAX_BODY_SIZE not in scope and plan.holds() else None


class _Inside:
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


class _BeforeTheStack:
    """ASGI: before an API. Also where a plan stands that serves there."""

    def __init__(self, api: FastAPI, inside: _InTheStack, is_direct: bool) -> None:
        self.api = api
        self._is_direct = is_direct
        self._inside = inside
        self._is_watched = question_of(api)
        self._stack: Any = NotImplemented  # the one that was looked at last; NotImplemented: none yet
        self._handlers: Any = None  # of its exceptions; None: the user has something in the stack
        self._endings: tuple[str, ...] = ()  # of the paths at which a layer of the package's own may do something
        self._index: Any = None  # of which the places here are
        self._known: dict[tuple[Any, ...], _Before] = {}  # where the plans stand, by method, root_path and path

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.api(scope, receive, send)
        place = self._known.get((scope["method"], scope.get("root_path"), scope["path"]))
        if place is None or not place.holds(scope):
            return self._find(scope, receive, send)
        # As the stack and the router put it there.
        scope["app"], scope["starlette.exception_handlers"] = self.api, self._handlers
        if "router" not in scope:
            scope["router"] = self.api.router
        leaf = place.leaf
        scope["path_params"], scope["endpoint"], scope["route"] = {}, leaf.judged.endpoint, leaf.original
        if leaf.included is not None:
            _put_included(leaf, scope)
        return place.serve(place, scope, receive, send)

    def _find(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        api = self.api
        # FastAPI's own way: for an app with a root_path, which it writes over the scope's, and for calls that its
        # telemetry follows.
        if api.root_path or _TELEMETRY in scope or self._is_watched():
            return api(scope, receive, send)
        if self._stack is not api.middleware_stack:
            self._look_at_the_stack()
        # A layer of ours does something at these paths: the docs are kept from those who may not see them.
        if self._handlers is None or scope["path"].endswith(self._endings):
            return api(scope, receive, send)
        # Nothing in the stack of the API would do more than to hand the call on.
        inside, outer = self._inside, "path_params" in scope  # Those of a Mount around it are merged in.
        found = inside.find(scope)
        if found is None or (plan := plan_now(found[0], scope)) is None or not inside.enter(scope, found):
            return api(scope, receive, send)
        scope["app"], scope["starlette.exception_handlers"] = api, self._handlers
        place = found[0].before or self._place_of(found[0])
        if not outer:
            self._note(place, plan, scope)
        return plan.serve(place, scope, receive, send)

    def _place_of(self, leaf: Leaf) -> _Before:
        place = leaf.before = _Before(leaf, self.api, self._is_direct)
        return place

    def _note(self, place: _Before, plan: Plan, scope: Scope) -> None:
        """Has requests like this one find `place` at once, if it is found by method and path alone."""
        index = self._inside.index
        if index is not self._index:
            self._index, self._known = index, {}
        if index is None or len(self._known) >= _MOST or not index.knows_by_path(place.leaf, scope["method"]):
            return
        absent = _TELEMETRY, "path_params", str(_MAX_BODY_SIZE)
        place.holds = guard_of(place.leaf, index, plan, self.api, self._is_watched, absent)
        place.serve = plan.serve
        self._known[scope["method"], scope.get("root_path"), scope["path"]] = place

    def _look_at_the_stack(self) -> None:
        """Makes the stack of the API if there is none yet, as Starlette does it, and notes what is in it."""
        self._known = {}
        api = self.api
        # Starlette builds it with the first call, after which `add_middleware()` is refused. Here it is built in the
        # same moment.
        if api.middleware_stack is None:
            api.middleware_stack = api.build_middleware_stack()
        self._stack, self._endings = api.middleware_stack, ()
        self._handlers = self._handlers_in(api.middleware_stack)

    def _handlers_in(self, stack: Any) -> Any:
        """Returns the exception handlers of a stack that the user has added nothing to; None for any other."""
        # A subclass with a `__call__` of its own is to be called.
        if type(self.api).__call__ is not FastAPI.__call__:
            return None
        handlers: Any = None
        kinds: tuple[Any, ...] = (
            ServerErrorMiddleware,
            private.ExceptionTelemetryMiddleware,
            private.AppBodyLimitMiddleware,
            ExceptionMiddleware,
            private.AsyncExitStackMiddleware,
        )
        for kind in kinds:
            # Layers of ours say at which paths they do something, and are passed by at all others.
            while type(stack).__module__.startswith("djfast_mount.") and hasattr(stack, "endings"):
                self._endings += stack.endings
                stack = stack.app
            if type(stack) is not kind:
                return None
            if kind is ExceptionMiddleware:
                # Starlette's `wrap_app_handling_exceptions` looks them up in the scope.
                handlers = _handlers_of(stack)
            stack = stack.app
        is_ours = stack is self.api.router and stack.middleware_stack is self._inside
        return handlers if is_ours else None


def _handlers_of(middleware: Any) -> Any:
    """Returns the exception handlers in the middleware for them; None, with a line in the log, where they are gone."""
    held = vars(middleware)
    if "_exception_handlers" in held and "_status_handlers" in held:
        return held["_exception_handlers"], held["_status_handlers"]
    logger.warning(
        "Starlette's ExceptionMiddleware has no _exception_handlers or no _status_handlers any more: routes are served "
        "within the API's stack, which is slower. Nothing else changes."
    )
    return None


class _Before(_Inside):
    """Where a plan stands that serves before the stack of an API.

    Attributes:
        holds: For a route without path parameters: whether a request with its method and path is still the plan's.
        serve: That of the plan.
    """

    __slots__ = ("_api", "holds", "serve")
    holds: Callable[[Scope], bool]
    serve: Callable[..., Awaitable[None]]

    def __init__(self, leaf: Leaf, api: FastAPI, is_direct: bool) -> None:
        super().__init__(leaf, True, is_direct)
        self._api = api

    async def replay(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has FastAPI serve the request."""
        await self._go_inside(self.leaf.app, scope, receive, send)

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
        # Most are answered by a handler, which stands innermost: the stack would do no more than to hand that on.
        failure, unhandled = Failure(box, request, started), []
        watched = Watched(without_start(send, failure.start))
        try:
            await failure(scope, receive, watched)
        except Exception as error:
            unhandled.append(error)
        if unhandled:
            raised = Raised(unhandled, watched.start)
            await self._go_inside(raised, scope, receive, without_start(send, watched.start))

    async def _go_inside(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls `app` where the router stands, through the stack of the API."""
        scope[_CHOSEN] = app
        scope[_TELEMETRY] = None  # Telemetry was looked at already, and FastAPI need not do it again.
        await self._api(scope, receive, send)
