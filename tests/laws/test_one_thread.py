"""Law 2: in a spell, every sync call of a request runs on one thread, and on that thread runs no other request.

Holds `request_thread/request.py`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models.signals import pre_save
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, field_validator
from starlette.background import BackgroundTask

from laws import record
from laws.record import note
from laws.site import Exchange, Root, Site
from project.shop.models import Item

api = FastAPI()


def dependency(key: str) -> str:
    note(key, "dependency")
    return key


def around(key: str) -> Iterator[str]:
    note(key, "enter")
    yield key
    note(key, "exit")


def around_endpoint(key: str) -> Iterator[str]:
    note(key, "enter, function")
    yield key
    note(key, "exit, function")


Plain = Annotated[str, Depends(dependency)]
Around = Annotated[str, Depends(around)]
AroundEndpoint = Annotated[str, Depends(around_endpoint, scope="function")]


class Checked(BaseModel):
    key: str

    @field_validator("key")
    @classmethod
    def validated(cls, key: str) -> str:
        note(key, "validation")
        return key


@api.get("/dependency")
def with_dependency(key: Plain) -> None:
    note(key, "endpoint")


@api.get("/around")
def with_around(key: Around, same: AroundEndpoint) -> None:
    note(key, "endpoint")


@api.get("/validation", response_model=Checked)
def validation(key: str) -> Any:
    note(key, "endpoint")
    return {"key": key}


@api.get("/background")
def background(key: str, tasks: BackgroundTasks) -> None:
    note(key, "endpoint")
    tasks.add_task(note, key, "background 1")
    tasks.add_task(note, key, "background 2")


@api.get("/sync-to-async")
async def through_asgiref(key: Plain) -> None:
    await sync_to_async(note)(key, "sync_to_async 1")
    await asyncio.gather(*[sync_to_async(note)(key, f"sync_to_async {number}") for number in (2, 3)])


@api.get("/async-orm")
async def async_orm(key: Plain) -> None:
    await Item.objects.acreate(name=key)
    item = await Item.objects.aget(name=key)
    await item.asave()


def on_save(instance: Item, **_: object) -> None:
    note(instance.name, "save")


pre_save.connect(on_save, sender=Item, dispatch_uid="laws.test_one_thread")


def steps(key: str) -> Iterator[str]:
    try:
        for number in range(6):
            note(key, "step")
            yield f"{number}\n"
    finally:
        note(key, "close")


@api.get("/stream")
def stream(key: Around) -> StreamingResponse:
    note(key, "endpoint")
    return StreamingResponse(steps(key), background=BackgroundTask(note, key, "background"))


@api.get("/jsonl")
def json_lines(key: Plain) -> Iterator[str]:
    yield from steps(key)


@api.get("/events", response_class=EventSourceResponse)
def events(key: Plain) -> Iterator[str]:
    yield from steps(key)


BACKGROUND = [f"background {number}" for number in range(4)]


@api.get("/nothing", status_code=204)
def nothing(key: Plain, tasks: BackgroundTasks) -> None:
    for part in BACKGROUND:
        tasks.add_task(note, key, part)


async def parts_of_requests(root: Root, path: str, *, requests: int = 24, status: int = 200) -> set[str]:
    """Which parts ran, after all requests together kept to one thread each, and no thread served two at a time."""
    keys = [f"{path} {number}" for number in range(requests)]
    for answer in await root.get_many(path, keys):
        assert answer.status_code == status
    for key in keys:
        assert len(record.threads(key)) == 1, record.notes_of(key)
    return set(record.parts(keys[0]))


@pytest.mark.violated_by("hand_made", "scattered")
async def test_a_dependency_shares_the_endpoints_thread(site: Site) -> None:
    """A sync dependency and a sync endpoint of one request run on one thread."""
    async with site(api) as root:
        assert await parts_of_requests(root, "/api/dependency") == {"dependency", "endpoint"}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_both_ends_of_a_yield_dependency_share_the_endpoints_thread(site: Site) -> None:
    """A sync yield dependency is entered and left on the endpoint's thread, whatever its scope."""
    async with site(api) as root:
        parts = await parts_of_requests(root, "/api/around")
        assert parts == {"enter", "exit", "enter, function", "exit, function", "endpoint"}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_the_answer_is_validated_on_the_endpoints_thread(site: Site) -> None:
    """The response model validates what a sync endpoint returned on the endpoint's thread."""
    async with site(api) as root:
        assert await parts_of_requests(root, "/api/validation") == {"endpoint", "validation"}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_background_tasks_share_the_endpoints_thread(site: Site) -> None:
    """Sync background tasks run on the endpoint's thread."""
    async with site(api) as root:
        assert await parts_of_requests(root, "/api/background") == {"endpoint", "background 1", "background 2"}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_an_answer_without_a_body_is_no_stream(site: Site) -> None:
    """What comes after an answer that has no Content-Length and no body, 204, runs on the endpoint's thread."""
    async with site(api) as root:
        assert await parts_of_requests(root, "/api/nothing", status=204) == {"dependency", *BACKGROUND}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_sync_to_async_shares_the_dependencys_thread(site: Site) -> None:
    """What an async endpoint runs by sync_to_async, alone and in a gather, runs on its dependency's thread."""
    async with site(api) as root:
        parts = await parts_of_requests(root, "/api/sync-to-async")
        assert parts == {"dependency", "sync_to_async 1", "sync_to_async 2", "sync_to_async 3"}


@pytest.mark.violated_by("hand_made", "scattered")
async def test_the_async_orm_shares_the_dependencys_thread(site: Site) -> None:
    """The async ORM saves on the thread of the request's sync dependency."""
    async with site(api) as root:
        assert await parts_of_requests(root, "/api/async-orm", requests=8) == {"dependency", "save"}


@pytest.mark.violated_by("hand_made")
async def test_a_stream_is_drawn_and_closed_on_the_endpoints_thread(site: Site) -> None:
    """Every step of a StreamingResponse's sync iterator, its end and the background task share one thread."""
    async with site(api, threads=16) as root:
        parts = await parts_of_requests(root, "/api/stream", requests=8)
        assert parts == {"enter", "endpoint", "step", "close", "background", "exit"}


@pytest.mark.violated_by("hand_made")
async def test_json_lines_are_drawn_on_the_dependencys_thread(site: Site) -> None:
    """A sync generator endpoint that answers JSON lines is drawn and ended on its dependency's thread."""
    async with site(api, threads=16) as root:
        assert await parts_of_requests(root, "/api/jsonl", requests=8) == {"dependency", "step", "close"}


@pytest.mark.violated_by("hand_made")
async def test_server_sent_events_are_drawn_on_the_dependencys_thread(site: Site) -> None:
    """A sync generator endpoint that answers server-sent events is drawn and ended on its dependency's thread."""
    async with site(api, threads=16) as root:
        assert await parts_of_requests(root, "/api/events", requests=8) == {"dependency", "step", "close"}


async def test_a_sync_django_view_and_its_middleware_share_a_thread(site: Site) -> None:
    """Sync middleware, a sync view and the closing of its response run on one thread."""
    async with site(api) as root:
        parts = await parts_of_requests(root, "/view")
        assert parts == {"middleware", "middleware, after", "view", "close"}


@pytest.mark.violated_by("scattered")
async def test_an_async_django_view_and_sync_middleware_share_a_thread(site: Site) -> None:
    """Sync middleware around an async view, the view's own sync calls and the closing run on one thread."""
    async with site(api) as root:
        parts = await parts_of_requests(root, "/async-view")
        assert parts == {"middleware", "middleware, after", "sync_to_async", "close"}


@pytest.mark.violated_by("scattered")
async def test_a_stream_of_a_django_view_is_drawn_on_its_thread(site: Site) -> None:
    """The sync iterator of a Django StreamingHttpResponse is drawn and ended on the view's thread."""
    async with site(api, threads=16) as root:
        parts = await parts_of_requests(root, "/steps", requests=8)
        assert parts == {"middleware", "middleware, after", "view", "step", "close"}


@api.get("/endless")
def endless(key: str) -> StreamingResponse:
    return StreamingResponse(forever(key))


@api.get("/endless-jsonl")
def endless_json_lines(key: str) -> Iterator[str]:
    yield from forever(key)


@api.get("/endless-events", response_class=EventSourceResponse)
def endless_events(key: str) -> Iterator[str]:
    yield from forever(key)


def forever(key: str) -> Iterator[str]:
    try:
        while True:
            note(key, "step")
            yield "and on\n"
    finally:
        note(key, "close")


async def closed_after_leaving(root: Root, path: str, spec_version: str) -> None:
    """The client takes a little of the stream and leaves; the iterator is closed within a second, on its thread."""
    client: Exchange = root.open(path, query="key=left", takes=3, spec_version=spec_version)
    await client.took(3)
    client.leave()
    try:
        async with asyncio.timeout(1):
            await record.until(lambda: "close" in record.parts("left"))
    except TimeoutError:
        raise AssertionError("The abandoned iterator was not closed within a second.") from None
    assert len(record.threads("left")) == 1
    await client.ended()


PATHS = ["/api/endless", "/api/endless-jsonl", "/api/endless-events"]


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("path", PATHS)
async def test_an_abandoned_iterator_is_closed_on_its_thread(site: Site, path: str) -> None:
    """A sync iterator whose client leaves is closed on its own thread within a second."""
    async with site(api) as root:
        await closed_after_leaving(root, path, "2.3")


@api.get("/held-stream")
def held_stream(key: str) -> StreamingResponse:
    def draw() -> Iterator[str]:
        try:
            note(key, "step")
            yield "first\n"
            note(key, "running")
            record.stops["step"].wait()
            note(key, "ran")
            yield "second\n"
        finally:
            note(key, "close")

    return StreamingResponse(draw())


@pytest.mark.violated_by("hand_made")
async def test_an_iterator_is_not_closed_while_it_runs(site: Site) -> None:
    """A client that leaves during a step: the iterator is closed after that step has ended, on its thread."""
    async with site(api) as root:
        client = root.open("/api/held-stream", query="key=running")
        await record.stops["step"].reached()
        client.leave()
        assert "close" not in record.parts("running")
        record.stops["step"].open()
        await client.ended()
        assert record.parts("running") == ["step", "running", "ran", "close"]
        assert len(record.threads("running")) == 1


@pytest.mark.violated_by("hand_made")
async def test_requests_on_one_thread_take_turns(site: Site) -> None:
    """With one thread, no part of a request runs between the first and the last part of another."""
    async with site(api, threads=1) as root:
        keys = [f"turn {number}" for number in range(12)]
        await root.get_many("/api/around", keys)
        order = [noted.key for noted in record.notes]
        assert [key for key, _ in itertools.groupby(order)] == sorted(set(order), key=order.index)
