"""The body of an API call for the Django middleware around it: read when one asks for it, and handed on to the app."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http.request import RawPostDataException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

__all__ = ["RequestBody", "has_no_body"]


def has_no_body(scope: Mapping[str, Any]) -> bool:
    """Whether the headers say that there is no body (RFC 9112, section 6.3)."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length")
    if length is not None:
        return not length.strip(b"0")
    return b"transfer-encoding" not in headers and scope.get("http_version", "")[:2] == "1."


class RequestBody:
    """Up to DATA_UPLOAD_MAX_MEMORY_SIZE bytes are kept, for middleware and app. What is over that passes by.

    Args:
        scope: Of the call.
        receive: Where the body comes from. The app is given the method `receive` instead.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._ahead: list[Message] = []  # what was read before the app has asked for it
        self._kept: list[bytes] = []
        self._size = 0
        self._limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._whole = has_no_body(scope)
        self._left = False

    async def receive(self) -> Message:
        """ASGI: what the app receives."""
        return self._ahead.pop(0) if self._ahead else await self._next()

    async def read(self) -> None:
        """Reads ahead of the app: the whole body, or as much of it as may be kept. Runs on the event loop."""
        while not (self._whole or self._left or self._is_too_large()):
            self._ahead.append(await self._next())

    def content(self) -> bytes:
        """Returns the body. Runs on the request thread, which waits for it, or on the loop once it has been read.

        Raises: RequestDataTooBig; ClientDisconnect; RawPostDataException, on the loop before it has been read.
        """
        if not (self._whole or self._left or self._is_too_large()):
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                async_to_sync(self.read)()
            else:
                raise RawPostDataException("The body has not been read yet. Read it in sync code, or in a middleware.")
        if self._is_too_large():
            raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
        if not self._whole:
            raise ClientDisconnect
        return b"".join(self._kept)

    def _is_too_large(self) -> bool:
        return self._limit is not None and self._size > self._limit

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            self._left = True
            return message
        part = message.get("body", b"")
        self._size += len(part)
        if self._is_too_large():
            self._kept.clear()
        else:
            self._kept.append(part)
        self._whole = not message.get("more_body", False)
        return message
