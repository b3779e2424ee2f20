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

Names used here that are not public, each with a canary test: solve_dependencies, request_params_to_args,
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
from types import TracebackType
from typing import Any

import fastapi.dependencies.utils
import fastapi.middleware.asyncexitstack
import fastapi.routing
from fastapi._compat import Undefined
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import (
    SolvedDependency,
    request_body_to_args,
    request_params_to_args,
    solve_dependencies,
)
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

__all__ = ["install"]

_SOLVERS = (fastapi.dependencies.utils, fastapi.routing)
_STACKS = (fastapi.middleware.asyncexitstack, fastapi.routing)
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
    if not is_known():
        return
    for module in _SOLVERS:
        vars(module)["solve_dependencies"] = _solve
    for module in _STACKS:
        vars(module)["AsyncExitStack"] = _ExitStack


def is_known() -> bool:
    """Whether FastAPI is as it is known here, and nobody has put anything of their own into it."""
    return (
        {field.name for field in dataclasses.fields(Dependant)} == _FIELDS
        and solve_dependencies.__globals__ is vars(fastapi.dependencies.utils)
        and inspect.signature(solve_dependencies).parameters.keys() == _PARAMETERS
        and all(vars(module).get("solve_dependencies") is solve_dependencies for module in _SOLVERS)
        and all(vars(module).get("AsyncExitStack") is AsyncExitStack for module in _STACKS)
    )


async def _solve(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any = Undefined,
    background_tasks: Any = None,
    response: Response | None = None,
    dependency_cache: dict[Any, Any] | None = None,
    embed_body_fields: bool,
    **more: Any,
) -> SolvedDependency:
    """Does what FastAPI's solve_dependencies() does, and takes the same arguments."""
    if (
        dependant.dependencies
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
    ):
        return await solve_dependencies(
            request=request,
            dependant=dependant,
            body=body,
            background_tasks=background_tasks,
            response=response,
            dependency_cache=dependency_cache,
            embed_body_fields=embed_body_fields,
            **more,
        )
    values, errors = _from_request(request, dependant)
    if dependant.body_params:
        found, wrong = await request_body_to_args(
            body_fields=dependant.body_params, received_body=body, embed_body_fields=embed_body_fields
        )
        values.update(found)
        errors += wrong
    _name_request(values, request, dependant)
    return SolvedDependency(
        values=values,
        errors=errors,
        background_tasks=background_tasks,
        response=_UNUSED if response is None else response,
        dependency_cache={} if dependency_cache is None else dependency_cache,
    )


def _from_request(request: HTTPConnection, dependant: Dependant) -> tuple[dict[str, Any], list[Any]]:
    """Returns the values, and the errors, of the parameters that are not in the body, in FastAPI's order."""
    values: dict[str, Any] = {}
    errors: list[Any] = []
    # Written out, as each look at a part of the request parses it.
    if fields := dependant.path_params:
        _take(request_params_to_args(fields, request.path_params), values, errors)
    if fields := dependant.query_params:
        _take(request_params_to_args(fields, request.query_params), values, errors)
    if fields := dependant.header_params:
        _take(request_params_to_args(fields, request.headers), values, errors)
    if fields := dependant.cookie_params:
        _take(request_params_to_args(fields, request.cookies), values, errors)
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


def _without_headers() -> Response:
    response = Response()
    del response.headers["content-length"]
    vars(response)["status_code"] = None  # As FastAPI says that nobody has set one.
    return response


_UNUSED = _without_headers()
"""The response of calls whose dependencies cannot reach it. FastAPI reads it, and nobody writes to it."""


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
