"""Plans before an API: where its stack has nothing of the user's, a request need not pass that.

On the shortest way they stand before all that `mount()` puts around the API, too. A request whose route is known asks
one written function then whether all is as it was (djfast_mount.fastpath.guard), and is served.

djfast_mount.asgi takes from here what it takes from this room: the order of the layers is decided there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.fastpath.errors import Failure, Raised, Watched, without_start
from djfast_mount.fastpath.front import (
    CHOSEN,
    MAX_BODY_SIZE,
    TELEMETRY,
    Inside,
    InTheStack,
    leave_to_fastapi,
    plan_now,
    put_included,
    straighten,
    tell_if_unknown,
)
from djfast_mount.fastpath.guard import Around, Standing, entry_of, never
from djfast_mount.fastpath.plan import Plan
from djfast_mount.fastpath.private_names import private
from djfast_mount.fastpath.route_index import Leaf
from djfast_mount.fastpath.telemetry import question_of

__all__ = ["Around", "before", "leave_to_fastapi", "shortest_way", "straighten", "tell_if_unknown"]

logger = logging.getLogger("djfast_mount")


def before(api: FastAPI, *, is_direct: bool = False) -> ASGIApp:
    """Returns what is to be called in the place of `api`, so that plans need not pass its stack.

    Args:
        is_direct: Whether the `send` of its calls is that of the request which their scope names.
    """
    inside = api.router.middleware_stack
    return _BeforeTheStack(api, inside, is_direct, None) if isinstance(inside, InTheStack) else api


def shortest_way(api: FastAPI, around: Around) -> ASGIApp:
    """Returns what http calls are to come to in the place of `around.app`, so that plans need not pass that.

    The `send` of these calls is that of the request which their scope names.
    """
    inside = api.router.middleware_stack
    return _BeforeTheStack(api, inside, True, around).serve if isinstance(inside, InTheStack) else around.app


class _BeforeTheStack:
    """ASGI: before an API. Also where a plan stands that serves there.

    Args:
        around: What else is passed by; None: nothing.
    """

    def __init__(self, api: FastAPI, inside: InTheStack, is_direct: bool, around: Around | None) -> None:
        self.api = api
        self._around = around
        self._otherwise = api if around is None else around.app
        self._is_direct = is_direct
        self._inside = inside
        self._question = question_of(api)
        self._stack: Any = NotImplemented  # the one that was looked at last; NotImplemented: none yet
        self._handlers: Any = None  # of its exceptions; None: the user has something in the stack
        self._endings: tuple[str, ...] = ()  # of the paths at which a layer of the package's own may do something
        self._index: Any = None  # of which the places here are
        self._known: dict[tuple[Any, ...], _Before] = {}  # where the plans stand, by method, root_path and path
        self._places: dict[Leaf, _Before] = {}  # all of them

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (self.serve if scope["type"] == "http" else self.api)(scope, receive, send)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI, http: serves a request by a plan, if there is one."""
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        place = self._known.get((scope["method"], scope.get("root_path"), scope["path"]))
        match = None
        if place is None and self._index is not None:
            found = self._index.match(scope)
            if found is not None:
                leaf, match = found
                place = self._places.get(leaf)
        # The index may be of routes that are gone. That is among what is asked here.
        if place is not None and place.enter(scope, match):
            return place.serve(place, scope, receive, send)
        return self._find(scope, receive, send)

    def _find(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        inside, outer = self._inside, "path_params" in scope  # Those of a Mount around it are merged in.
        found = None if self._is_for_layers(scope) else inside.find(scope)
        plan = None if found is None else plan_now(found[0], scope)
        if found is None or plan is None or not inside.enter(scope, found):
            return self._otherwise(scope, receive, send)
        scope["app"], scope["starlette.exception_handlers"] = self.api, self._handlers
        if self._around is not None:
            self._around.put_headers(scope)
        if self._index is not inside.index:
            self._index, self._known, self._places = inside.index, {}, {}
        leaf = found[0]
        place = self._places.get(leaf)
        if place is None:
            place = self._places[leaf] = _Before(leaf, self.api, self._is_direct)
        if not outer:
            self._note(place, plan, scope)
        return plan.serve(place, scope, receive, send)

    def _is_for_layers(self, scope: Scope) -> bool:
        """Whether something that stands before a route does more with a request than to hand it on."""
        api = self.api
        # FastAPI's own way: for an app with a root_path, which it writes over the scope's, and for calls that its
        # telemetry follows.
        if api.root_path or TELEMETRY in scope or self._question.is_watched():
            return True
        if self._around is not None and not self._around.does_nothing:
            return True
        if self._stack is not api.middleware_stack:
            self._look_at_the_stack()
        # A layer of ours does something at these paths: the docs are kept from those who may not see them.
        return self._handlers is None or scope["path"].endswith(self._endings)

    def _note(self, place: _Before, plan: Plan, scope: Scope) -> None:
        """Has requests like this one find `place` at once."""
        if place.stack is self._stack:
            return
        place.stack, index, leaf = self._stack, self._index, place.leaf
        absent = TELEMETRY, "path_params", str(MAX_BODY_SIZE)
        standing = Standing(self.api, self._handlers, self._endings, self._question, absent, self._around)
        place.serve = plan.serve
        # Last: another loop may be about to ask it.
        place.enter = entry_of(leaf, index, plan, standing, put_included)
        # Once for each route: a client may put anything into a header from which middleware takes root_path.
        if index.knows_by_path(leaf, scope["method"]):
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


class _Before(Inside):
    """Where a plan stands that serves before the stack of an API.

    Attributes:
        enter: Whether a request that was found by its method and path is still the plan's. If it is, its scope has what
            the stack and the router would put there.
        serve: That of the plan.
        stack: That of the API, of which `enter` was written. NotImplemented: none yet.
    """

    __slots__ = ("_api", "enter", "serve", "stack")
    serve: Callable[..., Awaitable[None]]

    def __init__(self, leaf: Leaf, api: FastAPI, is_direct: bool) -> None:
        super().__init__(leaf, True, is_direct)
        self._api = api
        self.stack: Any = NotImplemented
        self.enter: Callable[[Scope, Any], bool] = never

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
        scope[CHOSEN] = app
        scope[TELEMETRY] = None  # Telemetry was looked at already, and FastAPI need not do it again.
        await self._api(scope, receive, send)
