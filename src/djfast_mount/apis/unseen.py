"""FastAPIs that no walk finds, met when they are called: hidden by what calls them, or made while a request is served.

1. `FastAPI.__call__` is public, and leads to every FastAPI. `mount()` replaces it once, on the class: an object that
   nobody can see cannot be subclassed or composed. Nobody's docs depend on it: see djfast_mount.api_docs.routes.
2. Which request a call belongs to is asked of the context, not of the scope, of which a caller may have made another.
3. Outside of a request of `mount()`, a call is not changed.

Other ways leave some out. `FastAPI.setup` and `build_middleware_stack` would have to be replaced as well, and are not
called again for a FastAPI that was made, or has served, before. A search of the garbage collector at the start changes
apps that `mount()` does not serve, and misses those that are made later. To refuse what shows no FastAPI would refuse
every plain ASGI app.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from djfast_mount.offload.current import current_response

__all__ = ["MEETS", "install"]

MEETS = "djfast_mount.meets"
"""The key in the scope of a request of what is called with each FastAPI, and its scope, before it is called."""


def install() -> None:
    """Has each call of a FastAPI announced to the request that it belongs to. A second call changes nothing."""
    if not hasattr(FastAPI.__call__, MEETS):
        FastAPI.__call__ = _announced(FastAPI.__call__)  # type: ignore[method-assign]


def _announced(call: Callable[..., Awaitable[None]]) -> Any:
    @functools.wraps(call)
    async def announced(self: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
        response = current_response()
        meet = None if response is None else response.scope.get(MEETS)
        if meet is not None and scope["type"] != "lifespan":
            meet(self, scope)
        await call(self, scope, receive, send)

    setattr(announced, MEETS, True)
    return announced
