"""Django's ASGI handler, each view in its natural mode.

Django's own handler runs every sync middleware method, the view and the closing of the response in a hop of its own.
Here a sync view's whole chain is one hop on the request thread; an async view keeps Django's async chain, whose
middleware share their hops (djfast_mount.django_half.joined_middleware).

1. Which of the two, is guessed by resolving the path before any middleware has seen it. A wrong guess only costs time:
   Django adapts a view of the other kind in either chain. Where a middleware has async code of its own, every view
   has the async chain, as with Django: the two may differ (djfast_mount.django_half.middleware_modes).
2. Sync iterators are drawn on the request thread, as the client takes the data, at most a millisecond or 64 KiB ahead
   of it; Django's handler collects them in a list.
3. The signals are sent with each spell (djfast_mount.database.connections). Their sender is Django's ASGIHandler.
4. A client that leaves cancels what async code serves it, as with Django, from the first twentieth of a second on; a
   sync view runs to its end.
5. Everything else is Django's: this subclasses its handler and calls its methods.

Names used here that are not public, each with a canary test: BaseHandler's _get_response and its resolve_request, which
Django calls for every request; of a response _handler_class, by which it knows the sender of request_finished, and
_resource_closers.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine
from io import BytesIO
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.exception import response_for_exception
from django.core.signals import setting_changed
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.database.signals import finished
from djfast_mount.django_half.joined_middleware import JoinedChain
from djfast_mount.django_half.middleware_modes import any_has_async_code
from djfast_mount.django_half.view_guess import Guess, guess_of
from djfast_mount.offload.cancellation import wait_shielded
from djfast_mount.offload.current import Source, current_lease, current_source
from djfast_mount.threads.lease import Lease

__all__ = ["DjangoHandler", "close_silently", "undisturbed"]

_CLOSE = HttpResponseBase.close  # A package that puts another in its place wants it to be called.
_CLOSED = "_djfast_mount_closed"  # Set on a request whose response has been closed for it.
# Seconds after which a request listens for its client's leaving. Most have been answered by then, and a task for each,
# begun and cancelled again, would take a tenth of what an async view does.
_LISTEN_AFTER = 0.05


class DjangoHandler(ASGIHandler):
    """Serves Django's half. Called with a lease entered (djfast_mount.request_thread), and by nobody else."""

    def __init__(self) -> None:
        # Not ASGIHandler's own, which loads the async chain whether a view needs it or not.
        self._sync_chain: _Chain | None = _Chain(is_async=False)
        self._async_chain: _Chain | None = None
        # Two first async requests at once would otherwise make every middleware twice, and what one does when it is
        # made need not bear being done twice.
        self._making = threading.Lock()
        self._always_async: bool | None = any_has_async_code()
        setting_changed.connect(self._forget)

    def _forget(self, **_: object) -> None:
        """Has the middleware loaded anew."""
        # A middleware may read any setting when it is made, and in tests settings change. It is not loaded here: a test
        # may name middleware that cannot be imported, and `override_settings` would raise for it.
        self._sync_chain = self._async_chain = self._always_async = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        if scope["type"] != "http":
            raise ValueError(
                f"Django serves the scope type 'http', not {scope['type']!r}. Give mount() a websocket_app."
            )
        return self.handle(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        source = current_source()
        if source is None:
            raise RuntimeError("DjangoHandler was called outside of mount(). Call django.core.asgi's handler instead.")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        lease: Lease = source.lease()
        try:
            set_script_prefix(get_script_prefix(scope))
            await self._serve(source, lease, scope, body, receive, send)
        finally:
            if lease.calling:  # A sync view may still read the body on its thread, after its request was cancelled.
                await source.run(body.close)
            else:
                body.close()

    async def read_body(self, receive: Receive) -> IO[bytes]:  # type: ignore[override]
        """Reads the body as Django does, but opens no temporary file for one that came whole and is small."""
        message = await receive()
        body = message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise RequestAborted
        # Django's own limit for what stays in memory, so that larger bodies go to disk as they do there.
        if not message.get("more_body", False) and len(body) <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            return BytesIO(body)
        messages = [message]

        async def again() -> Any:
            return messages.pop() if messages else await receive()

        return await super().read_body(again)

    async def send_response(self, response: Any, send: Any) -> None:
        drawn = response.streaming and not response.is_async
        await super().send_response(cast(Any, _Drawn(response)) if drawn else response, send)

    async def _serve(
        self, source: Source, lease: Lease, scope: Scope, body: IO[bytes], receive: Receive, send: Send
    ) -> None:
        request, refusal = self.create_request(scope, body)
        if request is None:
            await source.run(_nothing)
            await self.send_response(refusal, send)
            await source.run(_close, lease, refusal)
            return
        if self._always_async is None:
            self._always_async = any_has_async_code()
        serve = self._async_response if Guess(request).is_async or self._always_async else self._sync_response
        disconnect = _CancelOnDisconnect(receive)
        response: Any = None
        try:
            async with disconnect:
                response = await serve(source, lease, request)
                if disconnect.gone:
                    # If the client has left, the cancellation arrives at this await at the latest. Nothing more is
                    # sent.
                    await asyncio.sleep(0)
                if response.streaming and not response.is_async:
                    # Before the response has begun, for 503 is still an answer.
                    await lease.pool.streams.enter(lease)
                if response.streaming:
                    disconnect.listen()
                # It is closed in the spell that made it, unless others wait for the thread meanwhile.
                source.whole = not response.streaming
                await self.send_response(response, send)
        finally:
            # Not by `response.closed`: a response that a project keeps has been closed for requests before this one.
            if response is not None and _CLOSED not in vars(request):
                await source.run(_close, lease, response)

    def _sync_response(self, source: Source, lease: Lease, request: ASGIRequest) -> Coroutine[Any, Any, Any]:
        return source.run(self._respond, lease, request)

    def _respond(self, lease: Lease, request: ASGIRequest) -> Any:
        """The one hop: middleware, view, template and, where nobody else hears of it, the end of the spell."""
        response = self._prepared((self._sync_chain or self._made_sync_chain()).get_response(request))
        own = not response.streaming and vars(response).get("_resource_closers") == [request.close]
        if own and _ends_here(lease, response):
            close_silently(response)
            vars(request)[_CLOSED] = True
            lease.end_with_this_call()
        return response

    async def _async_response(self, source: Source, lease: Lease, request: ASGIRequest) -> Any:
        chain = self._async_chain
        if chain is None:
            chain = await source.run(self._made_async_chain, request)
            if not isinstance(chain, _Chain):
                return self._prepared(chain)
        elif not chain.begins_on_the_thread:
            await source.run(_nothing)  # Django's half always sends the signals.
        response = self._prepared(await chain.get_response_async(request))
        if _CLOSED in vars(request):
            # The project may keep the response, and another request may have removed it already.
            with contextlib.suppress(ValueError):
                # Django has added this closer after the request was closed.
                response._resource_closers.remove(request.close)
        return response

    def _made_sync_chain(self) -> _Chain:
        with self._making:
            self._sync_chain = chain = self._sync_chain or _Chain(is_async=False)
            return chain

    def _made_async_chain(self, request: ASGIRequest) -> Any:
        """Returns the chain, made for the first async view there is, or the answer to its not being made.

        Runs on the worker: what middleware do when they are made may ask the database.
        """
        try:
            with self._making:
                if self._async_chain is None:
                    self._async_chain = _Chain(is_async=True, end=self._end)
                return self._async_chain
        except Exception as error:
            # An answer, as for any other error of a request: the process serves on, sync views included.
            return response_for_exception(request, error)

    def _end(self, request: HttpRequest, response: Any) -> None:
        """Ends the spell with the call that it runs in, if the loop has nothing left to do but to send the response."""
        lease: Lease | None = current_lease()
        # A middleware may have returned anything: that is for Django to find out.
        if lease is not None and _is_ready(response) and _ends_here(lease, response):
            vars(response)["_resource_closers"].append(request.close)
            close_silently(self._prepared(response))
            vars(request)[_CLOSED] = True
            lease.end_with_this_call()

    def _prepared(self, response: Any) -> Any:
        response._handler_class = ASGIHandler
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        return response


class _Chain(JoinedChain):
    """Django's middleware around its views, in one of the two modes."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        guess = guess_of(request)
        if guess is not None:
            request.resolver_match = guess.match
            return guess.match
        return super().resolve_request(request)


class _Drawn:
    """A streaming response whose sync iterator is drawn on the request thread, in the shape that Django sends."""

    streaming = True

    def __init__(self, response: StreamingHttpResponse) -> None:
        self._response = response
        self.status_code = response.status_code
        self.cookies = response.cookies
        self.items = response.items

    def __aiter__(self) -> AsyncIterator[bytes]:
        source = current_source()
        if source is None:
            raise RuntimeError("A response of Django's half is sent outside of a request.")
        return source.draw(iter(self._response))


class _CancelOnDisconnect:
    """Cancels the task in which it is entered when the client leaves, and swallows that cancellation at its end.

    It listens after a moment, or from `listen()` on.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False
        self._error: BaseException | None = None
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.current_task()

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LISTEN_AFTER, self.listen)

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None and not self._listener.done():
            self._listener.cancel()
            await asyncio.wait([self._listener])
        if not self.gone or self._task is None:
            return False
        if error is None:
            # The cancellation may still be on its way; it is ours, and must not reach what comes after.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        others = self._task.uncancel()
        if self._error is not None:
            raise self._error
        return isinstance(error, asyncio.CancelledError) and not others

    def listen(self) -> None:
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        message = await self._receive()
        if message["type"] != "http.disconnect":
            self._error = AssertionError(f"Invalid ASGI message after request body: {message['type']}")
        self.gone = True
        if self._task is not None:
            self._task.cancel()


class DjangosHandler:
    """Django's own handler, whose middleware is loaded anew where a test has changed a setting.

    It is an ASGIHandler and no subclass of it: receivers of Django's signals know it by its class.
    """

    def __init__(self) -> None:
        self.handler = ASGIHandler()
        self._is_stale = False
        setting_changed.connect(self._note_change)

    def _note_change(self, **_: object) -> None:
        self._is_stale = True

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._is_stale:
            self.handler.load_middleware(is_async=True)
            self._is_stale = False
        return self.handler(cast(Any, scope), receive, cast(Any, send))


def undisturbed(app: ASGIApp) -> ASGIApp:
    """Returns `app`, Django's own handler, so that a cancellation reaches it as a client that has left.

    Cancelled itself, it would send no `request_finished` and leave the tasks behind that it has begun.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        left = asyncio.Event()

        async def receive_or_left() -> Any:
            waits = [asyncio.ensure_future(receive()), asyncio.ensure_future(left.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                return waits[0].result() if waits[0].done() else {"type": "http.disconnect"}
            finally:
                for wait in waits:
                    wait.cancel()

        task = asyncio.ensure_future(app(scope, receive_or_left, send))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            left.set()
            await wait_shielded(task)
            if not task.cancelled():
                task.exception()  # Seen, and overtaken by the cancellation.
            raise

    return serve


def _nothing() -> None:
    """A call that only begins the spell."""


def _close(lease: Lease, response: Any) -> None:
    """Closes the response and ends the spell with this call, which sends request_finished. Runs on the worker."""
    try:
        if _ends_here(lease, response):
            close_silently(response)
        else:
            response.close()
    finally:
        lease.end_with_this_call()


def _ends_here(lease: Lease, response: Any) -> bool:
    """Whether the end of the spell, which is at hand, can do what Django does after a response: nobody else listens."""
    own = vars(response)
    is_djangos = type(response).close is _CLOSE and "close" not in own and "_resource_closers" in own
    return is_djangos and finished.django_only() is not None and not lease.pool.hooks.busy(lease)


def _is_ready(response: Any) -> bool:
    """Whether `response` is there as a whole, is not to be logged, and has nothing of its own to be closed."""
    return (
        isinstance(response, HttpResponse)  # Streaming responses are of another class.
        and response.status_code < 400
        and not vars(response).get("_resource_closers", True)
    )


def close_silently(response: Any) -> None:
    """Does what HttpResponseBase.close() does, but for the signal request_finished."""
    closers = vars(response).get("_resource_closers", [])
    for closer in closers:
        with contextlib.suppress(Exception):
            closer()
    closers.clear()
    response.closed = True
