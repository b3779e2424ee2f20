"""The Django middleware around the calls of an API, loaded: which it is, and in what order it is asked.

`Chain._around()` follows what Django documents for middleware: `sync_capable` and `async_capable`, the hooks, and
`MiddlewareNotUsed`. It does not call BaseHandler.load_middleware(), which reads ``settings.MIDDLEWARE`` itself and
takes no other list. Three ways to give it one were tried, and each changes more than the chain that is loaded:

1. Another ``settings.MIDDLEWARE`` meanwhile (UserSettingsHolder, as override_settings does) holds for the process. A
   thread that asked in between whether SecurityMiddleware is listed was told that it is not: headers would fail open.
2. Another `settings` in django.core.handlers.base meanwhile: Django's half, which loads its second chain with the first
   view of that kind, got the list of the API.
3. MiddlewareNotUsed, raised by `adapt_method_mode()` for each class that was not chosen: neither another order nor a
   class that ``settings.MIDDLEWARE`` lacks can be had.

An error of a middleware is answered by the app's own handlers, and not by Django's page. tests/django_for_api holds the
order to that of Django's half (`test_the_order_is_djangos`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from django.utils.module_loading import import_string
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope

from djfast_mount.apis.own_handlers import answer_to
from djfast_mount.django_for_api.http_request import is_taken
from djfast_mount.django_half.middleware_methods import Neighbours, has_methods_only
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.inner_app import unwrapped
from djfast_mount.spelling import did_you_mean

__all__ = ["CALL", "CHAIN", "Call", "Chain", "chosen_middleware"]

logger = logging.getLogger("django.request")

CHAIN = "djfast_mount.middleware"
"""The key in a scope under which the chain of its call is."""
CALL = "_djfast_mount_middleware_call"
"""The attribute of Django's request under which its call is."""


class Call(Protocol):
    """One call of the API, as the chain around it knows it."""

    scope: Scope
    receive: Receive

    def respond(self, start: Message, body: bytes) -> Any:
        """Makes this response the one that is to be sent. Returns what stands for it."""


def chosen_middleware(value: Sequence[str]) -> tuple[type, ...]:
    """Returns the middleware to be put around API calls.

    Args:
        value: As `mount()` takes it: import strings, ``"session"`` or ``"all"``.

    Raises:
        ConfigurationError: Something of it cannot be imported, or is missing in Django's half.
    """
    if value == "session":
        return ()
    paths = settings.MIDDLEWARE if value == "all" else value
    found = [(path, _imported(path)) for path in paths]
    for path, middleware in found:
        if is_taken(middleware) and path not in settings.MIDDLEWARE:
            raise ConfigurationError(
                f"django_middleware_for_api lists {path!r}, which settings.MIDDLEWARE does not. Session, user and "
                "messages of an API call are made by the classes there: list it there too."
            )
    return tuple(middleware for _, middleware in found if not is_taken(middleware))


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        remedy = did_you_mean(path, settings.MIDDLEWARE, "Write it as in settings.MIDDLEWARE.")
        raise ConfigurationError(
            f"django_middleware_for_api lists {path!r}, which cannot be imported: {error}. {remedy}"
        ) from error


class Chain(BaseHandler):
    """Middleware, loaded once around one app: `serve` is the outermost, `before_view` and `on_error` are their hooks.

    Args:
        classes: Outermost first.
        app: Whose exception handlers answer for errors of the middleware.
        served: The innermost: returns what stands for the response of the app.
    """

    def __init__(self, classes: tuple[type, ...], app: ASGIApp, served: Callable[[Any], Awaitable[Any]]) -> None:
        self._app = app
        self._view_hooks: list[Any] = []
        self._error_hooks: list[Any] = []
        self._neighbours: Neighbours | None = None  # the last that were made
        self.may_read_on_the_loop = False
        """Whether code of a project's own runs on the event loop before the app: it could not wait for the body."""
        handler: Any = served
        is_async = True
        for cls in reversed(classes):
            handler, is_async = self._around(cls, handler, is_async)
        self.serve: Any = self.adapt_method_mode(True, handler, is_async)

    def _around(self, cls: Any, handler: Any, handler_is_async: bool) -> tuple[Any, bool]:
        """As BaseHandler.load_middleware does it for one."""
        can_be_sync, can_be_async = getattr(cls, "sync_capable", True), getattr(cls, "async_capable", False)
        is_async = can_be_async and (handler_is_async or not can_be_sync)
        if not can_be_sync and not can_be_async:
            raise ConfigurationError(f"The middleware {cls!r} can be neither sync nor async. Set one of its flags.")
        try:
            middleware: Any = cls(self.adapt_method_mode(is_async, handler, handler_is_async))
        except MiddlewareNotUsed as reason:
            if settings.DEBUG:
                logger.debug("MiddlewareNotUsed(%r): %r", cls, str(reason))
            return handler, handler_is_async
        if middleware is None:
            raise ConfigurationError(f"The middleware factory {cls!r} returned None. Have it return the middleware.")
        if hasattr(middleware, "process_view"):
            self._view_hooks.insert(0, self.adapt_method_mode(True, middleware.process_view))
        if hasattr(middleware, "process_exception"):
            self._error_hooks.append(self.adapt_method_mode(True, middleware.process_exception))
        if is_async and has_methods_only(middleware):
            return self._with_neighbours(middleware, handler), True
        self.may_read_on_the_loop |= is_async and not getattr(cls, "__module__", "").startswith("django.")
        return self._answering(middleware, is_async), is_async

    def _with_neighbours(self, middleware: Any, inner: Any) -> Any:
        known = self._neighbours
        within = known if known is not None and inner == known.serve else None
        self._neighbours = Neighbours(middleware, within, inner, self._sync_response_to)
        return self._neighbours.serve

    def _answering(self, middleware: Any, is_async: bool) -> Any:
        """`middleware`, whose errors are responses to the one around it."""
        if is_async:

            async def answer(request: Any) -> Any:
                try:
                    return await middleware(request)
                except Exception as error:
                    return await self.response_to(error, request)

            return answer

        def answer_sync(request: Any) -> Any:
            try:
                return middleware(request)
            except Exception as error:
                return self._sync_response_to(request, error)

        return answer_sync

    def _sync_response_to(self, request: Any, error: Exception) -> Any:
        return async_to_sync(self.response_to)(error, request)

    async def response_to(self, error: Exception, request: Any) -> Any:
        """Returns the Django response that the app's handlers, or Django's where it has none, give to `error`."""
        handlers = getattr(unwrapped(self._app), "exception_handlers", {})
        call = _call_of(request)
        response = await answer_to(handlers, Request(call.scope, call.receive), error, unexpected=True)
        if response is None:
            return await run_in_threadpool(response_for_exception, request, error)
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await response(call.scope, call.receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        return call.respond(messages[0], body)

    async def before_view(self, request: Any, endpoint: Any, arguments: dict[str, Any]) -> Any:
        """Returns the response of the first `process_view` that gives one, or None."""
        for hook in self._view_hooks:
            response = await hook(request, endpoint, (), arguments)
            if response is not None:
                return response
        return None

    async def on_error(self, request: Any, error: Exception) -> Any:
        """Returns the response of the first `process_exception` that gives one, or None."""
        for hook in self._error_hooks:
            response = await hook(request, error)
            if response is not None:
                return response
        return None


def _call_of(request: Any) -> Call:
    call: Call = getattr(request, CALL)
    return call
