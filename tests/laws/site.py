"""A root as a server runs it: its lifespan, its requests, and clients that leave or read slowly."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import httpx
from django.test import override_settings
from starlette.types import ASGIApp, Message, Scope

from calls import http_scope, websocket_scope
from djfast_mount.threads.pool import Pool
from laws import record

T = TypeVar("T")
MakeRoot = Callable[..., ASGIApp]


class Exchange:
    """One connection between a client and a root, message by message.

    Args:
        takes: How many messages the client takes before it stops reading. None: all.
    """

    def __init__(self, app: ASGIApp, scope: Scope, *, takes: int | None = None) -> None:
        self.sent: list[Message] = []
        self.left = False
        self._takes = takes
        self._refuses = scope.get("asgi", {}).get("spec_version", "2.0") >= "2.4"
        self._room = asyncio.Event()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.task = in_own_context(app(scope, self._incoming.get, self._send))

    def send(self, message: Message) -> None:
        self._incoming.put_nowait(message)

    def leave(self) -> None:
        """The client closes the connection: what is sent to it from now on is lost."""
        self.left = True
        self._room.set()
        kind = "websocket" if self.sent and self.sent[0]["type"].startswith("websocket") else "http"
        self.send({"type": f"{kind}.disconnect", "code": 1000})

    def read_on(self) -> None:
        """The client takes all that comes from now on."""
        self._takes = None
        self._room.set()

    async def took(self, messages: int) -> None:
        await record.until(lambda: len(self.sent) >= messages or self.task.done())

    async def ended(self) -> None:
        """Wait until the root has done with this connection, whatever it raised."""
        await asyncio.wait([self.task])

    @property
    def status(self) -> int | None:
        return next((int(sent["status"]) for sent in self.sent if sent["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        return b"".join(sent.get("body", b"") for sent in self.sent)

    async def _send(self, message: Message) -> None:
        while self._takes is not None and len(self.sent) >= self._takes and not self.left:
            await self._room.wait()
        if not self.left:
            self.sent.append(message)
        elif self._refuses:
            raise OSError("The client has gone.")


class Root:
    """A root in service."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path
        transport = httpx.ASGITransport(app=app, root_path=root_path, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None)

    @property
    def pool(self) -> Pool:
        pool: Pool = self.app._threads.pool  # type: ignore[attr-defined]
        return pool

    def start(self, path: str, **options: Any) -> asyncio.Task[httpx.Response]:
        """Begin a request, in a context of its own as servers do."""
        method = options.pop("method", "GET")
        return in_own_context(self._client.request(method, self.root_path + path, **options))

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.start(path, **options)

    async def get_many(self, path: str, keys: list[str]) -> list[httpx.Response]:
        """All at once, each with its key."""
        return await asyncio.gather(*[self.start(path, params={"key": key}) for key in keys])

    def scope(self, path: str, query: str = "", spec_version: str = "2.3") -> Scope:
        path = self.root_path + path
        if path.endswith("/ws"):
            return websocket_scope(path, root_path=self.root_path)
        asgi = {"version": "3.0", "spec_version": spec_version}
        return http_scope(path, root_path=self.root_path, asgi=asgi, query_string=query.encode())

    def open(self, path: str, *, takes: int | None = None, spec_version: str = "2.3", query: str = "") -> Exchange:
        exchange = Exchange(self.app, self.scope(path, query, spec_version), takes=takes)
        exchange.send({"type": "http.request", "body": b"", "more_body": False})
        return exchange

    def connect(self, path: str, query: str = "") -> Exchange:
        """Open a websocket."""
        scope = websocket_scope(self.root_path + path, root_path=self.root_path)
        exchange = Exchange(self.app, {**scope, "query_string": query.encode()})
        exchange.send({"type": "websocket.connect"})
        return exchange


class Site:
    """Makes one kind of root in one position: `async with site(api, threads=2) as root`.

    Args:
        make: Makes the root for a FastAPI app.
        root_path: The outer prefix under which it is served.
    """

    def __init__(self, make: MakeRoot, root_path: str) -> None:
        self._make = make
        self._root_path = root_path

    @contextlib.asynccontextmanager
    async def __call__(
        self,
        api: ASGIApp,
        *,
        threads: int = 8,
        wait_timeout: float = 5.0,
        django_middleware: Sequence[str] = ("laws.django_half.noting",),
        opens_stops: bool = True,
        urls: str = "laws.django_half",
        **options: Any,
    ) -> AsyncIterator[Root]:
        record.clear()
        with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=django_middleware):
            app = self._make(api, threads=threads, wait_timeout=wait_timeout, **options)
            async with lifespan(app):
                try:
                    yield Root(app, self._root_path)
                finally:
                    if opens_stops:
                        record.open_stops()


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Start the app up, and shut it down, as a server does."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = in_own_context(app(scope, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    await _next(outgoing, task)
    try:
        yield
    finally:
        incoming.put_nowait({"type": "lifespan.shutdown"})
        await _next(outgoing, task)
        await task


async def _next(outgoing: asyncio.Queue[Message], task: asyncio.Task[Any]) -> Message:
    message = asyncio.ensure_future(outgoing.get())
    await asyncio.wait([message, task], return_when=asyncio.FIRST_COMPLETED)
    if not message.done():
        message.cancel()
        raise RuntimeError(f"The lifespan ended without an answer: {task!r}")
    return message.result()


async def turns_of_the_loop(number: int) -> None:
    """Let what is ready run, and what that makes ready."""
    for _ in range(number):
        await asyncio.sleep(0)


def in_own_context(awaitable: Awaitable[T]) -> asyncio.Task[T]:
    """A task as a server begins it: with no context of the test's."""
    coroutine: Coroutine[Any, Any, T] = awaitable  # type: ignore[assignment]
    return asyncio.create_task(coroutine, context=contextvars.Context())
