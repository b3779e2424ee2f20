"""A server's part in the lifespan protocol, and apps that write down what happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Scope

from calls import call, http_scope

LOGGER = "djfast_mount.lifespan"

Log = list[str]


class Drive:
    """A server's part in the protocol. As a context manager it starts the app, and stops it at the end."""

    def __init__(self, app: ASGIApp, state: dict[str, Any] | None = None) -> None:
        self.app = app
        self.state = {} if state is None else state
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.raised: Exception | None = None

    async def say(self, kind: str) -> Message:
        """Sends one message and returns the answer."""
        if kind == "lifespan.startup":
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
            self.task = asyncio.create_task(self._serve(scope))
        self._inbox.put_nowait({"type": kind})
        return await self.sent.get()

    async def _serve(self, scope: Scope) -> None:
        try:
            await self.app(scope, self._inbox.get, self.sent.put)
        except Exception as error:
            self.raised = error

    async def startup(self) -> Message:
        return await self.say("lifespan.startup")

    async def shutdown(self) -> Message:
        answer = await self.say("lifespan.shutdown")
        await self.task
        return answer

    async def startup_and_end(self) -> Message:
        """The answer to a startup that fails."""
        answer = await self.startup()
        await self.task
        return answer

    async def __aenter__(self) -> Drive:
        assert await self.startup() == {"type": "lifespan.startup.complete"}
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert await self.shutdown() == {"type": "lifespan.shutdown.complete"}

    async def get(self, path: str) -> Any:
        return (await call(self.app, http_scope(path, state=dict(self.state)))).json()


async def whole_life(app: ASGIApp) -> tuple[Message, Message]:
    """The answers to startup and shutdown."""
    drive = Drive(app)
    return await drive.startup(), await drive.shutdown()


def lifespan(
    name: str, log: Log, *, state: dict[str, Any] | None = None, start: str = "", stop: str = ""
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """A lifespan context that writes down its start and stop; `start` and `stop` are messages to fail with."""

    @asynccontextmanager
    async def context(app: Any) -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(0)
        if start:
            raise RuntimeError(start)
        log.append(f"{name} up")
        try:
            yield state or {}
            await asyncio.sleep(0)
        finally:
            log.append(f"{name} down")
        if stop:
            raise RuntimeError(stop)

    return context


def api(name: str, log: Log, **options: Any) -> FastAPI:
    return FastAPI(lifespan=lifespan(name, log, **options))


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run()`, that fails where a task was left behind."""

    async def checked() -> Any:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(checked())
