"""Uploads of up to 50 MB by uvicorn with each loop and parser: the mounted API answers as FastAPI alone does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from harness import Server

pytestmark = [pytest.mark.long, pytest.mark.once]

MB = 10**6
SIZES = [0, 1, 2**20 - 1, 2**20 + 1, 8 * MB, 50 * MB]
PARTS = 64 * 1024


@pytest.fixture(
    scope="module", params=[(loop, http) for loop in ("uvloop", "asyncio") for http in ("httptools", "h11")]
)
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    loop, http = request.param
    options = ("--loop", loop, "--http", http, "--log-level", "warning")
    with contextlib.ExitStack() as stack:
        started = [Server(f"uploads_site:{name}", *options) for name in ("alone", "app")]
        yield stack.enter_context(started[0]), stack.enter_context(started[1])


def send(server: Server, path: str, size: int, files: int, *, chunked: bool) -> httpx.Response:
    pattern = bytes(range(256)) * (size // 256 + 1)
    request = httpx.Request(
        "POST",
        f"{server.url}{path}",
        files=[("files", (f"{number}.bin", pattern[:size])) for number in range(files)],
        data={"note": "n\u00f6te"},
    )
    if chunked:
        body = request.read()
        parts = (body[start : start + PARTS] for start in range(0, len(body), PARTS))
        headers = {"content-type": request.headers["content-type"]}
        request = httpx.Request("POST", request.url, content=parts, headers=headers)
    with server.client() as client:
        return client.send(request)


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize("files", [1, 5])
@pytest.mark.parametrize("size", SIZES)
def test_an_upload_is_answered_as_by_fastapi_alone(
    servers: tuple[Server, Server], size: int, files: int, chunked: bool
) -> None:
    """Every byte of every file arrives, by `def` and `async def`, with and without dependencies."""
    alone, mounted = servers
    kinds = ("none", "plain", "async", "yielding") if size < 8 * MB else ("none", "async")
    for path in (f"/api/{kind}/{dependency}" for kind in ("def", "async") for dependency in kinds):
        expected = send(alone, path, size, files, chunked=chunked)
        answer = send(mounted, path, size, files, chunked=chunked)
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
        assert expected.status_code == 200
