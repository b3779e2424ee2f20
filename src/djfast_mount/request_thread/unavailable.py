"""The answer to a request that got no thread in time: 503 with Retry-After, by djfast_mount.exceptions.PoolTimeout.

FastAPI answers the same error itself where an endpoint meets it.
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.exceptions import PoolTimeout
from djfast_mount.security.djangos_middleware import with_security_headers

__all__ = ["unavailable"]


def unavailable(timeout: PoolTimeout) -> ASGIApp:
    """Returns an app that answers `timeout`, with the headers of Django's SecurityMiddleware."""
    response = JSONResponse({"detail": timeout.detail}, status_code=timeout.status_code, headers=timeout.headers)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, with_security_headers(scope, send))

    return answer
