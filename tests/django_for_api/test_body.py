"""The body of a call for the Django middleware around it, and for the endpoint as well."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any

import pytest
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin
from fastapi import FastAPI, File, Request, UploadFile

from api_client import ApiClient, both
from calls import call, http_scope
from djfast_mount import mount

read: list[Any] = []


def note(request: HttpRequest) -> None:
    try:
        read.append(len(request.body))
    except Exception as error:
        read.append(type(error).__name__)
        raise


def reads(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        note(request)
        return get_response(request)

    return middleware


class ReadsAsync:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    async def __call__(self, request: HttpRequest) -> Any:
        note(request)
        return await self.get_response(request)


def reads_late(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        note(request)
        return response

    return middleware


class ReadsInMethods(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        note(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        note(request)

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        note(request)
        return response


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/open")
    def open_() -> str:
        return "open"

    @both(api, "POST", "/json")
    def json(body: list[int]) -> int:
        return len(body)

    @both(api, "POST", "/file")
    def file(upload: Annotated[UploadFile, File()]) -> str:
        return hashlib.sha256(upload.file.read()).hexdigest()

    @api.post("/stream")
    async def stream(request: Request) -> list[int]:
        return [len(part) async for part in request.stream()]

    return api


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    read.clear()
    return str(request.param)


@pytest.fixture(params=["reads", "ReadsAsync", "reads_late", "ReadsInMethods"])
def client(request: pytest.FixtureRequest, root_path: str) -> ApiClient:
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.{request.param}"], docs_access="public")
    return ApiClient(app, root_path)


@pytest.mark.parametrize("path", ["open", "docs", "openapi.json", "none"])
def test_a_call_without_a_body(client: ApiClient, kind: str, path: str) -> None:
    """Without a body it is empty, of the docs and of a 404 too."""
    answer = client.get(f"/api/{kind}/{path}" if path == "open" else f"/api/{path}")
    assert answer.status_code == (404 if path == "none" else 200)
    assert set(read) == {0}


def test_a_body_for_both(client: ApiClient, kind: str) -> None:
    """What a middleware has read the endpoint reads as well."""
    assert client.post(f"/api/{kind}/json", json=[1, 2, 3]).json() == 3
    assert set(read) == {7}


def test_an_upload_for_both(client: ApiClient, kind: str) -> None:
    """A file below the limit is whole for both."""
    content = bytes(range(256)) * 4096
    answer = client.post(f"/api/{kind}/file", files={"upload": content})
    assert answer.json() == hashlib.sha256(content).hexdigest()
    assert len(set(read)) == 1
    assert read[0] > len(content)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(client: ApiClient, kind: str, settings: Any, chunked: bool) -> None:
    """What is over DATA_UPLOAD_MAX_MEMORY_SIZE is refused to the middleware, as Django refuses it."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    async def parts() -> Any:
        for _ in range(5):
            yield b"[1,2,3] "

    content = parts() if chunked else b"[1, 2, 3, 4, 5]"
    answer = client.post(f"/api/{kind}/json", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert set(read) == {"RequestDataTooBig"}


def test_a_body_in_parts(root_path: str) -> None:
    """A body that comes in parts is handed on in the same parts, also where a middleware has read it before."""
    for name in ("reads", "ReadsAsync"):
        read.clear()
        app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.{name}"])
        headers = {"transfer-encoding": "chunked"}
        scope = http_scope(f"{root_path}/api/stream", root_path=root_path, method="POST", headers=headers)
        answer = asyncio.run(call(app, scope, b"a" * 5, b"b" * 7))
        assert (answer.json(), read) == ([5, 7, 0], [12])


def test_a_client_that_leaves(root_path: str) -> None:
    """A client that leaves while a middleware waits for its body is nobody's fault."""
    app = mount("/api", make_api(), django_middleware_for_api=[f"{__name__}.reads"])
    messages = [{"type": "http.request", "body": b"[1", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None: ...

    headers = {"content-length": "9"}
    scope = http_scope(f"{root_path}/api/sync/json", root_path=root_path, method="POST", headers=headers)
    asyncio.run(app(scope, receive, send))
