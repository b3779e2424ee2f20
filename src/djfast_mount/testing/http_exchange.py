"""One HTTP request to an ASGI app and its response, message by message. Lives on an event loop.

1. The app runs in a task of its own, which sees the client's context; what it sets there does not come back.
2. A part of a stream is sent when the client takes it, as with a client that reads slowly.
3. An answer that is no stream is had when the app has ended, its background tasks included.
4. A client that goes early is told to the app as a server tells it. An app that does not end then is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from starlette.types import ASGIApp, Message, Scope

from djfast_mount.testing.requests import TestRequest, context_of, ended, under_way

__all__ = ["Draw", "Exchange"]

Draw = Callable[[], Awaitable[bytes | None]]
"""Returns the next part of a request's body, None after the last."""


class Exchange:
    """A request that is being answered.

    Args:
        request: What the client knows of it.
        body: The request's body, whole or to be drawn.
    """

    def __init__(self, app: ASGIApp, scope: Scope, request: TestRequest, body: bytes | Draw) -> None:
        self.request = request
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._app = app
        self._scope = scope
        self._body: bytes | Draw | None = body
        self._parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._news = asyncio.Event()
        self._gone = asyncio.Event()  # The client left, or has got everything.
        self._complete = False
        self._left = False
        self._told = False

    @property
    def over(self) -> bool:
        """Whether the app has ended. From then on nothing here changes."""
        return self._task.done()

    async def begin(self) -> None:
        """Calls the app. Returns when the response has begun or, if it is no stream, when the app has ended."""
        self._task = asyncio.create_task(self._serve(), context=context_of(self.request))
        try:
            await self._news.wait()
            if self._complete:
                # `wait()`, not `await task`: an error of the app is raised by `check()`, once and in the test's own
                # call.
                await asyncio.wait([self._task])
        except asyncio.CancelledError:
            await self.leave()
            raise

    async def parts(self) -> list[bytes]:
        """Returns the parts of the response's body that have come since the last call; none after the app's end."""
        while self._parts.empty() and not self.over:
            self._news.clear()
            await self._news.wait()
            if self._complete:
                await asyncio.wait([self._task])
        return self.rest()

    def rest(self) -> list[bytes]:
        """Returns the parts that are there already."""
        found = []
        while not self._parts.empty():
            found.append(self._parts.get_nowait())
            self._parts.task_done()
        return found

    async def leave(self) -> None:
        """The client goes. Returns when the app has ended."""
        self._left = not self._complete
        self._gone.set()
        self.rest()
        await ended(self._task)

    def check(self, *, raise_server_exceptions: bool) -> None:
        """Raises what went wrong in the app, or with its answer. Called when the app has ended."""
        error = None if self._task.cancelled() else self._task.exception()
        error = error or self.request.answered_error
        if raise_server_exceptions and error is not None and not self._told:
            self._told = True
            raise error
        if self._complete or self._left:
            return
        # What httpx raises for a server that closes the connection in mid-answer.
        if self.status or self._task.cancelled():
            raise httpx.RemoteProtocolError(f"The app did not finish its answer to {self.request.name}.")
        if raise_server_exceptions:
            raise RuntimeError(f"The app returned without an answer to {self.request.name}.")
        self.status = 500
        self.headers = [(b"content-type", b"text/plain; charset=utf-8")]
        self._parts.put_nowait(b"Internal Server Error")
        self._complete = True

    async def _serve(self) -> None:
        try:
            with under_way(self.request):
                await self._app(self._scope, self._receive, self._send)
        finally:
            # Set after this task is done: whoever wakes asks whether it is.
            asyncio.get_running_loop().call_soon(self._news.set)

    async def _receive(self) -> Message:
        body = self._body
        if body is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        if not callable(body):
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        part = await body()
        if part is None:
            self._body = None
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and not self.status:
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
            self._news.set()
        elif kind == "http.response.body" and self.status and not self._complete:
            await self._send_part(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"The app sent {kind!r} out of turn in its answer to {self.request.name}.")

    async def _send_part(self, body: bytes, *, more: bool) -> None:
        if self._left:
            # A server drops what is sent to a client that has left. Others must have their turn.
            await asyncio.sleep(0)
            return
        if body and self._scope["method"] != "HEAD":
            self._parts.put_nowait(bytes(body))
        if not more:
            self._complete = True
            self._gone.set()
        self._news.set()
        if more:
            await self._parts.join()
            await asyncio.sleep(0)
