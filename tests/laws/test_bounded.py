"""Law 6: never more threads run than asked for; who waits for one waits in order of arrival, and not for ever.

Holds `request_thread/unavailable.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated

import pytest
from asgiref.sync import sync_to_async
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from laws import record
from laws.record import note
from laws.site import Site, turns_of_the_loop
from project.shop.models import Item

pytestmark = pytest.mark.long
HEARS_SIGNALS = True

api = FastAPI()


def around(key: str) -> Iterator[None]:
    note("all", "enter")
    yield
    note("all", "exit")


def dependency(key: str) -> str:
    note(key, "dependency")
    return key


Key = Annotated[str, Depends(dependency)]


@api.get("/held")
def held(key: str) -> None:
    note(key, "held")
    record.stops["held"].wait()


@api.get("/sync", dependencies=[Depends(around)])
def sync(key: str) -> int:
    note("all", "endpoint")
    note(key, "endpoint")
    return Item.objects.count()


@api.get("/orm")
async def orm(key: str) -> int:
    await sync_to_async(note)("all", "sync_to_async")
    return await Item.objects.acount()


@api.get("/stream")
def stream(key: str) -> StreamingResponse:
    def draw() -> Iterator[str]:
        for number in range(3):
            note("all", "step")
            yield f"{number} {Item.objects.count()}\n"

    return StreamingResponse(draw())


@api.get("/async")
async def async_only() -> None:
    """Needs no thread."""


@api.get("/with-dependency")
async def with_dependency(key: Key) -> None:
    """Needs a thread for its dependency."""


@api.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(str(await Item.objects.acount()))
    await socket.close()


@pytest.mark.violated_by("hand_made")
async def test_no_more_threads_run_than_asked_for(site: Site) -> None:
    """Requests of every kind at once run on no more threads, and have no more connections, at a time than `threads`."""
    async with site(api, threads=3) as root:
        paths = ["/api/sync", "/api/orm", "/api/stream", "/view", "/async-view", "/steps"]
        answers = await asyncio.gather(*[root.get_many(path, ["all"] * 8) for path in paths])
        assert {answer.status_code for answers_of_path in answers for answer in answers_of_path} == {200}
        assert record.most_spells_at_once() <= 3
        assert record.most_connections_at_once() <= 3


# The hand-made one has as many threads as AnyIO: now and then it serves them in order.
@pytest.mark.violated_by("unfair")
async def test_who_has_waited_longest_is_served_first(site: Site) -> None:
    """Requests that wait for a thread, of both halves and of every kind, are served in order of arrival."""
    async with site(api, threads=1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        paths = ["/api/sync", "/view", "/api/with-dependency", "/api/sync", "/view", "/api/with-dependency"]
        waiting = []
        for number, path in enumerate(paths):
            waiting.append(root.start(path, params={"key": f"{number}"}))
            await turns_of_the_loop(20)
        record.stops["held"].open()
        await asyncio.gather(first, *waiting)
        order = [noted.key for noted in record.notes if noted.key.isdigit()]
        assert list(dict.fromkeys(order)) == [str(number) for number in range(len(paths))]
        assert record.notes[0].key == "first"


KINDS = ["/api/sync", "/api/orm", "/api/stream", "/api/with-dependency", "/view", "/async-view", "/steps"]


@pytest.mark.violated_by("hand_made", "endless")
@pytest.mark.parametrize("path", KINDS, ids=lambda path: path[1:].replace("/", "-"))
async def test_a_wait_in_vain_ends_with_503(site: Site, path: str) -> None:
    """A request of either half that gets no thread within `wait_timeout` is answered 503 with Retry-After."""
    async with site(api, threads=1, wait_timeout=0.1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        answer = await root.get(path, params={"key": "second"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "thread" in answer.text
        record.stops["held"].open()
        assert (await first).status_code == 200
        assert (await root.get(path, params={"key": "third"})).status_code == 200


@pytest.mark.violated_by("hand_made", "endless")
async def test_a_websocket_that_waits_in_vain_is_closed(site: Site) -> None:
    """A websocket whose sync call gets no thread within `wait_timeout` meets an error, and does not hang."""
    async with site(api, threads=1, wait_timeout=0.1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        socket = root.connect("/api/ws")
        await socket.ended()
        assert "websocket.send" not in [sent["type"] for sent in socket.sent]
        record.stops["held"].open()
        await first


@pytest.mark.violated_by("eager")
async def test_async_endpoints_do_not_queue(site: Site) -> None:
    """An async endpoint that needs no thread is answered while others wait in the queue for one."""
    async with site(api, threads=1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        waiting = [root.start("/api/sync", params={"key": "waiting"}) for _ in range(5)]
        await turns_of_the_loop(20)
        assert (await root.get("/api/async")).status_code == 200
        record.stops["held"].open()
        await asyncio.gather(first, *waiting)


async def test_a_request_that_waits_is_served_once_a_thread_comes_free(site: Site) -> None:
    """A request that gets its thread before `wait_timeout` is over is answered as if it had not waited."""
    async with site(api, threads=1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        waiting = [root.start(path, params={"key": "waiting"}) for path in KINDS]
        await turns_of_the_loop(20)
        record.stops["held"].open()
        assert {answer.status_code for answer in await asyncio.gather(first, *waiting)} == {200}


async def test_a_waiting_request_that_is_cancelled_leaves_the_queue(site: Site) -> None:
    """A request cancelled while it waits for a thread runs nothing, and holds up none of those behind it."""
    async with site(api, threads=1) as root:
        first = root.start("/api/held", params={"key": "first"})
        await record.stops["held"].reached()
        cancelled = root.open("/api/sync", query="key=cancelled")
        await turns_of_the_loop(20)
        behind = root.start("/api/sync", params={"key": "behind"})
        await turns_of_the_loop(20)
        cancelled.task.cancel()
        await cancelled.ended()
        record.stops["held"].open()
        assert (await behind).status_code == 200
        assert record.parts("cancelled") == []
        await first
