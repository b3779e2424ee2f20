"""The drain: connections that clients keep open are ended by an answer, and no request is lost with them."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from calls import request
from djfast_mount import mount
from djfast_mount.lifespan.drain import LastAnswers
from harness import Server

PATHS = ["/api/openapi.json", "/api/none", "/admin/", "/healthz", "/readyz"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    database = os.environ.get("DATABASE_URL") or f"sqlite:///{tmp_path}/db.sqlite3"
    env = {"DJANGO_SETTINGS_MODULE": "health_settings", "DATABASE_URL": database, "TEST_DRAIN": "600"}
    with Server("health_site:app", "--timeout-keep-alive", "600", env=env) as server:
        yield server
        server.process.kill()


class Kept(threading.Thread):
    """Asks again and again on one connection, until an answer says that it is the last."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = path
        self.asked = threading.Event()
        self.answered = 0
        self.last = ""
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.last:
                self._connection.request("GET", self._path)
                answer = self._connection.getresponse()
                answer.read()
                self.answered += 1
                self.last = answer.headers.get("connection", "")
                self.asked.set()
        except (OSError, http.client.HTTPException) as error:
            self.error = error
        finally:
            self._connection.close()


@pytest.mark.long
def test_each_answer_of_the_drain_ends_its_connection(server: Server) -> None:
    """Clients that keep a connection are told to close it by their next answer after SIGTERM, and lose no request."""
    clients = [Kept(server.port, path) for path in PATHS * 2]
    for client in clients:
        client.start()
    for client in clients:
        assert client.asked.wait(60)
    assert [client.last for client in clients] == [""] * len(clients)
    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(60)
    assert [client.error for client in clients] == [None] * len(clients)
    assert [client.last for client in clients] == ["close"] * len(clients)


async def own(scope: Any, receive: Any, send: Any) -> None:
    answer = PlainTextResponse("", headers={"Connection": "keep-alive"})
    await answer(scope, receive, send)


@pytest.mark.parametrize(
    ("version", "draining", "found"),
    [
        ("1.1", True, [(b"connection", b"close")]),
        ("1.0", True, [(b"connection", b"close")]),
        ("2", True, [(b"connection", b"keep-alive")]),
        ("3", True, [(b"connection", b"keep-alive")]),
        ("1.1", False, [(b"connection", b"keep-alive")]),
    ],
)
def test_http_1_alone_has_the_field(
    root_path: str, version: str, draining: bool, found: list[tuple[bytes, bytes]]
) -> None:
    """An HTTP/1 answer has one such field, in place of the app's own; an HTTP/2 answer is as the app made it."""
    answer = request(LastAnswers(own, lambda: draining), f"{root_path}/x", root_path=root_path, http_version=version)
    assert [field for field in answer.messages[0]["headers"] if field[0] == b"connection"] == found


def test_the_next_lifespan_of_a_root_keeps_connections(root_path: str) -> None:
    """What the drain has put around a root does nothing once the root has been started anew."""
    api = FastAPI()

    @api.get("/seen")
    async def seen(request: Request) -> str:
        return request.url.path

    root = mount("/api", api)
    root.health._drain.draining = True
    root._end_connections()
    ask = lambda: request(root, f"{root_path}/api/seen", root_path=root_path)  # noqa: E731
    assert ask().headers["connection"] == "close"
    root.health._drain.draining = False
    assert "connection" not in ask().headers
    assert ask().json() == f"{root_path}/api/seen"
