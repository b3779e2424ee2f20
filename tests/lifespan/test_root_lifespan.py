"""The lifespans of all that a root serves: those of inner apps, in order, once; and starts that must fail."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.core import mail
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import ask, call, http_scope
from djfast_mount import mount
from djfast_mount.testing import Client
from lifespan_drive import LOGGER, Drive

pytestmark = pytest.mark.once

log: list[str] = []


@pytest.fixture(autouse=True)
def nothing_logged() -> None:
    log.clear()


def noting(name: str) -> Callable[[Any], Any]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        log.append(f"{name} up")
        yield {"name": name}
        log.append(f"{name} down")

    return lifespan


def api(name: str) -> FastAPI:
    made = FastAPI(lifespan=noting(name))

    @made.get("/name")
    async def show(request: Request) -> str:
        return str(request.state.name)

    return made


def family() -> FastAPI:
    """An app with one mounted in it, wrapped, and one in that, in a Starlette without a lifespan of its own."""
    outer, inner, innermost = api("outer"), api("inner"), api("innermost")
    inner.mount("/further", Starlette(routes=[Mount("/down", app=innermost)]))
    outer.mount("/in", CORSMiddleware(inner))
    return outer


def test_inner_apps_start_after_the_outer_and_stop_before_it() -> None:
    """The lifespan of every mounted app runs, at any depth, within that of the app above it."""

    async def life() -> None:
        async with Drive(mount({"/a": family(), "/b": api("b")})):
            log.append("served")

    asyncio.run(life())
    up, down = log[: log.index("served")], log[log.index("served") + 1 :]
    assert up == ["outer up", "inner up", "innermost up", "b up"]
    assert down == ["b down", "innermost down", "inner down", "outer down"]


def test_each_app_finds_its_own_state(root_path: str) -> None:
    """Requests of an inner app find the state of its own lifespan, and those of the outer app the outer's."""
    root = mount("/a", family())

    async def life() -> list[Any]:
        async with Drive(root) as drive:
            found = []
            for path in ("/a/name", "/a/in/name", "/a/in/further/down/name"):
                scope = http_scope(root_path + path, root_path=root_path, state=dict(drive.state))
                found.append((await call(root, scope)).json())
            return found

    assert asyncio.run(life()) == ["outer", "inner", "innermost"]
    assert asyncio.run(life()) == ["outer", "inner", "innermost"]


def given(inner: FastAPI) -> FastAPI:
    return FastAPI(lifespan=inner.router.lifespan_context)


def by_hand(inner: FastAPI) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    return FastAPI(lifespan=lifespan)


def joined(inner: FastAPI) -> FastAPI:
    def join(*lifespans: Any) -> Any:
        @contextlib.asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with contextlib.AsyncExitStack() as stack:
                for each in lifespans:
                    await stack.enter_async_context(each(app))
                yield

        return lifespan

    return FastAPI(lifespan=join(noting("own"), inner.router.lifespan_context))


@pytest.mark.parametrize("outer", [given, by_hand, joined])
def test_a_lifespan_that_the_outer_app_runs_is_not_run_again(outer: Any) -> None:
    """An inner lifespan that the outer app's leads to, in whichever way, runs once."""
    inner = api("inner")
    app = outer(inner)
    app.mount("/in", inner)

    async def life() -> None:
        async with Drive(mount("/a", app)):
            pass

    asyncio.run(life())
    assert [line for line in log if line.startswith("inner")] == ["inner up", "inner down"]


def test_an_app_that_is_mounted_twice_has_one_lifespan() -> None:
    """An app under a prefix of its own and inside of another runs once."""
    shared, outer = api("shared"), api("outer")
    outer.mount("/one", shared)
    outer.mount("/two", shared)

    async def life() -> None:
        async with Drive(mount({"/a": outer, "/b": shared})):
            pass

    asyncio.run(life())
    assert log == ["outer up", "shared up", "shared down", "outer down"]


def test_an_app_that_is_mounted_after_mount_starts_too() -> None:
    """What has been mounted when the server starts counts."""
    outer = api("outer")
    root = mount("/a", outer)
    outer.mount("/in", api("inner"))

    async def life() -> None:
        async with Drive(root):
            pass

    asyncio.run(life())
    assert log == ["outer up", "inner up", "inner down", "outer down"]


def test_an_inner_app_that_fails_to_start_stops_the_start() -> None:
    """Its error is the start's, and the apps above it are stopped again."""
    outer = api("outer")

    @contextlib.asynccontextmanager
    async def failing(app: FastAPI) -> AsyncIterator[None]:
        raise LookupError("no such index")
        yield

    outer.mount("/in", FastAPI(lifespan=failing))

    async def life() -> Drive:
        drive = Drive(mount("/a", outer))
        answer = await drive.startup_and_end()
        assert answer["type"] == "lifespan.startup.failed"
        assert "the app at '/a/in'" in answer["message"]
        return drive

    assert isinstance(asyncio.run(life()).raised, LookupError)
    assert log == ["outer up", "outer down"]


# Starts that must fail ------------------------------------------------------------------------------------------------


class PathReading:
    """Middleware that takes every scope for a request's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/nowhere"):
            await self.app(scope, receive, send)


def inside() -> ASGIApp:
    made = api("a")
    made.add_middleware(PathReading)
    return made


def around() -> ASGIApp:
    return PathReading(api("a"))


def in_starlette() -> ASGIApp:
    made = Starlette(lifespan=noting("a"))
    made.add_middleware(PathReading)
    return made


@pytest.mark.parametrize("make", [inside, around, in_starlette])
def test_a_known_app_that_raises_early_fails_the_start(make: Callable[[], ASGIApp]) -> None:
    """A FastAPI or Starlette whose middleware raises for a lifespan is not served without it."""

    async def life() -> Drive:
        drive = Drive(mount("/a", make()))
        answer = await drive.startup_and_end()
        assert answer["type"] == "lifespan.startup.failed"
        assert "KeyError('path')" in answer["message"]
        return drive

    drive = asyncio.run(life())
    assert isinstance(drive.raised, KeyError)
    with pytest.raises(RuntimeError, match="path"), Client(mount("/a", make())):
        pass


def test_a_known_app_that_returns_early_fails_the_start() -> None:
    """Middleware that swallows the lifespan is told what to do."""

    class Swallowing(PathReading):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self.app(scope, receive, send)

    async def life() -> str:
        drive = Drive(mount("/a", Swallowing(api("a"))))
        return str((await drive.startup_and_end())["message"])

    assert "pass on a scope of another type" in asyncio.run(life())


# What a root leaves behind --------------------------------------------------------------------------------------------


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: found.append(1))
    monkeypatch.setattr(gc, "collect", lambda *generation: found.append(0) or 0)
    return found


def test_a_lifespan_in_a_test_collects_nothing(collections: list[int]) -> None:
    """Entering a client, or any lifespan under a test runner, leaves the collector alone."""
    with Client(mount("/a", api("a"))):
        pass
    assert collections == []


def test_a_lifespan_of_a_server_collects(collections: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it freezes what the start-up has made, so the test above could fail."""
    monkeypatch.delattr(mail, "outbox")

    async def life() -> None:
        async with Drive(mount("/a", api("a"))):
            pass

    asyncio.run(life())
    assert 1 in collections


def workers() -> int:
    return sum(thread.name.startswith("djfast_mount-") for thread in threading.enumerate())


def test_threads_end_with_a_root_that_nobody_has() -> None:
    """A root that is dropped without a lifespan takes its threads along."""
    before = workers()
    for _ in range(5):
        plain = FastAPI()
        plain.get("/")(workers)
        root = mount("/a", plain)
        assert ask(root, "/a/").status == 200
        assert workers() > before
        del root, plain
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("djfast_mount-") and workers() > before:
            thread.join(2)
    assert workers() <= before


def test_which_lifespan_is_left_to_another_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """The log tells why a lifespan does not run."""
    inner = api("inner")
    app = by_hand(inner)
    app.mount("/in", inner)

    async def life() -> None:
        async with Drive(mount("/a", app)):
            pass

    with caplog.at_level(logging.INFO, LOGGER):
        asyncio.run(life())
    assert "The lifespan of the app at '/a/in' is left to that of" in caplog.text
