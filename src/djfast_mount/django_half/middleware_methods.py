"""Middleware of the kind with methods (Django's MiddlewareMixin), in as few calls of the request's thread as can be.

Django runs each `process_request` and each `process_response` in a call of its own where the chain is async. Those that
stand next to one another share one call before what they are around, and one after it. The order and what each sees
are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from djfast_mount.offload.current import current_source

__all__ = ["End", "Neighbours", "has_methods_only", "on_the_thread"]

Step = Callable[[HttpRequest], None]
End = Callable[[HttpRequest, Any], None]

_ONWARD: Any = object()  # Stands for a response that the next middleware, or the view, has yet to make.


def has_methods_only(middleware: Any) -> bool:
    """Whether `middleware` does nothing around its methods that Django does not."""
    kind: Any = type(middleware)
    return (
        isinstance(middleware, MiddlewareMixin)
        and kind.__call__ is MiddlewareMixin.__call__
        and kind.__acall__ is MiddlewareMixin.__acall__
    )


class Neighbours:
    """Neighbours with methods, as one handler: `serve`.

    Args:
        middleware: The outermost of them.
        within: Those within it; None where there are none.
        inner: What it is around where there are none.
        response_to: Makes a response of an error in one of them, for those around that one. Runs on the request thread.
    """

    def __init__(
        self, middleware: Any, within: Neighbours | None, inner: Any, response_to: Callable[[Any, Exception], Any]
    ) -> None:
        self.members: tuple[Any, ...] = (middleware, *within.members) if within else (middleware,)
        self.inner: Any = within.inner if within else inner
        self._response_to = response_to
        self.ahead: Step | None = None  # what the first call goes on to
        self.end: End | None = None  # what the last call ends with

    def has(self, method: str) -> bool:
        """Whether one of them has a method of that name now."""
        return any(hasattr(middleware, method) for middleware in self.members)

    async def serve(self, request: HttpRequest) -> Any:
        """Returns the response to `request`, from within or of a middleware's own."""
        if self.has("process_request"):
            response = await on_the_thread(self._enter, request)
            if response is not _ONWARD:
                return response
        try:
            response = await self.inner(request)
        # Django turns errors into responses further in. One comes here if its page fails too, or with
        # DEBUG_PROPAGATE_EXCEPTIONS.
        except Exception as error:
            return await on_the_thread(self._leave, request, None, error)
        if self.has("process_response"):
            response = await on_the_thread(self._leave, request, response, None)
        return response

    # On the request thread -----------------------------------------------------------------------------------------

    def _enter(self, request: HttpRequest) -> Any:
        response = self._ask(0, request)
        if response is _ONWARD:
            if self.ahead is not None:
                self.ahead(request)
        elif self.end is not None:
            self.end(request, response)
        return response

    def _leave(self, request: HttpRequest, response: Any, error: Exception | None) -> Any:
        response = self._tell(0, request, response, error)
        if self.end is not None:
            self.end(request, response)
        return response

    def _ask(self, place: int, request: HttpRequest) -> Any:
        """Returns what the link of the member at `place` does, or _ONWARD where none from there on has a response."""
        if place == len(self.members):
            return _ONWARD
        middleware = self.members[place]
        try:
            response = middleware.process_request(request) if hasattr(middleware, "process_request") else None
            # As Django has it: what is false is no response.
            response = response or self._ask(place + 1, request)
            return response if response is _ONWARD else _processed(middleware, request, response)
        except Exception as failure:
            return self._response_to(request, failure)

    def _tell(self, place: int, request: HttpRequest, response: Any, error: Exception | None) -> Any:
        """Returns what the link of the member at `place` does with what comes from within: `response` or `error`."""
        if place == len(self.members):
            if error is not None:
                raise error
            return response
        try:
            response = self._tell(place + 1, request, response, error)
            return _processed(self.members[place], request, response)
        except Exception as failure:
            return self._response_to(request, failure)


def _processed(middleware: Any, request: HttpRequest, response: Any) -> Any:
    if hasattr(middleware, "process_response"):
        return middleware.process_response(request, response)
    return response


async def on_the_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Runs `function` on the thread of the request."""
    source = current_source()
    if source is None:  # A middleware has left the context of its request.
        return await sync_to_async(function, thread_sensitive=True)(*args)
    return await source.run(function, *args)
