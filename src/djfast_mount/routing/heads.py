"""HEAD: what GET of the same path would have sent, headers included, without the body (RFC 9110, section 9.3.2).

It is a route of Starlette's, since each of FastAPI's costs the start a millisecond and more. HEAD as a second method of
the route of GET would share its operation id.

1. The router of the app is asked again, with GET, so that whatever answers GET is asked for the caller too.
2. It is asked with the scope that it was given. What mounts and the route of HEAD have added to that could lead to
   another route, or be taken for a parameter of the path.
3. What GET puts into the scope is in that of HEAD, also when it fails: middleware reads its state there, and logs and
   reports of errors the route.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from itertools import islice
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Match, Mount
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.routing.inner_app import unwrapped

__all__ = ["head", "is_head"]

# In the extensions of ASGI, a body may be sent as a file.
_BODIES = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")

# How many are tried in the place of a root_path: a client chooses how long it is, where a mount has `{rest:path}`.
_MOST = 50


class _OfGet(Response):
    """The answer of the router to GET, without the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {**_as_routed(scope), "method": "GET"}

        def tell() -> None:
            scope.update({**asked, "method": scope["method"]})

        async def send_without_body(message: Message) -> None:
            tell()
            await send(_without_body(message))

        try:
            await scope["app"].router(asked, receive, send_without_body)
        finally:
            tell()


async def head(request: Request) -> Response:
    """The endpoint of HEAD. It asks nothing of the caller itself: the route that answers GET does."""
    return _OfGet()


def is_head(endpoint: Any) -> bool:
    """Whether `endpoint` is `head`, or that as a tool that traces endpoints has wrapped it."""
    return inspect.unwrap(endpoint) is head


def _without_body(message: Message) -> Message:
    if message["type"] not in _BODIES:
        return message
    return {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}


def _as_routed(scope: Scope) -> Scope:
    """Returns the scope as the router of the app was given it. Raises: HTTPException 405, where that cannot be told."""
    if not scope["path_params"] and "app_root_path" not in scope:
        return scope
    routes, now = scope["app"].routes, scope.get("root_path", "")
    for root_path in islice(_root_paths(scope, routes, now), _MOST):
        added = _added(routes, {**scope, "root_path": root_path, "path_params": {}}, now)
        if added is not None:
            kept = {name: value for name, value in scope["path_params"].items() if name not in added}
            return {**scope, "root_path": root_path, "path_params": kept}
    raise _not_told()


def _not_told() -> HTTPException:
    # An app that shows nothing of its routers has led here. Another route that has this path is not to answer for it.
    return HTTPException(405, headers={"Allow": "GET"})


def _root_paths(scope: Scope, routes: list[BaseRoute], now: str) -> Iterable[str]:
    """Yields what the root_path may have been, the shortest first: routers that are mounted have made it longer."""
    if any(isinstance(context.original_route, Mount | Host) for context in iter_route_contexts(routes)):
        # That of the outermost app. An app with a root_path of its own has replaced it.
        outermost = scope.get("app_root_path", now)
        start = len(outermost) if now.startswith(outermost) else 0
        yield from (now[:end] for end in range(start, len(now)) if now[end] == "/")
    yield now


def _added(routes: Iterable[BaseRoute], scope: Scope, root_path: str) -> dict[str, Any] | None:
    """Returns the path parameters that routing adds; None if it does not lead to an endpoint below `root_path`."""
    for context in iter_route_contexts(list(routes)):
        match, told = context.matches(scope)
        if match is Match.FULL:
            below = {**scope, **told}
            is_there = below["root_path"] == root_path
            if not isinstance(context.original_route, Mount | Host):
                return below["path_params"] if is_there else None
            inner = getattr(unwrapped(context.app), "routes", None)
            if inner is None and is_there:
                raise _not_told()
            return _added(inner or (), below, root_path)
    return None
