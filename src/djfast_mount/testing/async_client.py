"""`AsyncClient`: httpx in an async test, on the test's own event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from django.test import AsyncClient as DjangoAsyncClient
from starlette.types import ASGIApp

from djfast_mount.offload.run import waiting_thread
from djfast_mount.offload.waiting import offer
from djfast_mount.testing.answered_errors import note_answered_errors
from djfast_mount.testing.cookies import SharedCookies
from djfast_mount.testing.http_exchange import Draw, Exchange
from djfast_mount.testing.server import Server
from djfast_mount.testing.stray_connections import close_strays
from djfast_mount.testing.websockets import AsyncWebSocketSession, opening_headers

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient(httpx.AsyncClient):
    """An httpx client that calls an ASGI app without a network, on the test's own event loop.

    Where a thread waits for the test, as under Django's test cases, it does the app's sync work, with the test's
    connection and transaction. Where the loop runs in the test's thread itself, as with pytest-asyncio and AnyIO, the
    fixture `async_api_client` gives the app the test's connection; without it, and without `executor`, the app has a
    pool and connections of its own.

    Its arguments are those of `Client`, and:

    Args:
        executor: Where the app's sync work is to be done, one job at a time; see `lent_connections()`.
    """

    def __init__(
        self,
        app: ASGIApp | str | None = None,
        *,
        base_url: httpx.URL | str = "http://testserver",
        root_path: str = "",
        raise_server_exceptions: bool = True,
        enforce_csrf_checks: bool = False,
        django_client: DjangoAsyncClient | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> None:
        note_answered_errors()
        self._server = Server(
            app,
            root_path=root_path,
            raise_server_exceptions=raise_server_exceptions,
            enforce_csrf_checks=enforce_csrf_checks,
        )
        self._executor = executor
        self._django_client = django_client or DjangoAsyncClient()
        super().__init__(base_url=base_url, transport=_Transport(self._serve), **options)
        self._shared = SharedCookies(self._django_client, self.base_url)

    # Users ---------------------------------------------------------------------------------------------------------

    async def asession(self) -> Any:
        """Returns Django's session of this client."""
        session = await self._within(self._django_client.asession)
        self._shared.take(self.cookies)
        return session

    async def alogin(self, **credentials: Any) -> bool:
        """Logs a user in by the authentication backends. Returns whether that was possible."""
        done = await self._within(self._django_client.alogin, **credentials)
        self._shared.take(self.cookies)
        return done

    async def aforce_login(self, user: Any, backend: str | None = None) -> None:
        """Logs `user` in without credentials."""
        await self._within(self._django_client.aforce_login, user, backend)
        self._shared.take(self.cookies)

    async def alogout(self) -> None:
        """Logs the user out and deletes the client's cookies."""
        await self._within(self._django_client.alogout)
        self._shared.take(self.cookies)

    # Requests ------------------------------------------------------------------------------------------------------

    def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        self._shared.take(self.cookies)
        return super().build_request(*args, **kwargs)

    async def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        try:
            return await super().send(*args, **kwargs)
        finally:
            self._shared.give(self.cookies)

    def websocket_connect(
        self, url: httpx.URL | str, subprotocols: list[str] | None = None, **options: Any
    ) -> AsyncWebSocketSession:
        """Returns a websocket, which is opened when it is entered as a context manager.

        Args:
            options: `headers`, `params` and `cookies`, as for a request.
        """
        request = self.build_request("GET", url, **options)
        request.headers.update(opening_headers(subprotocols))
        return AsyncWebSocketSession(self._server, self._served, request, self._accepted)

    # The app -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._served(self._server.start)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._end()

    async def aclose(self) -> None:
        """Ends what is open, and the lifespan."""
        await self._end()
        await super().aclose()

    async def _end(self) -> None:
        try:
            await self._within(self._server.stop)
        finally:
            close_strays()

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        exchange = await self._served(self._server.answer, request, _body_of(request))
        stream = _Stream(self._server, exchange)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=stream, request=request)

    def _accepted(self, response: httpx.Response) -> None:
        self.cookies.extract_cookies(response)
        self._shared.give(self.cookies)

    async def _served(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Runs what begins a task of the app, and tells it which thread does the test's sync work."""
        executor = self._executor or waiting_thread()
        thread = None
        if executor is not None:
            # Only the executor knows its thread. The name is needed to tell a stray connection from the test's own.
            thread = await asyncio.get_running_loop().run_in_executor(executor, threading.current_thread)
        return await self._within(function, *args, thread)

    async def _within(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        if self._executor is None:
            return await function(*args, **kwargs)
        context = contextvars.copy_context()
        # In a copy: the test itself must not see the executor, or its own `sync_to_async` would wait for itself.
        context.run(offer, self._executor)
        return await asyncio.create_task(function(*args, **kwargs), context=context)


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, serve: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> None:
        self._serve = serve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._serve(request)


class _Stream(httpx.AsyncByteStream):
    """A response's body, drawn from the app as it is read."""

    def __init__(self, server: Server, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while parts := await self._exchange.parts():
            for part in parts:
                yield part
        # Raised where the test reads, since a stream may fail after its first part.
        self._server.check(self._exchange)

    async def aclose(self) -> None:
        if not self._exchange.over:
            await self._exchange.leave()
        self._server.check(self._exchange)


def _body_of(request: httpx.Request) -> bytes | Draw:
    try:
        return request.content
    except httpx.RequestNotRead:
        parts = aiter(request.stream)  # type: ignore[arg-type]  # an async client's is async

    async def draw() -> bytes | None:
        return await anext(parts, None)

    return draw
