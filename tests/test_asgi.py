"""`mount()`: its arguments, several apps, an outer prefix in every style of proxy, root middleware.

Holds `application.py` and `request_thread/from_options.py`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import anyio.from_thread
import pytest
from django.test import override_settings
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calls import HOST, Answer, answer_name, call, http_scope, nothing_to_receive, request, websocket
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from project.api import api as project_api

# An outer prefix, in every style ------------------------------------------------------------------------------------

# Of each: what stands before the path in the server's scope, the server's root_path, and FORCE_SCRIPT_NAME.
STYLES = {
    "uvicorn": ("/pre", "/pre", None),
    "root_path apart from the path": ("", "/pre", None),
    "script name, prefix kept": ("/pre", "", "/pre"),
    "script name, prefix stripped": ("", "", "/pre"),
    "both": ("/pre", "/pre", "/pre"),
}


class Prefixed:
    """A root that is served under /pre."""

    def __init__(self, before: str, root_path: str) -> None:
        self.root = mount("/api", project_api)
        self.before = before
        self.root_path = root_path

    def get(self, path: str, **scope: Any) -> Answer:
        return request(self.root, self.before + path, root_path=self.root_path, **scope)


@pytest.fixture(params=STYLES)
def prefixed(request: pytest.FixtureRequest) -> Iterator[Prefixed]:
    before, root_path, script_name = STYLES[request.param]
    # DEBUG: static files as they lie in the apps. STATIC_URL: set anew, Django forgets with whose prefix it was read.
    with override_settings(FORCE_SCRIPT_NAME=script_name, DEBUG=True, STATIC_URL="static/"):
        yield Prefixed(before, root_path)


REFUSED = {
    "host": ("/api/where", [(b"host", b"evil.example")], 400, "Bad Request"),
    "control character": ("/api/\x01", HOST, 400, "Bad Request"),
    "body": ("/api/where", [*HOST, (b"content-length", b"9" * 12)], 413, "Content Too Large"),
}


@pytest.mark.parametrize("what", REFUSED)
@override_settings(ALLOWED_HOSTS=["testserver"], DEBUG=False)
def test_what_the_root_refuses_is_json_in_the_api(what: str, root_path: str) -> None:
    """A client of the API can read each error in the one shape, also where the API itself was not asked."""
    path, headers, status, detail = REFUSED[what]
    root = mount("/api", project_api)
    answer = request(root, root_path + path, root_path=root_path, headers=headers)
    assert (answer.status, answer.json()) == (status, {"detail": detail})


def test_url_for_bears_the_outer_prefix(prefixed: Prefixed) -> None:
    """request.url_for and request.url of an endpoint are what a client must ask for."""
    found = prefixed.get("/api/where").json()
    url = "http://testserver/pre/api/where"
    assert found == {"path": "/pre/api/where", "root_path": "/pre/api", "url": url, "url_for": url}


def test_the_docs_bear_the_outer_prefix(prefixed: Prefixed) -> None:
    """The docs page asks for the schema below the prefix, and the schema names that prefix as its server."""
    page = prefixed.get("/api/docs").text
    assert re.search('openapi-url="([^"]+)"', page)[1] == "/pre/api/openapi.json"  # type: ignore[index]
    assert prefixed.get("/api/openapi.json").json()["servers"] == [{"url": "/pre/api"}]


def test_djangos_links_bear_the_outer_prefix(prefixed: Prefixed) -> None:
    """reverse(), {% static %} and build_absolute_uri() give what a client must ask for."""
    assert prefixed.get("/links/").json() == {
        "reverse": "/pre/echo/",
        "static": "/pre/static/admin/css/base.css",
        "absolute": "http://testserver/pre/links/",
    }


def test_djangos_path_is_split_at_the_outer_prefix(prefixed: Prefixed) -> None:
    """A view meets script name, path_info and path as under WSGI."""
    found = prefixed.get("/echo/").json()
    assert (found["script_name"], found["path_info"], found["path"]) == ("/pre", "/echo/", "/pre/echo/")


def test_the_admin_is_styled_below_the_outer_prefix(prefixed: Prefixed) -> None:
    """The CSS links of the admin's login page bear the prefix and lead to files."""
    links = re.findall(r'<link rel="stylesheet" href="([^"]+)"', prefixed.get("/admin/login/").text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/pre/static/admin/")
        answer = prefixed.get(link.removeprefix("/pre"))
        assert (answer.status, answer.header("content-type")) == (200, 'text/css; charset="utf-8"')


def test_a_websocket_is_found_below_the_outer_prefix(prefixed: Prefixed) -> None:
    """A websocket of the API is reached in every style of proxy."""
    sent = websocket(prefixed.root, f"{prefixed.before}/api/ws", "hi", root_path=prefixed.root_path)
    assert [message.get("text") for message in sent] == [None, "hi"]


def test_the_prefix_alone_is_djangos_home(prefixed: Prefixed) -> None:
    """The outer prefix without a slash is the site's own root."""
    if prefixed.before:
        assert prefixed.get("").text == "django home"
    assert prefixed.get("/").text == "django home"


# Several apps --------------------------------------------------------------------------------------------------------


def named(name: str) -> FastAPI:
    """A FastAPI that answers its name, and where it believes to be, whatever the path."""
    app = FastAPI()

    @app.get("/{rest:path}")
    async def answer(request: Request, rest: str) -> dict[str, str]:
        return {"app": name, "root_path": request.scope["root_path"], "rest": rest}

    return app


@pytest.mark.parametrize(
    ("path", "app", "prefix", "rest"),
    [
        ("/api", "one", "/api", ""),
        ("/api/v1", "one", "/api", "v1"),
        ("/api/v22/x", "one", "/api", "v22/x"),
        ("/api/v2", "two", "/api/v2", ""),
        ("/api/v2/", "two", "/api/v2", ""),
        ("/api/v2/x/y", "two", "/api/v2", "x/y"),
        ("/mcp/x", "three", "/mcp", "x"),
        ("/again/x", "one", "/again", "x"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_longest_prefix_wins(path: str, app: str, prefix: str, rest: str, turned: bool, root_path: str) -> None:
    """Nested prefixes lead to the right app in whatever order they are given; one app may have two prefixes."""
    one = named("one")
    apps = {"/api": one, "/api/v2": named("two"), "/mcp": named("three"), "/again": one}
    root = mount(dict(reversed(apps.items())) if turned else apps)
    found = request(root, root_path + path, root_path=root_path).json()
    assert found == {"app": app, "root_path": root_path + prefix, "rest": rest}


def test_the_root_knows_its_routes() -> None:
    """`routes` and `url_path_for` of the root name the mounted apps, as Starlette's do."""
    root = mount({"/api": named("one"), "/api/v2": named("two")})
    assert [getattr(route, "path", None) for route in root.routes] == ["/api", "/api/v2"]
    assert root.url_path_for("api", path="/x") == "/api/x"
    assert root.url_path_for("api-v2", path="/x") == "/api/v2/x"


def test_any_asgi_app_can_be_mounted(root_path: str) -> None:
    """An app need not be FastAPI's: a function will do."""

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_name(f"{scope['root_path']} {scope['path']}", scope, receive, send)

    answer = request(mount("/plain", plain), f"{root_path}/plain/x", root_path=root_path)
    assert answer.text == f"{root_path}/plain {root_path}/plain/x"


def test_without_django_the_api_is_alone(root_path: str) -> None:
    """With django=False and static=False everything outside of the prefix is a plain 404."""
    root = mount("/api", project_api, django=False, static=False)
    assert request(root, f"{root_path}/api/", root_path=root_path).status == 200
    for path in ("/", "/echo/", "/admin/", "/apix", "/static/admin/css/base.css"):
        answer = request(root, root_path + path, root_path=root_path)
        assert (answer.status, answer.text) == (404, "Not Found")


@override_settings(DEBUG=True)
def test_without_static_django_answers_their_paths() -> None:
    """With static=False no file is served; its path goes to Django."""
    assert request(mount("/api", project_api), "/static/admin/css/base.css").status == 200
    assert request(mount("/api", project_api, static=False), "/static/admin/css/base.css").status == 404


# The root: middleware, exception handlers, scope types ----------------------------------------------------------------


class Marking(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-marked"] = request.url.path
        return response


class Stamping:
    """The same in ASGI's own words."""

    def __init__(self, app: ASGIApp, header: str = "x-stamped") -> None:
        self.app = app
        self.header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[self.header] = scope["type"]
            await send(message)

        await self.app(scope, receive, stamp)


HALVES = pytest.mark.parametrize("path", ["/api/where", "/api/none", "/echo/", "/none/"])


@HALVES
def test_root_middleware_is_around_both_halves(path: str, root_path: str) -> None:
    """Starlette middleware, of either kind, sees the requests and answers of the API and of Django."""
    root = mount("/api", project_api, middleware=[Middleware(Marking), Middleware(Stamping, header="x-also")])
    answer = request(root, root_path + path, root_path=root_path)
    assert answer.header("x-marked") == root_path + path
    assert answer.header("x-also") == "http"


@HALVES
def test_middleware_can_be_added_later(path: str) -> None:
    """add_middleware puts a layer around the others until the first request."""
    root = mount("/api", project_api)
    root.add_middleware(Stamping)
    root.add_middleware(Marking)
    answer = request(root, path)
    assert (answer.header("x-stamped"), answer.header("x-marked")) == ("http", path)


def test_a_whole_body_passes_root_middleware(root_path: str) -> None:
    """BaseHTTPMiddleware hands on a request's body in both halves."""
    root = mount("/api", project_api, middleware=[Middleware(Marking)])
    for path, key in (("/api/size", "size"), ("/echo/", "body")):
        parts = [b"x" * 50_000] * 4
        headers = [(b"host", b"testserver"), (b"content-length", b"200000")]
        answer = request(root, root_path + path, *parts, root_path=root_path, method="POST", headers=headers)
        assert answer.json()[key] == 200_000


def test_without_root_middleware_there_is_no_layer() -> None:
    """The stack is the dispatcher itself; one middleware brings Starlette's own two layers with it."""
    bare = mount("/api", project_api)
    assert bare.build_middleware_stack() == bare._dispatch
    assert mount("/api", project_api, middleware=[Middleware(Marking)]).build_middleware_stack() != bare._dispatch


@pytest.mark.parametrize("length", [[], [(b"content-length", b"4")]], ids=["no length", "length"])
def test_headers_may_be_an_iterator(root_path: str, length: list[tuple[bytes, bytes]]) -> None:
    """The headers of a response may be any iterable, as ASGI has it: none of them is lost."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain"), (b"x-from", b"app"), *length]
        await send({"type": "http.response.start", "status": 200, "headers": iter(headers)})
        await send({"type": "http.response.body", "body": b"body"})

    answer = request(mount("/api", app), root_path + "/api/x", root_path=root_path)
    assert (answer.header("x-from"), answer.header("content-type")) == ("app", "text/plain")
    assert answer.body == b"body"


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """An app without handlers of its own."""
    assert scope["type"] == "http"
    raise HTTPException(418) if scope["path"].endswith("teapot") else LookupError("planted")


def test_exception_handlers_of_the_root_answer(root_path: str) -> None:
    """add_exception_handler answers what leaves an app, by class or by status."""
    root = mount("/broken", broken)
    root.add_exception_handler(LookupError, lambda request, error: PlainTextResponse(str(error), status_code=409))
    root.add_exception_handler(418, lambda request, error: PlainTextResponse("short and stout", status_code=418))
    answers = [request(root, f"{root_path}/broken/{kind}", root_path=root_path) for kind in ("lookup", "teapot")]
    assert [(answer.status, answer.text) for answer in answers] == [(409, "planted"), (418, "short and stout")]


def test_without_handlers_a_fault_goes_to_the_server() -> None:
    """What an app raises reaches the server, which logs it, as it is."""
    with pytest.raises(LookupError, match="planted"):
        request(mount("/broken", broken), "/broken/lookup")


class Failing:
    """Middleware that fails before any app is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise LookupError("planted")
        await self.app(scope, receive, send)


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_in_root_middleware_is_a_500(debug: bool) -> None:
    """An error of root middleware is answered 500, with its traceback under debug alone, and raised for the log."""
    root = mount("/api", project_api, middleware=[Middleware(Failing)], debug=debug)
    answer = Answer()

    async def send(message: Message) -> None:
        answer.messages.append(message)

    with pytest.raises(LookupError):
        asyncio.run(root(http_scope("/"), nothing_to_receive, send))
    assert answer.status == 500
    assert ("planted" in answer.text) is debug


def test_the_roots_own_handler_answers_a_500() -> None:
    """A handler for Exception answers a fault of root middleware."""
    root = mount("/api", project_api, middleware=[Middleware(Failing)])
    root.add_exception_handler(Exception, lambda request, error: PlainTextResponse(repr(error), status_code=500))
    answer = Answer()

    async def send(message: Message) -> None:
        answer.messages.append(message)

    with contextlib.suppress(LookupError):
        asyncio.run(root(http_scope("/"), nothing_to_receive, send))
    assert answer.text == "LookupError('planted')"


def test_debug_follows_the_settings() -> None:
    """Without the argument, settings.DEBUG decides whether the root shows tracebacks."""
    with override_settings(DEBUG=True):
        assert mount("/api", project_api).debug is True
        assert mount("/api", project_api, debug=False).debug is False
    assert mount("/api", project_api).debug is False


@pytest.mark.parametrize("kind", ["dns", "webtransport", "HTTP", ""])
def test_an_unknown_scope_type_raises(kind: str) -> None:
    """A scope of another type raises an error that names it, and nothing is read or sent."""
    with pytest.raises(ValueError, match=re.escape(f"not {kind!r} (ASGI asks")):
        asyncio.run(call(mount("/api", project_api), {"type": kind}))


def test_mount_returns_a_starlette() -> None:
    """What mount() returns is a MountedApplication, whose state is Starlette's."""
    root = mount("/api", project_api)
    assert type(root) is MountedApplication
    root.state.anything = 1
    assert root.state.anything == 1


def test_who_gets_no_thread_is_told_of_in_the_log(root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A request that is answered 503, for none of the threads came free, is one warning that names it and a remedy."""
    api = FastAPI()
    held, free = threading.Event(), threading.Event()

    @api.get("/hold")
    def hold() -> None:
        held.set()
        free.wait(10)

    @api.get("/wait")
    def wait() -> None:
        pass

    root = mount("/api", api, threads=1, wait_timeout=0.01)

    async def run() -> int:
        path = f"{root_path}/api"
        holding = asyncio.ensure_future(call(root, http_scope(f"{path}/hold", root_path=root_path)))
        await asyncio.to_thread(held.wait, 10)
        waiting = await call(root, http_scope(f"{path}/wait", root_path=root_path))
        free.set()
        await holding
        return waiting.status

    assert asyncio.run(run()) == 503
    [record] = caplog.records
    assert (record.name, record.levelname) == ("djfast_mount.threads", "WARNING")
    assert "/api/wait got none of 1 threads within 0.01 s." in record.getMessage()


def test_a_cancellation_between_two_calls_to_the_loop_is_met_by_the_second(root_path: str) -> None:
    """Sync code that goes to the loop by anyio.from_thread after its request was cancelled does not wait there."""
    api, ends = FastAPI(), []

    @api.get("/")
    def wait() -> None:
        anyio.from_thread.run_sync(begun.set)
        cancelled.wait(10)
        try:
            anyio.from_thread.run(asyncio.Event().wait)
        except BaseException as error:
            ends.append(type(error))
            raise

    root = mount("/api", api)
    begun, cancelled = asyncio.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.ensure_future(call(root, http_scope(f"{root_path}/api/", root_path=root_path)))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)  # It is met here, and waits for the sync code.
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), 10)

    asyncio.run(run())
    assert ends == [concurrent.futures.CancelledError]
