"""What an app's own exception handlers answer, for errors that are met outside of Starlette's ExceptionMiddleware."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["answer_to"]


async def answer_to(
    handlers: Mapping[Any, Any], request: Request, error: Exception, *, unexpected: bool = False
) -> Response | None:
    """Returns the answer of the handler that Starlette would ask about `error`; None where there is none.

    Args:
        handlers: An app's `exception_handlers`.
        unexpected: Whether the handler of all other errors, which Starlette asks last, is among them.
    """
    keys: list[Any] = [error.status_code] if isinstance(error, HTTPException) else []
    keys += [kind for kind in type(error).__mro__ if unexpected or kind is not Exception]
    handler: Any = next((handlers[key] for key in keys if key in handlers), None)
    if handler is None:
        return None
    call = getattr(handler, "__call__", handler)  # noqa: B004
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call):
        return await handler(request, error)  # type: ignore[no-any-return]
    return await run_in_threadpool(handler, request, error)
