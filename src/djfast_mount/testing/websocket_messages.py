"""One websocket to an ASGI app, message by message. Lives on an event loop."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp, Message, Scope
from starlette.websockets import WebSocketDisconnect

from djfast_mount.testing.requests import TestRequest, context_of, ended, under_way

__all__ = ["Conversation", "WebSocketDenied", "json_message", "json_of"]

Mode = Literal["text", "binary"]

# Messages that a client may leave unread before the app has to wait for it.
_UNREAD = 256
# The close codes of RFC 6455 for what no peer has said: a connection that broke off, and a fault of the server.
_BROKEN_OFF = 1006


class WebSocketDenied(WebSocketDisconnect):
    """The app answered the opening of a websocket with an HTTP response, which is `response`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(code=1000, reason=f"answered {response.status_code}")
        self.response = response


class Conversation:
    """A websocket, and the app at its other end.

    Args:
        request: What the client knows of it.
        raises: Whether what the app raises is raised in the test.
    """

    def __init__(self, app: ASGIApp, scope: Scope, request: TestRequest, *, raises: bool) -> None:
        self.accepted: Message = {}
        self._app = app
        self._scope = scope
        self._raises = raises
        self._request = request
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        # Bounded, as a socket's buffer is: an app that sends without end must wait for its client.
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue(_UNREAD)
        self._closed = False
        self._told = False

    async def open(self) -> None:
        """Returns when the app has accepted the websocket.

        Raises: WebSocketDisconnect, when the app closes it instead; WebSocketDenied, when it answers otherwise.
        """
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._serve(), context=context_of(self._request))
        try:
            self.accepted = await self.receive()
            if self.accepted["type"] == "websocket.http.response.start":
                await self._denied(self.accepted)
        except BaseException:
            await self.end()
            raise

    async def send(self, message: Message) -> None:
        """Sends one message to the app."""
        self._inbox.put_nowait(message)

    async def receive(self) -> Message:
        """Returns the next message of the app.

        Raises: WebSocketDisconnect, when the app has closed the websocket; what the app raised.
        """
        message = None if self._closed else await self._outbox.get()
        if message is None:
            self._closed = True
            self._check()
            raise WebSocketDisconnect(_BROKEN_OFF)
        if message["type"] == "websocket.close":
            self._closed = True
            raise WebSocketDisconnect(message.get("code", 1000), message.get("reason") or "")
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the websocket. Returns when the app has ended; raises what it raised."""
        await self.send({"type": "websocket.disconnect", "code": code, "reason": reason})
        await self.end()
        self._check()

    async def _denied(self, start: Message) -> None:
        body = b""
        while True:
            message = await self.receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                raise WebSocketDenied(httpx.Response(start["status"], headers=start.get("headers", []), content=body))

    async def end(self) -> None:
        """The client goes. Returns when the app has ended."""
        self._closed = True
        while not self._outbox.empty():
            self._outbox.get_nowait()
        await ended(self._task)
        await asyncio.sleep(0)

    def _check(self) -> None:
        if self._task.done() and not self._task.cancelled() and not self._told:
            error = self._task.exception()
            self._told = True
            if error is not None and self._raises:
                raise error

    async def _serve(self) -> None:
        try:
            with under_way(self._request):
                await self._app(self._scope, self._inbox.get, self._send)
        finally:
            # After this task is done: who is woken by the last message asks it for its exception.
            asyncio.get_running_loop().call_soon(self._hang_up)

    def _hang_up(self) -> None:
        self._last_word = asyncio.ensure_future(self._outbox.put(None))

    async def _send(self, message: Message) -> None:
        if self._closed:
            # Starlette takes this error for the client's leaving.
            raise OSError("The client has closed the websocket.")
        await self._outbox.put(message)
        await asyncio.sleep(0)  # Others must have their turn, whatever the app does between two messages.


def json_message(data: Any, mode: Mode) -> Message:
    """Returns the message by which a client sends `data`."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    if mode == "text":
        return {"type": "websocket.receive", "text": text}
    return {"type": "websocket.receive", "bytes": text.encode()}


def json_of(message: Message, mode: Mode) -> Any:
    """Returns what the app has sent as JSON."""
    return json.loads(message["text" if mode == "text" else "bytes"])
