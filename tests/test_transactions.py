"""Atomic and ATOMIC_REQUESTS in a mounted FastAPI.

Holds `apis/dependencies.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, connections, transaction
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_client import ApiClient, both, committed_rows
from calls import websocket
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError, MountError
from djfast_mount.transactions import Atomic, atomic, honour_atomic_requests
from project.library.models import Book
from project.shop.models import Item

events: list[str] = []


class Noting:
    """ASGI: notes when a response starts."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                events.append("start")
            await send(message)

        await self.app(scope, receive, noting if scope["type"] == "http" else send)


def write_first() -> None:
    """A dependency that writes, as a log of calls would."""
    Item.objects.create(name="dependency")


def outcome_of(name: str) -> Any:
    Item.objects.create(name="endpoint")
    transaction.on_commit(lambda: events.append("commit"))
    match name:
        case "raise":
            raise RuntimeError
        case "http":
            raise HTTPException(400)
        case "redirect":
            raise HTTPException(303, headers={"location": "/"})
        case "returned":
            return JSONResponse("no", 400)
        case "invalid":
            return "no number"
        case "dangling":
            Book.objects.create(title="Flush", author_id=10**9, pages=1)
    return 1


def state() -> dict[str, Any]:
    return {"atomic": connection.in_atomic_block, "savepoints": len(connection.savepoint_ids)}


def add_routes(api: FastAPI | APIRouter, **options: Any) -> None:
    @both(api, "POST", "/write/{name}", dependencies=[Depends(write_first)], response_model=int, **options)
    def write(name: str) -> Any:
        return outcome_of(name)

    @both(api, "GET", "/state", **options)
    def get_state() -> dict[str, Any]:
        return state()

    @api.get("/idle")
    async def idle() -> None:
        events.append("idle")


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    events.clear()
    with committed_rows(django_db_blocker):
        yield
    assert "transaction open" not in caplog.text


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def explicit() -> FastAPI:
    api = FastAPI(dependencies=[atomic()])
    add_routes(api)
    return api


def by_setting() -> FastAPI:
    api = FastAPI()
    add_routes(api)
    return api


def included() -> FastAPI:
    api, outer, inner = FastAPI(), APIRouter(), APIRouter()
    add_routes(inner)
    outer.include_router(inner)
    api.include_router(outer)
    return api


def included_and_used() -> FastAPI:
    """FastAPI keeps what it has made of an included router, and has made it for the schema here."""
    api = included()
    api.openapi()
    return api


def mounted() -> FastAPI:
    api = FastAPI()
    api.mount("/", by_setting())
    return api


def of_another_class() -> FastAPI:
    """A route class of the project's own."""

    class Route(APIRouter().route_class):  # type: ignore[misc]
        pass

    api = FastAPI()
    api.router.route_class = Route
    add_routes(api)
    return api


@pytest.fixture(params=[explicit, by_setting, included, included_and_used, mounted, of_another_class])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, root_path: str) -> ApiClient:
    """The same routes, atomic for one reason or another."""
    if request.param is not explicit:
        monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    api: FastAPI = request.param()
    api.add_middleware(Noting)
    return ApiClient(mount("/api", api), root_path)


def names() -> list[str]:
    return sorted(item.name for item in Item.objects.all())


BOTH = ["dependency", "endpoint"]


@pytest.mark.parametrize(
    ("name", "status", "kept"),
    [
        ("fine", 200, BOTH),
        ("redirect", 303, BOTH),
        ("returned", 400, BOTH),
        ("raise", 500, []),
        ("http", 400, []),
        ("invalid", 500, []),
        ("dangling", 409, []),
    ],
)
def test_all_of_a_call_is_kept_or_nothing(
    client: ApiClient, kind: str, name: str, status: int, kept: list[str]
) -> None:
    """An exception undoes what endpoint and dependencies wrote; what was returned, or redirects, keeps it."""
    assert client.post(f"/api/{kind}/write/{name}").status_code == status
    assert names() == kept


def test_the_order_of_djangos_receivers_is_nothing(client: ApiClient, kind: str) -> None:
    """Also where Django's closing of old connections is the last receiver, as after a call of its test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
        signal.connect(close_old_connections)
    assert client.post(f"/api/{kind}/write/fine").status_code == 200
    assert names() == BOTH


def test_the_commit_comes_before_the_response(client: ApiClient, kind: str) -> None:
    """A client that has an answer finds what it wrote: on_commit has run when the response starts."""
    client.post(f"/api/{kind}/write/fine")
    assert events == ["commit", "start"]


def test_nothing_is_committed_for_an_error(client: ApiClient, kind: str) -> None:
    """on_commit does not run for a call that is rolled back."""
    client.post(f"/api/{kind}/write/http")
    assert events == ["start"]


def test_the_endpoint_is_in_one_transaction(client: ApiClient, kind: str) -> None:
    """There is one transaction, and no savepoint in it."""
    assert client.get(f"/api/{kind}/state").json() == {"atomic": True, "savepoints": 0}


def test_no_thread_is_taken_for_a_transaction_alone(client: ApiClient) -> None:
    """An async endpoint that makes no sync call has no spell, and opens no transaction."""
    begun: list[object] = []

    def note(**_: object) -> None:
        begun.append(1)

    request_started.connect(note)
    try:
        assert client.get("/api/idle").status_code == 200
    finally:
        request_started.disconnect(note)
    assert (events, begun) == (["idle", "start"], [])


def test_the_schema_shows_nothing_of_it(client: ApiClient) -> None:
    """Transactions leave no trace in OpenAPI: the same operations, without parameters or security."""
    schema = client.get("/api/openapi.json").json()
    for operations in schema["paths"].values():
        for operation in operations.values():
            assert [parameter["in"] for parameter in operation.get("parameters", [])] in ([], ["path"])
            assert "security" not in operation


def test_requests_at_once_do_not_meet(client: ApiClient, kind: str) -> None:
    """Of twelve calls at once, those that fail leave nothing and the others all they wrote."""

    async def at_once() -> list[int]:
        transport = httpx.ASGITransport(client.app, root_path=client.root_path)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://testserver{client.root_path}") as calls:
            outcomes = ["fine", "http", "raise", "fine"] * 3
            answers = [calls.post(f"/api/{kind}/write/{name}", timeout=30) for name in outcomes]
            return [answer.status_code for answer in await asyncio.gather(*answers)]

    assert asyncio.run(at_once()) == [200, 400, 500, 200] * 3
    assert names() == ["dependency"] * 6 + ["endpoint"] * 6


# Explicitly -------------------------------------------------------------------------------------------------------


def serve(api: FastAPI, root_path: str) -> ApiClient:
    return ApiClient(mount("/api", api), root_path)


def test_atomic_as_a_parameter(root_path: str, kind: str) -> None:
    """Atomic makes one route a transaction, and leaves its neighbours alone."""
    api = FastAPI()

    @both(api, "GET", "/inside")
    def inside(_: Atomic) -> dict[str, Any]:
        return state()

    @both(api, "GET", "/outside")
    def outside() -> dict[str, Any]:
        return state()

    client = serve(api, root_path)
    assert client.get(f"/api/{kind}/inside").json()["atomic"] is True
    assert client.get(f"/api/{kind}/outside").json()["atomic"] is False


def test_atomic_as_a_parameter_commits_before_the_response(root_path: str, kind: str) -> None:
    """Atomic of one route is committed, and on_commit has run, when the response starts; an error commits nothing."""
    api = FastAPI()
    api.add_middleware(Noting)

    @both(api, "POST", "/write/{name}", response_model=int)
    def write(name: str, _: Atomic) -> Any:
        return outcome_of(name)

    client = serve(api, root_path)
    assert client.post(f"/api/{kind}/write/fine").status_code == 200
    assert (events, names()) == (["commit", "start"], ["endpoint"])
    assert client.post(f"/api/{kind}/write/http").status_code == 400
    assert (events[2:], names()) == (["start"], ["endpoint"])


def test_what_ran_before_is_outside(root_path: str, kind: str) -> None:
    """A dependency that comes before Atomic has committed its write already."""
    api = FastAPI()

    @both(api, "POST", "/write", dependencies=[Depends(write_first), atomic()])
    def write() -> None:
        outcome_of("raise")

    assert serve(api, root_path).post(f"/api/{kind}/write").status_code == 500
    assert names() == ["dependency"]


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[str]:
    """A second alias: another connection to the same database."""
    monkeypatch.setitem(connections.settings, "other", {**connections.settings["default"]})
    yield "other"
    connections["other"].close()
    del connections["other"]


def test_another_database(root_path: str, kind: str, other: str) -> None:
    """atomic(using=...) is a transaction on that database, and on no other."""
    api = FastAPI()

    @both(api, "POST", "/write/{name}")
    def write(name: str, _: Annotated[None, atomic(using="other")]) -> list[bool]:
        Item.objects.using(other).create(name=name)
        if name == "lost":
            raise HTTPException(400)
        return [connections[alias].in_atomic_block for alias in ("default", other)]

    client = serve(api, root_path)
    assert client.post(f"/api/{kind}/write/kept").json() == [False, True]
    client.post(f"/api/{kind}/write/lost")
    assert names() == ["kept"]


def test_a_database_that_is_none() -> None:
    """An alias that is not in DATABASES is refused where it is written, with the nearest that is."""
    with pytest.raises(ConfigurationError, match=r"'defualt', which is no database .* Did you mean 'default'\?"):
        atomic(using="defualt")


def test_atomic_wants_the_request_thread() -> None:
    """An app that mount() does not serve is told so, and not given a transaction of some thread."""
    with pytest.raises(MountError, match="not served by mount"):
        ApiClient(explicit()).get("/idle")


def test_what_comes_after_the_response_is_outside(root_path: str) -> None:
    """Background tasks and the bodies of streams run when the transaction has ended."""
    api = FastAPI(dependencies=[atomic()])
    seen: list[Any] = []

    @api.get("/task")
    def task(tasks: BackgroundTasks) -> bool:
        tasks.add_task(lambda: seen.append(connection.in_atomic_block))
        return connection.in_atomic_block

    @api.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(str(connection.in_atomic_block) for _ in range(2))

    @api.get("/late")
    async def late() -> StreamingResponse:
        async def body() -> Any:
            # The first sync call of the request.
            yield str(await sync_to_async(lambda: connection.in_atomic_block)())

        return StreamingResponse(body())

    client = serve(api, root_path)
    assert client.get("/api/task").json() is True
    assert seen == [False]
    assert client.get("/api/stream").text == "FalseFalse"
    assert client.get("/api/late").text == "False"


def test_a_cancelled_call_is_rolled_back(root_path: str) -> None:
    """What a call wrote before it was cancelled is undone, and its thread serves on."""
    api = FastAPI(dependencies=[atomic()])
    written, never = asyncio.Event(), asyncio.Event()

    @api.post("/write")
    async def write() -> None:
        await Item.objects.acreate(name="lost")
        written.set()
        await never.wait()

    @api.get("/state")
    def get_state() -> dict[str, Any]:
        return state()

    app = mount("/api", api, threads=1)

    async def cancel() -> None:
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://testserver{root_path}") as client:
            call = asyncio.create_task(client.post("/api/write"))
            await written.wait()
            call.cancel()
            await asyncio.wait([call])

    asyncio.run(cancel())
    assert names() == []
    assert ApiClient(app, root_path).get("/api/state").json() == {"atomic": True, "savepoints": 0}


# ATOMIC_REQUESTS --------------------------------------------------------------------------------------------------


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.mark.usefixtures("atomic_requests")
@pytest.mark.parametrize("outermost", [True, False])
def test_a_route_can_be_exempted(root_path: str, kind: str, outermost: bool) -> None:
    """Django's non_atomic_requests exempts an endpoint, on whichever side of the route's decorator it stands."""
    api = FastAPI()
    around: Callable[[Any], Any] = both(api, "POST", "/write")
    exempt: Callable[[Any], Any] = transaction.non_atomic_requests

    def write() -> None:
        outcome_of("raise")

    exempt(write)
    around(write)
    if outermost:
        exempt(write)
    assert serve(api, root_path).post(f"/api/{kind}/write").status_code == 500
    assert names() == ["endpoint"]


@pytest.mark.usefixtures("atomic_requests")
def test_atomic_within_atomic_requests_is_one(root_path: str, kind: str) -> None:
    """Atomic on a route that ATOMIC_REQUESTS covers opens no savepoint."""
    api = FastAPI()

    @both(api, "GET", "/state")
    def get_state(_: Atomic) -> dict[str, Any]:
        return state()

    assert serve(api, root_path).get(f"/api/{kind}/state").json() == {"atomic": True, "savepoints": 0}


@pytest.mark.usefixtures("atomic_requests")
def test_routes_that_come_later(root_path: str, kind: str) -> None:
    """A route or router that is added once the app is mounted is covered too."""
    api, early, late = FastAPI(), APIRouter(prefix="/early"), APIRouter(prefix="/late")
    api.include_router(early)
    client = serve(api, root_path)
    add_routes(api)
    add_routes(early)
    add_routes(late)
    api.include_router(late)
    for prefix in ("", "/early", "/late"):
        assert client.get(f"/api{prefix}/{kind}/state").json() == {"atomic": True, "savepoints": 0}


@pytest.mark.usefixtures("atomic_requests")
def test_a_websocket_is_no_request(root_path: str) -> None:
    """A websocket, which may stay open for hours, is in no transaction."""
    api = FastAPI()
    router = APIRouter()

    @router.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await sync_to_async(state)())

    app = mount("/api", api)
    api.include_router(router)
    [_, sent] = websocket(app, f"{root_path}/api/ws", root_path=root_path)[:2]
    assert '"atomic":false' in sent["text"].replace(" ", "")


@pytest.mark.usefixtures("atomic_requests")
def test_honouring_twice_is_honouring_once() -> None:
    """A second call adds nothing."""
    api = by_setting()
    honour_atomic_requests(api)
    counts = [len(route.dependant.dependencies) for route in api.routes if hasattr(route, "dependant")]
    honour_atomic_requests(api)
    assert [len(route.dependant.dependencies) for route in api.routes if hasattr(route, "dependant")] == counts


def test_nothing_is_added_without_the_setting() -> None:
    """An app of a project without ATOMIC_REQUESTS is left as it is."""
    api = by_setting()
    honour_atomic_requests(api)
    assert api.router.dependencies == []


def test_a_transaction_that_cannot_begin(root_path: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away is a 503, and the thread serves the next call."""
    monkeypatch.setitem(connections.settings, "away", {**connections.settings["default"]})
    away = {"NAME": "/no/such/folder/db", "HOST": "/no/such/folder", "OPTIONS": {}}
    for key, value in away.items():
        monkeypatch.setitem(connections.settings["away"], key, value)
    api = FastAPI()

    @both(api, "GET", "/away")
    def endpoint(_: Annotated[None, atomic(using="away")]) -> None:
        Item.objects.using("away").count()

    add_routes(api)
    client = ApiClient(mount("/api", api, threads=1), root_path)
    assert client.get(f"/api/{kind}/away").status_code == 503
    assert client.get(f"/api/{kind}/state").json()["atomic"] is False
