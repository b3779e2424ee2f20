"""What plans answer under `mount()`, for endpoints of each kind: what FastAPI answers in its own way."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Annotated, Any
from unittest import mock
from urllib.parse import quote_plus

import fastapi.dependencies.utils
import fastapi.middleware.asyncexitstack
import fastapi.routing
import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    Path,
    Query,
    Request,
    Response,
    Security,
    WebSocket,
    WebSocketException,
)
from fastapi.security import APIKeyHeader, SecurityScopes
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import HOST, Answer, call, http_scope, request, websocket
from djfast_mount import mount

pytestmark = pytest.mark.once


class Item(BaseModel):
    name: str
    price: float = 1.0


class Page(BaseModel):
    size: int = 3
    after: list[str] = []


def leaf(q: int = 1, x_token: Annotated[str, Header()] = "none") -> str:
    return f"{q} {x_token}"


def wants_cookie(seen: Annotated[int, Cookie()]) -> int:
    return seen


def sets_header(response: Response, who: Annotated[str, Depends(leaf)]) -> str:
    response.headers["x-who"] = str(len(who))
    response.status_code = 201
    return who


def of_scopes(
    scopes: SecurityScopes, key: Annotated[Any, Security(APIKeyHeader(name="x-key", auto_error=False))]
) -> Any:
    return scopes.scopes, key


def scopes_alone(scopes: SecurityScopes) -> list[str]:
    return scopes.scopes


def either(request: Request = None, websocket: WebSocket = None) -> str:  # type: ignore[assignment]
    """As what serves both kinds is written."""
    return f"{type(request).__name__} {type(websocket).__name__}"


def replaced() -> str:
    return "never seen: it is overridden"


def replacement(name: str = "nobody") -> str:
    return name


async def opened(q: int = 1) -> AsyncIterator[int]:
    yield q


done: list[str] = []


def noted(tasks: BackgroundTasks) -> None:
    tasks.add_task(done.append, "task")


class Called:
    def __call__(self, q: int = 7) -> int:
        return q


def make_api() -> FastAPI:
    api = FastAPI()
    api.dependency_overrides[replaced] = replacement

    @api.get("/nothing/{number}")
    async def nothing() -> str:
        return "nothing"

    @api.get("/path/{number}")
    async def path(number: Annotated[int, Path(gt=1)]) -> int:
        return number

    @api.get("/query/{number}")
    def query(q: int, names: Annotated[list[str], Query(max_length=2)] = [], *, size: float = 1) -> Any:  # noqa: B006
        return q, names, size

    @api.get("/texts/{number}")
    async def texts(q: str = "none", name: str = "none") -> Any:
        return q, name

    @api.get("/all/{number}")
    def everything(
        number: int, q: int, x_token: Annotated[int, Header()], seen: Annotated[int, Cookie()], request: Request
    ) -> Any:
        return number, q, x_token, seen, request.url.path

    @api.get("/models/{number}")
    async def models(page: Annotated[Page, Query()], connection: HTTPConnection) -> Any:
        return page, str(connection.url)

    @api.post("/body/{number}")
    async def body(item: Item, number: int) -> Any:
        return number, item

    @api.post("/bodies/{number}")
    def bodies(item: Item, count: Annotated[int, Body()], q: int) -> Any:
        return item, count, q

    @api.post("/form/{number}")
    async def form(name: Annotated[str, Form()], q: int = 1) -> Any:
        return name, q

    @api.get("/leaf/{number}")
    async def of_leaf(who: Annotated[str, Depends(leaf)], seen: Annotated[int, Depends(wants_cookie)]) -> Any:
        return who, seen

    @api.get("/header/{number}")
    async def of_header(who: Annotated[str, Depends(sets_header)], tasks: Annotated[None, Depends(noted)]) -> str:
        return who

    @api.get("/scopes/{number}")
    async def of_security(
        found: Annotated[Any, Security(of_scopes, scopes=["read", "write"])],
        alone: Annotated[Any, Security(scopes_alone, scopes=["read"])],
    ) -> Any:
        return found, alone

    @api.get("/either/{number}")
    async def of_either(kind: Annotated[str, Depends(either)]) -> str:
        return kind

    @api.get("/tasks/{number}")
    async def tasks(first: Annotated[None, Depends(noted)], last: Annotated[str, Depends(leaf)]) -> str:
        return last

    @api.get("/overridden/{number}")
    def overridden(name: Annotated[str, Depends(replaced)]) -> str:
        return name

    @api.get("/opened/{number}")
    async def of_opened(q: Annotated[int, Depends(opened)], more: Annotated[int, Depends(Called())]) -> Any:
        return q, more

    @api.get("/response/{number}")
    async def of_response(response: Response) -> str:
        response.headers["x-own"] = "1"
        response.status_code = 202
        return "own"

    @api.get("/stream/{number}")
    async def stream(q: int = 2) -> AsyncIterator[int]:
        for number in range(q % 5):
            yield number

    @api.websocket("/socket")
    async def socket(
        websocket: WebSocket,
        connection: HTTPConnection,
        q: int,
        who: Annotated[str, Depends(leaf)],
        kind: Annotated[str, Depends(either)],
    ) -> None:
        await websocket.accept()
        await websocket.send_json([q, who, kind, str(connection.url), await websocket.receive_text()])
        await websocket.close()

    @api.websocket("/refused")
    async def refused(q: Annotated[int, Query()]) -> None:
        raise WebSocketException(4000)

    return api


PATHS = [route.path for route in make_api().routes if route.path.endswith("{number}")]  # type: ignore[attr-defined]


@functools.cache
def mounted() -> ASGIApp:
    return mount("/api", make_api())


@functools.cache
def alone() -> ASGIApp:
    return mount("/api", make_api(), fast_path=False)


def same(path: str, *body: bytes, **scope: Any) -> Answer:
    """The answer, which is the one that FastAPI gives in its own way."""
    answer = request(mounted(), path, *body, **scope)
    assert request(alone(), path, *body, **scope).messages == answer.messages
    return answer


VALUES = st.sampled_from(["", "0", "1", "2", "7", "x", "1.5", "é", "null", "[]"])
NAMES = st.sampled_from(["q", "names", "size", "after", "name", "other"])


@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(PATHS),
    VALUES,
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.lists(st.tuples(st.sampled_from(["x-token", "x-key", "cookie"]), VALUES), max_size=3),
    st.sampled_from([b"", b"{}", b'{"name": "a"}', b'{"item": {"name": "a"}, "count": 2}', b"name=a", b"{"]),
)
def test_answers_are_those_of_fastapi(
    root_path: str,
    path: str,
    number: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    """Whatever comes in path, query, headers, cookies and body, each kind of endpoint answers as it does in FastAPI's
    own way, errors and their order included."""
    sent = [(name, f"seen={value}" if name == "cookie" else value) for name, value in headers]
    kind = b"application/x-www-form-urlencoded" if body[:1] == b"n" else b"application/json"
    same(
        f"{root_path}/api{path.format(number=number or '-')}",
        body,
        root_path=root_path,
        method="POST" if "od" in path or "form" in path else "GET",
        query_string="&".join(f"{name}={quote_plus(value)}" for name, value in query).encode(),
        headers=[*HOST, (b"content-type", kind), *((name.encode(), value.encode("latin-1")) for name, value in sent)],
    )


@pytest.mark.parametrize("path", PATHS)
def test_every_endpoint_answers_something_good(path: str, root_path: str) -> None:
    """What the property above compares are not errors alone: with what it asks for, each endpoint succeeds."""
    bodies = {"/body/{number}": b'{"name": "a"}', "/bodies/{number}": b'{"item": {"name": "a"}, "count": 2}'}
    body = bodies.get(path, b"name=a" if "form" in path else b"")
    kind = b"application/x-www-form-urlencoded" if "form" in path else b"application/json"
    answer = same(
        f"{root_path}/api{path.format(number=3)}",
        body,
        root_path=root_path,
        method="POST" if body else "GET",
        query_string=b"q=4&names=a&size=2&after=b",
        headers=[*HOST, (b"content-type", kind), (b"x-token", b"5"), (b"x-key", b"k"), (b"cookie", b"seen=6")],
    )
    assert answer.status in (200, 201, 202)


@pytest.mark.parametrize(
    "query",
    [b"q=1&q=2", b"q=", b"q", b"&&q=3&", b"=x&q=3", b"=", b"q=%33", b"q=+3", b"q=3=4", b"Q=3", b"q=\xe9", b"q=3;q=4"],
)
def test_query_strings_are_read_as_fastapi_reads_them(query: bytes, root_path: str) -> None:
    """A query string that no form would send is read as FastAPI reads it."""
    same(root_path + "/api/texts/1", root_path=root_path, query_string=query)


@pytest.mark.parametrize("path", ["/socket", "/refused"])
@pytest.mark.parametrize("query", [b"q=4", b"q=x", b""])
def test_websockets_are_those_of_fastapi(path: str, query: bytes, root_path: str) -> None:
    """A websocket's endpoint is handed what FastAPI hands it, and refused where FastAPI refuses it."""
    scope = {"root_path": root_path, "query_string": query}
    sent = websocket(mounted(), f"{root_path}/api{path}", "hi", **scope)
    assert websocket(alone(), f"{root_path}/api{path}", "hi", **scope) == sent
    assert (sent[0]["type"] == "websocket.accept") is (path == "/socket" and query == b"q=4")


def test_responses_share_nothing(root_path: str) -> None:
    """The header and the status that one call's endpoint sets are on no other call's response."""
    root = mounted()
    assert request(root, root_path + "/api/response/1", root_path=root_path).header("x-own") == "1"
    after = request(root, root_path + "/api/nothing/1", root_path=root_path)
    assert (after.status, after.header("x-own")) == (200, None)


def test_tasks_of_one_dependency_outlive_the_next(root_path: str) -> None:
    """A background task that a dependency adds runs, though another dependency is solved after it."""
    done.clear()
    assert request(mounted(), root_path + "/api/tasks/1", root_path=root_path).status == 200
    assert done == ["task"]


class OfItsOwnStack:
    """Middleware that puts exit stacks of the standard library's where FastAPI looks for them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await self.app(scope, receive, send)


def test_a_stack_of_the_standard_library_is_taken(root_path: str) -> None:
    """Where somebody leads a request past FastAPI's own stack, with another in its place, its routes still answer."""
    api = make_api()
    around = FastAPI()
    around.mount("/inner", OfItsOwnStack(api.router))
    answer = request(mount("/api", around), root_path + "/api/inner/path/3", root_path=root_path)
    assert (answer.status, answer.json()) == (200, 3)


def test_what_was_entered_is_left(root_path: str) -> None:
    """A dependency's end runs whether the call went well or not, and is told of the error."""
    ends: list[str] = []
    api = FastAPI()

    async def ending() -> AsyncIterator[None]:
        try:
            yield
        except LookupError:
            ends.append("error")
            raise
        ends.append("well")

    @api.get("/{kind}", dependencies=[Depends(ending)])
    async def read(kind: str) -> str:
        if kind == "bad":
            raise LookupError
        return kind

    root = mount("/api", api)
    assert request(root, root_path + "/api/good", root_path=root_path).status == 200
    assert request(root, root_path + "/api/bad", root_path=root_path).status == 500
    assert ends == ["well", "error"]


@pytest.mark.parametrize("name", ["request_params_to_args", "request_body_to_args"])
def test_who_takes_the_place_of_a_function_that_it_calls_is_called(name: str, root_path: str) -> None:
    """What stands in the place of a function by which FastAPI reads parameters, as tracing puts it, is called."""
    theirs = mock.Mock(side_effect=getattr(fastapi.dependencies.utils, name))
    with mock.patch.object(fastapi.dependencies.utils, name, theirs):
        body = b'{"name": "a"}'
        headers = [*HOST, (b"content-type", b"application/json")]
        answer = request(
            mounted(), f"{root_path}/api/body/1", body, root_path=root_path, method="POST", headers=headers
        )
    assert answer.status == 200
    assert theirs.call_count


async def _at_once(root: ASGIApp, paths: list[str], root_path: str) -> list[Answer]:
    return await asyncio.gather(*(call(root, http_scope(path, root_path=root_path)) for path in paths))


def test_calls_at_once_keep_their_values(root_path: str) -> None:
    """Of thirty calls that are served at once, each answers with its own parameter."""
    root = mounted()
    paths = [f"{root_path}/api/path/{number}" for number in range(2, 32)]
    answers = asyncio.run(_at_once(root, paths, root_path))
    assert [answer.json() for answer in answers] == list(range(2, 32))


def test_without_plans_the_api_is_left_as_it_was(root_path: str, settings: Any) -> None:
    """`mount(fast_path=False)`, and the setting, leave the router to FastAPI, also where plans have served before."""
    api = make_api()
    for how in ("argument", "setting"):
        mount("/api", api)
        assert api.router.middleware_stack != api.router.app
        if how == "setting":
            settings.DJFAST_MOUNT = {"fast_path": False}
        root = mount("/api", api, fast_path=False) if how == "argument" else mount("/api", api)
        assert api.router.middleware_stack == api.router.app
        assert request(root, f"{root_path}/api/path/3", root_path=root_path).json() == 3
