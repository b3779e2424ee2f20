"""The response of an API as Django middleware sees it, and back.

1. What comes in one message is an HttpResponse with content; what has no Content-Length is a StreamingHttpResponse,
   whose parts pass one by one. Its header fields are Django's, those of one name joined; its cookies are not among
   `response.cookies`, and stay.
2. A field that no middleware has changed is sent as the API sent it; cookies of the middleware are added.
3. `close()` of a response sends request_finished, which is not due here: its closers alone are called.

Name used here that is not public: ``_resource_closers`` of a response, see djfast_mount.django_half.private_names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.django_half.handler import DjangoHandler, close_silently

__all__ = ["APIResponse", "DjangoResponse", "Parts", "Returned", "send_django"]

RawHeaders = list[tuple[bytes, bytes]]

_SET_COOKIE = b"set-cookie"


class Parts:
    """The body of a stream, part by part: the app is at most one ahead of who takes them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.over = False
        """Whether all of them have been taken."""

    async def put(self, part: bytes) -> None:
        """Hands on a part, once there is room for it."""
        await self._room.wait()
        self._room.clear()
        self._queue.put_nowait(part)

    def finish(self, error: BaseException | None = None) -> None:
        """Says that there are no more, or which error there is in the place of the next. The first call counts."""
        self._queue.put_nowait(error)

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        part = None if self.over else await self._queue.get()
        if isinstance(part, bytes):
            self._room.set()
            return part
        self.over = True
        raise StopAsyncIteration if part is None else part


class APIResponse:
    """One response of an API, and the Django response that stands for it: `django`.

    Args:
        start: The ASGI message that began it.
        body: All of it, or its parts.
    """

    def __init__(self, start: Message, body: bytes | Parts) -> None:
        self._start = start
        self._body = body
        self.django = _made(start, body)
        self._given = _fields(self.django)

    def merged(self, response: HttpResponseBase) -> Message:
        """Returns the start of the response, as middleware has changed `django`, which may be a copy of it."""
        now = _fields(response)
        headers = [
            (name, value)
            for name, value in self._start.get("headers", [])
            if (key := name.lower()) == _SET_COOKIE or (key in now and now[key] == self._given.get(key))
        ]
        headers += [(name, value) for name, value in now.items() if self._given.get(name) != value]
        headers += [(_SET_COOKIE, cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
        content = getattr(response, "content", None)
        if content is not None and content != self._body:
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
            headers.append((b"content-length", b"%d" % len(content)))
        return {**self._start, "status": response.status_code, "headers": headers}

    async def send(self, response: Any, send: Send) -> None:
        """ASGI: sends what has become of `django`."""
        await send(self.merged(response))
        if not response.streaming:
            await send({"type": "http.response.body", "body": response.content})
            return
        async for part in response:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _made(start: Message, body: bytes | Parts) -> HttpResponse | StreamingHttpResponse:
    status = start["status"]
    if isinstance(body, Parts):
        response: Any = StreamingHttpResponse(body, status=status)
    else:
        response = HttpResponse(body, status=status)
    del response.headers["Content-Type"]
    for raw_name, raw_value in start.get("headers", []):
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if raw_name.lower() != _SET_COOKIE:
            response.headers[name] = f"{response.headers[name]}, {value}" if name in response.headers else value
    return response  # type: ignore[no-any-return]


def _fields(response: HttpResponseBase) -> Mapping[bytes, bytes]:
    return {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in dict(response.headers).items()}


# Responses of Django's own ----------------------------------------------------------------------------------------


class _Sender(DjangoHandler):
    """Django's way to send a response, without its middleware."""

    def __init__(self) -> None:
        """Loads nothing."""


_sender = _Sender()


async def send_django(response: Any, send: Send) -> None:
    """ASGI: sends a response that Django code made. Called on a request thread's request: it may draw on the thread."""
    try:
        await _sender.send_response(response, send)
    finally:
        if getattr(response, "_resource_closers", True):
            await run_in_threadpool(close_silently, response)


class Returned:
    """A response that an endpoint has returned and Django code made: `django`. It is what the middleware sees.

    Args:
        start: The start of FastAPI's response in its place, whose headers and cookies are the endpoint's as well.
    """

    def __init__(self, response: HttpResponseBase, start: Message) -> None:
        self.django = response
        for raw_name, raw_value in start.get("headers", ()):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name == "set-cookie":
                response.cookies.load(value)
            elif not name.startswith("content-"):
                response.headers.setdefault(name, value)

    async def send(self, response: Any, send: Send) -> None:
        """ASGI: sends it."""
        await send_django(response, send)


class DjangoResponse(Response):
    """A response that Django code made, where Starlette wants one of its own."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__(status_code=response.status_code)
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_django(self._response, send)
