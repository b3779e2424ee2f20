"""Calls of an ASGI app, message by message: scopes that no client would send, and every byte counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = Iterable[tuple[bytes, bytes]]

HOST = [(b"host", b"testserver")]


@dataclass
class Answer:
    """What an app sent in answer to one request, and what it took of the request's body."""

    messages: list[Message] = field(default_factory=list)
    taken: int = 0
    receives: int = 0

    @property
    def status(self) -> int:
        return int(next(message["status"] for message in self.messages if message["type"] == "http.response.start"))

    @property
    def headers(self) -> dict[str, str]:
        """Of a name that comes twice, the last."""
        return {name.decode(): value.decode("latin-1") for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        """The first header of that name; None when there is none."""
        raw = self.messages[0]["headers"]
        return next((value.decode("latin-1") for key, value in raw if key.decode().lower() == name), None)

    def json(self) -> Any:
        return json.loads(self.body)


def http_scope(
    path: str = "/",
    *,
    root_path: str = "",
    method: str = "GET",
    headers: RawHeaders | Mapping[str, str] = HOST,
    **more: Any,
) -> Scope:
    """A scope as uvicorn makes it for HTTP/1.1; `path` is taken as it stands. A Host is among a mapping's headers."""
    if isinstance(headers, Mapping):
        headers = [*HOST, *((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "root_path": root_path,
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        **more,
    }


def websocket_scope(path: str = "/", *, root_path: str = "", headers: RawHeaders = HOST, **more: Any) -> Scope:
    """The same for a websocket's handshake."""
    scope = http_scope(path, root_path=root_path, headers=headers, type="websocket", scheme="ws", subprotocols=[])
    del scope["method"]
    return {**scope, **more}


async def call(app: ASGIApp, scope: Scope, *body: bytes, note: Callable[[Message], object] | None = None) -> Answer:
    """Serves one request, whose body comes in the parts given; the client stays until the app has ended.

    `note` is told each message when it is sent.
    """
    answer = Answer()
    parts = list(body) or [b""]

    async def receive() -> Message:
        answer.receives += 1
        if not parts:
            await asyncio.Event().wait()
        part = parts.pop(0)
        answer.taken += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        if note is not None:
            note(message)
        answer.messages.append(message)

    await app(scope, receive, send)
    return answer


def request(app: ASGIApp, path: str = "/", *body: bytes, **scope: Any) -> Answer:
    """`call()` for a test that has no event loop."""
    return asyncio.run(call(app, http_scope(path, **scope), *body))


def ask(app: ASGIApp, path: str, *, root_path: str = "", **scope: Any) -> Answer:
    """The answer of `app` to a request for `path` below `root_path`."""
    return request(app, root_path + path, root_path=root_path, **scope)


async def connect(app: ASGIApp, scope: Scope, *texts: str) -> list[Message]:
    """Opens a websocket, sends it `texts` and closes it. Returns what the app sent."""
    sent: list[Message] = []
    incoming: list[Message] = [{"type": "websocket.connect"}]
    incoming += [{"type": "websocket.receive", "text": text} for text in texts]
    incoming.append({"type": "websocket.disconnect", "code": 1000})

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def websocket(app: ASGIApp, path: str, *texts: str, **scope: Any) -> list[Message]:
    """`connect()` for a test that has no event loop."""
    return asyncio.run(connect(app, websocket_scope(path, **scope), *texts))


async def nothing_to_receive() -> Message:
    raise AssertionError("the app asked for a message")


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind: what it answers was no static file."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"x-from", b"behind")]})
    await send({"type": "http.response.body", "body": b"behind"})


async def answer_name(name: str, scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI app, once `name` is bound: answers it, in the words of whatever it is called for."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": name})
        await send({"type": "websocket.close", "code": 1000})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(name))]})
        await send({"type": "http.response.body", "body": name.encode()})
    else:
        raise ValueError(scope["type"])
