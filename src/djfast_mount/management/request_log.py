"""The lines that Django's runserver prints, one for each request, by the same logger: ``django.server``."""

from __future__ import annotations

import logging
import time

from django.core.management.color import no_style
from django.utils.log import ServerFormatter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.health.paths import quiet

__all__ = ["RequestLog", "without_colours"]

logger = logging.getLogger("django.server")


def without_colours() -> None:
    """Has the lines written plainly. Django chooses colours when it sets logging up: no command has options then."""
    for handler in logger.handlers:
        if isinstance(handler.formatter, ServerFormatter):
            handler.formatter.style = no_style()


class RequestLog:
    """ASGI: logs what `app` answers, when the answer is complete. Answers about health are left out.

    `failure` is what a lifespan said that failed to start. The server is not told it a second time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.failure = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._lifespan(send))
            return
        line = _Line(scope, send)
        try:
            await self.app(scope, receive, line.send)
        finally:
            line.write()

    def _lifespan(self, send: Send) -> Send:
        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self.failure = message.get("message", "")
                message = {**message, "message": ""}
            await send(message)

        return told


class _Line:
    """What one request was answered so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._status = 0
        self._size = 0
        self._silent = False  # whether there is nothing to write, or nothing any more

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
            # Asked when the response starts: it is set in the context of the endpoint, which is gone at the end.
            self._silent = quiet.get()
        elif kind in ("http.response.body", "websocket.http.response.body"):
            self._size += len(message.get("body", b""))
        elif kind == "websocket.accept":
            self._status = 101
            self.write()
        elif kind == "websocket.close" and not self._status:
            self._status = 403
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body"):
            self.write()

    def write(self) -> None:
        """Writes the line, once."""
        if self._silent or not self._status:
            return
        self._silent = True
        scope = self._scope
        raw_path = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string", b"")
        # Escaped: a client must not write control characters into a developer's terminal.
        target = (raw_path + b"?" + query if query else raw_path).decode("ascii", "backslashreplace")
        method = scope.get("method", "WEBSOCKET")
        logger.log(
            _level(self._status),
            '"%s %s HTTP/%s" %s %s',
            method,
            target,
            scope.get("http_version", "1.1"),
            self._status,
            self._size,
            extra={"status_code": self._status, "server_time": time.strftime("%d/%b/%Y %H:%M:%S")},
        )


def _level(status: int) -> int:
    if status >= 500:
        return logging.ERROR
    return logging.WARNING if status >= 400 else logging.INFO
