"""The routes that a FastAPI has made for its schema and docs: each asks who may see it, by whatever way it is reached.

1. Every way ends in `Route.handle`, which is public. `mount()` replaces it once, on the class. So nothing has to be
   found first: a FastAPI that hides in code, one whose router is called without it, a subclass with a `__call__` of its
   own, and routes that were copied are held as the others are.
2. Which routes these are is asked of a FastAPI that is made for it. Where none is found, nothing is mounted.
3. Whose docs they are is asked of the context too: a caller may have made a scope of its own.
4. Outside of a request of `mount()`, a route is not changed.

Other ways leave some routes open. A guard in each route misses what no walk finds. A search of the garbage collector
misses what is made while a request is served. A look at the answer misses one that is compressed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from djfast_mount.api_docs.access import ADMITTED, docs_of, refusal
from djfast_mount.exceptions import ConfigurationError

__all__ = ["guard_routes"]

_GUARDS = "djfast_mount.guards"
_Handle = Callable[[Route, Scope, Receive, Send], Awaitable[None]]


def guard_routes() -> None:
    """Has each docs route ask who may see it. A second call changes nothing. Raises ConfigurationError."""
    if not hasattr(Route.handle, _GUARDS):
        Route.handle = _guarded(Route.handle, _modules_of_docs())  # type: ignore[method-assign]


def _modules_of_docs() -> frozenset[str]:
    """Where the endpoints of docs routes are defined, and no others are."""
    modules = {getattr(route.endpoint, "__module__", None) for route in FastAPI().routes if isinstance(route, Route)}
    if not modules or not all(isinstance(module, str) and module.split(".")[0] == "fastapi" for module in modules):
        raise ConfigurationError(
            f"mount() cannot tell the docs routes of this FastAPI from others: their endpoints are in {modules!r}. "
            "Install a version of FastAPI that it was tested with."
        )
    return frozenset(map(str, modules))


def _guarded(handle: _Handle, modules: frozenset[str]) -> Any:
    def guarded(self: Route, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # A plain function: each call of an endpoint passes here.
        if getattr(self.endpoint, "__module__", None) in modules:
            return _ask(self, handle, scope, receive, send)
        return handle(self, scope, receive, send)

    setattr(guarded, _GUARDS, True)
    return guarded


async def _ask(route: Route, handle: _Handle, scope: Scope, receive: Receive, send: Send) -> None:
    docs = docs_of(scope)
    refused = None
    if docs is not None and scope.get(ADMITTED) is not docs:
        refused = await refusal(docs, Request(scope))
    if refused is not None:
        await refused(scope, receive, send)
    else:
        await handle(route, scope, receive, send)
