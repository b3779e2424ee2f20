"""`Client`: httpx in the test's own thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from django.contrib.sessions.backends.base import SessionBase
from django.test import Client as DjangoClient
from starlette.types import ASGIApp

from djfast_mount.testing.answered_errors import note_answered_errors
from djfast_mount.testing.cookies import SharedCookies
from djfast_mount.testing.http_exchange import Draw, Exchange
from djfast_mount.testing.loop_thread import LoopThread
from djfast_mount.testing.server import Server
from djfast_mount.testing.stray_connections import close_strays
from djfast_mount.testing.websockets import WebSocketSession, opening_headers

__all__ = ["Client"]

T = TypeVar("T")


class Client(httpx.Client):
    """An httpx client that calls an ASGI app without a network, with all sync work in the calling thread.

    Endpoints, dependencies, background tasks and Django views see the test's connection and transaction, and its
    queries count. A request returns when the app has ended it; a stream goes on while the test reads. Redirects are
    followed on demand only. As a context manager it runs the app's lifespan.

    One event loop serves all that the client does. Between two calls of the client its sync work stands still.

    Args:
        app: The app, or its import string. None: what ``settings.ASGI_APPLICATION`` names.
        base_url: The scheme and host that the app sees.
        root_path: An outer prefix, as if a proxy had taken it off.
        raise_server_exceptions: Whether an exception that leaves the app, or a Django view, is raised in the test.
            False: it is answered as a server would.
        enforce_csrf_checks: Whether CSRF tokens are checked, as for Django's test client.
        django_client: Django's test client to share cookies with, and so the session. None: one of its own.
        options: Further arguments of `httpx.Client`.

    Raises:
        ConfigurationError: There is no such app.
    """

    def __init__(
        self,
        app: ASGIApp | str | None = None,
        *,
        # The host of Django's own test client, which Django adds to ALLOWED_HOSTS in tests.
        base_url: httpx.URL | str = "http://testserver",
        root_path: str = "",
        raise_server_exceptions: bool = True,
        enforce_csrf_checks: bool = False,
        django_client: DjangoClient | None = None,
        **options: Any,
    ) -> None:
        # Not at import: a production process that imports the module, for a type say, keeps Django's handler as it is.
        note_answered_errors()
        self._server = Server(
            app,
            root_path=root_path,
            raise_server_exceptions=raise_server_exceptions,
            enforce_csrf_checks=enforce_csrf_checks,
        )
        self._loop_thread: LoopThread | None = None
        self._django_client = django_client or DjangoClient()
        super().__init__(base_url=base_url, transport=_Transport(self._serve), **options)
        self._shared = SharedCookies(self._django_client, self.base_url)

    # Users ---------------------------------------------------------------------------------------------------------

    @property
    def session(self) -> SessionBase:
        """Django's session of this client."""
        session = self._django_client.session
        self._shared.take(self.cookies)
        return session

    def login(self, **credentials: Any) -> bool:
        """Logs a user in by the authentication backends. Returns whether that was possible."""
        done = self._django_client.login(**credentials)
        self._shared.take(self.cookies)
        return done

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Logs `user` in without credentials."""
        self._django_client.force_login(user, backend)
        self._shared.take(self.cookies)

    def logout(self) -> None:
        """Logs the user out and deletes the client's cookies."""
        self._django_client.logout()
        self._shared.take(self.cookies)

    # Requests ------------------------------------------------------------------------------------------------------

    def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        self._shared.take(self.cookies)
        return super().build_request(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        try:
            return super().send(*args, **kwargs)
        finally:
            self._shared.give(self.cookies)

    def websocket_connect(
        self, url: httpx.URL | str, subprotocols: list[str] | None = None, **options: Any
    ) -> WebSocketSession:
        """Returns a websocket, which is opened when it is entered as a context manager.

        Args:
            options: `headers`, `params` and `cookies`, as for a request.
        """
        request = self.build_request("GET", url, **options)
        request.headers.update(opening_headers(subprotocols))
        return WebSocketSession(self._server, self._run, request, self._accepted)

    # The loop ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._run(self._server.start, threading.current_thread())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._end()

    def close(self) -> None:
        """Ends what is open, the lifespan and the event loop."""
        self._end()
        super().close()

    def _end(self) -> None:
        loop_thread = self._loop_thread
        if loop_thread is not None:
            try:
                loop_thread.run(self._server.stop)
            finally:
                # Before it is closed: a body that is drawn meanwhile is told that the client was closed.
                self._loop_thread = None
                loop_thread.close()
                close_strays()

    def _run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        _refuse_running_loop()
        # With the first request: a client that only logs in needs no loop.
        if self._loop_thread is None:
            self._loop_thread = LoopThread()
        return self._loop_thread.run(function, *args)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        exchange = self._run(self._server.answer, request, self._body_of(request), threading.current_thread())
        stream = _Stream(self._server, self._run, exchange)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=stream, request=request)

    def _accepted(self, response: httpx.Response) -> None:
        self.cookies.extract_cookies(response)
        self._shared.give(self.cookies)

    def _body_of(self, request: httpx.Request) -> bytes | Draw:
        try:
            return request.content
        except httpx.RequestNotRead:
            parts = iter(request.stream)  # type: ignore[arg-type]  # a sync client's is sync

        async def draw() -> bytes | None:
            if self._loop_thread is None:
                raise RuntimeError("The client was closed while its request was under way.")
            # The test's generator runs in the test's thread, as it may use the ORM.
            return await self._loop_thread.on_caller(next, parts, None)

        return draw


class _Transport(httpx.BaseTransport):
    def __init__(self, serve: Callable[[httpx.Request], httpx.Response]) -> None:
        self._serve = serve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._serve(request)


class _Stream(httpx.SyncByteStream):
    """A response's body, drawn from the app as it is read."""

    def __init__(self, server: Server, run: Callable[..., Any], exchange: Exchange) -> None:
        self._server = server
        self._run = run
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        while parts := exchange.rest() if exchange.over else self._run(exchange.parts):
            yield from parts
        self._server.check(exchange)

    def close(self) -> None:
        if not self._exchange.over:
            self._run(self._exchange.leave)
        self._server.check(self._exchange)


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    # Playwright's sync API has a loop running beneath the test; its users set this for Django already.
    if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        raise RuntimeError(
            "djfast_mount.testing.Client was called in async code, whose event loop it would block. "
            "Use AsyncClient there."
        )
