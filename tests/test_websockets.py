"""Websockets through the root, over sockets and message by message; and clients that leave in mid-upload."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from calls import websocket, websocket_scope
from djfast_mount import mount
from harness import Server
from project.api import api as project_api


def test_a_websocket_of_the_api_echoes(project_server: Server) -> None:
    """A websocket below the prefix reaches FastAPI, and text goes both ways until the client closes."""
    with connect(f"ws://127.0.0.1:{project_server.port}/api/ws") as client:
        for text in ("one", "two"):
            client.send(text)
            assert client.recv() == text


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/ws", {}),
        ("/apix/ws", {}),
        ("/admin/", {}),
        ("/api", {}),
        ("/api/none", {}),
        ("/api/w%0as", {}),
        ("/api/ws", {"host": "evil.example"}),
        ("/ws", {"host": "evil.example"}),
        ("/api/ws", {"host": ""}),
    ],
)
def test_any_other_websocket_is_refused_with_403(path: str, headers: dict[str, str], project_server: Server) -> None:
    """Outside of the prefix, without an endpoint or for a foreign Host: 403, and not a word of a traceback."""
    before = len(project_server.log)
    assert handshake(project_server.port, path, headers.get("host", "localhost")) == 403
    log = project_server.log[before:]
    assert "Traceback" not in log
    assert "ERROR" not in log.replace("ERROR:    Invalid Host header", "")


def handshake(port: int, path: str, host: str) -> int:
    """The status that a websocket's opening request gets."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {host}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(client.recv(100).split()[1])


def test_a_websocket_client_is_told_of_the_refusal(project_server: Server) -> None:
    """A websocket library reports the 403."""
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(f"ws://127.0.0.1:{project_server.port}/ws"),
    ):
        pass
    assert caught.value.response.status_code == 403


class Consumer:
    """What Channels' router is to a root: it takes websockets alone, and tells where it was called."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"No application configured for scope type {scope['type']!r}")
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{scope['root_path']} {scope['path']}"})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})


consumer = Consumer()


@pytest.mark.parametrize("app", [consumer, f"{__name__}:consumer"], ids=["instance", "import string"])
@pytest.mark.parametrize("path", ["/", "/ws", "/apix", "/chat/room\n"])
def test_websockets_outside_of_the_prefix_reach_websocket_app(path: str, app: Any, root_path: str) -> None:
    """websocket_app takes every websocket under no prefix, with a scope rooted at the outer prefix."""
    root = mount("/api", project_api, websocket_app=app)
    sent = websocket(root, root_path + path, "hi", root_path=root_path)
    assert [message.get("text") for message in sent] == [None, f"{root_path} {root_path}{path}", "hi"]


def test_websocket_app_does_not_hide_the_apis(root_path: str) -> None:
    """A websocket under the prefix is FastAPI's still."""
    root = mount("/api", project_api, websocket_app=consumer)
    sent = websocket(root, f"{root_path}/api/ws", "hi", root_path=root_path)
    assert [message.get("text") for message in sent] == [None, "hi"]


def test_websocket_app_is_behind_the_host_check(root_path: str) -> None:
    """A foreign Host reaches websocket_app no more than the API."""
    root = mount("/api", project_api, websocket_app=consumer)
    sent = websocket(root, f"{root_path}/ws", root_path=root_path, headers=[(b"host", b"evil.example")])
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_a_refusal_waits_for_the_connect_message(root_path: str) -> None:
    """The close is sent in answer to websocket.connect, as the specification orders it."""
    order: list[str] = []

    async def receive() -> Message:
        order.append("receive")
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        order.append(message["type"])

    root = mount("/api", project_api)
    asyncio.run(root(websocket_scope(f"{root_path}/ws", root_path=root_path), receive, send))
    assert order == ["receive", "websocket.close"]


ABORTED = {
    "/api/size": "text/plain",
    "/api/names": "application/json",
    "/api/upload": "multipart/form-data; boundary=b",
    "/echo/": "text/plain",
    "/nothing": "text/plain",
}
BEGUN = {
    "application/json": b'["',
    "multipart/form-data; boundary=b": b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n',
}


def abort(port: int, path: str, kind: str, chance: random.Random) -> None:
    """Begins an upload of a megabyte, and leaves in the middle: with FIN or with RST."""
    begun = BEGUN.get(kind, b"") + b"x" * chance.randrange(100_000)
    chunked = chance.random() < 0.5
    framing = "transfer-encoding: chunked" if chunked else "content-length: 1000000"
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n".encode()
    if chunked:
        begun = b"%x\r\n%b\r\n" % (len(begun), begun) if begun else b""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(head + begun)
        if chance.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_client_that_leaves_in_mid_upload_leaves_no_traceback() -> None:
    """After a hundred aborted uploads to both halves the log has no error in it, and the site goes on."""
    chance = random.Random(5)
    with Server("project.asgi:app") as server:
        for path, kind in list(ABORTED.items()) * 20:
            abort(server.port, path, kind, chance)
        with server.client() as client:
            assert client.post("/api/size", content=b"x" * 1000).json() == {"size": 1000}
            assert client.post("/echo/", content=b"x" * 1000).json()["body"] == 1000
        assert server.stop() in (0, -15)
        assert "Traceback" not in server.log, server.log
        assert "ERROR" not in server.log, server.log
