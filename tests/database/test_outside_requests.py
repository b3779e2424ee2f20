"""`request_signalling`: signals and clean connections around code outside of requests, and none within them."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.database import request_signalling
from laws.site import Root, lifespan
from project.shop.models import Item


class Heard(NamedTuple):
    signal: str
    thread: int


@pytest.fixture
def heard() -> Iterator[list[Heard]]:
    """The signals, each with its thread."""
    found: list[Heard] = []

    def started(**_: Any) -> None:
        found.append(Heard("started", threading.get_ident()))

    def finished(**_: Any) -> None:
        found.append(Heard("finished", threading.get_ident()))

    request_started.connect(started)
    request_finished.connect(finished)
    yield found
    request_started.disconnect(started)
    request_finished.disconnect(finished)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """No transaction around the test: other threads are to see what is written, and connections are to be closed."""
    with django_db_blocker.unblock():
        yield
        Item.objects.all().delete()
        connection.close()


def in_a_thread(function: Callable[..., Any], *args: Any) -> Any:
    """What `function` does on a thread of its own, which has no connection yet."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *args).result(10)


def names(heard: list[Heard]) -> list[str]:
    return [each.signal for each in heard]


def is_open() -> bool:
    return connection.connection is not None


def test_a_function_has_signals_on_its_thread(heard: list[Heard]) -> None:
    """A decorated function is called between the two signals, on its thread, and returns what it returns."""

    @request_signalling
    def count(extra: int) -> tuple[int, list[str], int]:
        return Item.objects.count() + extra, names(heard), threading.get_ident()

    assert in_a_thread(count, 3)[:2] == (3, ["started"])
    assert names(heard) == ["started", "finished"]
    assert len({each.thread for each in heard}) == 1
    assert count.__name__ == "count"


def test_a_block_has_signals(heard: list[Heard]) -> None:
    """As a context manager it sends the two signals at the block's begin and end."""
    with request_signalling():
        assert names(heard) == ["started"]
    assert names(heard) == ["started", "finished"]


def test_a_decorator_with_parentheses(heard: list[Heard]) -> None:
    """The decorator may be written with parentheses."""

    @request_signalling()
    def nothing() -> None:
        assert names(heard)[-1] == "started"

    nothing()
    nothing()
    assert names(heard) == ["started", "finished"] * 2


def test_an_error_is_raised_after_the_signal(heard: list[Heard]) -> None:
    """What the code raises is raised, and request_finished is sent."""
    with pytest.raises(LookupError), request_signalling():
        raise LookupError
    assert names(heard) == ["started", "finished"]


def test_a_receiver_that_fails_at_the_begin(heard: list[Heard]) -> None:
    """Where a receiver of request_started fails, its error is raised, nothing is called, and the signals pair."""

    def fail(**_: Any) -> None:
        raise LookupError

    request_started.connect(fail)
    try:
        with pytest.raises(LookupError), request_signalling():
            heard.append(Heard("called", 0))
    finally:
        request_started.disconnect(fail)
    assert names(heard) == ["started", "finished"]
    with request_signalling():
        pass
    assert names(heard) == ["started", "finished"] * 2


def test_connections_are_closed_as_after_a_request() -> None:
    """A connection of the code's is closed after it, as CONN_MAX_AGE says; without signals it would stay."""

    def look(signalled: bool) -> bool:
        with request_signalling() if signalled else transaction.atomic():
            Item.objects.count()
        try:
            return is_open()
        finally:
            connection.close()

    assert in_a_thread(look, False)
    assert not in_a_thread(look, True)


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    """A job that finds a connection from the job before closed is not the first to notice."""

    @request_signalling
    def count() -> int:
        return Item.objects.count()

    def two_jobs() -> int:
        connections["default"].close_at = 0
        count()
        connection.connect()
        connection.connection.close()
        connection.errors_occurred = True
        return count()

    assert in_a_thread(two_jobs) == 0


@pytest.mark.parametrize("how", ["atomic", "autocommit", "begin"])
def test_an_open_transaction_is_rolled_back(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """A transaction that the code leaves open is rolled back and logged with its name; the next job works."""

    @request_signalling
    def leave() -> None:
        if how == "atomic":
            transaction.atomic().__enter__()
        elif how == "autocommit":
            transaction.set_autocommit(False)
        else:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
        Item.objects.create(name="left")

    def jobs() -> tuple[int, bool]:
        leave()
        try:
            with request_signalling():
                return Item.objects.count(), connection.in_atomic_block
        finally:
            connection.close()

    assert in_a_thread(jobs) == (0, False)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "leave left a transaction open on the database 'default'" in record.getMessage()


def test_what_the_caller_has_open_stays_open(caplog: pytest.LogCaptureFixture) -> None:
    """A transaction around the block goes on after it; one begun within it and left is rolled back to its begin."""
    with transaction.atomic():
        Item.objects.create(name="before")
        with request_signalling():
            Item.objects.create(name="within")
            transaction.atomic().__enter__()
            Item.objects.create(name="left")
        Item.objects.create(name="after")
    assert sorted(Item.objects.values_list("name", flat=True)) == ["after", "before", "within"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_nested_blocks_share_their_signals(heard: list[Heard]) -> None:
    """A block within a block sends nothing, and closes nothing that the outer one uses."""
    with request_signalling():
        Item.objects.create(name="one")
        rows = Item.objects.iterator(chunk_size=1)
        with request_signalling():
            pass
        assert [row.name for row in rows] == ["one"]
        assert names(heard) == ["started"]
    assert names(heard) == ["started", "finished"]


def test_a_coroutine_function(heard: list[Heard]) -> None:
    """Around a coroutine function the signals are sent on the thread that its ORM calls work on."""

    @request_signalling
    async def count() -> int:
        await Item.objects.acount()
        return await sync_to_async(threading.get_ident)()

    thread = asyncio.run(count())
    assert heard == [Heard("started", thread), Heard("finished", thread)]
    assert not asyncio.run(sync_to_async(is_open)())
    assert async_to_sync(count)() == threading.get_ident()


def test_coroutines_that_overlap(heard: list[Heard]) -> None:
    """Blocks of tasks that overlap on one thread: none closes the connection of another that reads."""

    async def read(number: int) -> int:
        async with request_signalling():
            rows = Item.objects.aiterator(chunk_size=1)
            await anext(rows)
            await asyncio.sleep(0.001 * number)
            return 1 + len([row async for row in rows])

    async def all_read() -> list[int]:
        await Item.objects.abulk_create([Item(name=f"{number}") for number in range(5)])
        return await asyncio.gather(*[read(number) for number in range(6)])

    assert asyncio.run(all_read()) == [5] * 6
    assert names(heard) == ["started", "finished"]


def test_a_cancelled_coroutine(heard: list[Heard]) -> None:
    """A coroutine that is cancelled has had both signals when it ends."""

    async def wait() -> None:
        async with request_signalling():
            await Item.objects.acount()
            await asyncio.sleep(10)

    async def cancel() -> None:
        task = asyncio.create_task(wait())
        while not heard:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert names(heard) == ["started", "finished"]

    asyncio.run(cancel())


def test_a_generator_function_is_refused() -> None:
    """A generator function is refused with the remedy: its body does not run where it is called."""
    with pytest.raises(TypeError, match=r"generator function.*with request_signalling\(\)"):

        @request_signalling
        def draw() -> Iterator[int]:
            yield 1


class Draws:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [Draws(), functools.partial(Draws().__call__), functools.partial(Draws())])
def test_what_is_called_and_draws_is_refused(function: Any) -> None:
    """An object whose `__call__` is a generator function is refused as well, also in a partial."""
    with pytest.raises(TypeError, match="generator function"):
        request_signalling(function)


@pytest.mark.parametrize("found", ["text", 3, property(len), HttpRequest])
def test_what_is_no_function_is_refused(found: Any) -> None:
    """A class, and what cannot be called, is refused where it is decorated."""
    with pytest.raises(TypeError, match="Give it a function"):
        request_signalling(found)


class Jobs:
    @request_signalling
    @classmethod
    def by_class(cls, heard: list[Heard]) -> list[str]:
        return names(heard)

    @request_signalling
    @staticmethod
    def by_none(heard: list[Heard]) -> list[str]:
        return names(heard)

    async def __call__(self, heard: list[Heard]) -> list[str]:
        return await sync_to_async(names)(heard)


@pytest.mark.parametrize("job", [Jobs.by_class, Jobs().by_class, Jobs.by_none, Jobs().by_none])
def test_a_method_of_a_class(job: Any, heard: list[Heard]) -> None:
    """A class method and a static method may be decorated, on the outside of what makes them so."""
    assert job(heard) == ["started"]
    assert names(heard) == ["started", "finished"]


@pytest.mark.parametrize(
    "job", [Jobs(), functools.partial(Jobs()), sync_to_async(names)], ids=["call", "partial", "to"]
)
def test_what_is_called_and_awaited(job: Any, heard: list[Heard]) -> None:
    """What returns a coroutine, without being a coroutine function, works between the two signals."""
    assert asyncio.run(request_signalling(job)(heard)) == ["started"]
    assert names(heard) == ["started", "finished"]


def test_a_block_is_entered_once(heard: list[Heard]) -> None:
    """A block that is entered again, within itself or by another thread, is refused, and the signals pair."""
    block = request_signalling()
    with block, pytest.raises(RuntimeError, match="entered once"), block:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        in_a_thread(block.__enter__)
    assert names(heard) == ["started", "finished"]


def test_a_receiver_that_exits(heard: list[Heard]) -> None:
    """A receiver of request_finished that ends the process leaves nothing behind on the caller's connection."""

    def leave(**_: Any) -> None:
        raise SystemExit

    request_finished.connect(leave)
    try:
        with transaction.atomic(), pytest.raises(SystemExit), request_signalling():
            Item.objects.count()
    finally:
        request_finished.disconnect(leave)
    assert "close_if_unusable_or_obsolete" not in vars(connections["default"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
# Other tests leave threads. The child uses none of them.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_signals_of_its_own(heard: list[Heard]) -> None:
    """A job of a process that was forked within a block has its two signals, and the block ends in both processes."""
    reads, writes = os.pipe()
    with request_signalling():
        child = os.fork()
        if not child:  # pragma: no cover
            heard.clear()
            with request_signalling():
                pass
            os.write(writes, " ".join(names(heard)).encode())
            os._exit(0)
        os.waitpid(child, 0)
    assert os.read(reads, 100) == b"started finished"
    assert names(heard) == ["started", "finished"]
    os.close(reads)
    os.close(writes)


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="SQLite has no server: --db postgres")
def test_blocks_that_overlap_without_end_outlive_a_lost_connection() -> None:
    """A connection that has broken is replaced with the next block, while another block of the thread goes on."""

    async def count() -> int:
        async with request_signalling():
            return await Item.objects.acount()

    def break_it() -> None:
        connection.connection.close()

    async def consume() -> int:
        async with request_signalling():
            await count()
            await sync_to_async(break_it)()
            with pytest.raises(OperationalError):
                await count()
            return await count()

    assert asyncio.run(consume()) == 0


@request_signalling
def counted() -> int:
    return Item.objects.count()


@request_signalling
async def acounted() -> int:
    return await Item.objects.acount()


api = FastAPI()


@api.get("/sync")
def sync() -> int:
    return counted()


@api.get("/async")
async def asynchronous() -> int:
    return await acounted()


@api.get("/thread")
async def thread() -> int:
    return await asyncio.to_thread(counted)


@api.get("/block")
async def block() -> int:
    with request_signalling():
        return await Item.objects.acount()


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(counted()))


urlpatterns = [path("view", view)]


@pytest.mark.parametrize("url", ["/api/sync", "/api/async", "/api/block", "/view"])
def test_it_has_no_effect_in_a_request(url: str, root_path: str, heard: list[Heard]) -> None:
    """In a request, whose thread has signals of its own, decorated code sends none."""
    assert served(url, root_path) == 200
    assert names(heard) == ["started", "finished"]


def test_a_foreign_thread_of_a_request(root_path: str, heard: list[Heard], caplog: pytest.LogCaptureFixture) -> None:
    """On a thread that a request has begun it sends signals, and the ORM there is no fault to be logged."""
    assert served("/api/thread", root_path) == 200
    assert names(heard) == ["started", "finished"]
    assert [record for record in caplog.records if record.name == "djfast_mount.strays"] == []


def served(url: str, root_path: str) -> int:
    async def get() -> int:
        app = mount("/api", api, static=False, threads=2)
        async with lifespan(app):
            return (await Root(app, root_path).get(url)).status_code

    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        return asyncio.run(get())


def test_a_test_keeps_its_transaction(heard: list[Heard]) -> None:
    """Under Django's TestCase, in an atomic block, decorated code works in the test's transaction and leaves it."""
    with transaction.atomic():
        Item.objects.create(name="of the test")
        assert counted() == 1
        assert connection.in_atomic_block
        transaction.set_rollback(True)
    assert counted() == 0
