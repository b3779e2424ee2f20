"""management/healthcheck.py: a container asks for its readiness, wherever its uvicorn listens."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness import free_port

pytestmark = pytest.mark.once


class Answers(BaseHTTPRequestHandler):
    statuses: ClassVar[dict[str, int]] = {"/readyz": 200, "/healthz": 200, "/draining": 503}

    def do_GET(self) -> None:
        self.send_response(self.statuses[self.path])
        self.end_headers()
        self.wfile.write(b'{"status": "as asked"}')

    def address_string(self) -> str:  # of a Unix socket there is none
        return ""

    def log_message(self, *args: object) -> None:
        pass


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


class SixServer(HTTPServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def served(kind: type[HTTPServer], address: Any, context: ssl.SSLContext | None = None) -> Iterator[HTTPServer]:
    with kind(address, Answers) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(*arguments: str, **env: object) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("UVICORN_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "djfast_mount.management.healthcheck", *arguments],
        env={**given, **{name: str(value) for name, value in env.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", ""])
def test_a_port(host: str) -> None:
    """It asks where UVICORN_HOST and UVICORN_PORT say: this machine, where the server listens on all addresses."""
    with served(HTTPServer, ("127.0.0.1", 0)) as server:
        done = ask(UVICORN_HOST=host, UVICORN_PORT=server.server_port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_a_port_of_ipv6() -> None:
    """A server that listens on all addresses of IPv6 is asked on its own."""
    with served(SixServer, ("::1", 0)) as server:
        assert ask(UVICORN_HOST="::", UVICORN_PORT=server.server_port).returncode == 0


def test_a_unix_socket(tmp_path: Path) -> None:
    """UVICORN_UDS names a socket, which goes before any port, as for uvicorn."""
    with served(UnixServer, str(tmp_path / "socket")):
        assert ask(UVICORN_UDS=tmp_path / "socket", UVICORN_PORT=free_port()).returncode == 0


def test_a_port_with_tls(tmp_path: Path) -> None:
    """With UVICORN_SSL_CERTFILE it speaks TLS, whatever name the certificate is for."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=example.org")
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with served(HTTPServer, ("127.0.0.1", 0), context) as server:
        done = ask(UVICORN_PORT=server.server_port, UVICORN_SSL_CERTFILE=certificate)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_not_ready_is_told() -> None:
    """Any other status is 1, and stderr, which the engine keeps, says what was answered."""
    with served(HTTPServer, ("127.0.0.1", 0)) as server:
        done = ask("/draining", UVICORN_PORT=server.server_port)
        assert ask("/healthz", UVICORN_PORT=server.server_port).returncode == 0
    assert (done.returncode, done.stderr) == (1, '/draining answers 503: {"status": "as asked"}\n')


@pytest.mark.parametrize("env", [{"UVICORN_PORT": 1}, {"UVICORN_UDS": "/nowhere"}, {"UVICORN_PORT": "http"}])
def test_no_answer_is_told(env: dict[str, object]) -> None:
    """Where nothing listens it is 1 and one line, without a traceback."""
    done = ask(**env)
    [line] = done.stderr.splitlines()
    assert (done.returncode, line.startswith("/readyz has no answer: ")) == (1, True)


def test_it_loads_no_framework() -> None:
    """It is asked every few seconds, so it takes no more than Python's own start."""
    code = (
        "import sys, djfast_mount.management.healthcheck; print({'django', 'fastapi', 'starlette'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
