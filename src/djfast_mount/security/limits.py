"""The size of a request's body, bounded before either half reads it.

A body whose Content-Length is over the limit is refused unread. One without a Content-Length is counted as it comes;
past the limit the app is told that the client has gone, what it still sends is dropped, and the client gets 413.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.security.djangos_middleware import with_security_headers

__all__ = ["BODY_HEADERS", "within_limit"]


BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
"""The headers without both of which a request of HTTP/1.1 has no body (RFC 9112, section 6.3)."""


# Versions of HTTP whose servers keep to Content-Length.
_ONE = ("1.1", "1.0")
_FEW_DIGITS = 15


async def too_large(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: answers 413, and closes the connection, for the rest of the body stays unread."""
    # HTTP/2 has no such header, and closes streams by itself (RFC 9113, section 8.2.2).
    headers = {"connection": "close"} if scope.get("http_version", "").startswith("1.") else None
    response = JSONResponse({"detail": "Content Too Large"}, status_code=413, headers=headers)
    await response(scope, receive, with_security_headers(scope, send))


def is_small(scope: Scope, headers: Mapping[bytes, bytes], limit: int) -> bool:
    """Whether a request says that its body is within `limit`, and its server keeps to that. The usual case, quickly."""
    length = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not length.isdigit() or len(length) > _FEW_DIGITS:
        return False
    return int(length) <= limit and scope.get("http_version") in _ONE


def declared_too_large(headers: Mapping[bytes, bytes], limit: int) -> bool:
    """Whether the Content-Length header says more than `limit` bytes."""
    length = headers.get(b"content-length")
    if length is None or not length.isdigit():
        return False
    digits = length.lstrip(b"0")
    # int() raises ValueError for more than 4300 digits.
    return len(digits) > len(str(limit)) or int(digits or b"0") > limit


def needs_counting(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the server may pass on more bytes than a Content-Length has announced.

    HTTP/1.1 has no body without one of the two headers `BODY_HEADERS`, and its servers keep to Content-Length.
    """
    if b"transfer-encoding" in headers or scope.get("http_version", "")[:2] != "1.":
        return True
    length = headers.get(b"content-length")
    return length is not None and not length.isdigit()


def within_limit(
    limit: int | None,
    app: ASGIApp,
    headers: Mapping[bytes, bytes],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> Awaitable[None]:
    """Has `app` serve a request whose body may be over the limit.

    Args:
        limit: The most bytes that the body may have; None: any number.
        headers: Those of the request, by name.
    """
    if limit is None or is_small(scope, headers, limit):
        return app(scope, receive, send)
    if declared_too_large(headers, limit):
        return too_large(scope, receive, send)
    if needs_counting(scope, headers):
        return CountedBody(limit, receive, send)(app, scope)
    return app(scope, receive, send)


class CountedBody:
    """Serves one request with its body counted.

    Args:
        limit: The most bytes the app may receive.
    """

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._left = limit
        self._receive = receive
        self._send = send
        self._started = False

    async def __call__(self, app: ASGIApp, scope: Scope) -> None:
        """Runs `app`, then answers 413 when the body went over the limit before the app had answered."""
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            # What an app makes of a client that left in mid-body is no fault when it was us who said so.
            if self._left >= 0:
                raise
        if self._left < 0 and not self._started:
            await too_large(scope, self._receive, self._send)

    async def receive(self) -> Message:
        if self._left < 0:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self._left < 0 and not self._started:
            return
        self._started = True
        await self._send(message)
