"""The websockets of the two test clients, in the words of Starlette's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
from starlette.types import Message

from djfast_mount.testing.websocket_messages import Conversation, Mode, json_message, json_of

__all__ = ["AsyncWebSocketSession", "WebSocketSession", "opening_headers"]

Accepted = Callable[[httpx.Response], None]


class Server(Protocol):
    """What a session needs of the djfast_mount.testing.server.Server of its client."""

    async def connect(self, request: httpx.Request, thread: threading.Thread | None) -> Conversation: ...

    async def hang_up(self, conversation: Conversation, code: int, reason: str) -> None: ...


def opening_headers(subprotocols: list[str] | None) -> dict[str, str]:
    """Returns what the opening request of a websocket carries."""
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        # The example of RFC 6455, section 1.3. No server checks it here, and apps may ask whether it is there.
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    if subprotocols:
        headers["sec-websocket-protocol"] = ", ".join(subprotocols)
    return headers


class _Session:
    """What a session knows once it is open.

    Args:
        request: The opening request.
        accepted: Called with the response that opens the websocket.
    """

    def __init__(self, server: Server, request: httpx.Request, accepted: Accepted) -> None:
        self._server = server
        self._request = request
        self._accepted = accepted
        self.accepted_subprotocol: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []

    def _opened(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.accepted_subprotocol = conversation.accepted.get("subprotocol")
        self.extra_headers = list(conversation.accepted.get("headers") or ())
        self._accepted(httpx.Response(101, headers=self.extra_headers, request=self._request))


class WebSocketSession(_Session):
    """A websocket of `Client`: open while it is entered.

    Entering raises WebSocketDisconnect when the app closes the websocket instead of accepting it (WebSocketDenied, when
    it answers otherwise); so does receiving after the app has closed it. What the app raises is raised here.
    """

    def __init__(self, server: Server, run: Callable[..., Any], request: httpx.Request, accepted: Accepted) -> None:
        super().__init__(server, request, accepted)
        self._run = run

    def __enter__(self) -> Self:
        self._opened(self._run(self._server.connect, self._request, threading.current_thread()))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            # The test has failed already, and its own error is the one to be shown.
            if exc_value is None:
                raise

    def send(self, message: Message) -> None:
        """Sends an ASGI message to the app."""
        self._run(self._conversation.send, message)

    def send_text(self, data: str) -> None:
        self.send({"type": "websocket.receive", "text": data})

    def send_bytes(self, data: bytes) -> None:
        self.send({"type": "websocket.receive", "bytes": data})

    def send_json(self, data: Any, mode: Mode = "text") -> None:
        self.send(json_message(data, mode))

    def receive(self) -> Message:
        """Returns the next ASGI message of the app."""
        message: Message = self._run(self._conversation.receive)
        return message

    def receive_text(self) -> str:
        return str(self.receive()["text"])

    def receive_bytes(self) -> bytes:
        return bytes(self.receive()["bytes"])

    def receive_json(self, mode: Mode = "text") -> Any:
        return json_of(self.receive(), mode)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the websocket and waits for the app's end. A second call does nothing."""
        self._run(self._server.hang_up, self._conversation, code, reason)


class AsyncWebSocketSession(_Session):
    """A websocket of `AsyncClient`: as `WebSocketSession`, to be awaited."""

    def __init__(self, server: Server, run: Callable[..., Any], request: httpx.Request, accepted: Accepted) -> None:
        super().__init__(server, request, accepted)
        self._run = run

    async def __aenter__(self) -> Self:
        self._opened(await self._run(self._server.connect, self._request))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Exception:
            if exc_value is None:
                raise

    async def send(self, message: Message) -> None:
        """Sends an ASGI message to the app."""
        await self._conversation.send(message)

    async def send_text(self, data: str) -> None:
        await self.send({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        await self.send({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: Mode = "text") -> None:
        await self.send(json_message(data, mode))

    async def receive(self) -> Message:
        """Returns the next ASGI message of the app."""
        return await self._conversation.receive()

    async def receive_text(self) -> str:
        return str((await self.receive())["text"])

    async def receive_bytes(self) -> bytes:
        return bytes((await self.receive())["bytes"])

    async def receive_json(self, mode: Mode = "text") -> Any:
        return json_of(await self.receive(), mode)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the websocket and waits for the app's end. A second call does nothing."""
        await self._server.hang_up(self._conversation, code, reason)
