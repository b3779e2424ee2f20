"""Middleware of the kind with methods (Django's MiddlewareMixin), in as few calls of the request's thread as can be.

Django runs each `process_request` and each `process_response` in a call of its own where the chain is async. Those that
stand next to one another share one call before the endpoint, and one after it; the order and what each sees are the
same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.deprecation import MiddlewareMixin
from starlette.concurrency import run_in_threadpool

__all__ = ["Methods", "has_methods_only"]

Handler = Callable[[Any], Awaitable[Any]]


def has_methods_only(middleware: Any) -> bool:
    """Whether `middleware` does nothing around its methods that Django does not."""
    kind: Any = type(middleware)
    return (
        isinstance(middleware, MiddlewareMixin)
        and kind.__call__ is MiddlewareMixin.__call__
        and kind.__acall__ is MiddlewareMixin.__acall__
    )


class Methods:
    """Neighbours with methods, as one handler: `serve`.

    Args:
        members: Outermost first.
        inner: What they are around.
        response_to: Makes a response of an error in one of them, for those around that one.
    """

    def __init__(
        self, members: Sequence[Any], inner: Handler, response_to: Callable[[Exception, Any], Awaitable[Any]]
    ) -> None:
        self.members = tuple(members)
        self.inner = inner
        self._response_to = response_to
        self._has_before = any(hasattr(middleware, "process_request") for middleware in members)
        self._has_after = any(hasattr(middleware, "process_response") for middleware in members)

    async def serve(self, request: Any) -> Any:
        """Returns what has become of the response of `inner`, or another in its place."""
        response, reached = None, len(self.members)
        if self._has_before:
            response, reached = await run_in_threadpool(self._before, request)
        if response is None:
            response = await self.inner(request)
        if self._has_after and reached:
            response = await run_in_threadpool(self._after, request, response, reached)
        return response

    def _before(self, request: Any) -> tuple[Any, int]:
        """The first response that one gives, and how many are to see it. Runs on the request thread."""
        for place, middleware in enumerate(self.members):
            if hasattr(middleware, "process_request"):
                try:
                    response = middleware.process_request(request)
                except Exception as error:
                    return async_to_sync(self._response_to)(error, request), place
                if response is not None:
                    return response, place + 1
        return None, len(self.members)

    def _after(self, request: Any, response: Any, reached: int) -> Any:
        """Runs on the request thread."""
        for middleware in reversed(self.members[:reached]):
            if hasattr(middleware, "process_response"):
                try:
                    response = middleware.process_response(request, response)
                except Exception as error:
                    response = async_to_sync(self._response_to)(error, request)
        return response
