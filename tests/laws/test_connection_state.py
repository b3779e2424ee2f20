"""Law 8: what a request leaves on a connection stays with it, and meets no other request.

Holds `database/kept_thread.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse

from djfast_mount.database import keep_thread
from laws import record
from laws.site import Root, Site
from project.shop.models import Item

pytestmark = pytest.mark.long
VENDOR = connection.vendor
ROWS = 30
api = FastAPI()
Effect = tuple[Callable[[], object], Callable[[], object], object]


def run_sql(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone() if cursor.description else None


def name_it() -> None:
    connection.tenant = "ann"  # type: ignore[attr-defined]


def found_name() -> object:
    return getattr(connection, "tenant", None)


def break_it() -> None:
    connection.needs_rollback = True


def leave_a_callback() -> None:
    connection.ensure_connection()
    connection.run_on_commit.append((set(), int, False))  # type: ignore[attr-defined]


def leave_a_wrapper() -> None:
    connection.execute_wrappers.append(lambda execute, *args: execute(*args))


def have_other_settings() -> None:
    connection.settings_dict = {**connection.settings_dict, "tenant": "ann"}


def have_other_operations() -> None:
    connection.ops = type(connection.ops)(connection)
    connection.ops.tenant = "ann"  # type: ignore[attr-defined]


def rename_it() -> None:
    connection.alias = "ann"


def set_unseen() -> None:
    vars(connection).pop("make_cursor", None)
    EFFECTS["set"][0]()


def set_on_another() -> None:
    connection.ensure_connection()
    connection.connection = connection.get_new_connection(connection.get_connection_params())
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(SET)


def has_table() -> bool:
    try:
        run_sql("select count(*) from mine")
    except DatabaseError:
        return False
    return True


SETTING = "select current_setting('app.who', true)"
TEMPORARY = "select to_regclass('pg_temp.mine')::text"
LOCKS = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
# What is done, what tells whether it is still there, and what that tells on a clean connection.
EFFECTS: dict[str, Effect] = {
    "attribute": (name_it, found_name, None),
    "broken": (break_it, lambda: connection.needs_rollback, False),
    "callback": (leave_a_callback, lambda: len(connection.run_on_commit), 0),
    "wrapper": (leave_a_wrapper, lambda: len(connection.execute_wrappers), 0),
    "settings": (have_other_settings, lambda: connection.settings_dict.get("tenant"), None),
    "operations": (have_other_operations, lambda: getattr(connection.ops, "tenant", None), None),
    "alias": (rename_it, lambda: connection.alias, "default"),
}
UNDO: dict[str, str] = {}
if VENDOR == "postgresql":
    SET = "set app.who = 'ann'"
    EFFECTS |= {
        "set": (lambda: run_sql(SET), lambda: run_sql(SETTING), None),
        "table": (lambda: run_sql("create temp table mine (id int)"), lambda: run_sql(TEMPORARY), None),
        "lock": (lambda: run_sql("select pg_advisory_lock(7)"), lambda: run_sql(LOCKS), (0,)),
        "channel": (lambda: run_sql("listen news"), lambda: run_sql("select * from pg_listening_channels()"), None),
        "code": (
            lambda: run_sql("do $$ begin set app.who = 'ann'; end $$"),
            lambda: run_sql(SETTING),
            None,
        ),
    }
    UNDO = {"set": "reset app.who", "table": "drop table mine", "lock": "select pg_advisory_unlock(7)"}
elif VENDOR == "mysql":
    SET = "set @who = 'ann'"
    EFFECTS |= {
        "set": (lambda: run_sql(SET), lambda: run_sql("select @who"), (None,)),
        "mode": (lambda: run_sql("set sql_mode = ''"), lambda: run_sql("select @@sql_mode = ''"), (0,)),
        "table": (lambda: run_sql("create temporary table mine (id int)"), has_table, False),
        "lock": (
            lambda: run_sql("select get_lock('ann', 0)"),
            lambda: run_sql("select coalesce(is_used_lock('ann') = connection_id(), 0)"),
            (0,),
        ),
    }
    UNDO = {"lock": "select release_lock('ann')"}
else:
    SET = "pragma cache_size = 77"
    SCHEMA = "select count(*) from sqlite_temp_master"
    EFFECTS |= {
        "set": (lambda: run_sql(SET), lambda: run_sql("pragma cache_size") == (77,), False),
        "table": (lambda: run_sql("create temp table mine (id int)"), lambda: run_sql(SCHEMA), (0,)),
    }
    UNDO = {"table": "drop table mine"}
EFFECTS |= {"unseen": (set_unseen, *EFFECTS["set"][1:]), "another": (set_on_another, *EFFECTS["set"][1:])}
every_effect = pytest.mark.parametrize("effect", EFFECTS)


def settled(effect: str) -> bool:
    """Whether the effect is gone. What `current_setting` tells of a name that was known once, is empty."""
    found = EFFECTS[effect][1]()
    return found in (EFFECTS[effect][2], (None,), ("",))


@api.get("/leave")
def leave(effect: str, fails: bool = False) -> bool:
    EFFECTS[effect][0]()
    if fails:
        raise LookupError("an endpoint that fails")
    return settled(effect)


@api.get("/clean")
def clean(effect: str) -> bool:
    return settled(effect)


@api.get("/parts")
async def parts(effect: str) -> StreamingResponse:
    async def draw() -> AsyncIterator[str]:
        await sync_to_async(EFFECTS[effect][0])()
        for _ in range(5):
            yield f"{await sync_to_async(settled)(effect)}\n"
            await asyncio.sleep(0.002)

    return StreamingResponse(draw())


@api.websocket("/leave/ws")
async def talk(socket: WebSocket, effect: str) -> None:
    await socket.accept()
    await sync_to_async(EFFECTS[effect][0])()
    async for _ in socket.iter_text():
        await socket.send_text(f"{await sync_to_async(settled)(effect)}")


@api.get("/hold")
async def hold(effect: str) -> bool:
    """Leaves it, waits until it is let go on, takes it away, and waits again."""
    await sync_to_async(EFFECTS[effect][0])()
    await wait_at("left")
    if effect in UNDO:
        await sync_to_async(run_sql)(UNDO[effect])
    await wait_at("undone")
    return await sync_to_async(settled)(effect)


@api.get("/hold/cursor")
async def hold_a_cursor() -> int:
    rows = Item.objects.order_by("pk").aiterator(chunk_size=1)
    await anext(rows)
    await wait_at("left")
    read = 1 + len([row async for row in rows])
    await wait_at("undone")
    return read


@api.get("/half")
def leave_an_iterator() -> int:
    half.append(Item.objects.order_by("pk").iterator(chunk_size=1))
    next(half[-1])
    return 1


@api.get("/cursors")
def count_cursors() -> int:
    return int(run_sql("select count(*) from pg_cursors where name like '\\_django\\_curs\\_%'")[0])


half: list[Any] = []


@api.get("/hold/explicitly")
async def hold_explicitly() -> int:
    await Item.objects.acount()
    async with keep_thread():
        await wait_at("left")
    await wait_at("undone")
    return await Item.objects.acount()


@api.get("/hold/by-with")
async def hold_by_with() -> int:
    await Item.objects.acount()
    with keep_thread():
        await wait_at("left")
    await wait_at("undone")
    return await Item.objects.acount()


@api.get("/hold/on-the-thread")
async def hold_on_the_thread() -> int:
    blocks = contextlib.ExitStack()

    def enter() -> None:
        Item.objects.count()
        blocks.enter_context(keep_thread())

    await sync_to_async(enter)()
    await wait_at("left")
    await sync_to_async(blocks.close)()
    await wait_at("undone")
    return await Item.objects.acount()


@api.get("/occupy")
def occupy() -> int:
    record.stops["occupied"].wait()
    return threading.get_ident()


@api.websocket("/keep/ws")
async def talk_from_one_thread(socket: WebSocket, how: str) -> None:
    await socket.accept()
    async with contextlib.AsyncExitStack() as blocks:
        if how == "async with":
            await blocks.enter_async_context(keep_thread())
        elif how == "with":
            await sync_to_async(blocks.enter_context)(keep_thread())
        async for _ in socket.iter_text():
            await socket.send_text(f"{await sync_to_async(threading.get_ident)()}")


async def wait_at(key: str) -> None:
    record.stops[key].arrived += 1
    while key not in passed:
        await asyncio.sleep(0.001)


passed: set[str] = set()


async def rows() -> AsyncIterator[int]:
    async for item in Item.objects.order_by("pk").aiterator(chunk_size=2):
        yield item.pk


@api.get("/rows/stream")
async def stream_rows() -> StreamingResponse:
    async def draw() -> AsyncIterator[str]:
        async for row in rows():
            await asyncio.sleep(0)
            yield f"{row}\n"

    return StreamingResponse(draw())


@api.get("/rows/lines")
async def row_lines() -> AsyncIterator[int]:
    async for row in rows():
        yield row


@api.get("/rows/events", response_class=EventSourceResponse)
async def row_events() -> AsyncIterator[int]:
    async for row in rows():
        yield row


@api.websocket("/rows/ws")
async def row_socket(socket: WebSocket) -> None:
    await socket.accept()
    async for row in rows():
        await socket.send_text(f"{row}")


async def read_all() -> None:
    record.note("task", "rows", len([row async for row in rows()]))


@api.get("/rows/task", response_class=PlainTextResponse)
async def row_task() -> str:
    record.tasks.append(asyncio.create_task(read_all()))
    return "begun"


async def row_view(request: HttpRequest) -> StreamingHttpResponse:
    async def draw() -> AsyncIterator[str]:
        async for row in rows():
            yield f"{row}\n"

    return StreamingHttpResponse(draw())


def leaving_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(leave(request.GET["effect"], "fails" in request.GET)))


urlpatterns = [path("rows", row_view), path("leave", leaving_view)]


@pytest.fixture(autouse=True)
def kept_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    passed.clear()
    half.clear()
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)


@pytest.fixture
def pooled(kept_connections: None) -> Iterator[None]:
    """Connections come from Django's own pool, which has as many as there are threads."""
    if VENDOR != "postgresql":
        pytest.skip("only PostgreSQL's backend has a pool")
    pytest.importorskip("psycopg_pool")
    connection.close()
    settings = connections.settings["default"]
    before = {name: settings[name] for name in ("CONN_MAX_AGE", "OPTIONS")}
    settings |= {"CONN_MAX_AGE": 0, "OPTIONS": {**settings["OPTIONS"], "pool": {"min_size": 1, "max_size": 3}}}
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    settings |= before  # Before the test's own connection is used again.


@pytest.fixture
def items() -> None:
    Item.objects.bulk_create([Item(name=f"{number}") for number in range(ROWS)])


@pytest.mark.violated_by("mixing", effect="table", place="/api/leave?effect={}")
@every_effect
@pytest.mark.parametrize("place", ["/api/leave?effect={}", "/api/leave?fails=1&effect={}", "/leave?effect={}"])
@pytest.mark.parametrize("handler", ["one_hop", "django"])
async def test_no_other_request_meets_what_was_left(site: Site, effect: str, place: str, handler: str) -> None:
    """What a call, one that fails, or a view has left on the thread's connection, the next request there lacks."""
    async with site(api, threads=1, urls=__name__, django_handler=handler) as root:
        await root.get(place.format(effect))
        assert (await root.get(f"/api/clean?effect={effect}")).json() is True


@every_effect
@pytest.mark.parametrize("place", ["/api/leave?effect={}", "/leave?effect={}"])
@pytest.mark.usefixtures("pooled")
async def test_no_other_request_meets_it_by_way_of_a_pool(site: Site, effect: str, place: str) -> None:
    """What was left on a connection of Django's pool is gone when another request has it."""
    async with site(api, threads=2, urls=__name__) as root:
        for _ in range(3):
            await root.get(place.format(effect))
            found = await asyncio.gather(*[root.get(f"/api/clean?effect={effect}") for _ in range(3)])
            assert {answer.text for answer in found} == {"true"}


@pytest.mark.usefixtures("pooled")
async def test_a_stream_on_a_connection_of_a_pool(site: Site, items: None) -> None:
    """A stream reads its rows to their end on one connection of Django's pool, and one that is left half-read is none
    of the pool's any more."""
    async with site(api, threads=3, urls=__name__) as root:
        answers = await asyncio.gather(*[root.get("/api/rows/stream") for _ in range(6)])
        assert {answer.text.count("\n") for answer in answers} == {ROWS}
        for _ in range(6):
            assert (await root.get("/api/half")).json() == 1
        found = await asyncio.gather(*[root.get("/api/cursors") for _ in range(3)])
        assert {answer.text for answer in found} == {"0"}


@pytest.mark.violated_by("mixing", effect="attribute")
@every_effect
async def test_a_stream_finds_what_it_left_and_others_do_not(site: Site, effect: str) -> None:
    """In every part of a stream its own state is there, while requests on other threads see none of it."""
    async with site(api, threads=3, urls=__name__) as root:
        stream = root.start(f"/api/parts?effect={effect}")
        others = [root.get(f"/api/clean?effect={effect}") for _ in range(12)]
        assert {answer.json() for answer in await asyncio.gather(*others)} == {True}
        assert (await stream).text == "False\n" * 5


@every_effect
async def test_a_websocket_finds_what_it_left_and_others_do_not(site: Site, effect: str) -> None:
    """In every turn of a websocket its own state is there, while other requests see none of it."""
    async with site(api, threads=3, urls=__name__) as root:
        socket = root.connect("/api/leave/ws", f"effect={effect}")
        await socket.took(1)
        for turn in range(3):
            socket.send({"type": "websocket.receive", "text": "?"})
            await socket.took(2 + turn)
            assert (await root.get(f"/api/clean?effect={effect}")).json() is True
        assert [message["text"] for message in socket.sent[1:]] == ["False"] * 3
        socket.leave()
        await socket.ended()
        for _ in range(3):
            assert (await root.get(f"/api/clean?effect={effect}")).json() is True


@pytest.mark.parametrize(("how", "same"), [("async with", True), ("with", True), ("neither", False)])
async def test_a_websocket_keeps_its_thread(site: Site, how: str, same: bool) -> None:
    """Within keep_thread() each turn of a websocket runs on one thread; otherwise another request may get that thread
    between two turns."""
    async with site(api, threads=2, urls=__name__) as root:
        socket = root.connect("/api/keep/ws", f"how={how}")
        await socket.took(1)
        socket.send({"type": "websocket.receive", "text": "?"})
        await socket.took(2)
        other = root.start("/api/occupy")
        await record.stops["occupied"].reached()
        socket.send({"type": "websocket.receive", "text": "?"})
        await socket.took(3)
        first, second = (message["text"] for message in socket.sent[1:])
        assert (first == second) is same
        record.stops["occupied"].open()
        assert ((await other).text == first) is not same
        socket.leave()
        await socket.ended()
        await record.until(lambda: root.pool.held() == [])


HOLDERS = [
    *(f"/hold?effect={effect}" for effect in UNDO),
    "/hold/cursor",
    "/hold/explicitly",
    "/hold/by-with",
    "/hold/on-the-thread",
]


async def others_wait(root: Root) -> asyncio.Task[Any]:
    """A request that gets no thread, for longer than an idle lease would be asked for its slot."""
    waiting = root.start("/api/clean?effect=attribute")
    await asyncio.sleep(0.25)
    assert not waiting.done()
    return waiting


@pytest.mark.parametrize("path", HOLDERS)
async def test_who_has_left_something_keeps_its_connection(site: Site, items: None, path: str) -> None:
    """An idle request is not parked while something of it lives on its connection, and is when that is gone."""
    async with site(api, threads=1, urls=__name__) as root:
        holder = root.start(f"/api{path}")
        await record.stops["left"].reached()
        waiting = await others_wait(root)
        passed.add("left")
        await record.stops["undone"].reached()
        assert (await waiting).status_code == 200
        passed.add("undone")
        assert (await holder).status_code == 200
        if path == "/hold/cursor":
            assert (await holder).json() == ROWS


@(
    pytest.mark.once  # MySQL's driver reads all rows at once, so no other request can come between.
    if VENDOR == "mysql"
    else pytest.mark.violated_by("mixing", path="/api/rows/stream", age=0)
)
@pytest.mark.parametrize("age", [0, 60])
@pytest.mark.parametrize("path", ["/api/rows/stream", "/api/rows/lines", "/api/rows/events", "/rows"])
async def test_a_stream_reads_all_rows(
    site: Site, items: None, path: str, age: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams of every kind read an `aiterator()` to its end, however many read at once."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", age)
    async with site(api, threads=4, urls=__name__) as root:
        answers = await asyncio.gather(*[root.get(path) for _ in range(12)])
        assert {answer.text.count("\n") - answer.text.count("\n\n") for answer in answers} == {ROWS}


async def test_a_websocket_and_a_late_task_read_all_rows(site: Site, items: None) -> None:
    """A websocket and a task that outlives its request read an `aiterator()` to its end."""
    async with site(api, threads=2, urls=__name__) as root:
        socket = root.connect("/api/rows/ws")
        await root.get("/api/rows/task")
        await asyncio.gather(*record.tasks)
        assert record.seen("task", "rows") == ROWS
        await socket.took(1 + ROWS)
        assert len(socket.sent) >= 1 + ROWS
        socket.leave()
        await socket.ended()
        await record.until(lambda: root.pool.held() == [])


async def test_a_clean_request_costs_no_connection(site: Site) -> None:
    """Requests that leave nothing share one connection: none is reset, closed or set up again."""
    async with site(api, threads=1, urls=__name__) as root:
        before = len(record.connections)
        for _ in range(10):
            await root.get("/api/clean?effect=attribute")
            await root.get("/rows")
        assert len(record.connections) - before == 1
