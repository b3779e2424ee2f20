"""Law 4: request_started and request_finished are sent once a spell, on its thread, whatever becomes of the request."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started
from django.db import transaction
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from laws import record
from laws.record import note
from laws.site import Site, turns_of_the_loop
from project.shop.models import Item

pytestmark = pytest.mark.long

HEARS_SIGNALS = True

api = FastAPI()


def around(key: str) -> Iterator[None]:
    note(key, "enter")
    try:
        yield
    finally:
        note(key, "exit")


@api.get("/done", dependencies=[Depends(around)])
def done(key: str) -> None:
    note(key, "endpoint")


@api.get("/orm")
async def orm(key: str) -> None:
    await sync_to_async(note)(key, "sync_to_async")
    await Item.objects.acount()


@api.get("/raising", dependencies=[Depends(around)])
def raising(key: str) -> None:
    note(key, "endpoint")
    raise LookupError("an endpoint that fails")


@api.get("/refusing", dependencies=[Depends(around)])
def refusing(key: str) -> None:
    raise HTTPException(404)


@api.get("/background")
def background(key: str, tasks: BackgroundTasks) -> None:
    def fail() -> None:
        note(key, "background")
        raise LookupError("a background task that fails")

    tasks.add_task(fail)


@api.get("/stream", dependencies=[Depends(around)])
def stream(key: str) -> StreamingResponse:
    def draw() -> Iterator[str]:
        try:
            while True:
                note(key, "step")
                yield "and on\n"
        finally:
            note(key, "close")

    return StreamingResponse(draw())


@api.get("/held", dependencies=[Depends(around)])
def held(key: str) -> None:
    note(key, "held")
    record.stops["held"].wait()
    note(key, "went on")


@api.get("/waiting", dependencies=[Depends(around)])
async def waiting(key: str) -> None:
    record.stops["waiting"].arrived += 1
    await asyncio.Event().wait()


def assert_signals_around(key: str) -> None:
    """Once each, on the one thread where the request's parts ran, before the first and after the last of them."""
    [thread] = record.threads(key)
    assert record.signals_of(thread) == ["started", "finished"]
    assert len(record.signals) == 2


@pytest.mark.violated_by("hand_made", "silent")
@pytest.mark.parametrize(
    "path", ["/api/done", "/api/orm", "/api/raising", "/api/refusing", "/api/background"], ids=lambda path: path[5:]
)
async def test_an_api_request_sends_each_signal_once(site: Site, path: str) -> None:
    """A request to the API that succeeds, raises or is refused sends each signal once, on its thread."""
    async with site(api) as root:
        await root.get(path, params={"key": "once"})
        assert_signals_around("once")


@pytest.mark.parametrize("path", ["/view", "/async-view", "/failing", "/nowhere", "/steps"], ids=lambda path: path[1:])
async def test_a_django_request_sends_each_signal_once(site: Site, path: str) -> None:
    """A request to Django that succeeds, fails or finds nothing sends each signal once, on its thread."""
    async with site(api) as root:
        await root.get(path, params={"key": "once"})
        assert_signals_around("once")


@pytest.mark.violated_by("hand_made", "silent")
async def test_the_signals_enclose_everything(site: Site) -> None:
    """request_started precedes the first part on its thread, request_finished follows the exit of the dependency."""
    order: list[str] = []

    def started(**_: object) -> None:
        order.append("started")

    def finished(**_: object) -> None:
        order.extend([*record.parts("enclosed"), "finished"])

    async with site(api) as root:
        request_started.connect(started)
        request_finished.connect(finished)
        try:
            await root.get("/api/done", params={"key": "enclosed"})
        finally:
            request_started.disconnect(started)
            request_finished.disconnect(finished)
    assert order == ["started", "enter", "endpoint", "exit", "finished"]


@pytest.mark.violated_by("hand_made", "silent")
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_leaves_a_stream_ends_the_spell(site: Site, spec_version: str) -> None:
    """A client leaves in mid-stream: the iterator is closed, the dependency left, and request_finished sent."""
    async with site(api) as root:
        client = root.open("/api/stream", query="key=left", takes=3, spec_version=spec_version)
        await client.took(3)
        client.leave()
        await client.ended()
        assert record.parts("left")[-2:] == ["close", "exit"]
        assert_signals_around("left")


@pytest.mark.violated_by("silent")
async def test_a_client_that_leaves_an_async_view_ends_the_spell(site: Site) -> None:
    """A client that leaves while an async Django view waits ends the spell with request_finished."""
    async with site(api) as root:
        client = root.open("/waiting", query="key=left")
        await record.stops["waiting"].reached()
        client.leave()
        await client.ended()
        assert_signals_around("left")


async def test_a_client_that_leaves_a_stream_of_django_ends_the_spell(site: Site) -> None:
    """A client that leaves the stream of a sync Django view ends the spell with request_finished."""
    async with site(api) as root:
        client = root.open("/steps", query="key=left", takes=3)
        await client.took(3)
        client.leave()
        await client.ended()
        assert_signals_around("left")


@pytest.mark.violated_by("hand_made", "silent")
async def test_a_request_cancelled_in_sync_code_ends_its_spell(site: Site) -> None:
    """A request that is cancelled while its endpoint runs on the thread sends request_finished after that has ended."""
    async with site(api) as root:
        request = root.open("/api/held", query="key=cancelled")
        await record.stops["held"].reached()
        for _ in range(3):
            request.task.cancel()
            await asyncio.sleep(0)
        assert [signal.part for signal in record.signals] == ["started"]
        record.stops["held"].open()
        await request.ended()
        assert record.parts("cancelled") == ["enter", "held", "went on", "exit"]
        assert_signals_around("cancelled")


@pytest.mark.violated_by("hand_made", "silent")
async def test_a_request_cancelled_in_async_code_ends_its_spell(site: Site) -> None:
    """A request that is cancelled while its async endpoint waits leaves its dependency and sends request_finished."""
    async with site(api) as root:
        request = root.open("/api/waiting", query="key=cancelled")
        await record.stops["waiting"].reached()
        request.task.cancel()
        await request.ended()
        assert record.parts("cancelled") == ["enter", "exit"]
        assert_signals_around("cancelled")


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("path", ["/held", "/waiting"])
async def test_a_cancelled_django_request_ends_its_spell(site: Site, path: str) -> None:
    """A request to Django whose task is cancelled sends request_finished, and leaves no task behind."""
    async with site(api) as root:
        before = asyncio.all_tasks()
        request = root.open(path, query="key=cancelled")
        await record.stops[path[1:]].reached()
        request.task.cancel()
        await asyncio.sleep(0)
        record.stops[path[1:]].open()
        await request.ended()
        assert_signals_around("cancelled")
        assert asyncio.all_tasks() == before


def in_transaction(key: str) -> Iterator[None]:
    with transaction.atomic():
        Item.objects.create(name="row")
        yield
    note(key, "exit")


@api.get("/cancelled-late", dependencies=[Depends(in_transaction)])
async def cancelled_late(key: str) -> None:
    """Has been answered when the cancellation reaches it; its thread is still at work then."""
    busy = asyncio.ensure_future(sync_to_async(record.stops["busy"].wait)())
    await record.stops["busy"].reached()
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    busy.add_done_callback(lambda _: None)


@pytest.mark.violated_by("dropping")
async def test_the_exit_of_a_dependency_is_not_dropped(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A dependency whose exit waits behind another call when the request is cancelled is left all the same."""
    async with site(api) as root:
        request = root.open("/api/cancelled-late", query="key=late")
        await request.took(2)
        await turns_of_the_loop(20)
        record.stops["busy"].open()
        await request.ended()
        assert request.status == 200
        assert record.parts("late") == ["exit"]
        assert "left a transaction open" not in caplog.text


@pytest.mark.violated_by("hand_made", "silent")
async def test_the_signals_do_not_wait_for_the_garbage_collector(site: Site) -> None:
    """With the garbage collector switched off, a cancelled stream has sent both signals when its task has ended."""
    gc.disable()
    try:
        async with site(api) as root:
            request = root.open("/api/stream", query="key=collected", takes=3)
            await request.took(3)
            request.task.cancel()
            await request.ended()
            assert_signals_around("collected")
    finally:
        gc.enable()


async def raw_sync_call(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI app with no framework."""
    await sync_to_async(note)("raw", "sync_to_async")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.mark.violated_by("hand_made", "silent")
async def test_any_asgi_app_sends_the_signals(site: Site) -> None:
    """A mounted app that is no FastAPI sends the signals, too, once it makes a sync call."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await raw_sync_call(scope, receive, send)

    async with site(app) as root:
        assert (await root.get("/api/raw")).status_code == 200
        assert_signals_around("raw")
