"""Lifespans that fail, are missing, die or are cancelled: every message of the server is answered."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount import mount
from harness import PYTHONPATH, Server
from lifespan_drive import LOGGER, Drive, Log, api, lifespan, run, whole_life

pytestmark = pytest.mark.once


@pytest.fixture
def log() -> Log:
    return []


def test_a_failing_startup_unwinds_those_that_are_up(log: Log) -> None:
    """Those up are shut down in reverse before the server hears of it; the ones behind never start."""
    root = mount(
        {"/a": api("a", log), "/b": api("b", log), "/c": api("c", log, start="no licence"), "/d": api("d", log)},
        lifespan=lifespan("root", log),
    )

    async def fail() -> Message:
        drive = Drive(root)
        answer = await drive.startup()
        assert log[-1] == "root down"
        await drive.task
        return answer

    answer = run(fail())
    assert answer["type"] == "lifespan.startup.failed"
    assert answer["message"].startswith("Startup of the app at '/c' failed: ")
    assert "RuntimeError: no licence" in answer["message"]
    assert log == ["root up", "a up", "b up", "b down", "a down", "root down"]


@pytest.mark.parametrize("when", ["start", "stop"])
def test_the_apps_error_is_raised_in_the_end(log: Log, when: str) -> None:
    """Who drives the root, as Starlette's TestClient does, has the app's own error raised after the message."""

    async def fail() -> Exception | None:
        drive = Drive(mount({"/a": api("a", log), "/b": api("b", log, **{when: "no licence"})}))
        await drive.startup()
        if when == "stop":
            await drive.shutdown()
        await drive.task
        return drive.raised

    raised = run(fail())
    assert type(raised) is RuntimeError
    assert str(raised) == "no licence"


def test_a_failure_without_an_error_is_raised_too(log: Log) -> None:
    """Of an app that only says that it failed, the message is raised."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no licence"})

    async def fail() -> Exception | None:
        drive = Drive(mount("/a", fails))
        await drive.startup_and_end()
        return drive.raised

    assert str(run(fail())) == "Startup of the app at '/a' failed: no licence"


def test_a_startup_that_is_cancelled_has_failed(log: Log) -> None:
    """An app whose start-up cancels itself is no app without a lifespan: the server hears that it failed."""

    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def fail() -> Message:
        drive = Drive(mount({"/a": api("a", log), "/b": cancelled}))
        return await drive.startup_and_end()

    answer = run(fail())
    assert answer == {
        "type": "lifespan.startup.failed",
        "message": "Startup of the app at '/b' failed: startup was cancelled",
    }
    assert log == ["a up", "a down"]


def test_a_failing_root_lifespan_starts_nothing(log: Log) -> None:
    """When the root's own lifespan fails, no app has started."""
    root = mount("/a", api("a", log), lifespan=lifespan("root", log, start="no root"))
    answer = run(Drive(root).startup_and_end())
    assert answer["message"].startswith("Startup of the root's lifespan failed: ")
    assert log == []


def test_a_failure_while_unwinding_does_not_hide_the_first(log: Log) -> None:
    """The message begins with the app that failed to start, and tells of the one that then failed to stop."""
    root = mount({"/a": api("a", log, stop="stuck"), "/b": api("b", log, start="no licence")})
    answer = run(Drive(root).startup_and_end())
    assert answer["message"].startswith("Startup of the app at '/b' failed: ")
    assert answer["message"].index("no licence") < answer["message"].index("Shutdown of the app at '/a' failed: ")
    assert log == ["a up", "a down"]


def test_an_app_that_failed_is_gone_before_the_server_hears_of_it() -> None:
    """An app that goes on after startup.failed is ended with the rest."""
    ended = []

    async def lingering(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no licence"})
        try:
            await asyncio.sleep(0.01)
        finally:
            ended.append(True)

    async def fail() -> None:
        drive = Drive(mount("/a", lingering))
        await drive.startup()
        assert ended
        await drive.task

    run(fail())


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise TypeError("only http")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1"})


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await raises(scope, receive, send)


async def reads_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
    await raises(scope, receive, send)


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError(f"No application configured for scope type {scope['type']!r}")
    await raises(scope, receive, send)


@pytest.mark.parametrize(
    ("app", "level"), [(raises, "WARNING"), (returns, "INFO"), (reads_and_raises, "WARNING"), (refuses, "INFO")]
)
def test_an_app_without_lifespan_is_fine(app: ASGIApp, level: str, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """An app of an unknown class that raises or returns before it answered starts nothing, stops nothing, is served.

    An error that does not name the lifespan is a warning.
    """
    root = mount({"/plain": app, "/a": api("a", log)})

    async def life() -> Any:
        with caplog.at_level(logging.INFO, LOGGER):
            async with Drive(root) as drive:
                return await drive.get("/plain/")

    assert run(life()) == 1
    assert log == ["a up", "a down"]
    assert [record.levelname for record in caplog.records if record.name == LOGGER] == [level]
    assert "the app at '/plain' does not support lifespan" in caplog.text


def test_an_app_that_dies_between_is_reported(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged when it comes and told to the server at shutdown; the others stop as ever."""
    die = asyncio.Event()

    async def dying(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await die.wait()
        raise RuntimeError("died of old age")

    root = mount({"/a": api("a", log), "/dying": dying, "/b": api("b", log)})

    async def life() -> Message:
        drive = Drive(root)
        await drive.startup()
        die.set()
        await asyncio.sleep(0.01)
        assert "the app at '/dying' ended before shutdown" in caplog.text
        return await drive.shutdown()

    answer = run(life())
    assert answer == {
        "type": "lifespan.shutdown.failed",
        "message": "Shutdown of the app at '/dying' failed: RuntimeError('died of old age')",
    }
    assert log == ["a up", "b up", "b down", "a down"]


def test_a_failing_shutdown_stops_the_others_all_the_same(log: Log) -> None:
    """Every app is shut down, and each failure is in the message."""
    root = mount({"/a": api("a", log, stop="a stuck"), "/b": api("b", log), "/c": api("c", log, stop="c stuck")})
    _, answer = run(whole_life(root))
    assert answer["type"] == "lifespan.shutdown.failed"
    assert answer["message"].index("c stuck") < answer["message"].index("a stuck")
    assert "Shutdown of the app at '/a' failed: " in answer["message"]
    assert log[-3:] == ["c down", "b down", "a down"]


def test_an_app_that_never_ends_after_its_answer_is_cancelled(log: Log) -> None:
    """An app that has answered shutdown and goes on for ever does not hold the server."""
    cancelled = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    _, answer = run(whole_life(mount({"/a": api("a", log), "/endless": endless})))
    assert answer == {"type": "lifespan.shutdown.complete"}
    assert (cancelled, log) == ([True], ["a up", "a down"])


def test_a_message_out_of_turn_is_the_apps_error(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """An app that answers what it was not asked gets an error that says so."""

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    run(whole_life(mount({"/hasty": hasty, "/a": api("a", log)})))
    assert "the app at '/hasty' sent 'lifespan.shutdown.complete' out of turn; its lifespan is UP." in caplog.text
    assert log == ["a up", "a down"]


def test_cancelled_while_serving_every_app_is_shut_down(log: Log) -> None:
    """A server that cancels the lifespan's task instead of sending shutdown still has every app unwound."""
    root = mount({"/a": api("a", log), "/b": api("b", log)}, lifespan=lifespan("root", log))

    async def life() -> None:
        drive = Drive(root)
        await drive.startup()
        drive.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drive.task

    run(life())
    assert log[3:] == ["b down", "a down", "root down"]


def test_cancelled_while_starting_those_up_are_shut_down(log: Log) -> None:
    """A start that takes too long for the server leaves nothing up."""
    begun = asyncio.Event()

    @asynccontextmanager
    async def slow(app: Any) -> AsyncIterator[None]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield
        finally:
            log.append("slow cancelled")

    root = mount({"/a": api("a", log), "/slow": FastAPI(lifespan=slow), "/b": api("b", log)})

    async def life() -> None:
        drive = Drive(root)
        starting = asyncio.create_task(drive.startup())
        await begun.wait()
        drive.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drive.task
        starting.cancel()
        await asyncio.wait([starting])

    run(life())
    assert log == ["a up", "slow cancelled", "a down"]


FAILING = """
import os
from contextlib import asynccontextmanager
from fastapi import FastAPI
from djfast_mount import mount

@asynccontextmanager
async def lifespan(app):
    print("first up", flush=True)
    yield
    print("first down", flush=True)

@asynccontextmanager
async def failing(app):
    raise RuntimeError("no licence")
    yield

app = mount({"/first": FastAPI(lifespan=lifespan), "/api": FastAPI(lifespan=failing)})
"""


def test_uvicorn_ends_with_status_3_when_a_start_fails(tmp_path: Path) -> None:
    """uvicorn reports the child's message, the apps already up are stopped, and the exit status is 3."""
    (tmp_path / "failing_asgi.py").write_text(FAILING)
    server = Server("failing_asgi:app", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), PYTHONPATH])})
    assert server.process.wait(60) == 3
    log = server.log
    server.__exit__()
    assert "Startup of the app at '/api' failed: " in log
    assert "RuntimeError: no licence" in log
    assert log.index("first up") < log.index("first down") < log.index("Application startup failed")
