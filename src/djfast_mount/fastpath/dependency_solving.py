"""FastAPI's work for what a call does not ask for, left out.

FastAPI parses query string, headers and cookies for each dependant of a call, whether or not it has a parameter there,
makes a response for the headers that a dependency might set, and leaves three exit stacks, most of which were never
given anything: a fifth of what a small endpoint costs.

1. A dependant that has no dependencies of its own is solved here, by FastAPI's own functions, from those parts of the
   request that it has parameters for. What depends on others, or asks for the response, background tasks or security
   scopes, is FastAPI's.
2. An exit stack that holds nothing is left at once.
3. Only where FastAPI is as it is known here: with another field in `Dependant`, another parameter of its function, or
   somebody else's function in the place of its own, all stays as it is.

Names used here that are not public, each with a canary test: the keys ``fastapi_inner_astack`` and
``fastapi_function_astack`` in a scope; what Response() sets on itself; solve_dependencies, request_params_to_args,
request_body_to_args and SolvedDependency of fastapi.dependencies.utils; the globals ``solve_dependencies`` there and in
fastapi.routing, ``AsyncExitStack`` in fastapi.routing and fastapi.middleware.asyncexitstack; the fields of `Dependant`;
AsyncExitStack._exit_callbacks; fastapi._compat.Undefined.
"""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABCMeta
from collections.abc import MutableMapping
from contextlib import AsyncExitStack
from types import FunctionType, TracebackType
from typing import Any

import fastapi.middleware.asyncexitstack
import fastapi.routing
from fastapi._compat import Undefined
from fastapi.dependencies import utils  # Its functions are looked up with each call, as FastAPI does it.
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

__all__ = ["install", "solve"]

_SOLVERS = (utils, fastapi.routing)
_STACKS = (fastapi.middleware.asyncexitstack, fastapi.routing)
_STACK_KEYS = {"fastapi_inner_astack", "fastapi_function_astack"}
_FIELDS = {
    *("path_params", "query_params", "header_params", "cookie_params", "body_params", "dependencies", "name", "call"),
    *("request_param_name", "websocket_param_name", "http_connection_param_name", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name", "own_oauth_scopes", "parent_oauth_scopes"),
    *("use_cache", "path", "scope", "concurrency"),
}
_PARAMETERS = {
    *("request", "dependant", "body", "background_tasks", "response", "dependency_overrides_provider"),
    *("dependency_cache", "async_exit_stack", "embed_body_fields", "_uses_scopes_cache"),
}


def install() -> None:
    """Has FastAPI do no more than it is asked for. Called by `mount()`; a second call changes nothing."""
    if not may_install():
        return
    for module in _SOLVERS:
        vars(module)["solve_dependencies"] = solve
    for module in _STACKS:
        vars(module)["AsyncExitStack"] = _ExitStack


def may_install() -> bool:
    """Whether FastAPI is as it is known here, and nobody has put anything into it, this module included."""
    return (
        {field.name for field in dataclasses.fields(Dependant)} == _FIELDS
        and type(solve_dependencies) is FunctionType  # A wrapper may look like what it wraps.
        and solve_dependencies.__globals__ is vars(utils)
        and inspect.signature(solve_dependencies).parameters.keys() == _PARAMETERS
        and all(vars(module).get("solve_dependencies") is solve_dependencies for module in _SOLVERS)
        and all(vars(module).get("AsyncExitStack") is AsyncExitStack for module in _STACKS)
    )


async def solve(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any = Undefined,
    background_tasks: BackgroundTasks | None = None,
    response: Response | None = None,
    dependency_overrides_provider: Any = None,
    dependency_cache: dict[Any, Any] | None = None,
    async_exit_stack: AsyncExitStack,
    embed_body_fields: bool,
    _uses_scopes_cache: Any = None,
) -> utils.SolvedDependency:
    """Does what FastAPI's solve_dependencies() does, and takes the same arguments."""
    if (
        dependant.dependencies
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
        or not request.scope.keys() >= _STACK_KEYS  # FastAPI tells who calls it without them.
    ):
        return await solve_dependencies(
            request=request,
            dependant=dependant,
            body=body,
            background_tasks=background_tasks,
            response=response,
            dependency_overrides_provider=dependency_overrides_provider,
            dependency_cache=dependency_cache,
            async_exit_stack=async_exit_stack,
            embed_body_fields=embed_body_fields,
            _uses_scopes_cache=_uses_scopes_cache,
        )
    values, errors = _from_request(request, dependant)
    if dependant.body_params:
        found = await utils.request_body_to_args(
            body_fields=dependant.body_params, received_body=body, embed_body_fields=embed_body_fields
        )
        _take(found, values, errors)
    _name_request(values, request, dependant)
    return utils.SolvedDependency(
        values=values,
        errors=errors,
        background_tasks=background_tasks,
        response=_without_headers() if response is None else response,
        dependency_cache={} if dependency_cache is None else dependency_cache,
    )


def _from_request(request: HTTPConnection, dependant: Dependant) -> tuple[dict[str, Any], list[Any]]:
    """Returns the values, and the errors, of the parameters that are not in the body, in FastAPI's order."""
    values: dict[str, Any] = {}
    errors: list[Any] = []
    # Written out, as each look at a part of the request parses it.
    if fields := dependant.path_params:
        _take(utils.request_params_to_args(fields, request.path_params), values, errors)
    if fields := dependant.query_params:
        _take(utils.request_params_to_args(fields, request.query_params), values, errors)
    if fields := dependant.header_params:
        _take(utils.request_params_to_args(fields, request.headers), values, errors)
    if fields := dependant.cookie_params:
        _take(utils.request_params_to_args(fields, request.cookies), values, errors)
    return values, errors


def _take(found: tuple[dict[str, Any], list[Any]], values: dict[str, Any], errors: list[Any]) -> None:
    values.update(found[0])
    errors += found[1]


def _name_request(values: dict[str, Any], request: HTTPConnection, dependant: Dependant) -> None:
    if dependant.http_connection_param_name:
        values[dependant.http_connection_param_name] = request
    if dependant.request_param_name and isinstance(request, Request):
        values[dependant.request_param_name] = request
    elif dependant.websocket_param_name and isinstance(request, WebSocket):
        values[dependant.websocket_param_name] = request


def _state_of_a_response() -> dict[str, Any]:
    response = Response()
    state = {**vars(response), "status_code": None}  # As FastAPI says that nobody has set one.
    return {name: value for name, value in state.items() if name not in ("raw_headers", "_headers")}


_STATE = _state_of_a_response()


def _without_headers() -> Response:
    """Returns the response on which dependencies set headers, which here nobody does: made without its making."""
    response = Response.__new__(Response)
    vars(response).update(_STATE, raw_headers=[])
    return response


class _AnyStack(ABCMeta):
    """Has a stack of the standard library's count as one of ours: FastAPI asks for those that it is given."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, AsyncExitStack)


class _ExitStack(AsyncExitStack[bool | None], metaclass=_AnyStack):
    """An AsyncExitStack that is left at once where it holds nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool:
        held: MutableMapping[str, Any] = vars(self)
        return bool(held["_exit_callbacks"]) and bool(await super().__aexit__(kind, error, traceback))
