"""Static files cost a bounded amount of memory, however large they are, however many, and however slow the clients.

The hand-made root serves them as its documentation says: by WhiteNoise's middleware in Django's half.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Server
from stress.server import Figures, judge, tail

LARGE = 50 * 2**20  # bytes
SLOW_READERS = 6
GROWTH = 20  # MB
SMALL_FILES, SMALL = 400, 250_000  # together three times what is kept in memory
KEPT = 32  # MB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    for number in range(SMALL_FILES):
        (tmp_path / f"small-{number}.bin").write_bytes(bytes([number % 256]) * SMALL)
    return tmp_path


@contextlib.contextmanager
def serving(root: str, folder: Path) -> Iterator[Server]:
    env = {
        "DJANGO_SETTINGS_MODULE": "static_settings",
        "TEST_STATIC_ROOT": str(folder),
        "TEST_WHITENOISE_MIDDLEWARE": "1" if root == "hand_made" else "0",
    }
    with Server(f"stress.roots:{root}", "--log-level", "warning", env=env) as started:
        with started.client() as client:
            client.get("/static/small-0.bin")
        yield started
        started.process.kill()


def resident(server: Server) -> float:
    """MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def slow_reader(server: Server, stack: contextlib.ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.settimeout(10)
    client.connect(("127.0.0.1", server.port))
    client.sendall(b"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client


def test_slow_readers_of_a_large_file(root: str, folder: Path, figure: Figures) -> None:
    """Six clients that read a file of 50 MB slowly do not make the process grow by more than 20 MB."""
    with serving(root, folder) as server, contextlib.ExitStack() as stack:
        before = most = resident(server)
        clients = [slow_reader(server, stack) for _ in range(SLOW_READERS)]
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for client in clients:
                assert client.recv(4096)
            most = max(most, resident(server))
            time.sleep(0.05)
        growth = most - before
        figure(f"from {before:.0f} MB by {growth:.1f} MB")
        judge(root, {"grown": f"by {growth:.1f} MB"} if growth > GROWTH else {}, {"grown"}, tail(server))


def test_many_small_files(folder: Path, figure: Figures) -> None:
    """100 MB of small files make the process grow by no more than what may be kept of them, and 20 MB."""
    with serving("mounted", folder) as server, server.client() as client:
        before = resident(server)
        for number in [*range(SMALL_FILES), *range(SMALL_FILES)]:
            assert client.get(f"/static/small-{number}.bin").content == bytes([number % 256]) * SMALL
        growth = resident(server) - before
        figure(f"from {before:.0f} MB by {growth:.1f} MB")
        assert growth <= KEPT + GROWTH
