"""Errors that come when the response has gone: logged once, as what they are, and no concern of the server's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp

from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.exceptions import original_of
from djfast_mount.testing import Client

ERRORS = {"value": ValueError, "key": KeyError, "not-implemented": NotImplementedError, "overflow": OverflowError}
api = FastAPI()


def fail(kind: str) -> None:
    raise ERRORS[kind]("too late")


async def fail_on_the_loop(kind: str) -> None:
    fail(kind)


def failing_exit(kind: str) -> Iterator[None]:
    yield
    fail(kind)


@api.get("/background/{kind}")
def background(kind: str, tasks: BackgroundTasks) -> int:
    tasks.add_task(fail, kind)
    return 1


@api.get("/async-background/{kind}")
async def async_background(kind: str, tasks: BackgroundTasks) -> int:
    tasks.add_task(fail_on_the_loop, kind)
    return 1


@api.get("/exit/{kind}", dependencies=[Depends(failing_exit)])
def at_exit(kind: str) -> int:
    return 1


@api.get("/after-a-stream/{kind}", dependencies=[Depends(failing_exit)])
async def after_a_stream(kind: str) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"1"

    return StreamingResponse(parts())


@api.get("/in-a-stream/{kind}")
async def in_a_stream(kind: str) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"1"
        fail(kind)

    return StreamingResponse(parts())


outer = FastAPI()
outer.mount("/inner", api)
ROOTS: dict[str, tuple[ASGIApp, str]] = {
    "api": (mount("/api", api), "/api"),
    "inner": (mount("/api", outer), "/api/inner"),
    "slow": (mount("/api", api, fast_path=False), "/api"),
}

late = pytest.mark.parametrize("path", ["background", "async-background", "exit", "after-a-stream"])
kinds = pytest.mark.parametrize("kind", ERRORS)


@pytest.fixture(params=ROOTS)
def served(request: pytest.FixtureRequest) -> tuple[ASGIApp, str]:
    return ROOTS[request.param]


@late
@kinds
def test_a_late_error_is_logged_once_as_what_it_is(
    path: str, kind: str, served: tuple[ASGIApp, str], root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error after the whole response is Django's one line with its own traceback, and the server hears nothing."""
    root, prefix = served
    seen: list[Any] = []

    def note(**_: Any) -> None:
        seen.append(1)

    got_request_exception.connect(note)
    try:
        answer = asyncio.run(call(root, http_scope(f"{root_path}{prefix}/{path}/{kind}", root_path=root_path)))
    finally:
        got_request_exception.disconnect(note)
    assert (answer.status, answer.body) == (200, b"1")
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in records] == ["django.request"]
    assert records[0].exc_info is not None
    assert records[0].exc_info[0] is ERRORS[kind]
    assert records[0].getMessage().startswith(f"Error after the response: {root_path}{prefix}/{path}/{kind} (GET ")
    assert "Caught handled exception" not in caplog.text
    assert seen == [1]


@kinds
def test_an_error_within_a_stream_reaches_the_server(
    kind: str, served: tuple[ASGIApp, str], root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the response is not whole the original error goes on, so that the server breaks the connection."""
    root, prefix = served
    with pytest.raises(ERRORS[kind], match="too late"):
        asyncio.run(call(root, http_scope(f"{root_path}{prefix}/in-a-stream/{kind}", root_path=root_path)))
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert record.getMessage().startswith(f"Error during the response: {root_path}{prefix}/in-a-stream/{kind} (GET ")


@late
@kinds
def test_test_clients_raise_a_late_error(path: str, kind: str, root_path: str) -> None:
    """Our client raises it in the test, and so does Starlette's, which is known by an extension of its scope."""
    root, prefix = ROOTS["api"]
    with Client(root, root_path=root_path) as client, pytest.raises(ERRORS[kind], match="too late"):
        client.get(f"{prefix}/{path}/{kind}")
    scope = http_scope(f"{prefix}/{path}/{kind}", extensions={"http.response.debug": {}})
    with pytest.raises(ERRORS[kind], match="too late"):
        asyncio.run(call(root, scope))


def test_starlette_words_its_own_error_so() -> None:
    """The canary: what Starlette raises where a handled error comes too late has the original as its cause."""
    original = ValueError("too late")

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise original

    async def handler(request: Request, error: Exception) -> None: ...

    middleware = ExceptionMiddleware(failing, handlers={ValueError: handler})  # type: ignore[dict-item]
    with pytest.raises(RuntimeError) as raised:
        asyncio.run(call(middleware, http_scope("/")))
    assert original_of(raised.value) is original
