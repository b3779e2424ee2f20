"""One lifespan in, many out: driven message by message, as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.backends.signals import connection_created
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from calls import connect, websocket_scope
from djfast_mount import mount
from lifespan_drive import LOGGER, Drive, Log, api, lifespan, run, whole_life
from project.shop.models import Item

pytestmark = pytest.mark.once


@pytest.fixture
def log() -> Log:
    return []


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
