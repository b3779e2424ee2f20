"""What telemetry tells of a request, through the front door, on both halves.

Holds `telemetry/made_once.py`, `telemetry/observed_root.py`, `telemetry/queries.py`, `telemetry/record.py` and
`telemetry/threads.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message

from calls import ask, call, connect, http_scope, websocket_scope
from djfast_mount.application import MountedApplication
from djfast_mount.telemetry import RequestRecord
from djfast_mount.testing import Client
from telemetry_site import records, site


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def root(request: pytest.FixtureRequest) -> Iterator[MountedApplication]:
    with site(fast_path=request.param) as root:
        yield root


@pytest.fixture
def found() -> Iterator[list[RequestRecord]]:
    with records() as found:
        yield found


ROUTES = {
    "/api/hello": ("api", "/api/hello", 200),
    "/api/companies/7": ("api", "/api/companies/{company_id}", 200),
    "/api/companies/x": ("api", "/api/companies/{company_id}", 422),
    "/api/tenants/acme/orders/3": ("api", "/api/tenants/{tenant}/orders/{order}", 200),
    "/api/nothing": ("api", None, 404),
    "/view/3/": ("django", "/view/<int:number>/", 200),
    "/async/": ("django", "/async/", 200),
    "/shop/item/3/": ("django", "/shop/item/(?P<number>[0-9]+)/$", 200),
    "/broken/": ("django", "/broken/", 500),
    "/nothing/": ("django", None, 404),
    "/healthz": ("health", "/healthz", 200),
    "/static/djfast_mount/docs.css": ("static", "/static/{path}", 200),
}


@pytest.mark.parametrize("path", ROUTES)
def test_a_request_has_its_owner_and_its_route(
    path: str, root: MountedApplication, root_path: str, found: list[RequestRecord]
) -> None:
    """The route is a template with every prefix, whatever the path holds; who answered is named."""
    owner, route, status = ROUTES[path]
    assert ask(root, path, root_path=root_path).status == status
    [record] = found
    assert (record.owner, record.status) == (owner, status)
    assert record.route == (route if route is None else root_path + route)
    assert (record.kind, record.method, record.client_gone) == ("http", "GET", False)


def test_what_the_root_refuses_is_its_own(root: MountedApplication, found: list[RequestRecord]) -> None:
    """A Host that is not allowed leads to no part."""
    assert ask(root, "/api/hello", headers=[(b"host", b"stranger.example")]).status == 400
    assert [(record.owner, record.route, record.status) for record in found] == [("root", None, 400)]


def test_a_method_of_no_standard_is_other(root: MountedApplication, found: list[RequestRecord]) -> None:
    """Whatever a client calls its method, the record has one word for it."""
    ask(root, "/api/hello", method="BREW")
    assert [record.method for record in found] == ["OTHER"]


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/api/hello", 0),
        ("/api/sync/3", 1),
        ("/api/gather", 3),
        ("/api/stream", 3),
        ("/api/background", 1),
        ("/view/3/", 1),
        ("/async/", 1),
        ("/lines/", 0),
    ],
)
def test_statements_are_counted(path: str, queries: int, root: MountedApplication, found: list[RequestRecord]) -> None:
    """Those of sync and async code, of streams and of background tasks, each for its own request."""
    for _ in range(2):
        assert ask(root, path).status == 200
    assert [record.queries for record in found] == [queries, queries]
    assert all((record.query_time > 0) == bool(queries) for record in found)


def test_the_thread_sees_the_record(root: MountedApplication) -> None:
    """`current_record()` returns it to a sync endpoint."""
    assert ask(root, "/api/sync/1").json()["seen"] == "GET"


@pytest.mark.parametrize("path", ["/api/repeats", "/repeats/"])
def test_a_repeated_statement_is_named_with_its_line(
    path: str, root: MountedApplication, found: list[RequestRecord]
) -> None:
    """Twelve statements of one shape are a suspicion; sync or async, the line of the project's code is told."""
    ask(root, path)
    [repeated] = found[0].repeated
    assert repeated.times == 12
    assert "auth_user" in repeated.statement
    file, line = repeated.location.rsplit(":", 1)
    with open(file, encoding="utf-8") as source:
        assert "repeats itself" in source.readlines()[int(line) - 1]


def test_values_in_a_statement_are_left_out(root: MountedApplication, found: list[RequestRecord]) -> None:
    """Statements that have their values in their text are one shape, and the values are not told."""
    ask(root, "/api/raw")
    assert [(each.statement, each.times) for each in found[0].repeated] == [("SELECT ?, ?", 20)]


def test_how_many_are_too_many_is_settable(found: list[RequestRecord]) -> None:
    """With `repeated_after` at 12, twelve are none too many; with 11 they are."""
    for limit in (12, 11):
        with site(settings={"repeated_after": limit}) as root:
            ask(root, "/repeats/")
    assert [len(record.repeated) for record in found] == [0, 1]


@pytest.mark.parametrize(("path", "status"), [("/api/broken", 500), ("/broken/", 500)])
def test_an_error_is_named(path: str, status: int, root: MountedApplication, found: list[RequestRecord]) -> None:
    """The class of the exception that nobody has handled, and nothing of its message."""
    assert ask(root, path).status == status
    assert [record.error for record in found] == ["ZeroDivisionError"]


def test_bytes_and_times_are_measured(root: MountedApplication, found: list[RequestRecord]) -> None:
    """The bytes of the body; the time on the thread is within the duration."""
    answer = ask(root, "/api/slow")
    [record] = found
    assert record.bytes_sent == len(answer.body)
    assert 0.2 <= record.on_thread <= record.duration
    assert record.wait == 0


def test_the_wait_for_a_thread_is_measured(found: list[RequestRecord]) -> None:
    """With one thread, the second of two requests waits as long as the first takes."""

    async def main(root: MountedApplication) -> None:
        await asyncio.gather(*(call(root, http_scope("/api/slow")) for _ in range(2)))

    with site(threads=1) as root:
        asyncio.run(main(root))
    first, second = found
    assert first.wait == 0
    assert 0.1 <= second.wait <= second.duration - second.on_thread + 0.05


def test_a_wait_in_vain_is_measured(found: list[RequestRecord]) -> None:
    """A request that got no thread in time, and 503 for it, has waited all the same."""

    async def main(root: MountedApplication) -> None:
        slow = asyncio.ensure_future(call(root, http_scope("/api/slow")))
        await asyncio.sleep(0.01)
        assert (await call(root, http_scope("/api/slow"))).status == 503
        await slow

    with site(threads=1, wait_timeout=0.05) as root:
        asyncio.run(main(root))
    vain, _ = found
    assert vain.status == 503
    assert 0.04 <= vain.wait <= vain.duration
    assert vain.on_thread == 0


@pytest.mark.parametrize("path", ["/api/endless"])
def test_a_client_that_leaves_is_seen(path: str, root: MountedApplication, found: list[RequestRecord]) -> None:
    """It left amid the response; the bytes that it was sent are counted."""

    async def main() -> None:
        left = asyncio.Event()
        sent = 0
        first = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if first:
                return first.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent >= 50:
                left.set()

        await root(http_scope(path), receive, send)

    asyncio.run(main())
    [record] = found
    assert record.client_gone
    assert record.error is None
    assert record.bytes_sent >= 50


def test_a_cancelled_request_has_its_record(root: MountedApplication, found: list[RequestRecord]) -> None:
    """The cancellation goes on, and is told as the error."""

    async def main() -> None:
        task = asyncio.ensure_future(call(root, http_scope("/api/endless")))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert [(record.error, record.route) for record in found] == [("CancelledError", "/api/endless")]


def test_a_websocket_has_its_record(root: MountedApplication, root_path: str, found: list[RequestRecord]) -> None:
    """Its route, its statements, what it was sent, and the code with which it ended."""
    asyncio.run(connect(root, websocket_scope(root_path + "/api/ws/hall", root_path=root_path), "one", "two"))
    [record] = found
    assert (record.kind, record.owner, record.route) == ("websocket", "api", root_path + "/api/ws/{room}")
    assert (record.status, record.client_gone, record.queries) == (1000, False, 2)
    assert record.bytes_sent == len("one0two0")


def test_requests_at_once_are_told_apart(root: MountedApplication, found: list[RequestRecord]) -> None:
    """Statements of requests that take turns on the threads are each counted for their own."""
    paths = ["/api/gather", "/api/sync/1", "/view/1/", "/api/hello", "/async/"] * 6

    async def main() -> None:
        await asyncio.gather(*(call(root, http_scope(path)) for path in paths))

    asyncio.run(main())
    counts: dict[Any, set[int]] = {}
    for record in found:
        counts.setdefault(record.route, set()).add(record.queries)
    assert counts == {
        "/api/gather": {3},
        "/api/sync/{number}": {1},
        "/view/<int:number>/": {1},
        "/api/hello": {0},
        "/async/": {1},
    }


def told(found: list[RequestRecord]) -> list[tuple[str, str | None, int]]:
    return [(record.owner, record.route, record.queries) for record in found]


def test_every_way_to_mount_is_observed(found: list[RequestRecord]) -> None:
    """Django's own handler, Django under a prefix, and paths that fall through to it."""
    with site(django_handler="django") as root:
        for path in ("/view/3/", "/async/", "/repeats/"):
            ask(root, path)
    with site(prefix="/", django_prefix="/server") as root:
        for path in ("/server/view/3/", "/hello"):
            ask(root, path)
    with site(prefix="/", fallthrough=True) as root:
        for path in ("/plain/", "/hello"):
            ask(root, path)
    assert told(found) == [
        ("django", "/view/<int:number>/", 1),
        ("django", "/async/", 1),
        ("django", "/repeats/", 12),
        ("django", "/server/view/<int:number>/", 1),
        ("api", "/hello", 0),
        ("django", "/plain/", 0),
        ("api", "/hello", 0),
    ]


def test_a_tests_own_client_is_observed(found: list[RequestRecord]) -> None:
    """On the thread of the test, whose connection was open before: statements are counted there too."""
    with site() as root:
        client = Client(root)
        client.get("/api/sync/1")
        client.get("/view/1/")
    assert told(found) == [("api", "/api/sync/{number}", 1), ("django", "/view/<int:number>/", 1)]
    assert all(record.on_thread > 0 for record in found)
