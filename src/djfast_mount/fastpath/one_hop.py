"""A FastAPI route of plain `def` functions, served in one hop to the request thread.

FastAPI sends each dependency, the endpoint and the validation of its response to a thread of their own choosing: a hop
for each. Here the first of them takes FastAPI's own coroutine along, which goes on there, and comes back when the
handler has its response, or an error.

1. Only where the endpoint and all its dependencies are plain functions or classes, none is overridden, limited or a
   generator, the response is of a class of FastAPI's or Starlette's, and nobody traces the call: neither by telemetry
   nor by something in the place of the coroutine functions that the handler goes through. What it awaits between its
   first call and its response are those calls. What else it does there, validation and serialization, finds no running
   loop.
2. What is awaited before (the body) and after (the response, background tasks, exception handlers) stays on the loop.
   So the first call is one of the route's own dependencies, or its endpoint: what reading the body sends to a thread,
   as a form's large files, or a middleware that looks at each part, takes no handler along.
3. A call that gets no thread, and a cancellation, are met where the first call was made.
4. Where no sync call can come after the handler (background tasks, middleware, a response of the endpoint's own making,
   exception handlers), the spell ends with the hop.

Names used here that are not public, each with a canary test: the keys ``fastapi_function_astack`` and
``fastapi.telemetry`` in a scope; the globals ``solve_dependencies``, ``run_endpoint_function`` and
``serialize_response`` of fastapi.routing.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from types import FunctionType
from typing import Any

from fastapi import FastAPI, routing
from fastapi.dependencies import utils
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.fastpath import dependency_solving
from djfast_mount.offload import run as offload
from djfast_mount.threads.lease import Source

__all__ = ["in_one_hop", "is_plain"]

# FastAPI looks these up with each call. By name, so that one that has gone makes no hop, and not no start.
_globals = vars(routing)


def _own(name: str, module: Any) -> object:
    """Returns the function of `module` that is called so; where it is not the module's own, what nothing else is."""
    function = vars(module).get(name)
    return function if type(function) is FunctionType and function.__globals__ is vars(module) else object()


_RUN = _own("run_endpoint_function", routing)
_SERIALIZE = _own("serialize_response", routing)
_SOLVE = _own("solve_dependencies", utils)
_SOLVE_OF_OURS = dependency_solving.solve


def is_plain(route: Any, original: object) -> bool:
    """Whether the endpoint of `route` and all that it depends on are plain `def` functions, or classes.

    Args:
        route: What holds the `dependant`: the route, or what FastAPI makes of it where it is included.
        original: The route itself.
    """
    return (
        type(original) is APIRoute
        and _is_known(route.response_class)
        and route.dependant is not None
        and _all_plain(route.dependant)
    )


def _all_plain(dependant: Any) -> bool:
    return (
        _is_plain_function(dependant.call)
        and getattr(dependant, "concurrency", None) is None
        and all(map(_all_plain, dependant.dependencies))
    )


def _is_plain_function(call: Any) -> bool:
    call = _innermost(call)
    if inspect.isclass(call):
        return True
    if not (inspect.isfunction(call) or inspect.ismethod(call)):
        return False
    # FastAPI looks beneath decorators, too.
    functions = (call, inspect.unwrap(call))
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return not any(is_kind(function) for function in functions for is_kind in kinds)


def in_one_hop(app: ASGIApp, route: Any, apis: Sequence[FastAPI]) -> ASGIApp:
    """Returns `app`, which leads to a plain route, with one hop for each of its calls.

    Args:
        route: As `is_plain` takes it.
        apis: The FastAPI that has the route, and those in which it is mounted.
    """
    overrides = route.dependency_overrides_provider
    own = frozenset(id(_innermost(call)) for call in _calls(route.dependant))
    is_last = _is_simple(route.response_class) and not _wants_background(route.dependant) and not any(map(_wraps, apis))

    def serve(scope: Scope, receive: Receive, send: Send) -> Any:
        source = offload.current_source()
        steps: Any = app(scope, receive, send)
        if source is None or source.hop is not None or getattr(overrides, "dependency_overrides", None):
            return steps
        # Another's function, which sets a context variable at its begin and resets it at its end, say, must not end on
        # another thread. By identity, for a wrapper may call itself equal to what it wraps.
        found = _globals.get
        if found("run_endpoint_function") is not _RUN or found("serialize_response") is not _SERIALIZE:
            return steps
        solve = found("solve_dependencies")
        if solve is not _SOLVE_OF_OURS and solve is not _SOLVE:
            return steps
        return _Hop(source, scope, steps, own, is_last)

    return serve


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)


def _innermost(call: Any) -> Any:
    """Returns what `call` is a partial of: FastAPI makes one of a call and its arguments, and Python flattens them."""
    while isinstance(call, functools.partial):
        call = call.func
    return call


def _is_known(response_class: Any) -> bool:
    """Whether the class of the responses is of FastAPI or Starlette: how a project's are made may want the loop.

    For events FastAPI's handler itself wants it, whatever the endpoint is.
    """
    kind = getattr(response_class, "value", response_class)  # FastAPI marks what is a default.
    if not isinstance(kind, type) or issubclass(kind, EventSourceResponse):
        return False
    return kind.__module__.partition(".")[0] in ("fastapi", "starlette")


def _is_simple(response_class: Any) -> bool:
    """Whether the responses of a class make no sync call, their background aside."""
    kind = getattr(response_class, "value", response_class)  # FastAPI marks what is a default.
    return isinstance(kind, type) and issubclass(kind, Response) and kind.__call__ is Response.__call__


def _wants_background(dependant: Any) -> bool:
    return dependant.background_tasks_param_name is not None or any(map(_wants_background, dependant.dependencies))


def _wraps(api: FastAPI) -> bool:
    """Whether `api` has middleware that may make sync calls after an endpoint."""
    kinds: list[Any] = [middleware.cls for middleware in api.user_middleware]
    return any(not getattr(kind, "makes_no_calls_after", False) for kind in kinds)


class _Switch:
    """What FastAPI's coroutine awaits to change its thread. Only `_Hop` may see it."""

    def __await__(self) -> Generator[_Switch, None, None]:
        yield self


_TO_THE_THREAD = _Switch()
_TO_THE_LOOP = _Switch()
_ENDED = _Switch()


class _Hop:
    """One call: awaited by its task, it runs `steps` here and there.

    Args:
        own: The ids of the functions that the route consists of.
        is_last: Whether no sync call will come after the handler, as far as is known.
    """

    def __init__(self, source: Source, scope: Scope, steps: Any, own: Collection[int], is_last: bool) -> None:
        self._own = own
        self._is_last = is_last
        self._source = source
        self._scope = scope
        self._steps = steps
        self._task: object = None
        self._thread: int | None = None  # on which the steps run, while it is not the loop's
        self._error: BaseException | None = None  # with which the steps have ended there
        self._over = False

    def __await__(self) -> Generator[Any, Any, None]:
        self._source.hop = self
        self._task = asyncio.current_task()
        steps = self._steps
        step: Callable[[], Any] = functools.partial(steps.send, None)
        try:
            while True:
                try:
                    wish = step()
                except StopIteration:
                    return
                if wish is _ENDED:
                    return
                if wish is _TO_THE_THREAD:
                    step = yield from self._go()
                elif wish is _TO_THE_LOOP:
                    step = functools.partial(steps.send, None)
                else:
                    step = yield from self._wait(wish)
        finally:
            self.leave()
            if self._thread is None:  # Else the loop has ended before the handler, which runs to its end.
                steps.close()

    def leave(self) -> None:
        """Has later calls go their own ways."""
        self._over = True
        if self._source.hop is self:
            self._source.hop = None

    def is_here(self) -> bool:
        """Whether the caller is the handler, on the request thread: what it calls may run at once."""
        return self._thread == threading.get_ident() and not _in_a_loop()

    def may_go(self, function: Callable[..., Any]) -> bool:
        """Whether the caller, on the loop, is the handler with its first call; if so, its way back is laid."""
        if self._over or id(_innermost(function)) not in self._own or asyncio.current_task() is not self._task:
            return False
        if self._scope.get("fastapi.telemetry") is not None:
            return False
        stack = self._scope.get("fastapi_function_astack")
        # An exception handler: the handler has failed before its first call, and the stack has been left.
        if stack is None or sys.exc_info()[0] is not None:
            return False
        self._over = True  # It is gone once.
        stack.push_async_exit(self._come_back)
        return True

    @staticmethod
    def go() -> _Switch:
        """Awaited, takes the handler to the request thread."""
        return _TO_THE_THREAD

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Returns or raises what `function` does, which is called here and now."""
        result = function(*args)
        if isinstance(result, Response) and (result.background is not None or not _is_simple(type(result))):
            self._is_last = False
        return result

    async def _come_back(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.leave()
        if self.is_here():
            lease = self._source.held
            if self._is_last and error is None and lease is not None:
                lease.lingers = False
            await _TO_THE_LOOP

    def _wait(self, wish: Any) -> Generator[Any, Any, Callable[[], Any]]:
        """Lets the task wait for what the steps wait for."""
        try:
            value = yield wish
        except BaseException as error:
            return functools.partial(self._steps.throw, error)
        return functools.partial(self._steps.send, value)

    def _go(self) -> Generator[Any, Any, Callable[[], Any]]:
        try:
            wish = yield from offload.run(self._run_steps).__await__()
        except BaseException as error:
            if self._error is error:
                raise
            return functools.partial(self._steps.throw, error)
        return functools.partial(_same, wish)

    def _run_steps(self) -> Any:
        """Runs on the request thread until the handler is done. Returns what the steps wait for then."""
        self._thread = threading.get_ident()
        try:
            return self._steps.send(None)
        except StopIteration:
            return _ENDED
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._thread = None


def _in_a_loop() -> bool:
    """Whether an event loop runs on this thread: one that the endpoint has begun, for one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _same(wish: Any) -> Any:
    return wish
