"""One lifespan in, many out: driven message by message, as a server does."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.backends.signals import connection_created
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from calls import call, connect, http_scope, websocket_scope
from djfast_mount import mount
from harness import TESTS, Server
from project.shop.models import Item

LOGGER = "djfast_mount.lifespan"

Log = list[str]


class Drive:
    """A server's part in the protocol. As a context manager it starts the app, and stops it at the end."""

    def __init__(self, app: ASGIApp, state: dict[str, Any] | None = None) -> None:
        self.app = app
        self.state = {} if state is None else state
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()

    async def say(self, kind: str) -> Message:
        """Sends one message and returns the answer."""
        if kind == "lifespan.startup":
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
            self.task = asyncio.create_task(self._serve(scope))
        self._inbox.put_nowait({"type": kind})
        return await self.sent.get()

    async def _serve(self, scope: Scope) -> None:
        await self.app(scope, self._inbox.get, self.sent.put)

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


@pytest.fixture
def log() -> Log:
    return []


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run()`, that fails where a task was left behind."""

    async def checked() -> Any:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(checked())


def test_apps_start_in_order_and_stop_in_reverse(log: Log) -> None:
    """The root's lifespan comes first, then the apps as the mapping names them, websocket_app last; and back again."""
    root = mount(
        {"/b": api("b", log), "/a": api("a", log), "/b/c": api("c", log)},
        lifespan=lifespan("root", log),
        websocket_app=Starlette(lifespan=lifespan("websockets", log)),
    )
    complete = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert list(run(whole_life(root))) == complete
    names = ["root", "b", "a", "c", "websockets"]
    assert log == [f"{name} up" for name in names] + [f"{name} down" for name in reversed(names)]


def test_a_server_may_start_the_root_again(log: Log) -> None:
    """A second start after a shutdown runs every lifespan once more, with state of its own."""
    state = {"number": 1}
    one = api("one", log, state=state)
    one.add_api_route("/", number)
    root = mount("/one", one)

    async def twice() -> list[Any]:
        seen = []
        for state["number"] in (1, 2):
            async with Drive(root) as drive:
                seen.append(await drive.get("/one/"))
        return seen

    assert run(twice()) == [1, 2]
    assert log == ["one up", "one down"] * 2


def number(request: Request) -> int:
    return int(request.state.number)


def test_an_app_under_two_prefixes_has_one_lifespan(log: Log) -> None:
    """An app that is mounted twice starts once, and its state is seen under both prefixes."""
    app = api("app", log, state={"number": 7})
    app.add_api_route("/", number)
    root = mount({"/one": app, "/two": app}, websocket_app=app)

    async def both() -> list[Any]:
        async with Drive(root) as drive:
            return [await drive.get("/one/"), await drive.get("/two/")]

    assert run(both()) == [7, 7]
    assert log == ["app up", "app down"]


async def names_seen(request: StarletteRequest) -> JSONResponse:
    return JSONResponse(dict(request.state._state))


async def names_sent(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(dict(websocket.state._state))
    await websocket.close()


def stateful(name: str, **state: str) -> Starlette:
    routes = [Route("/", names_seen), WebSocketRoute("/ws", names_sent)]
    return Starlette(routes=routes, lifespan=lifespan(name, [], state=state))


async def state_over_websocket(root: ASGIApp, path: str, state: dict[str, Any]) -> str:
    sent = await connect(root, websocket_scope(path, state=dict(state)))
    return str(sent[1]["text"])


def test_each_app_sees_its_own_state_above_the_roots(caplog: pytest.LogCaptureFixture) -> None:
    """request.state holds the server's, the root's and the app's own values; those of other apps never."""
    root = mount(
        {"/one": stateful("one", own="1", all="one's"), "/two": stateful("two", own="2")},
        lifespan=lifespan("root", [], state={"all": "root's"}),
        websocket_app=stateful("websockets", own="3"),
    )

    async def seen() -> dict[str, Any]:
        async with Drive(root, {"server": "s"}) as drive:
            assert drive.state == {"server": "s", "all": "root's"}
            return {
                "one": await drive.get("/one/"),
                "two": await drive.get("/two/"),
                "one's websocket": await state_over_websocket(root, "/one/ws", drive.state),
                "websocket_app": await state_over_websocket(root, "/ws", drive.state),
            }

    assert run(seen()) == {
        "one": {"server": "s", "all": "one's", "own": "1"},
        "two": {"server": "s", "all": "root's", "own": "2"},
        "one's websocket": '{"server":"s","all":"one\'s","own":"1"}',
        "websocket_app": '{"server":"s","all":"root\'s","own":"3"}',
    }
    [record] = [record for record in caplog.records if record.name == LOGGER]
    assert "the app at '/one' sets state that the root's lifespan has set already: 'all'" in record.getMessage()


def test_a_request_cannot_change_the_state_of_the_next() -> None:
    """What one request puts into request.state is gone with it."""

    async def mark(request: StarletteRequest) -> JSONResponse:
        seen = dict(request.state._state)
        request.state.marked = True
        return JSONResponse(seen)

    app = Starlette(routes=[Route("/", mark)], lifespan=lifespan("app", [], state={"own": 1}))

    async def twice() -> list[Any]:
        async with Drive(mount("/app", app)) as drive:
            return [await drive.get("/app/"), await drive.get("/app/")]

    assert run(twice()) == [{"own": 1}, {"own": 1}]


def test_the_roots_state_needs_no_server_that_knows_of_state() -> None:
    """Under a server whose scopes have no "state", apps still see what the root's lifespan set."""
    root = mount("/one", stateful("one", own="1"), lifespan=lifespan("root", [], state={"all": "root's"}))

    async def without() -> Any:
        drive = Drive(root)

        async def stateless(scope: Scope, receive: Receive, send: Send) -> None:
            await root({key: value for key, value in scope.items() if key != "state"}, receive, send)

        drive.app = stateless
        async with drive:
            return await drive.get("/one/")

    assert run(without()) == {"all": "root's", "own": "1"}


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
    assert scope["type"] == "http", "only http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1"})


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await raises(scope, receive, send)


async def reads_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
    await raises(scope, receive, send)


@pytest.mark.parametrize("app", [raises, returns, reads_and_raises])
def test_an_app_without_lifespan_is_fine(app: ASGIApp, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """An app that raises or returns before it answered starts nothing, stops nothing and is served."""
    root = mount({"/plain": app, "/a": api("a", log)})

    async def life() -> Any:
        with caplog.at_level(logging.INFO, LOGGER):
            async with Drive(root) as drive:
                return await drive.get("/plain/")

    assert run(life()) == 1
    assert log == ["a up", "a down"]
    assert [record.levelname for record in caplog.records if record.name == LOGGER] == ["INFO"]
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


def test_fastapis_older_forms_run(log: Log) -> None:
    """on_event handlers, and the lifespans of included routers, run as they do when FastAPI is served alone."""
    older = FastAPI(on_startup=[lambda: log.append("up")], on_shutdown=[lambda: log.append("down")])
    with pytest.warns(DeprecationWarning, match="on_event is deprecated"):
        older.on_event("startup")(lambda: log.append("handler up"))
    outer, inner = (APIRouter(lifespan=lifespan(name, log)) for name in ("outer", "inner"))
    outer.include_router(inner)
    nested = api("api", log)
    nested.include_router(outer)
    run(whole_life(mount({"/older": older, "/nested": nested})))
    alone: Log = log.copy()
    log.clear()
    run(whole_life(older))
    run(whole_life(nested))
    assert sorted(alone) == sorted(log)
    assert len(alone) == 9


def test_a_start_in_the_call_itself_runs(log: Log) -> None:
    """An app that does more in its __call__ than its lifespan context shows is called, not only its context."""

    class Telemetry(FastAPI):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                log.append("called")
            await super().__call__(scope, receive, send)

    run(whole_life(mount("/a", Telemetry(lifespan=lifespan("a", log)))))
    assert log == ["called", "a up", "a down"]


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    """The connections that were opened, on whatever thread."""
    connections: list[Any] = []

    def note(connection: Any, **_: object) -> None:
        connections.append(connection)

    connection_created.connect(note)
    yield connections
    connection_created.disconnect(note)


def still_open(connections: list[Any]) -> bool:
    return any(connection.connection is not None for connection in connections)


@pytest.mark.django_db(transaction=True)
def test_a_lifespan_may_use_the_orm(opened: list[Any], log: Log) -> None:
    """The ORM, async and through sync_to_async, works in a lifespan, and no connection of it stays open."""

    @asynccontextmanager
    async def counting(app: Any) -> AsyncIterator[dict[str, int]]:
        await Item.objects.acreate(name="one")
        yield {"number": await sync_to_async(Item.objects.count)()}
        await Item.objects.all().adelete()
        log.append(f"{await Item.objects.acount()} left")

    app = FastAPI(lifespan=counting)
    app.add_api_route("/", number)
    open_before = len(opened)

    async def life() -> Any:
        async with Drive(mount("/a", app)) as drive:
            async with asyncio.timeout(30):
                # A worker closes its connection after it has reported the result.
                while still_open(opened[open_before:]):
                    await asyncio.sleep(0.005)
            return await drive.get("/a/")

    assert run(life()) == 1
    assert log == ["0 left"]
    assert opened[open_before:]
    assert not still_open(opened[open_before:])


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
    server = Server("failing_asgi:app", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(TESTS)])})
    assert server.process.wait(60) == 3
    log = server.log
    server.__exit__()
    assert "Startup of the app at '/api' failed: " in log
    assert "RuntimeError: no licence" in log
    assert log.index("first up") < log.index("first down") < log.index("Application startup failed")
