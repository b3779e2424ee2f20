"""What asgiref, AnyIO, asyncio, Starlette and FastAPI keep to themselves and the doors rely on.

Each test fails on the day that such a name is moved or means something else, and says which room must follow. They ask
the hosts alone: nothing of ours is imported.

Holds `offload/current.py`, `offload/function_kinds.py`, `offload/loop_call.py`, `offload/private_names.py`,
`offload/run.py`, `offload/waiting.py` and `offload/back_to_loop.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import asgiref.local
import asgiref.sync
import fastapi.concurrency
import fastapi.routing
import pytest
import starlette._utils
import starlette.concurrency
from anyio._backends import _asyncio
from anyio._core import _eventloop
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.local import Local
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path, re_path
from django.utils.translation import gettext_lazy
from fastapi import APIRouter, FastAPI

from calls import request

pytestmark = pytest.mark.once


class Counting(Executor):
    """Runs what it is given at once, on the loop's thread, and counts it."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        worker = threading.Thread(target=lambda: future.set_result(fn(*args, **kwargs)))
        worker.start()
        worker.join()
        return future


def test_asgiref_looks_up_the_executor_of_the_context() -> None:
    """sync_to_async submits to what SyncToAsync.context_to_thread_executor has for the thread_sensitive_context."""
    executor = Counting()
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = executor  # type: ignore[assignment]

    async def call() -> None:
        SyncToAsync.thread_sensitive_context.set(context)
        await sync_to_async(int)()

    asyncio.run(call())
    assert executor.calls == 1


def test_asgiref_prefers_the_thread_that_waits_above() -> None:
    """Beneath async_to_sync, AsyncToSync.executors.current is the executor of the thread that waits."""
    seen: list[Any] = []

    async def look() -> None:
        seen.append(AsyncToSync.executors.current)

    async_to_sync(look)()
    assert isinstance(seen[0], CurrentThreadExecutor)
    with pytest.raises(RuntimeError):  # Its caller has gone on.
        seen[0].submit(int)


def test_the_executors_live_in_one_context_variable() -> None:
    """AsyncToSync.executors._storage._data is the ContextVar that has a value exactly where an executor was set."""
    variable = AsyncToSync.executors._storage._data  # type: ignore[union-attr]
    assert isinstance(variable, contextvars.ContextVar)

    def look() -> tuple[Any, Any]:
        before = variable.get(None)
        AsyncToSync.executors.current = "here"  # type: ignore[assignment]
        return before, variable.get(None)

    before, after = contextvars.Context().run(look)
    assert before is None
    assert after is not None


def test_setting_the_executor_on_a_context_sends_calls_there() -> None:
    """What is set as AsyncToSync.executors.current gets the calls of sync_to_async, and None hides the one above."""
    executor = Counting()

    async def call() -> None:
        AsyncToSync.executors.current = executor  # type: ignore[assignment]
        await sync_to_async(int)()
        AsyncToSync.executors.current = None
        await sync_to_async(int)()

    asyncio.run(call())
    assert executor.calls == 1


def test_the_single_thread_is_that_of_all_unclaimed_work() -> None:
    """Outside of every context sync_to_async runs on SyncToAsync.single_thread_executor."""
    assert isinstance(SyncToAsync.single_thread_executor, ThreadPoolExecutor)
    here = asyncio.run(sync_to_async(threading.get_ident)())
    assert here == SyncToAsync.single_thread_executor.submit(threading.get_ident).result(5)


def test_async_to_sync_finds_its_loop_in_threadlocal() -> None:
    """On a thread whose SyncToAsync.threadlocal names a loop and its process, async_to_sync runs there."""

    def settle_and_call(loop: asyncio.AbstractEventLoop) -> tuple[Any, bool]:
        local = SyncToAsync.threadlocal
        local.main_event_loop = loop
        local.main_event_loop_pid = asgiref.sync.os.getpid()  # type: ignore[attr-defined]
        tasks: list[Any] = []
        local.task_context = tasks

        async def look() -> tuple[Any, bool]:
            return asyncio.get_running_loop(), tasks == [asyncio.current_task()]

        return async_to_sync(look)()

    async def call() -> bool:
        loop = asyncio.get_running_loop()
        found, task_is_known = await asyncio.to_thread(settle_and_call, loop)
        return found is loop and task_is_known

    assert asyncio.run(call())


def test_restore_context_moves_locals_to_the_thread() -> None:
    """asgiref.sync._restore_context sets the variables of a context here, and re-homes its Locals to this thread."""
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="unset")
    local = Local()

    def fill() -> None:
        word.set("set")
        local.word = "set"

    def restore() -> tuple[str, str]:
        asgiref.sync._restore_context(filled)
        return word.get(), local.word

    filled = contextvars.copy_context()
    filled.run(fill)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(contextvars.Context().run, restore).result(5) == ("set", "set")


def test_anyio_finds_its_way_back_by_threadlocals() -> None:
    """anyio.from_thread.run uses the EventLoopToken in anyio._core._eventloop.threadlocals, and its backend class."""

    class Backend(_asyncio.AsyncIOBackend):
        @classmethod
        def run_async_from_thread(cls, func: Any, args: Any, token: object) -> Any:
            return "ours"

    def call(loop: asyncio.AbstractEventLoop) -> Any:
        _eventloop.threadlocals.current_token = anyio.lowlevel.EventLoopToken(Backend, loop)

        async def never() -> None:
            raise AssertionError

        return anyio.from_thread.run(never)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, call, loop)

    assert asyncio.run(main()) == "ours"


def test_anyio_asks_the_scope_of_the_thread_whether_it_is_cancelled() -> None:
    """check_cancelled reads threadlocals.current_cancel_scope, and _task_states knows the scope of each task."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with anyio.CancelScope() as scope:
            assert _asyncio._task_states[task].cancel_scope is scope

            def check() -> bool:
                _eventloop.threadlocals.current_cancel_scope = scope
                with contextlib.suppress(asyncio.CancelledError):
                    _asyncio.AsyncIOBackend.check_cancelled()
                    return False
                return True

            assert await asyncio.to_thread(check) is False
            scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await asyncio.to_thread(check) is True

    asyncio.run(main())


def test_a_loop_can_be_hidden() -> None:
    """asyncio._set_running_loop(None) makes the running loop unseen until it is set again."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True
        finally:
            asyncio._set_running_loop(loop)
        return False

    assert asyncio.run(main())


@pytest.mark.parametrize("module", [starlette.concurrency, fastapi.concurrency], ids=lambda module: module.__name__)
def test_the_thread_pools_are_reached_by_a_global(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of both modules reach AnyIO by the global `anyio`, whose to_thread.run_sync they call."""
    calls: list[Any] = []

    class Stub:
        class to_thread:  # noqa: N801
            @staticmethod
            async def run_sync(function: Any, *args: Any, **options: Any) -> Any:
                calls.append(function)
                return function(*args)

        CapacityLimiter = anyio.CapacityLimiter

    monkeypatch.setattr(starlette.concurrency, "anyio", Stub)
    monkeypatch.setattr(module, "anyio", Stub)

    @contextlib.contextmanager
    def opened() -> Iterator[str]:
        yield "opened"

    async def main() -> None:
        if module is fastapi.concurrency:
            async with fastapi.concurrency.contextmanager_in_threadpool(opened()) as value:
                assert value == "opened"
        else:
            await starlette.concurrency.run_in_threadpool(int)
            assert [item async for item in starlette.concurrency.iterate_in_threadpool([1])] == [1]

    asyncio.run(main())
    names = [getattr(getattr(call, "func", call), "__name__", "") for call in calls]
    expected = {fastapi.concurrency: ["__enter__", "__exit__"], starlette.concurrency: ["int", "_next", "_next"]}
    assert names == expected[module]


def test_starlette_tells_the_end_of_an_iterator_by_an_error_of_its_own() -> None:
    """starlette.concurrency._next returns the next item, and raises _StopIteration after the last."""
    items = iter([1])
    assert starlette.concurrency._next(items) == 1
    with pytest.raises(starlette.concurrency._StopIteration):
        starlette.concurrency._next(items)


def nothing() -> None:
    pass


def test_fastapi_tells_which_routes_an_included_router_has() -> None:
    """An included router is an _IncludedRouter, with its candidates; a change of routes changes _routes_version."""
    api, router = FastAPI(), APIRouter()
    api.include_router(router, prefix="/a")
    (included,) = [route for route in api.routes if isinstance(route, fastapi.routing._IncludedRouter)]
    assert included.original_router is router
    before = router._routes_version
    router.add_api_route("/b", nothing)
    assert router._routes_version != before
    assert [candidate.path_regex.pattern for candidate in included.effective_candidates()] == ["^/a/b$"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["run_endpoint_function", "serialize_response", "solve_dependencies"])
def test_fastapi_looks_its_steps_up_with_each_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """fastapi.routing awaits run_endpoint_function, serialize_response and solve_dependencies by its globals."""
    api, called, found = FastAPI(), [], vars(fastapi.routing)[name]
    api.get("/")(lambda: 1)

    async def counting(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return await found(*args, **kwargs)

    monkeypatch.setitem(vars(fastapi.routing), name, counting)
    assert (request(api).json(), called) == (1, [name])


def test_starlette_tells_the_path_of_a_route() -> None:
    """starlette._utils.get_route_path takes root_path off the path."""
    scope: Any = {"type": "http", "path": "/under/a", "root_path": "/under"}
    assert starlette._utils.get_route_path(scope) == "/a"


def test_django_resolves_each_request_by_a_method() -> None:
    """BaseHandler calls its resolve_request(request) for each request, whose match it then uses."""
    asked: list[str] = []

    class Handler(BaseHandler):
        def resolve_request(self, request: Any) -> Any:
            asked.append(request.path_info)
            match = super().resolve_request(request)
            match.func = lambda request: HttpResponse("ours")
            return match

    handler = Handler()
    handler.load_middleware()
    assert handler.get_response(RequestFactory().get("/admin/")).content == b"ours"
    assert asked == ["/admin/"]


@pytest.mark.django_db
def test_a_response_names_its_handler_when_it_is_closed() -> None:
    """response.close() sends request_finished with response._handler_class as its sender."""
    senders: list[Any] = []

    def note(sender: Any, **_: Any) -> None:
        senders.append(sender)

    response = HttpResponse()
    response._handler_class = Counting  # type: ignore[attr-defined]
    request_finished.connect(note)
    try:
        response.close()
    finally:
        request_finished.disconnect(note)
    assert senders == [Counting]


def test_a_translated_path_is_no_string() -> None:
    """RoutePattern._route and RegexPattern._regex are what path() and re_path() were given."""
    for given in ("news/", gettext_lazy("news/")):
        assert path(given, nothing).pattern._route is given
        assert re_path(given, nothing).pattern._regex is given
    assert not isinstance(gettext_lazy("news/"), str)


def test_asgirefs_storage_belongs_to_a_thread() -> None:
    """What a Local has in a context is a _Storage with its thread's identity, and _rehome makes one of this thread."""

    def found() -> list[Any]:
        local = Local()
        local.value = 1
        return [value for value in contextvars.copy_context().values() if type(value) is asgiref.local._Storage]

    [storage] = contextvars.Context().run(found)
    assert (storage.thread_id, storage.data) == (threading.get_ident(), {"value": 1})
    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(asgiref.local._rehome, storage).result()
    assert moved.thread_id not in (threading.get_ident(), None)
    assert moved.data == {"value": 1}


@pytest.mark.django_db
def test_a_response_of_djangos_closes_what_it_holds() -> None:
    """HttpResponseBase.close() calls _resource_closers, whatever they raise, empties them and notes it; no more than
    that and the signal.
    """
    calls: list[str] = []

    def fail() -> None:
        calls.append("failed")
        raise LookupError

    response = HttpResponse()
    response._resource_closers += [fail, lambda: calls.append("closed")]
    before = vars(response).keys()
    response.close()
    assert calls == ["failed", "closed"]
    assert (response._resource_closers, response.closed) == ([], True)
    assert vars(response).keys() == before
