"""A container's HEALTHCHECK: `python -m djfast_mount.management.healthcheck` exits 0 if `/readyz` answers 200, else 1.

It asks the uvicorn of the same machine, by the options that uvicorn takes from the environment: UVICORN_UDS,
UVICORN_PORT, UVICORN_HOST and UVICORN_SSL_CERTFILE. Nothing but the standard library is loaded, since engines ask every
few seconds. An argument is another path, such as `/healthz`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import sys

__all__ = ["main"]

# Seconds for the answer: `/readyz` takes two at most where nothing is set, and the Dockerfiles' HEALTHCHECK has five.
TIMEOUT = 4.0
# What a server listens on that listens on all addresses, and where it is asked then.
_ALL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection() -> http.client.HTTPConnection:
    if path := os.environ.get("UVICORN_UDS"):
        return _UnixConnection(path)
    listens = os.environ.get("UVICORN_HOST", "")
    host, port = _ALL.get(listens, listens), int(os.environ.get("UVICORN_PORT") or 8000)
    if os.environ.get("UVICORN_SSL_CERTFILE"):
        # The certificate is for the name by which clients know the site, and this is the same machine.
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl._create_unverified_context())
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


def main(arguments: list[str]) -> int:
    """Asks the first of `arguments`, or `/readyz`, and returns the exit status. What was wrong is written to stderr."""
    path = arguments[0] if arguments else "/readyz"
    try:
        with contextlib.closing(_connection()) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            # Engines keep the last output of each check (Docker 4096 bytes): a page of an error is not to fill it.
            said = answer.read(1000).decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{path} has no answer: {error!r}", file=sys.stderr)  # noqa: T201
        return 1
    if answer.status != 200:
        print(f"{path} answers {answer.status}: {said}", file=sys.stderr)  # noqa: T201
    return int(answer.status != 200)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
