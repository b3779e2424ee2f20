"""Django middleware around the calls of a mounted FastAPI.

Holds `django_for_api/exports.py`, `django_for_api/middleware_chain.py`, `django_for_api/responses.py` and
`django_for_api/view_hooks.py`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, override_settings
from django.utils import translation
from django.utils.translation import gettext
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import FileResponse, StreamingResponse
from starlette.types import Message

import middleware_for_api as kinds
from api_client import ApiClient, both, committed_rows
from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, get_request
from djfast_mount.exceptions import ConfigurationError
from harness import TESTS
from project.shop.models import Item

OLD, TENANT, ASYNC, MARKED, BOTH = (
    f"middleware_for_api.{name}" for name in ("Old", "tenant_middleware", "AsyncOnly", "MarkedAsync", "both_kinds")
)
LOCALE = "django.middleware.locale.LocaleMiddleware"
CHAINS = {
    "methods": [OLD],
    "sync inside": [OLD, ASYNC, BOTH, TENANT],
    "sync outside": [TENANT, MARKED, OLD],
    "sync between": [ASYNC, OLD, TENANT, BOTH, MARKED],
}
DjangoRequest = Annotated[HttpRequest, Depends(get_request)]


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/seen")
    def seen() -> list[Any]:
        return [kinds.tenant.get(), getattr(kinds.local, "tenant", None), translation.get_language(), gettext("Yes")]

    @both(api, "POST", "/item")
    def item(name: str) -> int:
        kinds.events.append(f"endpoint on {threading.get_ident()}")
        return Item.objects.create(name=name).pk

    @api.get("/async-items")
    async def items() -> list[str]:
        return [item.name async for item in Item.objects.order_by("pk")]

    @both(api, "GET", "/number/{number}")
    def number(number: int, response: Response) -> int:
        response.headers["X-Remove"] = "1"
        response.headers.append("X-Two", "a")
        response.headers.append("X-Two", "b")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2")
        return number

    @both(api, "GET", "/boom")
    def boom() -> None:
        raise LookupError("secret")

    @both(api, "GET", "/teapot")
    def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @both(api, "GET", "/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @both(api, "POST", "/me")
    def post_me(user: CurrentUser) -> str:
        return user.get_username()

    @both(api, "POST", "/body")
    def body(body: dict[str, int]) -> dict[str, int]:
        return body

    @both(api, "DELETE", "/nothing", status_code=204)
    def nothing() -> None:
        return None

    @api.get("/file")
    async def file() -> FileResponse:
        return FileResponse(__file__)

    return api


def make_client(root_path: str, middleware: Any, **options: Any) -> ApiClient:
    return ApiClient(mount("/api", make_api(), django_middleware_for_api=middleware, **options), root_path)


@pytest.fixture(autouse=True)
def no_events() -> None:
    kinds.events.clear()


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> list[str]:
    return CHAINS[request.param]


def test_what_middleware_sets_holds_for_the_endpoint(root_path: str, kind: str, chain: list[str]) -> None:
    """Context variables and asgiref's Locals that a middleware sets are seen by the endpoint, and its headers sent."""
    answer = make_client(root_path, chain).get(f"/api/{kind}/seen", headers={"X-Tenant": "acme"})
    # Each async one inside says "async" in front of what it found.
    inside = [path for path in chain[chain.index(TENANT) :] if path in (ASYNC, MARKED)] if TENANT in chain else []
    name = "async " * len(inside) + "acme" if TENANT in chain else "public"
    assert answer.json()[:2] == [name, "acme" if TENANT in chain else None]
    assert ("x-async" in answer.headers) == bool({ASYNC, MARKED} & set(chain))
    assert ("x-both" in answer.headers) == (BOTH in chain)
    assert answer.headers.get("x-tenant") == ("acme" if TENANT in chain else None)
    assert (answer.cookies.get("tenant") == "acme") == (TENANT in chain)
    assert answer.headers["x-old"] == "yes"


def test_calls_do_not_see_one_another(root_path: str, kind: str) -> None:
    """What was set for one call is gone in the next."""
    client = make_client(root_path, [LOCALE, TENANT])
    client.get(f"/api/{kind}/seen", headers={"X-Tenant": "acme", "accept-language": "de"})
    found = client.get(f"/api/{kind}/seen").json()
    assert found[:2] == ["public", "public"]
    assert found[2].startswith("en")


@pytest.mark.parametrize("middleware", [[LOCALE], [LOCALE, TENANT], [TENANT, LOCALE], [ASYNC, LOCALE, OLD]])
def test_the_language_of_a_call(root_path: str, kind: str, middleware: list[str]) -> None:
    """LocaleMiddleware changes the language of the endpoint, and says so in the answer."""
    client = make_client(root_path, middleware)
    for language, yes in (("de", "Ja"), ("fr", "Oui")):
        answer = client.get(f"/api/{kind}/seen", headers={"accept-language": language})
        assert answer.json()[2:] == [language, yes]
        assert answer.headers["content-language"] == language
        assert "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize("name", ["marks_statements", "MarksStatements"])
@pytest.mark.parametrize("path", ["/api/sync/item?name=a", "/api/async/item?name=a"])
def test_the_orm_sees_a_tenant(db: None, root_path: str, path: str, name: str) -> None:
    """What a sync middleware does to its thread's connection holds for all of the endpoint's statements."""
    client = make_client(root_path, [f"middleware_for_api.{name}"])
    assert client.post(path, headers={"X-Tenant": "acme"}).status_code == 200
    thread = kinds.events[0].split()[1]
    assert f"endpoint on {thread}" in kinds.events
    assert set(kinds.events[1:]) == {f"acme asks on {thread}", f"endpoint on {thread}"}


@pytest.mark.parametrize("name", ["marks_statements", "MarksStatements"])
def test_the_async_orm_sees_a_tenant(db: None, root_path: str, name: str) -> None:
    """So do the statements of the async ORM."""
    client = make_client(root_path, [f"middleware_for_api.{name}"])
    Item.objects.create(name="a")
    assert client.get("/api/async-items", headers={"X-Tenant": "acme"}).json() == ["a"]
    thread = kinds.events[0].split()[1]
    assert set(kinds.events[1:]) == {f"acme asks on {thread}"}


@pytest.mark.parametrize("stop", ["request", "view", "async", "stream", "file"])
def test_an_early_response_wins(root_path: str, kind: str, stop: str) -> None:
    """What a middleware answers, before the call or in process_view, is the answer, and the endpoint does not run."""
    client = make_client(root_path, [OLD, TENANT, ASYNC])
    answer = client.post(f"/api/{kind}/body", json={"a": 1}, headers={"X-Stop": stop})
    expected = {"request": "stopped", "view": "stopped", "async": '{"stopped": "async"}', "stream": "ab"}
    assert answer.status_code == (200 if stop == "file" else 418)
    assert answer.text == expected.get(stop, (TESTS / "support" / "middleware_for_api.py").read_text())
    assert answer.headers.get("x-stopped") == (stop if stop in ("request", "view") else None)
    # The middleware around one that answers goes on with that answer.
    assert ("x-tenant" in answer.headers) == (stop in ("view", "async"))


def test_headers_are_merged(root_path: str, kind: str) -> None:
    """Fields come, go and stay as the middleware says; the endpoint's own, and its cookies, are as it sent them."""
    answer = make_client(root_path, [OLD, TENANT]).get(f"/api/{kind}/number/7", headers={"X-Tenant": "acme"})
    assert answer.headers.get_list("x-two") == ["a", "b"]
    assert "x-remove" not in answer.headers
    assert [cookie.split(";")[0] for cookie in answer.headers.get_list("set-cookie")] == [
        "one=1",
        "two=2",
        "tenant=acme",
    ]
    assert (answer.json(), answer.headers["content-length"]) == (7, "1")


@pytest.mark.parametrize(
    ("change", "status", "text"), [("body", 200, "changed"), ("response", 203, "another"), ("", 200, "7")]
)
def test_a_late_response_wins(root_path: str, kind: str, change: str, status: int, text: str) -> None:
    """What process_response returns is the answer, another body or another response."""
    answer = make_client(root_path, [TENANT, OLD]).get(f"/api/{kind}/number/7", headers={"X-Change": change})
    assert (answer.status_code, answer.text) == (status, text)
    assert kinds.events[-1] == "response 200 b'7'"
    assert answer.headers["x-tenant"] == "public"


def test_content_that_django_compresses(root_path: str) -> None:
    """Django's own GZipMiddleware and ConditionalGetMiddleware do for the API what they do for views."""
    names = ["gzip.GZipMiddleware", "http.ConditionalGetMiddleware"]
    client = make_client(root_path, [f"django.middleware.{name}" for name in names])
    answer = client.get("/api/openapi.json", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["info"]
    conditions = {"accept-encoding": "gzip", "if-none-match": answer.headers["etag"]}
    again = client.get("/api/openapi.json", headers=conditions)
    assert (again.status_code, again.content) == (304, b"")


def test_the_hooks_around_the_endpoint(root_path: str, kind: str) -> None:
    """process_view gets the endpoint, its path's parameters and the match; the order is Django's."""
    make_client(root_path, [OLD]).get(f"/api/{kind}/number/7")
    assert kinds.events == [
        "request",
        f"view number {{'number': '7'}} {kind}/number/{{number}}",
        "response 200 b'7'",
    ]


def test_process_exception(root_path: str, kind: str) -> None:
    """It is called for what an endpoint raises, and what it returns is the answer."""
    client = make_client(root_path, [OLD])
    answer = client.get(f"/api/{kind}/boom", headers={"X-Stop": "exception"})
    assert (answer.status_code, answer.text, answer.headers["x-old"]) == (418, "stopped", "yes")
    assert kinds.events[2] == "exception LookupError"
    answer = client.get(f"/api/{kind}/boom")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})


@pytest.mark.parametrize(("path", "status"), [("teapot", 418), ("number/x", 422), ("nowhere", 404)])
def test_answers_are_no_exceptions(root_path: str, kind: str, path: str, status: int) -> None:
    """HTTPException, an invalid request and a path without a route are answers: process_exception is not called."""
    answer = make_client(root_path, [OLD]).get(f"/api/{kind}/{path}", headers={"X-Stop": "exception"})
    assert (answer.status_code, answer.headers["x-old"]) == (status, "yes")
    assert not [event for event in kinds.events if event.startswith("exception")]


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        ("denied", 403, "Forbidden"),
        ("404", 404, "Not Found"),
        ("error", 500, "Internal Server Error"),
        ("response", 500, "Internal Server Error"),
    ],
)
@pytest.mark.parametrize("middleware", [[OLD], [TENANT, OLD], [MARKED, OLD, TENANT]])
def test_errors_of_middleware(
    root_path: str, kind: str, middleware: list[str], raised: str, status: int, detail: str
) -> None:
    """What a middleware raises is answered as what an endpoint raises, and the middleware around it sees a response."""
    answer = make_client(root_path, middleware).get(f"/api/{kind}/seen", headers={"X-Raise": raised})
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert ("x-tenant" in answer.headers) == (middleware[0] == TENANT)
    assert ("x-async" in answer.headers) == (middleware[0] == MARKED)


def test_a_failing_plain_app(root_path: str) -> None:
    """An ASGI app that raises without a response is the server's matter, as it is without middleware."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("nobody answers")

    client = ApiClient(mount("/x", failing, django_middleware_for_api=[OLD, TENANT]), root_path)
    with pytest.raises(LookupError, match="nobody answers"):
        client.get("/x")


def test_errors_of_middleware_around_a_plain_app(root_path: str) -> None:
    """Where there are no handlers, Django's own answer."""

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"plain"})

    client = ApiClient(mount("/x", plain, django_middleware_for_api=[OLD]), root_path)
    assert (client.get("/x").text, client.get("/x").headers["x-old"]) == ("plain", "yes")
    assert client.get("/x", headers={"X-Raise": "denied"}).status_code == 403


# Bodies ------------------------------------------------------------------------------------------------------------


class Taker:
    """A client of one stream, which lets the app go on only when it has what came before."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.came = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.came.set()

    async def next(self) -> Message:
        async with asyncio.timeout(20):
            while not self.messages:
                await self.came.wait()
                self.came.clear()
        return self.messages.pop(0)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("change", ["", "parts"])
def test_streams_pass_unbuffered(root_path: str, chain: list[str], change: str) -> None:
    """The start of a stream comes before its first part, and each part before the app makes the next."""

    async def stream() -> None:
        gates = [asyncio.Event(), asyncio.Event()]
        api = FastAPI()

        @api.get("/stream")
        async def streamed() -> StreamingResponse:
            async def parts() -> AsyncIterator[str]:
                for number, gate in enumerate(gates):
                    await gate.wait()
                    yield f"part {number}"

            return StreamingResponse(parts())

        app = mount("/api", api, django_middleware_for_api=chain)
        taker = Taker()
        headers = {"X-Change": change}
        scope = http_scope(f"{root_path}/api/stream", headers=headers, root_path=root_path)
        task = asyncio.create_task(app(scope, never, taker.send))
        start = await taker.next()
        assert dict(start["headers"])[b"x-old"] == b"yes"
        for number, gate in enumerate(gates):
            gate.set()
            expected = f"part {number}".upper() if change else f"part {number}"
            assert (await taker.next())["body"] == expected.encode()
        assert not (await taker.next()).get("more_body")
        await task

    asyncio.run(stream())
    assert kinds.events[-1] == "response 200 streams"


def test_sync_streams(root_path: str, chain: list[str]) -> None:
    """A sync iterator is drawn in the context that the middleware has set, though that has ended."""
    api = FastAPI()

    @api.get("/stream")
    def streamed() -> StreamingResponse:
        return StreamingResponse(kinds.tenant.get() for _ in range(3))

    client = ApiClient(mount("/api", api, django_middleware_for_api=chain), root_path)
    answer = client.get("/api/stream", headers={"X-Tenant": "acme"})
    assert answer.text.count("acme") == (3 if TENANT in chain else 0)


@pytest.mark.parametrize("name", ["stream", "task"])
def test_the_orm_after_the_middleware(db: None, root_path: str, chain: list[str], name: str) -> None:
    """Async parts of a stream and async background tasks use the ORM, though a sync middleware waits no more."""
    api = FastAPI()
    counted: list[int] = []
    gate = asyncio.Event()

    async def count() -> str:
        await gate.wait()
        counted.append(await Item.objects.acount())
        return "counted"

    @api.get("/stream")
    async def streamed() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "first"
            yield await count()

        return StreamingResponse(parts())

    @api.get("/task")
    async def task(background: BackgroundTasks) -> str:
        background.add_task(count)
        return "answer"

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            gate.set()

    async def drive() -> None:
        scope = http_scope(f"{root_path}/api/{name}", root_path=root_path)
        await asyncio.wait_for(mount("/api", api, django_middleware_for_api=chain)(scope, never, send), 20)

    asyncio.run(drive())
    assert counted == [0]


@pytest.mark.parametrize(
    "headers",
    [{}]
    + [{"X-Stop": name} for name in ("first", "second", "third")]
    + [{"X-Raise": f"{name} {part}"} for name in ("first", "second", "third") for part in ("request", "response")],
    ids=str,
)
@pytest.mark.parametrize("between", [None, MARKED, BOTH, "middleware_for_api.not_used"])
def test_the_order_is_djangos(root_path: str, headers: dict[str, str], between: str | None) -> None:
    """Who sees a request and a response, whichever middleware answers or fails, is the same as in Django's half."""
    names = ["First", *([between] if between else []), "Second", "Third"]
    chain = [name if "." in name else f"middleware_for_api.{name}" for name in names]
    with override_settings(MIDDLEWARE=chain):
        client = make_client(root_path, chain)
        seen = []
        for path in ("/", "/api/sync/number/7", "/api/async/number/7"):
            kinds.events.clear()
            status = client.get(path, headers=headers).status_code
            seen.append((status, list(kinds.events)))
    assert seen[0] == seen[1] == seen[2]


def test_a_stream_that_fails(root_path: str, chain: list[str]) -> None:
    """An error amid a stream reaches the server, which must not end the response as if it were whole."""
    api = FastAPI()

    @api.get("/stream")
    async def streamed() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "one"
            raise LookupError("amid")

        return StreamingResponse(parts())

    scope = http_scope(f"{root_path}/api/stream", root_path=root_path)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(LookupError, match="amid"):
        asyncio.run(mount("/api", api, django_middleware_for_api=chain)(scope, never, send))
    assert [message.get("body") for message in sent] == [None, b"one"]
    assert sent[-1]["more_body"]


def test_a_stream_that_nobody_wants_is_ended(root_path: str) -> None:
    """A stream in whose place a middleware puts another response is cancelled."""
    ended = asyncio.Event()
    api = FastAPI()

    @api.get("/stream")
    async def streamed() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            try:
                while True:
                    yield "more"
            finally:
                ended.set()

        return StreamingResponse(parts())

    client = ApiClient(mount("/api", api, django_middleware_for_api=[OLD]), root_path)
    assert client.get("/api/stream", headers={"X-Change": "response"}).text == "another"
    assert ended.is_set()


def test_a_call_that_is_cancelled(root_path: str, chain: list[str]) -> None:
    """A cancellation from without ends the endpoint before the call is over."""

    async def cancelled() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()
        api = FastAPI()

        @api.get("/long")
        async def long() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        scope = http_scope(f"{root_path}/api/long", root_path=root_path)
        app = mount("/api", api, django_middleware_for_api=chain)
        task = asyncio.create_task(app(scope, never, Taker().send))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(asyncio.wait_for(cancelled(), 20))


@pytest.mark.parametrize("change", ["", "response"])
def test_background_tasks_run_after_the_answer(root_path: str, chain: list[str], change: str) -> None:
    """The answer does not wait for background tasks, and they run whatever became of the answer."""
    sent: list[Message] = []
    done: list[int] = []
    api = FastAPI()

    @api.get("/task")
    def tasks(background: BackgroundTasks) -> str:
        background.add_task(lambda: done.append(len(sent)))
        return "answer"

    async def send(message: Message) -> None:
        sent.append(message)

    async def drive() -> None:
        app = mount("/api", api, django_middleware_for_api=chain)
        scope = http_scope(f"{root_path}/api/task", headers={"X-Change": change}, root_path=root_path)
        await app(scope, never, send)

    asyncio.run(drive())
    assert len(done) == 1
    assert sent


def test_the_body_is_the_endpoints(root_path: str, kind: str, chain: list[str]) -> None:
    """A JSON body, an answer without one, a HEAD and a file come through every chain."""
    client = make_client(root_path, chain)
    assert client.post(f"/api/{kind}/body", json={"a": 1}).json() == {"a": 1}
    assert client.request("DELETE", f"/api/{kind}/nothing").status_code == 204
    assert client.request("HEAD", "/api/docs").headers["x-old"] == "yes"
    assert client.get("/api/file").text == Path(__file__).read_text()


def test_a_file_is_seen_by_the_middleware(root_path: str) -> None:
    """A server that could send the file itself is not asked to, and the middleware's headers are on it."""
    extensions: dict[str, Any] = {"http.response.pathsend": {}, "tls": {}}
    app = mount("/api", make_api(), django_middleware_for_api=[OLD])
    scope = http_scope(f"{root_path}/api/file", root_path=root_path, extensions=extensions)
    answer = asyncio.run(call(app, scope))
    assert answer.body == Path(__file__).read_bytes()
    assert answer.headers["x-old"] == "yes"
    assert "http.response.pathsend" in extensions


def test_websockets_pass_by(root_path: str) -> None:
    """No middleware sees a websocket."""
    api = FastAPI()

    @api.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hi")
        await socket.close()

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**http_scope(f"{root_path}/api/ws", root_path=root_path), "type": "websocket", "subprotocols": []}
    asyncio.run(mount("/api", api, django_middleware_for_api=[OLD, TENANT])(scope, receive, send))
    assert (sent[1]["text"], kinds.events) == ("hi", [])


# Session, user, messages and CSRF -----------------------------------------------------------------------------------


def logged_in(client: ApiClient) -> ApiClient:
    django = Client()
    django.force_login(User.objects.create_user("ada"))
    client.set_cookie("sessionid", django.cookies["sessionid"].value)
    return client


@pytest.mark.parametrize("middleware", ["session", "all", [OLD, TENANT], ["django.middleware.csrf.CsrfViewMiddleware"]])
def test_the_session_is_as_ever(db: None, root_path: str, kind: str, middleware: Any) -> None:
    """The user of the session calls, and an unsafe call wants the CSRF token then, and only then."""
    client = logged_in(make_client(root_path, middleware))
    assert client.get(f"/api/{kind}/me").json() == "ada"
    assert client.post(f"/api/{kind}/me").status_code == 403
    assert client.post(f"/api/{kind}/body", json={"a": 1}).status_code == 200
    client.get("/api/docs")
    assert client.post(f"/api/{kind}/me", headers={"X-CSRFToken": client.cookies["csrftoken"]}).json() == "ada"


def test_session_is_there_for_calls_that_do_not_ask(db: None, root_path: str, kind: str) -> None:
    """With "session", SESSION_SAVE_EVERY_REQUEST holds for each call; by default for those that ask."""
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        client = logged_in(make_client(root_path, "session"))
        assert "sessionid" in client.get(f"/api/{kind}/number/1").cookies
        client = make_client(root_path, None)
        assert "sessionid" not in client.get(f"/api/{kind}/number/1").cookies


def test_a_middleware_sees_the_user(db: None, root_path: str, kind: str) -> None:
    """Django's LoginRequiredMiddleware holds for the API's endpoints, but those that are exempt."""
    client = make_client(root_path, ["django.contrib.auth.middleware.LoginRequiredMiddleware"])
    answer = client.get(f"/api/{kind}/number/7")
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (302, "/accounts/login/")
    assert logged_in(client).get(f"/api/{kind}/number/7").json() == 7


def test_all_is_what_django_has(root_path: str, kind: str) -> None:
    """With "all", a middleware of settings.MIDDLEWARE is around the API, each once."""
    from django.conf import settings  # noqa: PLC0415

    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, OLD]):
        answer = make_client(root_path, "all").get(f"/api/{kind}/number/7")
    assert answer.headers["x-old"] == "yes"
    assert kinds.events.count("request") == 1
    assert answer.headers.get_list("x-frame-options") == ["DENY"]


def test_included_routers_and_mounted_apps(root_path: str) -> None:
    """The hooks are called for routes of included routers and of a FastAPI that is mounted in the API."""
    api, inner, router = FastAPI(), FastAPI(), APIRouter()
    for place in (router, inner):
        place.get("/x")(lambda: 1)
    api.include_router(router, prefix="/r")
    api.mount("/inner", inner)
    client = ApiClient(mount("/api", api, django_middleware_for_api=[OLD]), root_path)
    for path in ("/r/x", "/inner/x"):
        kinds.events.clear()
        assert client.get(f"/api{path}").json() == 1
        assert len([event for event in kinds.events if event.startswith("view")]) == 1
        assert client.get(f"/api{path}", headers={"X-Stop": "view"}).status_code == 418


def test_a_second_mount_without_middleware(root_path: str) -> None:
    """The same app mounted without middleware has none: nothing of the first mount is left in it."""
    api = make_api()
    mount("/api", api, django_middleware_for_api=[OLD])
    client = ApiClient(mount("/api", api), root_path)
    assert client.get("/api/sync/number/7", headers={"X-Stop": "view"}).json() == 7
    assert kinds.events == []


def test_many_calls_at_once(root_path: str, kind: str) -> None:
    """More calls than threads, through sync middleware that waits for its endpoint, end with their own tenants."""
    app = mount("/api", make_api(), django_middleware_for_api=[OLD, TENANT, ASYNC], threads=2)

    async def one(number: int) -> str:
        headers = {"X-Tenant": f"t{number}"}
        answer = await call(app, http_scope(f"{root_path}/api/{kind}/seen", headers=headers, root_path=root_path))
        return answer.body.decode()

    async def all_of_them() -> list[str]:
        return await asyncio.wait_for(asyncio.gather(*map(one, range(20))), 60)

    assert [f'"async t{number}"' in text for number, text in enumerate(asyncio.run(all_of_them()))] == [True] * 20


def test_the_request_is_that_of_get_request(root_path: str) -> None:
    """What a middleware puts on the request is found by who asks for it."""
    api = FastAPI()

    @both(api, "GET", "/match")
    def match(request: DjangoRequest) -> str:
        return str(request.resolver_match.route) if request.resolver_match else ""

    client = ApiClient(mount("/api", api, django_middleware_for_api="session"), root_path)
    assert client.get("/api/sync/match").json() == "sync/match"
    assert client.get("/api/async/match").json() == "async/match"


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("middleware", "words"),
    [
        (["django.middleware.comon.CommonMiddleware"], "Did you mean 'django.middleware.common.CommonMiddleware'?"),
        (["nowhere.Middleware"], "lists 'nowhere.Middleware', which cannot be imported"),
        (["middleware_for_api.Nothing"], "lists 'middleware_for_api.Nothing', which cannot be imported"),
        ("everything", "Give a list of import strings"),
        (3, "got django_middleware_for_api=3"),
        (["middleware_for_api.Neither"], "can be neither sync nor async"),
        (["middleware_for_api.returns_none"], "returned None"),
        ([3], "got django_middleware_for_api=[3]. Give a list of import strings"),
    ],
)
def test_mistakes_are_found_at_the_start(middleware: Any, words: str) -> None:
    """What cannot be put around the API is an error of mount() that says so."""
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        mount("/api", make_api(), django_middleware_for_api=middleware)


def test_a_session_that_django_does_not_have() -> None:
    """The classes for session and user must be those of Django's half."""
    path = "django.contrib.sessions.middleware.SessionMiddleware"
    with override_settings(MIDDLEWARE=[]), pytest.raises(ConfigurationError, match="list it there too"):
        mount("/api", make_api(), django_middleware_for_api=[path])


def test_middleware_that_is_not_used(root_path: str) -> None:
    """One that raises MiddlewareNotUsed is left out, as by Django."""
    client = make_client(root_path, ["middleware_for_api.not_used", OLD])
    assert client.get("/api/sync/number/7").headers["x-old"] == "yes"


def test_the_setting(root_path: str) -> None:
    """settings.DJFAST_MOUNT names them too."""
    with override_settings(DJFAST_MOUNT={"django_middleware_for_api": [OLD]}):
        client = ApiClient(mount("/api", make_api()), root_path)
    assert client.get("/api/sync/number/7").headers["x-old"] == "yes"


def test_the_code_of_the_docs(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The middleware of docs/middleware.md, put around an API as the page does it, does what the page says."""
    page = (TESTS.parent / "docs" / "middleware.md").read_text()
    settings, composition, middleware = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = types.ModuleType("myproject.middleware")
    exec(middleware, module.__dict__)
    monkeypatch.setitem(sys.modules, "myproject", types.ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.middleware", module)
    api = FastAPI()
    both(api, "GET", "/tenant")(lambda: [module.tenant.get(), translation.get_language()])  # type: ignore[attr-defined]
    names: dict[str, Any] = {"mount": mount, "api": api}
    exec(settings, names)
    with override_settings(DJFAST_MOUNT=names["DJFAST_MOUNT"]):
        exec(composition, names)
    client = ApiClient(names["app"], root_path)
    for kind in ("sync", "async"):
        answer = client.get(f"/api/{kind}/tenant", headers={"X-Tenant": "acme", "accept-language": "de"})
        assert answer.json() == ["acme", "de"]
        assert answer.headers["x-served-by"] == "django"


def test_the_endpoint_may_ask_for_its_request(root_path: str) -> None:
    """FastAPI's own request has not been touched: its body can be read, and its path is the one that was asked for."""
    api = FastAPI()

    @api.post("/raw")
    async def raw(request: Request) -> list[str]:
        return [(await request.body()).decode(), request.url.path]

    client = ApiClient(mount("/api", api, django_middleware_for_api=[OLD, TENANT]), root_path)
    assert client.post("/api/raw", content=b"body").json() == ["body", f"{root_path}/api/raw"]
