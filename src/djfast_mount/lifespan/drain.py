"""The time between SIGTERM and the moment at which the server hears of it. The process still serves requests.

1. `draining` is true from the signal on. /readyz says so, and a balancer sends the requests elsewhere.
2. Meanwhile each HTTP/1 response ends its connection (RFC 9112, section 9.6). A server that stops closes the kept
   connections on which no answer has begun. Requests that are on their way there are lost. So few such connections
   should be left.
3. Before the signal it costs nothing. The signal puts the layer that ends connections around the root.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Drain", "LastAnswers"]

logger = logging.getLogger("djfast_mount.health")


class LastAnswers:
    """ASGI: `app`. As long as `is_so()`, each HTTP/1 response is the last of its connection."""

    def __init__(self, app: ASGIApp, is_so: Callable[[], bool]) -> None:
        self._app = app
        self._is_so = is_so

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # HTTP/2 has no such header field, and forbids it.
        if scope["type"] == "http" and scope.get("http_version", "").startswith("1.") and self._is_so():
            send = _closing(send)
        await self._app(scope, receive, send)


def _closing(send: Send) -> Send:
    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            # An app's own "keep-alive" would stand beside "close", and clients differ in which of the two they believe.
            headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return send_last


class Drain:
    """The drain of one root.

    Args:
        seconds: From the signal until the server hears of it; 0: at once.
        begin: Called on the event loop when the signal has come, if there are such seconds.

    `install()` and `uninstall()` run on the event loop, in the lifespan. Off the main thread, where Python takes no
    handlers, they do nothing.
    """

    def __init__(self, seconds: float, begin: Callable[[], None]) -> None:
        self._seconds = seconds
        self._begin = begin
        self._previous: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.draining = False

    def install(self) -> None:
        """Puts its handler before the server's."""
        self.draining = False
        if threading.current_thread() is threading.main_thread():
            self._loop = asyncio.get_running_loop()
            self._previous = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, self._on_signal)

    def uninstall(self) -> None:
        """Gives SIGTERM back."""
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, self._previous)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first, self.draining = not self.draining, True
        if first and self._seconds and self._loop is not None:
            logger.info("Signal %d: not ready any more; the server is told in %g s.", number, self._seconds)
            self._loop.call_soon_threadsafe(self._wait, self._loop, number)
        else:
            self._forward(number)

    def _wait(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._begin()
        loop.call_later(self._seconds, self._forward, number)

    def _forward(self, number: int) -> None:
        # As if the signal came now. A second one is ours to pass on still.
        if callable(self._previous):
            self._previous(number, None)
        elif self._previous != signal.SIG_IGN:
            self.uninstall()
            signal.raise_signal(number)
