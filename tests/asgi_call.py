"""One request to an ASGI app, in this process and without a socket: what no HTTP client would send, or sees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    messages: list[Message] = field(default_factory=list)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind: what it answers was no static file."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"x-from", b"behind")]})
    await send({"type": "http.response.body", "body": b"behind"})


def http_scope(path: str, method: str = "GET", headers: Mapping[str, str] | None = None, **more: Any) -> Scope:
    """An http scope for `path`, which must include the `root_path` that is among `more`."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *raw],
        **more,
    }


async def call(app: ASGIApp, scope: Scope) -> Answer:
    """The answer of `app`. The client stays until it has all of it."""
    answer = Answer()
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not requests:
            await asyncio.Event().wait()
        return requests.pop()

    async def send(message: Message) -> None:
        answer.messages.append(message)
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    root_path: str = "",
    **more: Any,
) -> Answer:
    """The answer of `app` to a request for `path` below `root_path`."""
    return asyncio.run(call(app, http_scope(root_path + path, method, headers, root_path=root_path, **more)))
