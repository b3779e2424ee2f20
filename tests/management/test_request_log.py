"""The lines of runserver's log, without a server: at which level, with which size, and how often."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from calls import call, http_scope, websocket
from djfast_mount.management.request_log import RequestLog

pytestmark = pytest.mark.once


def lines_of(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "django.server"]


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, logging.INFO), (399, logging.INFO), (400, logging.WARNING), (499, logging.WARNING), (500, logging.ERROR)],
)
def test_the_level_is_that_of_djangos_server(
    status: int, level: int, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From 400 on a line is a warning, from 500 on an error; it has the whole target, and the size of all parts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"de"})

    caplog.set_level(logging.INFO, "django.server")
    path = f"{root_path}/a"
    asyncio.run(call(RequestLog(app), http_scope(path, root_path=root_path, query_string=b"b=1")))
    assert lines_of(caplog) == [(level, f'"GET {path}?b=1 HTTP/1.1" {status} 5')]


def test_a_response_that_broke_off_has_a_line(root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is written when the app has raised, with what was sent until then, and once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise LookupError("broken off")

    caplog.set_level(logging.INFO, "django.server")
    with pytest.raises(LookupError):
        asyncio.run(call(RequestLog(app), http_scope(f"{root_path}/a", root_path=root_path)))
    assert lines_of(caplog) == [(logging.INFO, f'"GET {root_path}/a HTTP/1.1" 200 3')]


@pytest.mark.parametrize(("accepts", "status", "level"), [(True, 101, logging.INFO), (False, 403, logging.WARNING)])
def test_a_websocket_has_a_line(
    accepts: bool, status: int, level: int, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was accepted is 101, one that was refused 403; its end adds none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if accepts:
            await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    caplog.set_level(logging.INFO, "django.server")
    websocket(RequestLog(app), f"{root_path}/ws", root_path=root_path)
    assert lines_of(caplog) == [(level, f'"WEBSOCKET {root_path}/ws HTTP/1.1" {status} 0')]
