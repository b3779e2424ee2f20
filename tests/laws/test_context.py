"""Law 3: ContextVars and asgiref's Locals flow from the loop to the thread and back, and sync code finds its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Annotated, Any, NamedTuple

import anyio.from_thread
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from laws import record
from laws.record import note
from laws.site import Root, Site

pytestmark = pytest.mark.long

api = FastAPI()
word: ContextVar[str] = ContextVar("word", default="unset")
other: ContextVar[str] = ContextVar("other", default="unset")


class Surroundings(NamedTuple):
    """What a ContextVar of the project and asgiref's Locals in Django say here."""

    word: str
    language: str | None
    timezone: str
    urlconf: str | None
    prefix: str


CHANGED = Surroundings("set", "de", "Asia/Tokyo", "another.urls", "/another/")


def change() -> None:
    word.set(CHANGED.word)
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    set_urlconf("another.urls")
    set_script_prefix("/another/")


def look(key: str, part: str) -> None:
    here = Surroundings(
        word.get(),
        translation.get_language(),
        timezone.get_current_timezone_name(),
        get_urlconf(),
        get_script_prefix(),
    )
    note(key, part, here)


def looks(key: str) -> dict[str, object]:
    return {noted.part: noted.value for noted in record.notes_of(key)}


async def changed_on_the_loop(key: str) -> None:
    change()


def seen_by_a_dependency(key: str) -> Iterator[None]:
    look(key, "enter")
    yield
    look(key, "exit")


def steps(key: str) -> Iterator[str]:
    look(key, "step")
    yield "step"


@api.get("/from-the-loop", dependencies=[Depends(changed_on_the_loop), Depends(seen_by_a_dependency)])
def from_the_loop(key: str, tasks: BackgroundTasks) -> None:
    look(key, "endpoint")
    tasks.add_task(look, key, "background")


@api.get("/from-the-loop/stream", dependencies=[Depends(changed_on_the_loop)])
def stream_from_the_loop(key: str) -> StreamingResponse:
    return StreamingResponse(steps(key))


@api.get("/from-the-loop/sync-to-async", dependencies=[Depends(changed_on_the_loop)])
async def sync_to_async_from_the_loop(key: str) -> None:
    await sync_to_async(look)(key, "sync_to_async")


@pytest.mark.violated_by("hand_made", "one_way")
@pytest.mark.parametrize("path", ["", "/stream"])
async def test_sync_code_sees_what_the_loop_set(site: Site, path: str) -> None:
    """What an async dependency sets is seen by every sync part of the request."""
    async with site(api) as root:
        await root.get("/api/from-the-loop" + path, params={"key": "loop"})
        assert looks("loop")
        assert set(looks("loop").values()) == {CHANGED}


async def test_sync_to_async_sees_what_the_loop_set(site: Site) -> None:
    """What an async dependency sets is seen by what the endpoint runs by sync_to_async."""
    async with site(api) as root:
        await root.get("/api/from-the-loop/sync-to-async", params={"key": "loop"})
        assert looks("loop") == {"sync_to_async": CHANGED}


def changed_on_the_thread(key: str) -> Iterator[None]:
    change()
    yield
    look(key, "exit")


@api.get("/from-the-thread/sync", dependencies=[Depends(changed_on_the_thread)])
def sync_sees(key: str, tasks: BackgroundTasks) -> None:
    look(key, "endpoint")
    tasks.add_task(look, key, "background")


@api.get("/from-the-thread/async", dependencies=[Depends(changed_on_the_thread)])
async def async_sees(key: str, tasks: BackgroundTasks) -> None:
    async def background() -> None:
        look(key, "background")

    look(key, "endpoint")
    await sync_to_async(look)(key, "sync_to_async")
    tasks.add_task(background)


@pytest.mark.violated_by("hand_made")
async def test_sync_parts_see_what_a_sync_dependency_set(site: Site) -> None:
    """What a sync dependency sets is seen by the sync endpoint, the sync background task and its own exit."""
    async with site(api) as root:
        await root.get("/api/from-the-thread/sync", params={"key": "thread"})
        assert looks("thread") == {"endpoint": CHANGED, "background": CHANGED, "exit": CHANGED}


@pytest.mark.violated_by("hand_made", "one_way")
async def test_async_parts_see_what_a_sync_dependency_set(site: Site) -> None:
    """What a sync dependency sets is seen by the async endpoint, its sync_to_async and the async background task."""
    async with site(api) as root:
        await root.get("/api/from-the-thread/async", params={"key": "thread"})
        assert set(looks("thread")) == {"endpoint", "sync_to_async", "background", "exit"}
        assert set(looks("thread").values()) == {CHANGED}


@api.get("/from-sync-to-async")
async def from_sync_to_async(key: str) -> None:
    await sync_to_async(change)()
    look(key, "endpoint")
    await run_in_threadpool(look, key, "run_in_threadpool")


@pytest.mark.violated_by("one_way")
async def test_both_doors_share_what_was_set(site: Site) -> None:
    """What sync_to_async sets is seen by the endpoint, and by what it sends through Starlette's thread pool."""
    async with site(api) as root:
        await root.get("/api/from-sync-to-async", params={"key": "doors"})
        assert looks("doors") == {"endpoint": CHANGED, "run_in_threadpool": CHANGED}


def overridden(key: str) -> Iterator[None]:
    token = word.set("inside")
    with translation.override("de"), timezone.override("Asia/Tokyo"):
        yield
    word.reset(token)
    look(key, "after")


Overridden = Annotated[None, Depends(overridden)]


@api.get("/token/sync")
def with_token(key: str, within: Overridden) -> None:
    look(key, "endpoint")


@api.get("/token/async")
async def async_with_token(key: str, within: Overridden) -> None:
    look(key, "endpoint")


@pytest.mark.violated_by("hand_made")
@pytest.mark.parametrize("path", ["sync", "async"])
async def test_a_token_is_reset_where_its_dependency_ends(site: Site, path: str) -> None:
    """A sync yield dependency resets the token that it got when it was entered, and what it overrode is as before."""
    async with site(api) as root:
        answer = await root.get("/api/token/" + path, params={"key": "token"})
        assert answer.status_code == 200
        seen = looks("token")
        assert isinstance(seen["endpoint"], Surroundings)
        assert (seen["endpoint"].word, seen["endpoint"].language) == ("inside", "de")
        assert isinstance(seen["after"], Surroundings)
        assert (seen["after"].word, seen["after"].timezone) == ("unset", settings.TIME_ZONE)


beneath = FastAPI()


@beneath.middleware("http")
async def calling_sync_code(request: Request, call_next: Any) -> Any:
    await run_in_threadpool(other.set, "middleware")
    return await call_next(request)


@beneath.get("/token")
def beneath_middleware(key: str, within: Overridden) -> None:
    look(key, "endpoint")
    note(key, "other", other.get())


@pytest.mark.violated_by("hand_made")
async def test_a_token_is_reset_beneath_a_middleware(site: Site) -> None:
    """Tokens are reset, too, where a middleware that has made sync calls runs the endpoint in a task of its own."""
    async with site(beneath) as root:
        answer = await root.get("/api/token", params={"key": "beneath"})
        assert answer.status_code == 200
        assert record.seen("beneath", "other") == "middleware"
        assert record.parts("beneath") == ["endpoint", "other", "after"]


@api.get("/look")
def only_look(key: str) -> None:
    look(key, "endpoint")


@api.get("/token/events", response_class=EventSourceResponse, dependencies=[Depends(only_look)])
def events_with_token(key: str) -> Iterator[str]:
    token = word.set("generator")
    yield "first"
    look(key, "second step")
    word.reset(token)
    note(key, "reset")
    yield "second"


async def test_a_token_is_reset_in_a_later_event(site: Site) -> None:
    """A sync generator of server-sent events resets in a later step the token that it got in an earlier one."""
    async with site(api) as root:
        await root.get("/api/token/events", params={"key": "events"})
        assert record.parts("events") == ["endpoint", "second step", "reset"]


async def test_a_request_sees_nothing_of_the_one_before_it(site: Site) -> None:
    """The second request on a thread finds nothing of what the first one set there."""
    async with site(api, threads=1) as root:
        await root.get("/api/look", params={"key": "before"})
        await root.get("/api/from-the-thread/sync", params={"key": "between"})
        await root.get("/api/look", params={"key": "after"})
        assert looks("after") == looks("before")
        assert looks("between")["endpoint"] == CHANGED


async def loop_here() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def find_loop(key: str, part: str) -> None:
    note(key, part, async_to_sync(loop_here)())


def loop_by_anyio(key: str) -> None:
    note(key, "anyio", anyio.from_thread.run(loop_here))


def finding(key: str) -> Iterator[None]:
    find_loop(key, "enter")
    yield
    find_loop(key, "exit")


def finding_steps(key: str) -> Iterator[str]:
    find_loop(key, "step")
    yield "step"


@api.get("/loop", dependencies=[Depends(finding)])
def find_loop_in_all_parts(key: str, tasks: BackgroundTasks) -> StreamingResponse:
    find_loop(key, "endpoint")
    loop_by_anyio(key)
    tasks.add_task(find_loop, key, "background")
    return StreamingResponse(finding_steps(key), background=tasks)


@api.get("/loop/sync-to-async")
async def find_loop_by_sync_to_async(key: str) -> None:
    await sync_to_async(find_loop)(key, "sync_to_async")
    await sync_to_async(loop_by_anyio)(key)


@pytest.mark.violated_by("hand_made")
async def test_async_to_sync_runs_on_the_servers_loop(site: Site) -> None:
    """async_to_sync and anyio.from_thread, called in any sync part of a request, run on the server's event loop."""
    async with site(api) as root:
        await root.get("/api/loop", params={"key": "loop"})
        await root.get("/api/loop/sync-to-async", params={"key": "loop"})
        parts = {"enter", "endpoint", "anyio", "step", "background", "exit", "sync_to_async"}
        assert set(record.parts("loop")) == parts
        assert {noted.value for noted in record.notes_of("loop")} == {asyncio.get_running_loop()}


async def test_async_to_sync_in_a_django_view_runs_on_the_servers_loop(site: Site) -> None:
    """async_to_sync in a sync Django view runs on the server's event loop."""
    async with site(api) as root:
        await root.get("/loop", params={"key": "django"})
        assert record.seen("django", "loop") is asyncio.get_running_loop()


async def change_and_return() -> str:
    before = word.get()
    change()
    return before


@api.get("/below")
def below(key: str) -> None:
    word.set("above")
    note(key, "below", async_to_sync(change_and_return)())
    look(key, "after")


async def test_context_flows_through_async_to_sync(site: Site) -> None:
    """The coroutine that async_to_sync runs sees what its caller set, and the caller what the coroutine set."""
    async with site(api) as root:
        await root.get("/api/below", params={"key": "below"})
        assert looks("below") == {"below": "above", "after": CHANGED}


@api.get("/cancelled-below")
def cancelled_below(key: str) -> None:
    async def wait() -> None:
        try:
            note(key, "waits")
            await asyncio.sleep(3)  # Not for ever: what is not cancelled would hold the end of the process.
        except asyncio.CancelledError:
            note(key, "cancelled")
            raise

    async_to_sync(wait)()


@api.get("/cancelled-below/sync-to-async")
async def cancelled_below_sync_to_async(key: str) -> None:
    await sync_to_async(cancelled_below)(key)


async def cancel_while_it_waits_below(root: Root, path: str) -> None:
    request = root.open(path, query="key=cancelled")
    await record.until(lambda: "waits" in record.parts("cancelled"))
    request.task.cancel()
    await request.ended()
    assert record.parts("cancelled") == ["waits", "cancelled"]


@pytest.mark.violated_by("hand_made")
async def test_a_cancellation_reaches_the_coroutine_below_an_endpoint(site: Site) -> None:
    """A request that is cancelled while its sync endpoint waits for a coroutine of async_to_sync cancels that."""
    async with site(api) as root:
        await cancel_while_it_waits_below(root, "/api/cancelled-below")


async def test_a_cancellation_reaches_the_coroutine_below_sync_to_async(site: Site) -> None:
    """The same where the sync code runs by sync_to_async."""
    async with site(api) as root:
        await cancel_while_it_waits_below(root, "/api/cancelled-below/sync-to-async")


@api.get("/dropped")
async def dropped(key: str) -> None:
    word.set("old")
    await run_in_threadpool(look, key, "first")
    word.set("new")
    busy = asyncio.ensure_future(sync_to_async(record.stops["dropped"].wait)())
    await record.stops["dropped"].reached()
    try:
        async with asyncio.timeout(0.05):
            await run_in_threadpool(look, key, "never")
    except TimeoutError:
        look(key, "after")
    record.stops["dropped"].open()
    await busy


async def test_a_call_that_never_ran_sets_nothing(site: Site) -> None:
    """What was set after the last call stays, when the next one is given up before it has begun."""
    async with site(api) as root:
        await root.get("/api/dropped", params={"key": "dropped"})
        words = {noted.part: noted.value.word for noted in record.notes_of("dropped")}
        assert words == {"first": "old", "after": "new"}


noted_word: ContextVar[str] = ContextVar("noted_word")


def note_word(key: str, part: str) -> None:
    note(key, part, noted_word.get(None))


@api.get("/span")
async def span(key: str) -> None:
    token = noted_word.set("span")
    await run_in_threadpool(note_word, key, "inside")
    noted_word.reset(token)
    await run_in_threadpool(note_word, key, "after")
    note_word(key, "endpoint")
    await sync_to_async(note_word)(key, "sync_to_async")


async def test_what_the_loop_has_unset_is_unset_for_sync_code(site: Site) -> None:
    """A ContextVar that the endpoint set, and unset, around a sync call is unset for what comes later."""
    async with site(api) as root:
        await root.get("/api/span", params={"key": "span"})
        assert looks("span") == {"inside": "span", "after": None, "endpoint": None, "sync_to_async": None}


@api.get("/span/again")
async def span_again(key: str) -> None:
    for part in "first", "second":
        await run_in_threadpool(note_word, key, f"before the {part}")
        token = noted_word.set(part)
        await run_in_threadpool(note_word, key, part)
        noted_word.reset(token)
    note_word(key, "endpoint")


async def test_a_word_is_set_and_unset_again_and_again(site: Site) -> None:
    """The same holds for the second time, and where a sync call came before the first."""
    async with site(api) as root:
        await root.get("/api/span/again", params={"key": "again"})
        assert looks("again") == {
            "before the first": None,
            "first": "first",
            "before the second": None,
            "second": "second",
            "endpoint": None,
        }


class Span:
    """Sync code in two calls: the first sets, the second unsets."""

    def begin(self) -> None:
        self.token = noted_word.set("span")

    def end(self) -> None:
        noted_word.reset(self.token)


@api.get("/span/sync")
async def span_of_sync_calls(key: str) -> None:
    sync = Span()
    await run_in_threadpool(sync.begin)
    note_word(key, "inside")
    await run_in_threadpool(sync.end)
    note_word(key, "endpoint")
    await run_in_threadpool(note_word, key, "after")


@pytest.mark.violated_by("hand_made", "one_way")
async def test_what_sync_code_has_unset_is_unset_for_the_loop(site: Site) -> None:
    """A ContextVar that one sync call set and a later one unset is unset for the endpoint too, and set in between."""
    async with site(api) as root:
        await root.get("/api/span/sync", params={"key": "sync"})
        assert looks("sync") == {"inside": "span", "endpoint": None, "after": None}


@api.get("/span/tasks")
async def span_of_tasks(key: str) -> None:
    async def one(part: str) -> None:
        token = noted_word.set(part)
        await run_in_threadpool(note_word, key, part)
        noted_word.reset(token)
        await run_in_threadpool(note_word, key, f"{part}, after")

    token = noted_word.set("endpoint")
    await asyncio.gather(one("one"), one("two"))
    await run_in_threadpool(note_word, key, "endpoint")
    noted_word.reset(token)
    await run_in_threadpool(note_word, key, "endpoint, after")


async def test_each_task_has_its_own_words(site: Site) -> None:
    """Two tasks of a request that set and unset one ContextVar see each their own, and the endpoint sees its own."""
    async with site(api) as root:
        await root.get("/api/span/tasks", params={"key": "tasks"})
        assert looks("tasks") == {
            "one": "one",
            "two": "two",
            "one, after": "endpoint",
            "two, after": "endpoint",
            "endpoint": "endpoint",
            "endpoint, after": None,
        }
