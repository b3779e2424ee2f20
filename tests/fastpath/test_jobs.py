"""Plain `def` routes in one hop: how many there are, and that nothing of it can be seen."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import fastapi.routing
import pytest
from asgiref.sync import markcoroutinefunction, sync_to_async
from django.contrib.auth.models import Group
from django.core.signals import request_finished, request_started
from django.http import HttpResponse as DjangoResponse
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import Answer, call, http_scope, request
from djfast_mount import mount
from djfast_mount.threads.lease import Lease

word: ContextVar[str] = ContextVar("word")


class Seen:
    """On which threads what ran, how many calls went to a request thread, and which signals were sent."""

    def __init__(self) -> None:
        self.threads: list[tuple[str, int]] = []
        self.calls = 0
        self.signals: list[str] = []

    def note(self, what: str) -> int:
        self.threads.append((what, threading.get_ident()))
        return threading.get_ident()

    def started(self, **_: Any) -> None:
        self.signals.append("started")

    def finished(self, **_: Any) -> None:
        self.signals.append("finished")

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.threads]

    @property
    def one_thread(self) -> bool:
        found = {thread for _, thread in self.threads}
        return len(found) == 1 and threading.main_thread().ident not in found


seen = Seen()


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    seen.__init__()  # type: ignore[misc]
    submit = Lease.submit

    def counting(lease: Lease, call: Any) -> None:
        seen.calls += 1
        submit(lease, call)

    monkeypatch.setattr(Lease, "submit", counting)
    request_started.connect(seen.started)
    request_finished.connect(seen.finished)
    yield
    request_started.disconnect(seen.started)
    request_finished.disconnect(seen.finished)


def outer() -> str:
    seen.note("outer")
    word.set("set")
    return "outer"


class Inner:
    """A dependency that is a class."""

    def __init__(self, outer: Annotated[str, Depends(outer)], limit: int = 3) -> None:
        seen.note("inner")
        self.said = f"{outer} {limit} {word.get()}"


def opened() -> Iterator[str]:
    seen.note("enter")
    yield "opened"
    seen.note("exit")


async def awaited() -> str:
    return "awaited"


def limited() -> int:
    return seen.note("limited")


def fails() -> str:
    raise HTTPException(418, "in a dependency")


class Refused(Exception):
    pass


def make_api(**options: Any) -> FastAPI:
    api = FastAPI(**options)
    router = APIRouter(prefix="/included")

    @api.get("/plain")
    @router.get("/plain")
    def plain(inner: Annotated[Inner, Depends()]) -> dict[str, str]:
        seen.note("endpoint")
        return {"said": inner.said}

    @api.post("/body")
    def body(inner: Annotated[Inner, Depends()], item: Annotated[dict[str, int], Body()]) -> dict[str, int]:
        seen.note("endpoint")
        return item

    @api.get("/opened")
    def with_opened(inner: Annotated[Inner, Depends()], opened: Annotated[str, Depends(opened)]) -> str:
        seen.note("endpoint")
        return opened

    @api.get("/awaited")
    def with_awaited(awaited: Annotated[str, Depends(awaited)]) -> str:
        seen.note("endpoint")
        return awaited

    @api.get("/background")
    def background(tasks: BackgroundTasks) -> str:
        seen.note("endpoint")
        tasks.add_task(seen.note, "background")
        return "answered"

    @api.get("/background/response")
    def background_of_a_response() -> JSONResponse:
        seen.note("endpoint")
        return JSONResponse("answered", background=BackgroundTask(seen.note, "background"))

    @api.get("/stream")
    def stream() -> StreamingResponse:
        def parts() -> Iterator[str]:
            for part in "abc":
                seen.note(part)
                yield part

        seen.note("endpoint")
        return StreamingResponse(parts())

    @api.get("/file", response_class=FileResponse)
    def file() -> str:
        seen.note("endpoint")
        return __file__

    @api.get("/refused")
    def refused() -> None:
        seen.note("endpoint")
        raise Refused

    @api.get("/http-exception")
    def http_exception() -> None:
        raise HTTPException(409, "in the endpoint", headers={"x-said": "so"})

    @api.get("/dependency-fails")
    def dependency_fails(never: Annotated[str, Depends(fails)]) -> None:
        seen.note("endpoint")

    @api.get("/broken")
    def broken() -> None:
        raise LookupError("a fault")

    @api.get("/wrong-response")
    def wrong_response() -> int:
        return "no number"  # type: ignore[return-value]

    @api.exception_handler(Refused)
    def answer(request: Request, error: Exception) -> PlainTextResponse:
        seen.note("handler")
        return PlainTextResponse("refused", 403)

    api.include_router(router)
    return api


Get = Callable[..., Answer]


@pytest.fixture
def get(root_path: str) -> Get:
    def get(path: str, api: FastAPI | None = None, **options: Any) -> Answer:
        settings = options.pop("settings", {})
        root = mount("/api", api or make_api(), **settings)
        return request(root, root_path + "/api" + path, *options.pop("parts", ()), root_path=root_path, **options)

    return get


@pytest.mark.parametrize("path", ["/plain", "/included/plain"])
def test_dependencies_endpoint_and_validation_are_one_call(get: Get, path: str) -> None:
    """A chain of plain dependencies, the endpoint and its validation are one call, on one thread, in their order."""
    answer = get(path)
    assert answer.json() == {"said": "outer 3 set"}
    assert seen.names == ["outer", "inner", "endpoint"]
    assert seen.one_thread
    assert (seen.calls, seen.signals) == (1, ["started", "finished"])


def test_a_body_is_read_before(get: Get) -> None:
    """A route with a JSON body is one call too: the body is read on the loop."""
    headers = [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"content-length", b"8")]
    answer = get("/body", method="POST", headers=headers, parts=[b'{"a', b'": 1}'])
    assert answer.json() == {"a": 1}
    assert (seen.names, seen.one_thread, seen.calls) == (["outer", "inner", "endpoint"], True, 1)


@pytest.mark.django_db(transaction=True)
def test_a_loop_of_the_endpoints_own_may_use_the_orm(get: Get) -> None:
    """Sync code that a loop begun by the endpoint sends to a thread pool may use the ORM, on the endpoint's thread."""
    api = FastAPI()

    def count() -> int:
        seen.note("count")
        return Group.objects.count()

    @api.get("/loop")
    def loop() -> int:
        seen.note("endpoint")
        return asyncio.run(run_in_threadpool(count))

    assert get("/loop", api).json() == 0
    assert (seen.names, seen.one_thread) == (["endpoint", "count"], True)


def test_a_yield_dependency_is_left_after_the_response(get: Get) -> None:
    """A yield dependency is left on the thread of its entry, and with a call of its own."""
    assert get("/opened").json() == "opened"
    assert (seen.names, seen.one_thread) == (["outer", "inner", "enter", "endpoint", "exit"], True)
    assert seen.calls == 2
    assert seen.signals == ["started", "finished"]


def test_an_async_dependency_stays_on_the_loop(get: Get) -> None:
    """A plain endpoint with an async dependency, which is awaited on the loop before, is one call."""
    assert get("/awaited").json() == "awaited"
    assert seen.calls == 1


def test_a_limited_dependency_stays_on_the_loop(get: Get) -> None:
    """A dependency with `max_concurrency`, whose turn is awaited on the loop, is called from there."""
    api = FastAPI()

    @api.get("/limited")
    def endpoint(
        first: Annotated[str, Depends(outer)], second: Annotated[int, Depends(limited, max_concurrency=1)]
    ) -> str:
        seen.note("endpoint")
        return first

    root = mount("/api", api)

    async def at_once() -> list[Answer]:
        return await asyncio.gather(*(call(root, http_scope("/api/limited")) for _ in range(3)))

    assert [answer.status for answer in asyncio.run(at_once())] == [200, 200, 200]
    seen.__init__()  # type: ignore[misc]
    assert get("/limited", api).json() == "outer"
    assert (seen.names, seen.one_thread) == (["outer", "limited", "endpoint"], True)
    assert seen.calls > 1


def test_an_override_stays_on_the_loop(get: Get) -> None:
    """Where dependencies are overridden, by an async one here, the route is served call by call."""
    api = make_api()
    api.dependency_overrides[outer] = awaited
    word.set("unset")
    assert get("/plain", api).json() == {"said": "awaited 3 unset"}
    assert seen.calls > 1


@pytest.mark.parametrize("path", ["/background", "/background/response"])
def test_background_tasks_run_in_the_same_spell(get: Get, path: str) -> None:
    """A background task runs on the endpoint's thread, between the same two signals."""
    assert get(path).json() == "answered"
    assert (seen.names, seen.one_thread) == (["endpoint", "background"], True)
    assert seen.signals == ["started", "finished"]


def test_a_stream_is_drawn_in_the_same_spell(get: Get) -> None:
    """The iterator of a StreamingResponse is drawn on the endpoint's thread, between the same two signals."""
    assert get("/stream").text == "abc"
    assert (seen.names, seen.one_thread) == (["endpoint", "a", "b", "c"], True)
    assert seen.signals == ["started", "finished"]


def test_a_file_is_sent(get: Get) -> None:
    """A FileResponse, which wants the loop, has it."""
    assert get("/file").text.startswith('"""Plain `def` routes in one hop')
    assert (seen.names, seen.signals) == (["endpoint"], ["started", "finished"])


def test_a_sync_exception_handler_runs_in_the_same_spell(get: Get) -> None:
    """A `def` exception handler runs on the endpoint's thread, between the same two signals."""
    answer = get("/refused")
    assert (answer.status, answer.text) == (403, "refused")
    assert (seen.names, seen.one_thread, seen.signals) == (["endpoint", "handler"], True, ["started", "finished"])


def test_a_sync_handler_of_wrong_parameters_runs_on_the_thread(get: Get) -> None:
    """A `def` handler of an error that comes before the first call has the request's thread, and only that."""
    api = make_api()

    @api.exception_handler(RequestValidationError)
    def answer(request: Request, error: Exception) -> PlainTextResponse:
        seen.note("handler")
        return PlainTextResponse("wrong", 422, background=BackgroundTask(seen.note, "background"))

    @api.get("/number")
    def number(number: int) -> int:
        return number

    assert get("/number", api, query_string=b"number=none").text == "wrong"
    assert (seen.names, seen.one_thread) == (["handler", "background"], True)
    assert (seen.calls > 1, seen.signals) == (True, ["started", "finished"])


def test_errors_are_answered(get: Get) -> None:
    """HTTPExceptions of endpoint and dependency, and wrong parameters, are answered as FastAPI answers them."""
    answer = get("/http-exception")
    assert (answer.status, answer.json(), answer.header("x-said")) == (409, {"detail": "in the endpoint"}, "so")
    assert get("/dependency-fails").status == 418
    assert get("/plain", query_string=b"limit=none").status == 422
    assert "endpoint" not in seen.names


@pytest.mark.parametrize("path", ["/broken", "/wrong-response"])
def test_faults_are_answered_500(get: Get, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the endpoint, and a response that its model refuses, are answered 500 and logged."""
    assert get(path).status == 500
    assert [record.levelname for record in caplog.records if record.name == "django.request"] == ["ERROR"]


class CallingAfter:
    """Middleware that makes a sync call after the app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            await run_in_threadpool(seen.note, "after")


def test_middleware_of_the_app_shares_the_spell(get: Get) -> None:
    """A sync call that the app's middleware makes after the endpoint is of the same spell."""
    assert get("/plain", make_api(middleware=[Middleware(CallingAfter)])).status == 200
    assert (seen.names[-1], seen.one_thread, seen.signals) == ("after", True, ["started", "finished"])


def test_middleware_of_an_app_above_shares_the_spell(get: Get) -> None:
    """The same where the app with the middleware is the one in which the route's app is mounted."""
    above = FastAPI(middleware=[Middleware(CallingAfter)])
    above.mount("/below", make_api())
    assert get("/below/plain", above).status == 200
    assert (seen.names[-1], seen.one_thread, seen.signals) == ("after", True, ["started", "finished"])


class Stamping:
    """Sync Django middleware that does something after the app."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], DjangoResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> DjangoResponse:
        response = self.get_response(request)
        seen.note("after")
        return response


def test_django_middleware_shares_the_spell(get: Get) -> None:
    """What Django's middleware around the API does after the endpoint is of the same spell."""
    middleware = [f"{__name__}.{Stamping.__name__}"]
    assert get("/plain", settings={"django_middleware_for_api": middleware}).status == 200
    assert (seen.names[-1], seen.one_thread, seen.signals) == ("after", True, ["started", "finished"])


def test_calls_of_a_middleware_before_share_the_spell(get: Get) -> None:
    """Sync calls that the root's middleware makes before and after the endpoint are of one spell with it."""

    class CallingBefore(CallingAfter):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await run_in_threadpool(seen.note, "before")
            await super().__call__(scope, receive, send)

    api = make_api(middleware=[Middleware(CallingBefore)])
    assert get("/plain", api).status == 200
    assert (seen.names[0], seen.names[-1]) == ("before", "after")
    assert (seen.one_thread, seen.signals) == (True, ["started", "finished"])


class AsyncStamping:
    """Async Django middleware that makes a sync call after the app."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> DjangoResponse:
        response: DjangoResponse = await self.get_response(request)
        await sync_to_async(seen.note)("after")
        return response


def test_async_django_middleware_shares_the_spell(get: Get) -> None:
    """A sync call that Django's async middleware around the API makes after the endpoint is of the same spell."""
    middleware = [f"{__name__}.{AsyncStamping.__name__}"]
    assert get("/plain", settings={"django_middleware_for_api": middleware}).status == 200
    assert (seen.names[-1], seen.one_thread, seen.signals) == ("after", True, ["started", "finished"])


async def asynchronous() -> str:
    await asyncio.sleep(0.001)
    return "awaited"


@functools.wraps(asynchronous)
def wrapper() -> Any:
    return asynchronous()


def test_a_decorated_coroutine_function_is_no_plain_one(get: Get) -> None:
    """A dependency that wraps a coroutine function, and looks like a `def`, is awaited on the loop."""
    api = FastAPI()

    @api.get("/wrapped")
    def wrapped(first: Annotated[str, Depends(outer)], second: Annotated[str, Depends(wrapper)]) -> list[str]:
        return [first, second]

    assert get("/wrapped", api).json() == ["outer", "awaited"]


# Other hands in FastAPI -------------------------------------------------------------------------------------------

_span: ContextVar[str] = ContextVar("span", default="none")


def in_a_span(function: Any) -> Any:
    """As tracers do it: a context variable is set around FastAPI's own function, and reset at its end."""

    async def traced(*args: Any, **kwargs: Any) -> Any:
        token = _span.set("span")
        try:
            return await function(*args, **kwargs)
        finally:
            _span.reset(token)

    return traced


class WantsTheLoop(JSONResponse):
    def render(self, content: Any) -> bytes:
        asyncio.get_running_loop()
        return super().render(content)


@pytest.mark.parametrize("name", ["none", "run_endpoint_function", "serialize_response", "solve_dependencies"])
def test_a_tracer_in_fastapi(name: str, root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tracer has put in the place of a function of FastAPI's begins and ends in one context, as without us."""
    api = FastAPI()

    @api.get("/alone")
    def alone() -> str:
        return _span.get()

    @api.get("/dependent")
    def dependent(outer: Annotated[str, Depends(outer)]) -> str:
        return _span.get()

    app = mount("/api", api, django=False)
    if name != "none":
        monkeypatch.setattr(fastapi.routing, name, in_a_span(getattr(fastapi.routing, name)))
    for path in ("alone", "dependent"):
        answer = request(app, f"{root_path}/api/{path}", root_path=root_path)
        assert (answer.status, answer.json()) == (200, "span" if name == "run_endpoint_function" else "none")


def test_a_response_class_that_wants_the_loop(root_path: str) -> None:
    """The responses of a project's own class are made where FastAPI makes them: on the event loop."""
    api = FastAPI()

    @api.get("/made", response_class=WantsTheLoop)
    def endpoint() -> str:
        return "made"

    answer = request(mount("/api", api, django=False), f"{root_path}/api/made", root_path=root_path)
    assert (answer.status, answer.json()) == (200, "made")


def test_events_that_a_plain_endpoint_returns(root_path: str) -> None:
    """A plain endpoint with a dependency may return the events of a stream: FastAPI sends them from the event loop."""
    api = FastAPI()

    @api.get("/events", response_class=EventSourceResponse)
    def endpoint(outer: Annotated[str, Depends(outer)]) -> Any:
        return iter([{"n": 1}, {"n": 2}])

    answer = request(mount("/api", api, django=False), f"{root_path}/api/events", root_path=root_path)
    assert (answer.status, answer.body) == (200, b'data: {"n": 1}\n\ndata: {"n": 2}\n\n')
