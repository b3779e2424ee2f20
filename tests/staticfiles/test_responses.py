"""The answers of static files over real sockets, and the messages that a server gets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from calls import ask, call, http_scope, not_found
from djfast_mount.staticfiles.app import StaticFiles
from djfast_mount.staticfiles.responses import BLOCK
from harness import Server

pytestmark = pytest.mark.once

SMALL = bytes(range(256)) * 40
LARGE = random.Random(1).randbytes(3 * BLOCK + 12_345)
FILES = {"small.bin": SMALL, "large.bin": LARGE, "one.bin": b"x"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    (root / "small.bin.gz").write_bytes(b"encoded")
    return root


@pytest.fixture(scope="module", params=["", "/pre"], ids=["bare", "root_path"])
def served(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    """uvicorn over `folder`. A memory of 1.6 MB takes `small.bin`, and leaves `large.bin` on the disk."""
    options = ["--root-path", request.param] if request.param else []
    env = {"TEST_STATIC_ROOT": str(folder), "TEST_STATIC_MEMORY": "1600000"}
    with Server("static_app:app", "--log-level", "warning", *options, env=env) as server:
        yield server
        assert "Traceback" not in server.log, server.log


def reference(value: str, size: int) -> tuple[int, range]:
    """What RFC 9110, section 14, makes of a Range header: the status, and the positions of the bytes."""
    everything = range(size)
    unit, equals, ranges = value.partition("=")
    specs = [spec.strip(" \t") for spec in ranges.split(",") if spec.strip(" \t")]
    if unit.lower() != "bytes" or not equals or len(specs) != 1:
        return 200, everything
    first, dash, last = specs[0].partition("-")
    if not dash or not set(first + last) <= set("0123456789") or not first + last:
        return 200, everything
    if not first:
        part = everything[-int(last) :] if int(last) else range(0)
    elif not last:
        part = everything[int(first) :]
    elif int(last) < int(first):
        return 200, everything
    else:
        part = everything[int(first) : int(last) + 1]
    return (206, part) if part else (416, range(0))


def any_range(chance: random.Random, size: int) -> str:
    near = [0, 1, 2, size // 2, BLOCK - 1, BLOCK, BLOCK + 1, size - 2, size - 1, size, size + 1, 10**30]
    first, last = (str(max(chance.choice([*near, chance.randrange(size)]), 0)) for _ in range(2))
    shapes = [f"{first}-{last}"] * 5 + [f"{first}-", f"-{last}", f"-{first}", f",{first}-{last} ,", "-", "", f"{first}"]
    odd = [
        f"{first}-{last},{last}-",
        f"{first}-{last}-",
        f"+{first}-{last}",
        f"-{first}-",
        f"0x1-{last}",
        "a-b",
        f"--{last}",
    ]
    unit = chance.choice(["bytes"] * 9 + ["Bytes", "items"])
    return f"{unit}={chance.choice(shapes + odd)}"


@pytest.mark.parametrize("name", FILES)
def test_ranges(served: Server, name: str) -> None:
    """Over a socket, each of 2000 random Range headers gets the status and the very bytes that RFC 9110 says."""
    chance, content = random.Random(name), FILES[name]
    size = len(content)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        for _ in range(2000 if name == "small.bin" else 150):
            value = any_range(chance, size)
            connection.request("GET", f"/static/{name}", headers={"Range": value})
            response = connection.getresponse()
            body = response.read()
            status, part = reference(value, size)
            assert (value, response.status) == (value, status)
            assert body == content[part.start : part.stop]
            said = {200: None, 206: f"bytes {part.start}-{part.stop - 1}/{size}", 416: f"bytes */{size}"}
            assert response.headers["content-range"] == said[status]
            assert response.headers["content-length"] == str(len(body))


def test_conditions_over_a_socket(served: Server) -> None:
    """Conditions and codings mean over a socket what they mean in the tables of test_negotiation.py."""
    with served.client() as client:
        plain = client.get("/static/small.bin", headers={"Accept-Encoding": "identity"})
        etag, date = plain.headers["etag"], plain.headers["last-modified"]
        table = [
            ({}, 200),
            ({"If-None-Match": f'"a", W/{etag}'}, 304),
            ({"If-None-Match": '"a"', "If-Modified-Since": date}, 200),
            ({"If-Modified-Since": date}, 304),
            ({"If-Match": '"a"'}, 412),
            ({"Range": "bytes=0-0", "If-Range": etag}, 206),
            ({"Range": "bytes=0-0", "If-Range": '"a"'}, 200),
        ]
        for headers, status in table:
            answer = client.get("/static/small.bin", headers={"Accept-Encoding": "identity", **headers})
            assert (headers, answer.status_code) == (headers, status)
        for coding, content in [("gzip", "gzip"), ("gzip;q=0", None), ("*", None), ("br, gzip;q=0.1", "gzip")]:
            with client.stream("GET", "/static/small.bin", headers={"Accept-Encoding": coding}) as answer:
                assert (coding, answer.headers.get("content-encoding")) == (coding, content)
        assert client.request("POST", "/static/small.bin").status_code == 405
        assert client.head("/static/large.bin").headers["content-length"] == str(len(LARGE))


@pytest.mark.parametrize(
    "target",
    [
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static/%2e%2e%2fsecret",
        "/static/%252e%252e/secret",
        "/static/..%5csecret",
        "/static/%00",
        "/static/small.bin%00",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/../static_app.py",
        "//static/small.bin",
        "/static/small.bin/",
        "/static/" + "%61" * 3000,
    ],
)
def test_targets_that_are_no_file(served: Server, target: str) -> None:
    """What a client may write between the lines of a path leads to no file."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        connection.putrequest("GET", target)
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, response.read()) == (404, b"behind")


def open_files(server: Server, folder: Path) -> list[str]:
    targets = []
    for name in os.listdir(f"/proc/{server.process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{server.process.pid}/fd/{name}"))
    return [target for target in targets if target.startswith(str(folder))]


def test_aborted_downloads_leave_no_file_open(served: Server, folder: Path) -> None:
    """After 1000 downloads that were broken off, whole ones and parts, the server has no file open, and answers."""
    chance = random.Random(7)
    for _ in range(1000):
        with socket.create_connection(("127.0.0.1", served.port), 10) as client:
            line = f"Range: bytes={chance.randrange(1000)}-\r\n" if chance.random() < 0.5 else ""
            client.sendall(f"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\n{line}\r\n".encode())
            client.recv(chance.choice([1, 200, 100_000]))
    # An answer on a new connection does not mean that the last of the others have ended.
    for _ in range(200):
        with served.client() as client:
            assert client.get("/static/large.bin").content == LARGE
        if not open_files(served, folder):
            break
    assert not open_files(served, folder)


def large(folder: Path, settings: Any, **named: Any) -> StaticFiles:
    settings.STATIC_URL, settings.STATIC_ROOT = "/static/", str(folder)
    return StaticFiles(not_found, memory=0, **named)


def descriptors(folder: Path) -> list[str]:
    return [
        target
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(link := f"/proc/self/fd/{name}") and (target := os.readlink(link)).startswith(str(folder))
    ]


def test_blocks(folder: Path, settings: Any, root_path: str) -> None:
    """A large file comes in blocks of bounded size, the last of which ends the answer."""
    answer = ask(large(folder, settings), "/static/large.bin", root_path=root_path)
    blocks = answer.messages[1:]
    assert answer.body == LARGE
    assert max(len(block["body"]) for block in blocks) <= BLOCK
    assert [block["more_body"] for block in blocks] == [True] * (len(blocks) - 1) + [False]


def test_blocks_from_memory(folder: Path, settings: Any, root_path: str) -> None:
    """A file in memory that is longer than a block is handed to the server in blocks too."""
    settings.STATIC_URL, settings.STATIC_ROOT = "/static/", str(folder)
    static = StaticFiles(not_found)
    for headers, content in [({}, LARGE), ({"Range": f"bytes=1-{2 * BLOCK}"}, LARGE[1 : 2 * BLOCK + 1])]:
        answer = ask(static, "/static/large.bin", headers=headers, root_path=root_path)
        assert answer.body == content
        assert max(len(message["body"]) for message in answer.messages[1:]) <= BLOCK


def test_a_slow_client_holds_one_block(folder: Path, settings: Any) -> None:
    """No block is read before the server has taken the one before it."""
    static = large(folder, settings)
    sent: list[int] = []

    async def main() -> None:
        taken = asyncio.Event()

        async def send(message: Message) -> None:
            sent.append(len(message.get("body", b"")))
            if len(sent) == 2:
                await taken.wait()

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(static(http_scope("/static/large.bin"), receive, send))
        while len(sent) < 2:
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(sent) == 2
        assert descriptors(folder)
        taken.set()
        await task

    asyncio.run(main())
    assert sum(sent) == len(LARGE)
    assert not descriptors(folder)


@pytest.mark.parametrize("how", ["disconnect", "send fails", "cancelled"])
def test_a_client_that_leaves_in_mid_file(folder: Path, settings: Any, how: str) -> None:
    """When the client leaves in mid-file the reading ends, the file is closed, and no error is raised."""
    static = large(folder, settings)
    sent: list[Message] = []

    async def main() -> None:
        gone = asyncio.Event()

        async def send(message: Message) -> None:
            if how == "send fails" and len(sent) == 2:
                raise OSError("The connection is closed.")
            sent.append(message)
            if len(sent) == 2 and how != "send fails":
                gone.set()
                await asyncio.Event().wait()

        async def receive() -> Message:
            if how != "disconnect":
                await asyncio.Event().wait()
            await gone.wait()
            return {"type": "http.disconnect"}

        task = asyncio.create_task(static(http_scope("/static/large.bin"), receive, send))
        if how == "cancelled":
            await gone.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await asyncio.wait_for(task, 30)

    asyncio.run(main())
    assert len(sent) == 2
    assert not descriptors(folder)


def test_cancelled_while_a_thread_opens_the_file(folder: Path, settings: Any) -> None:
    """However early a request is cancelled, no file stays open."""
    static = large(folder, settings)

    async def main(steps: int) -> None:
        task = asyncio.create_task(call(static, http_scope("/static/large.bin")))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    for steps in range(60):
        asyncio.run(main(steps))
    # The end of an event loop does not wait for AnyIO's threads; the file is closed by the one that opened it.
    for thread in threading.enumerate():
        if thread.name == "AnyIO worker thread":
            thread.join(10)
    assert not descriptors(folder)


def test_a_file_that_shrinks_in_mid_answer(tmp_path: Path, settings: Any) -> None:
    """An answer that cannot be completed is an error, which names the file, and never a short answer."""
    (tmp_path / "large.bin").write_bytes(LARGE)
    static = large(tmp_path, settings)

    async def send(message: Message) -> None:
        os.truncate(tmp_path / "large.bin", 10)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(RuntimeError, match=r"large\.bin"):
        asyncio.run(static(http_scope("/static/large.bin"), receive, send))


def test_pathsend(folder: Path, settings: Any, root_path: str) -> None:
    """Where the server sends files itself it gets the path of a large one, and the part of one as bytes."""
    static = large(folder, settings)
    extensions = {"http.response.pathsend": {}}
    whole = ask(static, "/static/large.bin", root_path=root_path, extensions=extensions)
    assert whole.messages[1] == {"type": "http.response.pathsend", "path": str(folder / "large.bin")}
    assert whole.headers["content-length"] == str(len(LARGE))
    part = ask(static, "/static/large.bin", headers={"Range": "bytes=0-4"}, root_path=root_path, extensions=extensions)
    assert (part.status, part.body) == (206, LARGE[:5])
    head = ask(static, "/static/large.bin", method="HEAD", root_path=root_path, extensions=extensions)
    assert [message["type"] for message in head.messages] == ["http.response.start", "http.response.body"]
    assert ask(static, "/static/large.bin", root_path=root_path, extensions=None).body == LARGE


def test_small_files_are_sent_from_memory_even_with_pathsend(folder: Path, settings: Any) -> None:
    """A file in memory is sent from there, whatever the server offers."""
    settings.STATIC_URL, settings.STATIC_ROOT = "/static/", str(folder)
    assert ask(StaticFiles(not_found), "/static/small.bin", extensions={"http.response.pathsend": {}}).body == SMALL


def test_a_client_that_leaves_before_a_small_answer(folder: Path, settings: Any) -> None:
    """A server that raises OSError because the client has left is not answered with a traceback."""
    settings.STATIC_URL, settings.STATIC_ROOT = "/static/", str(folder)
    static = StaticFiles(not_found)

    async def send(message: Message) -> None:
        raise OSError("The connection is closed.")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    asyncio.run(static(http_scope("/static/small.bin"), receive, send))
