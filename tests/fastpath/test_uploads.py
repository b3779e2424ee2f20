"""Uploads to a mounted API are answered as FastAPI alone answers them, however large and in however many parts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calls import Answer, ask, call, http_scope
from djfast_mount import mount

MIB = 2**20
BOUNDARY = "------------------------d74496d66958873e"
SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB]
# Bytes of one ASGI message; None: the whole body in one.
PARTS = [None, 65_536, 700_001]


def plain_dependency() -> str:
    return "plain"


async def async_dependency() -> str:
    return "async"


def yielding_dependency() -> Any:
    yield "yielding"


def digests(files: list[UploadFile]) -> list[tuple[str | None, int, str]]:
    """Reads by the file itself, as a plain endpoint does."""
    read = [(file.filename, file.file.read()) for file in files]
    return [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in read]


async def async_digests(files: list[UploadFile]) -> list[tuple[str | None, int, str]]:
    """Reads by `await file.read()`, as an async endpoint does."""
    read = [(file.filename, await file.read()) for file in files]
    return [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in read]


def make_api() -> FastAPI:
    api = FastAPI()
    for name, dependency in {
        "none": None,
        "plain": plain_dependency,
        "async": async_dependency,
        "yielding": yielding_dependency,
    }.items():
        needs = [] if dependency is None else [Depends(dependency)]

        @api.post(f"/def/{name}", dependencies=needs)
        def plain(files: list[UploadFile], note: Annotated[str, Form()] = "") -> Any:
            return [note, digests(files)]

        @api.post(f"/async/{name}", dependencies=needs)
        async def coroutine(files: list[UploadFile], note: Annotated[str, Form()] = "") -> Any:
            return [note, await async_digests(files)]

    @api.post("/bytes")
    def whole(files: Annotated[list[bytes], File()]) -> Any:
        return [hashlib.sha256(content).hexdigest() for content in files]

    @api.post("/used-in-a-dependency")
    def used(read: Annotated[Any, Depends(of_first)]) -> Any:
        return read

    return api


def of_first(files: list[UploadFile]) -> Any:
    return digests(files[:1])


def form(size: int, files: int) -> bytes:
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nn\u00f6te\r\n'.encode()
    for number in range(files):
        head = f'Content-Disposition: form-data; name="files"; filename="{number}.bin"'
        content = bytes([number]) + b"\r\n-" * (size // 3 + 1)
        body += f"--{BOUNDARY}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        body += content[:size] + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def parted(body: bytes, size: int | None) -> list[bytes]:
    return [body] if size is None else [body[start : start + size] for start in range(0, len(body), size)]


def upload(app: ASGIApp, path: str, body: bytes, part: int | None = None, *, root_path: str = "") -> Answer:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body))}
    scope = http_scope(root_path + path, root_path=root_path, method="POST", headers=headers)
    return asyncio.run(call(as_from_a_network(app), scope, *parted(body, part)))


def as_from_a_network(app: ASGIApp) -> ASGIApp:
    """Each part of the body comes when the loop has turned, as from a server."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def later() -> Message:
            arrived = asyncio.Event()
            asyncio.get_running_loop().call_soon(arrived.set)
            await arrived.wait()
            return await receive()

        await app(scope, later, send)

    return serve


@pytest.fixture(scope="module")
def both() -> tuple[ASGIApp, ASGIApp]:
    """The API alone, and mounted. Two apps: a mounted one is prepared for it."""
    return make_api(), mount("/api", make_api())


@pytest.mark.parametrize("files", [1, 5])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("size", SIZES)
def test_an_upload_is_answered_as_by_fastapi_alone(
    both: tuple[ASGIApp, ASGIApp], size: int, part: int | None, files: int, root_path: str
) -> None:
    """Whatever the size, the parts and the number of files, the endpoint gets every byte and answers the same."""
    alone, mounted = both
    body = form(size, files)
    for path in ("/def/none", "/async/none"):
        expected = upload(alone, path, body, part)
        answer = upload(mounted, "/api" + path, body, part, root_path=root_path)
        assert (answer.status, answer.body) == (expected.status, expected.body) == (200, expected.body)


@pytest.mark.parametrize("kind", ["def", "async"])
@pytest.mark.parametrize("dependency", ["plain", "async", "yielding"])
def test_dependencies_do_not_change_an_upload(both: tuple[ASGIApp, ASGIApp], kind: str, dependency: str) -> None:
    """A dependency of any kind beside the files changes nothing in the answer."""
    alone, mounted = both
    body = form(2 * MIB, 2)
    expected = upload(alone, f"/{kind}/{dependency}", body, 65_536)
    answer = upload(mounted, f"/api/{kind}/{dependency}", body, 65_536)
    assert (answer.status, answer.body) == (expected.status, expected.body) == (200, expected.body)


@pytest.mark.parametrize("path", ["/bytes", "/used-in-a-dependency"])
def test_files_as_bytes_and_in_a_dependency(both: tuple[ASGIApp, ASGIApp], path: str) -> None:
    """Files that FastAPI reads itself, and files that a dependency takes, arrive whole."""
    alone, mounted = both
    body = form(2 * MIB, 3)
    expected, answer = upload(alone, path, body, 300_000), upload(mounted, "/api" + path, body, 300_000)
    assert (answer.status, answer.body) == (expected.status, expected.body) == (200, expected.body)


def test_what_a_middleware_does_on_a_thread_while_the_body_comes(root_path: str) -> None:
    """A middleware that looks at each part of the body on a thread changes nothing in a plain endpoint's answer."""

    class Scanning:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def scanned() -> Message:
                message = await receive()
                await run_in_threadpool(len, message.get("body", b""))
                return message

            await self.app(scope, scanned if scope["type"] == "http" else receive, send)

    api = make_api()
    api.add_middleware(Scanning)

    @api.post("/json")
    def as_json(words: dict[str, list[int]]) -> Any:
        return sum(words["numbers"])

    app = mount("/api", api)
    body = form(2 * MIB, 1)
    assert upload(app, "/api/def/none", body, 100_000, root_path=root_path).status == 200
    scope = http_scope("/api/json", method="POST", headers={"Content-Type": "application/json"})
    assert asyncio.run(call(as_from_a_network(app), scope, b'{"numbers"', b": [1, 2]}")).json() == 3


def test_a_route_class_that_works_on_a_thread_before_the_endpoint() -> None:
    """What a dependency-free endpoint's own Request class sends to a thread is not taken for the endpoint."""
    api = FastAPI()
    seen: list[str] = []

    def note() -> None:
        seen.append("noted")

    class Noting(Request):
        async def body(self) -> bytes:
            await run_in_threadpool(note)
            return await super().body()

    class Own(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Any]]:
            inner = super().get_route_handler()

            async def serve(request: Request) -> Any:
                return await inner(Noting(request.scope, request.receive))

            return serve

    api.router.route_class = Own

    @api.post("/own")
    def own(words: dict[str, int]) -> Any:
        return words

    scope = http_scope("/api/own", method="POST", headers={"Content-Type": "application/json"})
    answer = asyncio.run(call(as_from_a_network(mount("/api", api)), scope, b'{"one":', b" 1}"))
    assert (answer.status, answer.json(), seen) == (200, {"one": 1}, ["noted", "noted"])


def test_nobody_can_see_an_upload_in_the_root(both: tuple[ASGIApp, ASGIApp], root_path: str) -> None:
    """A GET of an upload's path is 405, as ever."""
    assert ask(both[1], "/api/def/none", root_path=root_path).status == 405
