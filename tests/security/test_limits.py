"""The limit of a request's body, in both halves: counted at `receive`, where the server hands the body over."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from fastapi import FastAPI, Request, Response, UploadFile
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from calls import HOST, Answer, request
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from harness import Server

pytestmark = pytest.mark.once

LIMIT = 1_000_000
PART = 64 * 1024

# What a server may take from its socket at once, and so what may come over the limit.
MOST = LIMIT + PART

api = FastAPI()


class Note(BaseModel):
    text: str


@api.post("/size")
async def size(request: Request) -> int:
    return len(await request.body())


@api.post("/note")
def note(note: Note) -> int:
    return len(note.text)


@api.post("/upload")
def upload(file: UploadFile) -> int | None:
    return file.size


@api.post("/stubborn")
async def stubborn(request: Request) -> Response:
    """Answers whatever becomes of the body."""
    try:
        await request.body()
    except ClientDisconnect:
        return Response("never mind")
    return Response("all of it")


async def early(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: answers first, and reads the body then."""
    assert scope["type"] in ("http", "lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        await send({"type": "http.response.body", "body": b".", "more_body": True})
    await send({"type": "http.response.body", "body": message["type"].encode()})


async def greedy(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: asks for more, whatever it is told."""
    assert scope["type"] in ("http", "lifespan")
    kinds = [(await receive())["type"] for _ in range(50)]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": " ".join(kinds).encode()})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: fails once it has read a part."""
    assert scope["type"] in ("http", "lifespan")
    await receive()
    raise LookupError("planted")


APPS: dict[str, Any] = {"/api": api, "/early": early, "/greedy": greedy, "/broken": broken}
FORM = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
TYPES = {
    "/api/note": (b"application/json", b'{"text":"'),
    "/api/upload": (b"multipart/form-data; boundary=b", FORM),
}
READERS = ["/api/size", "/api/note", "/api/upload", "/api/stubborn", "/greedy", "/echo/", "/nothing", "/"]


@pytest.fixture(scope="module")
def root() -> MountedApplication:
    return mount(APPS, max_body_size=LIMIT)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """The folder into which Django writes bodies of more than 1000 bytes."""
    with override_settings(FILE_UPLOAD_TEMP_DIR=str(tmp_path), FILE_UPLOAD_MAX_MEMORY_SIZE=1000):
        yield tmp_path


def post(root: MountedApplication, path: str, *body: bytes, root_path: str = "", **headers: bytes) -> Answer:
    sent = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return request(root, root_path + path, *body, root_path=root_path, method="POST", headers=[*HOST, *sent])


def post_in_parts(root: MountedApplication, path: str, size: int, root_path: str = "", **more: Any) -> Answer:
    """Posts some `size` bytes in parts of 64 kB, without a Content-Length."""
    kind, beginning = TYPES.get(path, (b"text/plain", b""))
    headers = [*HOST, (b"content-type", kind)]
    if not more:
        headers.append((b"transfer-encoding", b"chunked"))
    parts = [beginning, *[b"x" * PART] * (size // PART), b"x" * (size % PART)]
    return request(root, root_path + path, *parts, root_path=root_path, method="POST", headers=headers, **more)


def deleted_but_open() -> set[str]:
    """The temporary files that this process holds open, though they have no name any more."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if name.endswith("(deleted)"):
            found.add(f"{number} {name}")
    return found


@pytest.mark.parametrize("length", [b"%d" % (LIMIT + 1), b"200000000", b"9" * 5000])
@pytest.mark.parametrize("path", READERS)
def test_an_announced_body_over_the_limit_is_refused_unread(
    path: str, length: bytes, root: MountedApplication, root_path: str
) -> None:
    """A Content-Length over the limit is answered 413 before the server was asked for a byte, and closes."""
    answer = post(root, path, b"x", root_path=root_path, content_length=length)
    assert (answer.status, answer.receives, answer.header("connection")) == (413, 0, "close")


@pytest.mark.parametrize("path", ["/api/size", "/echo/"])
def test_a_body_of_just_the_limit_is_served(path: str, root: MountedApplication, root_path: str) -> None:
    """The limit itself is allowed, announced or counted, whatever the version of HTTP."""
    announced = {"method": "POST", "headers": [*HOST, (b"content-length", b"%d" % LIMIT)], "root_path": root_path}
    for version in ("1.1", "2"):
        assert request(root, root_path + path, b"x" * LIMIT, http_version=version, **announced).status == 200
    assert post_in_parts(root, path, LIMIT, root_path).status == 200
    assert post_in_parts(root, path, LIMIT + 1, root_path).status == 413


@pytest.mark.parametrize("path", READERS)
def test_an_unannounced_body_is_counted(path: str, root: MountedApplication, root_path: str, spool: Path) -> None:
    """A chunked body over the limit is answered 413, once, with at most the limit and 64 kB taken and no file left."""
    before = deleted_but_open()
    answer = post_in_parts(root, path, 100 * LIMIT, root_path)
    assert answer.status == 413
    assert answer.taken <= MOST
    assert [message["type"] for message in answer.messages] == ["http.response.start", "http.response.body"]
    assert (list(spool.iterdir()), deleted_but_open() - before) == ([], set())


@pytest.mark.parametrize("path", ["/api/size", "/echo/"])
def test_http_2_is_counted_without_any_header(path: str, root: MountedApplication, root_path: str) -> None:
    """HTTP/2 may carry a body that no header announces: it is counted all the same, and no header closes it."""
    answer = post_in_parts(root, path, 3 * LIMIT, root_path, http_version="2")
    assert (answer.status, answer.header("connection")) == (413, None)
    assert answer.taken <= MOST


@pytest.mark.parametrize("length", [b"-1", b"", b"1e9", b"+5", b"0x10", b"5, 5"])
def test_a_length_that_is_no_number_is_counted(length: bytes, root: MountedApplication) -> None:
    """Where Content-Length says nothing, the body is counted."""
    answer = post(root, "/api/size", *[b"x" * PART] * 100, content_length=length)
    assert answer.status == 413
    assert answer.taken <= MOST


def test_an_answer_that_was_begun_is_ended(root: MountedApplication, root_path: str) -> None:
    """An app that answered before it read on is told that the client has gone; no second answer is begun."""
    answer = post_in_parts(root, "/early", 100 * LIMIT, root_path)
    assert (answer.status, answer.body.strip(b".")) == (200, b"http.disconnect")
    assert answer.taken <= MOST
    assert [message["type"] for message in answer.messages].count("http.response.start") == 1


def test_a_fault_within_the_limit_stays_a_fault(root: MountedApplication) -> None:
    """An error of an app whose body was counted and found small is raised as ever."""
    with pytest.raises(LookupError, match="planted"):
        post_in_parts(root, "/broken", 10)


@pytest.mark.parametrize("path", ["/api/size", "/echo/"])
def test_none_is_no_limit(path: str, root_path: str) -> None:
    """With max_body_size=None any body is taken."""
    root = mount(APPS, max_body_size=None)
    body = b"x" * (2 * LIMIT)
    assert post(root, path, body, root_path=root_path, content_length=b"%d" % len(body)).status == 200
    assert post_in_parts(root, path, 2 * LIMIT, root_path).taken == 2 * LIMIT


def test_by_default_the_limit_is_a_hundred_mebibytes() -> None:
    """mount() without max_body_size refuses one byte more than 100 * 2**20."""
    root = mount(APPS)
    assert post(root, "/api/stubborn", b"x", content_length=b"%d" % (100 * 2**20)).status == 200
    assert post(root, "/api/stubborn", b"x", content_length=b"%d" % (100 * 2**20 + 1)).status == 413


@pytest.mark.parametrize("path", ["/api/size", "/echo/", "/nothing"])
def test_a_client_gets_its_413_before_it_has_sent_the_body(path: str, project_server: Server) -> None:
    """Over a socket the answer to a Content-Length over the limit comes without a byte of the body, and closes."""
    with socket.create_connection(("127.0.0.1", project_server.port), 30) as client:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {10**9}\r\nexpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
