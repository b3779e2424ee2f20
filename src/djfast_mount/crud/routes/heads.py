"""HEAD: what GET of the same path would have sent, headers included, without the body (RFC 9110, section 9.3.2).

It is a route of Starlette's, since each of FastAPI's costs the start a millisecond and more. HEAD as a second method of
the route of GET would share its operation id.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

__all__ = ["head"]

# What routing tells of a request. Logs and metrics outside of the router read it there.
_TOLD = ("endpoint", "path_params", "route")


class _OfGet(Response):
    """The answer of the router to GET, without the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            scope.update({name: asked[name] for name in _TOLD if name in asked})
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await scope["app"].router(asked, receive, send_without_body)


async def head(request: Request) -> Response:
    """The endpoint of HEAD. It asks nothing of the caller itself: the route that answers GET does."""
    return _OfGet()
