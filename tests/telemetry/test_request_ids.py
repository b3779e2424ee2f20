"""The id of a request: accepted or made, sent back, logged and passed on."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Response

from calls import Answer, ask, call, http_scope
from djfast_mount.application import MountedApplication
from djfast_mount.telemetry import RequestIDFilter, outgoing_headers
from telemetry_site import make_api, records, site

MADE = re.compile(r"[0-9a-f]{24}")


def api() -> FastAPI:
    api = make_api()

    @api.get("/outgoing")
    async def outgoing() -> dict[str, str]:
        return outgoing_headers()

    @api.get("/log")
    def log() -> str:
        logging.getLogger("project").warning("from the thread")
        return "logged"

    @api.get("/own")
    async def own(response: Response) -> str:
        response.headers["X-Request-ID"] = "the app's own"
        return "own"

    return api


@pytest.fixture
def root() -> Iterator[MountedApplication]:
    with site(api=api()) as root:
        yield root


def asked(root: MountedApplication, path: str, value: str = "", root_path: str = "", **options: Any) -> Answer:
    headers = {"x-request-id": value} if value else {}
    return ask(root, path, root_path=root_path, headers=headers, **options)


@pytest.mark.parametrize("path", ["/api/hello", "/plain/", "/healthz", "/nothing/", "/broken/", "/api/broken"])
def test_every_answer_has_one(root: MountedApplication, root_path: str, path: str) -> None:
    """Whoever answers, and whatever: it has an id, and each request another."""
    found = [asked(root, path, root_path=root_path).header("x-request-id") or "" for _ in range(2)]
    assert all(map(MADE.fullmatch, found))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "value", ["01J9ZZZZZZ", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "Root=1-67891233".replace("=", ":")]
)
def test_a_proper_one_is_accepted(root: MountedApplication, value: str) -> None:
    """What a proxy or a client has sent comes back, and is in the record."""
    with records() as found:
        assert asked(root, "/api/hello", value).header("x-request-id") == value
    assert [record.request_id for record in found] == [value]


@pytest.mark.parametrize(
    "value",
    ["short", "a" * 129, "with space", 'quote"quote', "line\nbreak123", "<script>alert</script>", "ünïcödé-id-1234"],
)
def test_any_other_is_as_if_there_were_none(root: MountedApplication, value: str) -> None:
    """An id that is none by the pattern is not repeated anywhere; a new one is made."""
    assert MADE.fullmatch(asked(root, "/api/hello", value).header("x-request-id") or "")


def test_that_of_the_app_stays(root: MountedApplication) -> None:
    """Where the app has set the header, there is no second one."""
    answer = asked(root, "/api/own")
    names = [name.lower() for name, _ in answer.messages[0]["headers"]]
    assert answer.header("x-request-id") == "the app's own"
    assert names.count(b"x-request-id") == 1


def test_it_is_passed_on(root: MountedApplication) -> None:
    """`outgoing_headers()` has it within a request, and nothing outside of one."""
    assert asked(root, "/api/outgoing", "passed-on-1").json() == {"X-Request-ID": "passed-on-1"}
    assert outgoing_headers() == {}


def test_it_is_in_the_log(root: MountedApplication, caplog: pytest.LogCaptureFixture) -> None:
    """The filter puts it into what is logged on the request's thread, for each request its own; "-" outside."""
    caplog.handler.addFilter(known := RequestIDFilter())
    try:

        async def main() -> None:
            await asyncio.gather(
                *(call(root, http_scope("/api/log", headers={"x-request-id": f"number-{n:04}"})) for n in range(8))
            )

        asyncio.run(main())
        logging.getLogger("project").warning("outside")
    finally:
        caplog.handler.removeFilter(known)
    found = [record.request_id for record in caplog.records if record.name == "project"]  # type: ignore[attr-defined]
    assert sorted(found) == ["-", *(f"number-{n:04}" for n in range(8))]


def test_the_header_is_settable() -> None:
    """Another name takes the place of X-Request-ID on all ways; None leaves ids out."""
    with site(api=api(), settings={"request_id": "X-Flow-ID"}) as root:
        answer = ask(root, "/api/outgoing", headers={"x-flow-id": "flow-12345"})
        assert answer.header("x-flow-id") == "flow-12345"
        assert answer.json() == {"X-Flow-ID": "flow-12345"}
    with site(api=api(), settings={"request_id": None}) as root:
        assert asked(root, "/api/hello", "passed-on-1").header("x-request-id") is None
        assert asked(root, "/api/outgoing", "passed-on-1").json() == {}
