"""Errors of the API as a server sees them: the log of uvicorn, and the connection."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import httpx
import pytest

from harness import Server

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """At the root of the host, and behind a proxy that strips /pre."""
    with (
        Server("project.library.asgi:app") as bare,
        Server("project.library.asgi:app", "--root-path", "/pre") as prefixed,
    ):
        yield {"": bare, "/pre": prefixed}


@pytest.fixture
def server(servers: dict[str, Server], root_path: str) -> Server:
    return servers[root_path]


@pytest.mark.parametrize("path", ["boom", "aboom"])
def test_an_error_leaves_the_connection_open(server: Server, path: str) -> None:
    """The next request on the connection of a 500 is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", f"/api/{path}/open")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (500, b'{"detail":"Internal Server Error"}')
    socket = connection.sock
    assert socket is not None
    connection.request("GET", "/api/ping")
    assert connection.getresponse().read() == b'"pong"'
    assert connection.sock is socket
    connection.close()


@pytest.mark.parametrize("path", ["boom", "aboom"])
def test_an_error_is_logged_once(server: Server, root_path: str, path: str) -> None:
    """The server's output has one traceback of a 500, with its route: Django's own logging would show none."""
    with server.client() as client:
        client.get(f"/api/{path}/once-{path}")
        client.get("/api/ping")
    log = server.log
    assert log.count(f"RuntimeError: boom once-{path}") == 1
    assert f"Internal Server Error: GET {root_path}/api/{path}/{{name}} (project.library.service.{path})" in log
    assert "Exception in ASGI application" not in log.partition("boom half")[0]


def test_an_error_in_a_stream_cuts_it_off(server: Server) -> None:
    """A response that cannot be finished does not look finished."""
    with server.client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/api/half")
