"""Requests of which nobody wants to hear: they have their ids, and nothing else is done for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from calls import ask, call, http_scope
from djfast_mount.telemetry import RequestRecord, current_record, request_ids
from djfast_mount.telemetry.listeners import audience
from djfast_mount.telemetry.queries import Statements
from telemetry_site import make_api, records, site

pytestmark = pytest.mark.once

PATHS = ["/api/hello", "/api/sync/1", "/api/stream", "/view/1/", "/lines/", "/healthz", "/nothing/"]


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page in the admin listens, if another test has loaded it."""
    monkeypatch.setattr(audience, "listeners", ())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", ["a-client's", "abcdef-0123"])
def test_it_has_its_id(path: str, given: str) -> None:
    """The response has the id that the client sent, if it is a proper one, and else a new one; and has it once."""
    with site() as root:
        answer = ask(root, path, headers={"X-Request-ID": given})
    ids = [value.decode() for name, value in answer.messages[0]["headers"] if name.lower() == b"x-request-id"]
    assert len(ids) == 1
    assert (ids[0] == given) == ("'" not in given)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("is_sync", [True, False])
def test_the_endpoint_sees_the_id_of_the_response(heard: bool, is_sync: bool) -> None:
    """A new id that the endpoint asks for, by a line of its log say, is the one that the response has."""
    api = make_api()

    async def seen() -> Any:
        record = current_record()
        return record and record.request_id

    def seen_on_thread() -> Any:
        record = current_record()
        return record and record.request_id

    api.add_api_route("/seen", seen_on_thread if is_sync else seen)
    with ExitStack() as stack:
        if heard:
            stack.enter_context(records())
        root = stack.enter_context(site(api=api))
        answer = ask(root, "/api/seen")
    assert len(answer.json()) == 24
    assert answer.json() == answer.header("x-request-id")


@pytest.mark.parametrize("path", ["/api/hello", "/plain/"])
def test_the_answer_is_the_same(path: str) -> None:
    """Whether anybody listens changes nothing of a response but its id."""
    with site() as root:
        unheard = ask(root, path, headers={"X-Request-ID": "abcdef-0123"})
        with records() as found:
            heard = ask(root, path, headers={"X-Request-ID": "abcdef-0123"})
    assert unheard.messages == heard.messages
    assert [record.status for record in found] == [200]


def test_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement is looked at."""
    seen: list[object] = []
    monkeypatch.setattr(Statements, "note", lambda *args: seen.append(args))
    with site() as root:
        for path in ("/api/sync/1", "/view/1/"):
            assert ask(root, path).status == 200
        assert not seen
        with records():
            ask(root, "/view/1/")
    assert seen


@pytest.mark.parametrize("path", PATHS)
def test_without_ids_it_is_left_alone(path: str) -> None:
    """With no ids and nobody who listens the answer is the one of a root whose telemetry is off."""
    with site(telemetry=False) as root:
        off = ask(root, path)
    with site(settings={"request_id": None}) as root:
        assert ask(root, path).messages == off.messages
        with records() as found:
            ask(root, path)
    assert [record.request_id for record in found] == [None]


def test_the_record_of_a_request_around_it_is_left_alone() -> None:
    """What a heard request asks of another root, of whose requests nobody hears, is not taken for its own route."""
    with site(settings={"request_id": None}) as inner:
        api = make_api()

        @api.get("/asks")
        async def asks() -> Any:
            return (await call(inner, http_scope("/api/sync/1"))).status

        kept: list[Any] = []

        @api.middleware("http")
        async def keep(request: Any, call_next: Any) -> Any:
            kept.append(current_record())
            return await call_next(request)

        with site(api=api, settings={"request_id": None, "server_timing": True}) as root:
            assert ask(root, "/api/asks").json() == 200
    assert [record.route for record in kept] == ["/api/asks"]


def test_who_listens_meanwhile_hears_of_the_next() -> None:
    """A listener is told of requests that begin after it was subscribed."""
    api = make_api()
    subscribed: list[Any] = []

    @api.get("/subscribes")
    async def subscribes() -> str:
        listening = records()
        subscribed.extend((listening, listening.__enter__()))
        return "done"

    with site(api=api) as root:
        ask(root, "/api/subscribes")
        listening, found = subscribed
        try:
            assert found == []
            ask(root, "/api/hello")
            assert [record.route for record in found] == ["/api/hello"]
        finally:
            listening.__exit__(None, None, None)


def test_what_outlives_it_has_the_id_and_nothing_of_the_request() -> None:
    """A task that goes on after the response reads the same id, and its record holds nothing of the request."""
    api = make_api()
    kept: list[Any] = []

    @api.get("/kept")
    async def keep() -> str:
        kept.append(current_record())
        return "done"

    with site(api=api) as root:
        answer = ask(root, "/api/kept")
    assert kept[0].request_id == answer.header("x-request-id")
    assert kept[0].method == "GET"
    assert kept[0].started > 0
    assert type(kept[0]) is RequestRecord
    assert all(type(value) in (str, float, int, bool, tuple, type(None)) for value in vars(kept[0]).values())


@pytest.mark.parametrize("path", ["/api/seen", "/short"])
def test_a_middleware_of_the_root_has_the_record(path: str) -> None:
    """What stands before the threads of requests sees the id of the response, whoever answers, and so does the app."""
    api = make_api()
    seen: list[Any] = []

    @api.get("/seen")
    async def see() -> str:
        seen.append(current_record())
        return "done"

    class Seeing:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(current_record())
            answer = PlainTextResponse("short") if scope["path"] == "/short" else self._app
            await answer(scope, receive, send)

    with site(api=api, middleware=[Middleware(Seeing)]) as root:
        answer = ask(root, path)
    assert {record.request_id for record in seen} == {answer.header("x-request-id")}
    assert len(seen) == (2 if path == "/api/seen" else 1)


def test_a_refusal_of_the_root_has_an_id_if_somebody_hears() -> None:
    """A request for a wrong host is refused without an id, of which no log would know; a listener's record has one."""
    stranger = [(b"host", b"stranger.example")]
    with site() as root:
        unheard = ask(root, "/api/hello", headers=stranger)
        with records() as found:
            heard = ask(root, "/api/hello", headers=stranger)
    assert (unheard.status, unheard.header("x-request-id")) == (400, None)
    assert [record.request_id for record in found] == [heard.header("x-request-id")]
    assert heard.header("x-request-id")


@pytest.mark.parametrize("inner_path", ["/api/seen", "/healthz"])
def test_a_root_within_a_root_has_ids_of_its_own(inner_path: str) -> None:
    """Neither request has the other's id, though both are served in one task."""
    found: dict[str, Any] = {}

    def api_of(name: str, inner: Any = None) -> Any:
        api = make_api()

        @api.get("/seen")
        async def seen() -> None:
            before = current_record()
            if inner is not None:
                found["inner answer"] = (await call(inner, http_scope(inner_path))).header("x-request-id")
            found[name] = before and before.request_id
            assert current_record() is before

        return api

    with site(api=api_of("inner")) as inner, site(api=api_of("outer", inner)) as root:
        answer = ask(root, "/api/seen")
    assert answer.header("x-request-id") == found["outer"] != found["inner answer"]
    assert found["inner answer"] is not None
    assert found.get("inner", found["inner answer"]) == found["inner answer"]


class Rewriting:
    """Middleware of the root that answers 202 with another body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def rewritten(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                await send({**message, "status": 202, "headers": [*headers, (b"content-length", b"3")]})
            else:
                await send({**message, "body": b"new"})

        await self._app(scope, receive, rewritten)


def test_what_a_middleware_sends_is_noted() -> None:
    """The record has the status and the bytes that the client gets, and not those that the endpoint has sent."""
    with records() as found, site(middleware=[Middleware(Rewriting)]) as root:
        answer = ask(root, "/api/hello")
    assert (answer.status, answer.body) == (202, b"new")
    assert (found[0].status, found[0].bytes_sent) == (202, 3)
    assert answer.header("x-request-id") == found[0].request_id


def test_a_client_that_leaves_before_a_whole_response_is_seen() -> None:
    """The record says so, if the server could not even begin with the response."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            raise ClientDisconnect

    with records() as found, site() as root:
        asyncio.run(root(http_scope("/api/hello"), receive, send))
    assert [record.client_gone for record in found] == [True]


def test_ids_are_unique() -> None:
    """Ten thousand are all different, and so are those of a worker that is forked."""
    made = request_ids._new_id
    here = {made() for _ in range(10_000)}
    assert len(here) == 10_000
    assert all(len(each) == 24 and each.isalnum() for each in here)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="The system has no fork().")
def test_ids_of_a_forked_worker_are_its_own(tmp_path: Any, forked: Callable[[Callable[[], None]], None]) -> None:
    """A worker that was forked in the midst makes none that its parent makes."""
    request_ids._new_id()
    forked(lambda: (tmp_path / "ids").write_bytes(b"\n".join(request_ids._new_id() for _ in range(600))) and None)
    theirs = set((tmp_path / "ids").read_bytes().split())
    assert len(theirs) == 600
    assert theirs.isdisjoint({request_ids._new_id() for _ in range(600)})


@pytest.fixture
def forked() -> Callable[[Callable[[], None]], None]:
    """Runs a function in a forked process."""

    def run(function: Callable[[], None]) -> None:
        child = os.fork()
        if child == 0:
            try:
                function()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    return run


def test_a_burst_of_calls_shares_nothing() -> None:
    """Requests at once have an id each."""

    async def burst(root: Any) -> list[Any]:
        return await asyncio.gather(*(call(root, http_scope("/api/hello")) for _ in range(50)))

    with site() as root:
        answers = asyncio.run(burst(root))
    assert len({answer.header("x-request-id") for answer in answers}) == 50
