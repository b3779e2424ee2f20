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
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.django_for_api.body import RequestBody
from djfast_mount.django_for_api.middleware_chain import CALL, CHAIN, Chain, chosen_middleware
from djfast_mount.django_for_api.request_layer import call_of, http_request
from djfast_mount.django_for_api.responses import APIResponse, Parts, Returned, send_django
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.offload.current import current_source
from djfast_mount.offload.run import waiting_thread
from djfast_mount.offload.waiting import offer
from djfast_mount.threads.calls import FutureCall

__all__ = ["DjangoMiddleware"]

_SENT_AS_FILES = ("http.response.pathsend", "http.response.zerocopysend")
_EMPTY = (204, 205, 304)


async def _served(request: Any) -> Any:
    """The innermost: hands the call to the API. Runs in the context of the middleware."""
    call: _Call | None = getattr(request, CALL, None)
    if call is None:
        raise ConfigurationError(
            f"A middleware has put {request!r} in the place of the request of an API call. Hand on the one it got."
        )
    return await call.begin()


class DjangoMiddleware:
    """ASGI: puts Django middleware around each http call of `app`. Called with the request's thread entered.

    Args:
        app: What stands before the API.
        api: The API, whose exception handlers answer for errors of the middleware.
        chosen: Which middleware, as `mount()` takes it. It is loaded again where a test has changed a setting, for it
            may read any.
    """

    def __init__(self, app: ASGIApp, api: ASGIApp, chosen: Sequence[str]) -> None:
        self.app = app
        self._api = api
        self._chosen = chosen
        self._chain: Chain | None = self._make()
        setting_changed.connect(self._forget)

    def _make(self) -> Chain:
        return Chain(chosen_middleware(self._chosen), self._api, _served)

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
        setattr(request, CALL, call)
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

    def respond(self, start: Message, body: bytes) -> Any:
        """Makes this response the one that is to be sent. Returns what stands for it."""
        self._response = response = APIResponse(start, body)
        return response.django

    async def begin(self) -> Any:
        """Runs the API, in the context of the caller, until its response is there. Returns what stands for that."""
        thread = waiting_thread()
        if thread is not None:
            offer(_WaitingThread(thread))
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
            return  # A Django response is sent in the place of this one.
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
            await self._task  # This raises the error of the app.
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
                task.exception()  # Read, so that the event loop does not report an error that nobody has seen.


def _is_stream(start: Message) -> bool:
    names = {name.lower() for name, _ in start.get("headers", [])}
    return b"content-length" not in names and start["status"] >= 200 and start["status"] not in _EMPTY


class _WaitingThread(Executor):
    """The thread of a sync middleware while it waits for the API; afterwards, for what is left of it, the lease's."""

    def __init__(self, thread: Executor) -> None:
        self._thread = thread

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return self._thread.submit(fn, *args, **kwargs)
        except RuntimeError:  # The thread waits no more.
            source = current_source()
            if source is None:
                raise
            lease = source.lease()
            if lease.context is None:
                lease.context = contextvars.copy_context()
            call = FutureCall(fn, args, kwargs)
            lease.submit(call)
            return call.future
