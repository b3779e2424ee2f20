"""What one request costs, in opcodes of all Python code: repeatable, where times are not."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import pytest
from django.http import HttpRequest, JsonResponse
from django.urls import path as url
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from calls import http_scope
from collecting import new_objects_alone
from djfast_mount import mount
from harness import PYTHONPATH
from oracle.calls import body_of

pytestmark = pytest.mark.once


class Item(BaseModel):
    number: int
    name: str | None = None


async def first() -> int:
    return 1


async def second(number: Annotated[int, Depends(first)]) -> int:
    return number + 1


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @api.get("/items/{number}")
    async def read(number: int, name: str | None = None) -> Item:
        return Item(number=number, name=name)

    @api.post("/items")
    async def add(item: Item) -> Item:
        return item

    @api.get("/dependencies")
    async def depend(number: Annotated[int, Depends(second)]) -> dict[str, int]:
        return {"number": number}

    return api


async def page(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


def sync_page(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


urlpatterns = [url("page", page), url("sync-page", sync_page)]

JSON = [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"content-length", b"23")]
REQUESTS: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "hello": ("/hello", {}, body_of(b"")),
    "path, query and model": ("/items/3", {"query_string": b"name=x"}, body_of(b"")),
    "JSON body": ("/items", {"method": "POST", "headers": JSON}, body_of(b'{"number":1,"name":"x"}')),
    "dependencies": ("/dependencies", {}, body_of(b"")),
    "no route": ("/nothing/here", {}, body_of(b"")),
    "another method": ("/hello", {"method": "PUT"}, body_of(b"")),
}
# What a request may take at most, with a little room: another Python, or a package's release, counts otherwise.
MOST = {"hello": 600, "path, query and model": 900, "JSON body": 820, "dependencies": 640}
ELSEWHERE: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "static file": ("/static/file.css", {}, body_of(b"")),
    "Django async view": ("/page", {}, body_of(b"")),
    "Django sync view": ("/sync-page", {}, body_of(b"")),
}
MOST_ELSEWHERE = {"static file": 290, "Django async view": 6900, "Django sync view": 4250}


def opcodes(app: Any, prefix: str, name: str, status: int = 200) -> int:
    """How many one request takes on the event loop, after others have made what is kept."""
    path, options, messages = {**REQUESTS, **ELSEWHERE}[name]
    found = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal found
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        found += event == "opcode" and frame.f_code.co_filename != __file__
        return trace

    async def request(scope: Any) -> None:
        statuses: list[int] = []
        left = list(messages)

        async def receive() -> Any:
            return left.pop(0) if left else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            statuses.append(message.get("status", status))

        await app(scope, receive, send)
        assert statuses == [status, status]

    async def main() -> None:
        scopes = [http_scope(prefix + path, **options) for _ in range(3)]  # That is a server's work.
        for scope in scopes[1:]:
            await request(scope)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await request(scopes[0])
        finally:
            sys.settrace(before)

    asyncio.run(main())
    return found


COUNT = """
import django, json
django.setup()
from fastpath import test_costs as costs
print(json.dumps({name: [costs.opcodes(costs.mount("/api", costs.make_api()), "/api", name),
                         costs.opcodes(costs.make_api(), "", name)] for name in costs.MOST}))
"""


COUNT_ELSEWHERE = """
import django, json, sys
from django.conf import settings
settings.ROOT_URLCONF, settings.STATIC_ROOT = "fastpath.test_costs", sys.argv[1]
django.setup()
from fastpath import test_costs as costs
root = costs.mount("/api", costs.make_api())
print(json.dumps({name: costs.opcodes(root, "", name) for name in costs.MOST_ELSEWHERE}))
"""


def counts(source: str, *arguments: str) -> dict[str, Any]:
    """What `source` prints in a process of its own: what other tests have imported and set up is not counted."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-c", source, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def counted() -> dict[str, tuple[int, int]]:
    """Mounted and alone."""
    return {name: tuple(both) for name, both in counts(COUNT).items()}


@pytest.fixture(scope="module")
def counted_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What no API answers."""
    folder = tmp_path_factory.mktemp("static")
    Path(folder, "file.css").write_bytes(b"x" * 10_000)
    return counts(COUNT_ELSEWHERE, str(folder))


@pytest.mark.parametrize("name", MOST)
def test_a_request_takes_few_steps(counted: dict[str, tuple[int, int]], name: str) -> None:
    """One request through the whole mount takes no more opcodes than it did, and half of what FastAPI alone takes."""
    mounted, alone = counted[name]
    assert mounted <= MOST[name]
    assert mounted * 2 <= alone


@pytest.mark.parametrize("name", MOST_ELSEWHERE)
def test_what_no_api_answers_takes_few_steps(counted_elsewhere: dict[str, int], name: str) -> None:
    """A static file, and a view of Django's, takes no more opcodes on the event loop than it did."""
    assert counted_elsewhere[name] <= MOST_ELSEWHERE[name]


def test_a_plan_takes_fewer_steps_than_fastapis_own_way() -> None:
    """Without plans a request takes three times as many."""
    assert opcodes(mount("/api", make_api(), fast_path=False), "/api", "hello") > 3 * opcodes(
        mount("/api", make_api()), "/api", "hello"
    )


@pytest.mark.parametrize(("name", "status"), [("no route", 404), ("another method", 405), ("hello", 200)])
def test_no_request_costs_more_with_more_routes(name: str, status: int) -> None:
    """With 300 routes more, a request that no route takes, or one does, costs a fifth more at most."""
    many = make_api()
    for number in range(300):
        many.add_api_route(f"/more/{number}/{{name}}", first)
    few = opcodes(mount("/api", make_api()), "/api", name, status)
    assert opcodes(mount("/api", many), "/api", name, status) <= few * 1.2


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_leaves_nothing_for_the_collector(name: str) -> None:
    """What a plan has made goes with the last reference to it: no object of a request is in a cycle."""
    root = mount("/api", make_api())
    status = {"no route": 404, "another method": 405}.get(name, 200)
    path, options, messages = REQUESTS[name]

    async def request() -> None:
        statuses: list[int] = []
        left = list(messages)

        async def receive() -> Any:
            return left.pop(0)

        async def send(message: Any) -> None:
            statuses.append(message.get("status", status))

        await root(http_scope(f"/api{path}", **options), receive, send)
        assert statuses == [status, status]

    async def main() -> int:
        for _ in range(2):
            await request()
        while gc.collect():  # What earlier roots have left goes one layer at a time.
            pass
        for _ in range(10):
            await request()
        return gc.collect()

    gc.disable()
    try:
        with new_objects_alone():
            assert asyncio.run(main()) == 0
    finally:
        gc.enable()
