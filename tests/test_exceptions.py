"""Clients that have left: over real sockets, and what is told from an error of the app."""

from __future__ import annotations

import socket
import struct
import time

import httpx
import pytest
from starlette.requests import ClientDisconnect

from djfast_mount.exceptions import client_has_left
from harness import Server

pytestmark = pytest.mark.once


@pytest.mark.parametrize("path", ["/api/where", "/api/docs", "/admin/login/"])
def test_clients_that_reset_while_pipelining(project_server: Server, path: str) -> None:
    """A client that resets its connection with requests still in it is no error of the API's, nor of Django's half."""
    before = len(project_server.log)
    requests = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() * 8
    for number in range(24):
        with socket.create_connection(("127.0.0.1", project_server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(requests)
            time.sleep((0, 0.002, 0.01, 0.03)[number % 4])
    assert httpx.get(f"{project_server.url}/api/where").status_code == 200  # It has come so far.
    time.sleep(0.3)
    log = project_server.log[before:]
    assert "Traceback" not in log
    assert "Internal Server Error" not in log


def test_what_is_an_error_of_the_app() -> None:
    """An OSError that did not come from the server's `send`, and any RuntimeError of the app, is one."""
    for error in (OSError("disk"), RuntimeError("the handler is closed"), ValueError()):
        with pytest.raises(type(error)) as raised:
            raise error
        assert not client_has_left(raised.value)
    assert not client_has_left(None)


def test_what_starlette_calls_it() -> None:
    """ClientDisconnect is one, also as the cause of what Starlette makes of it after a response has begun."""
    wrapped = RuntimeError("Caught handled exception, but response already started.")
    wrapped.__cause__ = ClientDisconnect()
    assert client_has_left(ClientDisconnect())
    assert client_has_left(wrapped)
