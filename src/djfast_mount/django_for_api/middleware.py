"""Django middleware around API calls.

1. The request is that of `get_request`; session, user, messages and CSRF cookie are its own matter, and the classes
   for them are taken out of the list.
2. The order is Django's. Sync middleware, and the sync methods of others, run on the request thread. What they set
   there, language or tenant, holds for the endpoint: the app runs inside of their context.
3. The API runs in a task of its own, from its first message on: the middleware has its say about a response when it
   has begun, and not when background tasks have ended.
4. An error of a middleware becomes a response before the middleware around it sees it, by the app's own handlers.
5. Websockets and lifespans pass by.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from django.core.signals import setting_changed
from django.http import HttpResponse
from django.utils.module_loading import import_string
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.apis.tree import unwrapped
from djfast_mount.django_for_api.body import RequestBody
from djfast_mount.django_for_api.request import call_of, http_request, is_taken
from djfast_mount.django_for_api.responses import APIResponse, Parts, Returned, send_django
from djfast_mount.django_half.middleware_methods import Methods, has_methods_only
from djfast_mount.exception_handlers.lookup import answer_to
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.offload.current import current_source
from djfast_mount.offload.waiting import offer, waiting_thread
from djfast_mount.spelling import did_you_mean
from djfast_mount.threads.calls import FutureCall

__all__ = ["CHAIN", "Chain", "DjangoMiddleware", "chosen_middleware"]

logger = logging.getLogger("django.request")

CHAIN = "djfast_mount.middleware"
"""The key in a scope under which the chain of its call is."""

_CALL = "_djfast_mount_middleware_call"
_SENT_AS_FILES = ("http.response.pathsend", "http.response.zerocopysend")
_EMPTY = (204, 205, 304)


def chosen_middleware(value: Sequence[str] | None) -> tuple[type, ...] | None:
    """Returns the middleware to be put around API calls; None for none.

    Args:
        value: As `mount()` takes it: import strings, ``"session"``, ``"all"`` or None.

    Raises:
        ConfigurationError: Something of it cannot be imported, or is missing in Django's half.
    """
    if value is None:
        return None
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
    """

    def __init__(self, classes: tuple[type, ...], app: ASGIApp) -> None:
        self._app = app
        self._view_hooks: list[Any] = []
        self._error_hooks: list[Any] = []
        self._methods: Methods | None = None  # the last that was made
        self.may_read_on_the_loop = False
        """Whether code of a project's own runs on the event loop before the app: it could not wait for the body."""
        handler: Any = _served
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
        known = self._methods
        members = [middleware]
        if known is not None and inner == known.serve:
            members += known.members
            inner = known.inner
        self._methods = Methods(members, inner, self.response_to)
        return self._methods.serve

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
                return async_to_sync(self.response_to)(error, request)

        return answer_sync

    async def response_to(self, error: Exception, request: Any) -> Any:
        """Returns the Django response that the app's handlers, or Django's where it has none, give to `error`."""
        handlers = getattr(unwrapped(self._app), "exception_handlers", {})
        call: _Call = getattr(request, _CALL)
        response = await answer_to(handlers, Request(call.scope, call.receive), error, unexpected=True)
        if response is None:
            return await run_in_threadpool(response_for_exception, request, error)
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await response(call.scope, call.receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        return call.respond(APIResponse(messages[0], body))

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


async def _served(request: Any) -> Any:
    """The innermost: hands the call to the API. Runs in the context of the middleware."""
    call: _Call | None = getattr(request, _CALL, None)
    if call is None:
        raise ConfigurationError(
            f"A middleware has put {request!r} in the place of the request of an API call. Hand on the one it got."
        )
    return await call.begin()


class DjangoMiddleware:
    """ASGI: puts Django middleware around each http call of `app`. Called with the request's thread entered.

    Args:
        app: What stands before the API.
        make: Returns the middleware. Called again where a test has changed a setting, for it may read any.
    """

    def __init__(self, app: ASGIApp, make: Callable[[], Chain]) -> None:
        self.app = app
        self._make = make
        self._chain: Chain | None = make()
        setting_changed.connect(self._forget)

    def _forget(self, **_: object) -> None:
        self._chain = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (chain := self._chain) is None:
            chain = self._chain = self._make()
        scope[CHAIN] = chain
        if "extensions" in scope:
            # A file is to be seen by the middleware as the stream that it is.
            scope["extensions"] = {
                name: value for name, value in scope["extensions"].items() if name not in _SENT_AS_FILES
            }
        body = RequestBody(scope, receive)
        call = _Call(self.app, scope, body.receive, send)
        try:
            if chain.may_read_on_the_loop:
                await body.read()
            await call.answer(await self._response(call, chain, body))
        finally:
            await call.end()

    async def _response(self, call: _Call, chain: Chain, body: RequestBody) -> Any:
        asked = Request(call.scope)
        if settings.CSRF_USE_SESSIONS and settings.SESSION_COOKIE_NAME in asked.cookies:
            request = await run_in_threadpool(http_request, asked)
        else:
            request = http_request(asked)
        request.whole_body = body
        setattr(request, _CALL, call)
        return await chain.serve(request)


class _Call:
    """One call of the API: run in a task, from which its response is taken when it begins."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._app = app
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._start: Message | None = None
        self._parts: Parts | None = None
        self._begun = asyncio.Event()
        self._returned = False  # whether the endpoint has returned a response of Django's
        self._response: APIResponse | Returned | None = None  # the app's, or that of an error in the middleware

    def respond(self, response: APIResponse) -> Any:
        """Makes `response` the one that is to be sent. Returns what stands for it."""
        self._response = response
        return response.django

    async def begin(self) -> Any:
        """Runs the API, in the context of the caller, until its response is there. Returns what stands for that."""
        thread = waiting_thread()
        if thread is not None:
            offer(_WhileItWaits(thread))
        self._task = asyncio.create_task(self._run())
        await self._begun.wait()
        if self._response is None:
            # It failed without one. The middleware is spared the error, and the server is not: see `answer()`.
            return HttpResponse(status=500)
        return self._response.django

    async def _run(self) -> None:
        failure: BaseException | None = RuntimeError("The app ended in the midst of its response.")
        try:
            await self._app(self.scope, self.receive, self._take)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._begun.set()
            if self._parts is not None:
                self._parts.finish(failure)

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if self._returned:
            return  # Of a response that a Django response is sent instead of.
        if kind == "http.response.start" and (returned := self._take_returned()) is not None:
            self._returned = True
            self._response = Returned(returned, message)
            self._begun.set()
        elif kind == "http.response.start":
            self._start = message = {**message, "headers": list(message.get("headers", []))}
            if _is_stream(message):
                self._stream(message)
        elif kind == "http.response.body" and self._start is not None:
            await self._take_body(self._start, message.get("body", b""), message.get("more_body", False))
        else:
            await self._send(message)

    def _take_returned(self) -> Any:
        call = call_of(Request(self.scope))
        return None if call is None else call.take_returned()

    async def _take_body(self, start: Message, body: bytes, more: bool) -> None:
        if self._parts is None and not more:
            self._response = APIResponse(start, body)
            self._begun.set()
            return
        parts = self._parts or self._stream(start)
        if body:
            await parts.put(body)
        if not more:
            parts.finish()

    def _stream(self, start: Message) -> Parts:
        self._parts = Parts()
        self._response = APIResponse(start, self._parts)
        self._begun.set()
        return self._parts

    async def answer(self, response: Any) -> None:
        """Sends what the middleware made of the response, and waits for what the API does after it."""
        if self._task is not None and self._response is None:
            await self._task  # It raises what the app raised.
        if self._response is not None and response is self._response.django:
            await self._response.send(response, self._send)
        else:
            await send_django(response, self._send)
        if self._task is not None and (self._parts is None or self._parts.over):
            await self._task

    async def end(self) -> None:
        """Ends the API if it still runs: nobody wants what it has to say."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # Seen, here or by who awaited it.


def _is_stream(start: Message) -> bool:
    names = {name.lower() for name, _ in start.get("headers", [])}
    return b"content-length" not in names and start["status"] >= 200 and start["status"] not in _EMPTY


class _WhileItWaits(Executor):
    """The thread of a sync middleware while it waits for the API; afterwards, for what is left of it, the lease's."""

    def __init__(self, thread: Executor) -> None:
        self._thread = thread

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return self._thread.submit(fn, *args, **kwargs)
        except RuntimeError:  # It waits no more.
            source = current_source()
            if source is None:
                raise
            lease = source.lease()
            if lease.context is None:
                lease.context = contextvars.copy_context()
            call = FutureCall(fn, args, kwargs)
            lease.submit(call)
            return call.future
