"""Dependencies with `yield` of plain functions: how many calls of the thread they take, and when they are left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.core.signals import request_finished
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import Message

from calls import HOST, call, http_scope
from djfast_mount import mount
from djfast_mount.offload.current import current_lease
from djfast_mount.threads.lease import Lease

pytestmark = pytest.mark.once

met: list[str] = []
threads: set[int] = set()


def note(what: str) -> None:
    met.append(what)
    threads.add(threading.get_ident())


def opened() -> Iterator[int]:
    note("enter")
    try:
        yield 1
    except ValueError as error:
        note(f"met {error}")
        raise
    finally:
        note("exit")


def opened_again() -> Iterator[int]:
    yield from opened()


def swallowing() -> Iterator[None]:
    try:
        yield
    except ValueError:
        note("swallowed")


async def opened_on_the_loop() -> Any:
    met.append("enter async")
    yield 1
    met.append("exit async")


Opened = Annotated[int, Depends(opened)]


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/sync")
    def sync(number: Opened) -> int:
        note("endpoint")
        return number

    @api.get("/nested")
    def nested(number: Opened, again: Annotated[int, Depends(opened_again)]) -> int:
        return number + again

    @api.get("/function")
    def function(number: Annotated[int, Depends(opened, scope="function")]) -> int:
        return number

    @api.get("/async")
    async def pinned(number: Opened) -> bool:
        await asyncio.sleep(0)
        return bool(current_lease().pinned)

    @api.get("/background")
    def background(number: Opened, tasks: BackgroundTasks) -> None:
        tasks.add_task(note, "task")

    @api.get("/both")
    def both(loops: Annotated[int, Depends(opened_on_the_loop)], number: Opened) -> int:
        return number

    @api.get("/raises")
    def raises(number: Opened) -> None:
        raise ValueError("it")

    @api.get("/swallows")
    def swallows(number: Opened, none: Annotated[None, Depends(swallowing)]) -> None:
        raise ValueError("it")

    @api.get("/refuses")
    def refuses(number: Opened, x: int) -> None: ...

    return api


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    met.clear()
    threads.clear()
    submit = Lease.submit

    def counting(lease: Lease, sent: Any) -> None:
        met.append("call")
        submit(lease, sent)

    def finished(**_: Any) -> None:
        note("finished")

    monkeypatch.setattr(Lease, "submit", counting)
    request_finished.connect(finished)
    yield
    request_finished.disconnect(finished)


def asked(path: str, **options: Any) -> tuple[int, list[str]]:
    """The status, and what was met: with `sent` where the answer had been sent."""

    def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            met.append("sent")

    root = mount("/api", make_api(), **options)
    answer = asyncio.run(call(root, http_scope(f"/api{path}", headers=HOST), note=sent))
    return answer.status, list(met)


def test_entry_and_endpoint_are_one_call_and_the_exit_ends_the_spell() -> None:
    """A `def` endpoint with such a dependency takes two calls of one thread: the answer is sent between them."""
    assert asked("/sync") == (200, ["call", "enter", "endpoint", "sent", "call", "exit", "finished"])
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_each_is_left_in_its_turn() -> None:
    """Two dependencies are entered with one call; each has an exit of its own, and the last one ends the spell."""
    assert asked("/nested") == (
        200,
        ["call", "enter", "enter", "sent", "call", "exit", "call", "exit", "finished"],
    )


def test_one_of_the_scope_function_is_left_before_the_answer() -> None:
    """The exit of a dependency of the scope `function` comes before the answer, as in FastAPI."""
    _, found = asked("/function")
    assert found[:5] == ["call", "enter", "call", "exit", "sent"]


def test_a_request_with_an_open_dependency_keeps_its_thread() -> None:
    """Between entry and exit the lease is pinned, so that nobody else is lent the thread."""
    root = mount("/api", make_api())
    answer = asyncio.run(call(root, http_scope("/api/async", headers=HOST)))
    assert (answer.status, answer.json()) == (200, True)


@pytest.mark.parametrize(
    "path", ["/sync", "/function", "/async", "/background", "/both", "/raises", "/swallows", "/refuses"]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_met_is_what_fastapi_makes_of_it(path: str) -> None:
    """Entry, endpoint, tasks, errors, the answer and exits come in FastAPI's order, and the status is FastAPI's."""
    found = []
    for fast_path in (False, True):
        met.clear()
        try:
            status, order = asked(path, fast_path=fast_path)
        except Exception as error:
            status, order = 0, [*met, repr(error)]
        found.append((status, [what for what in order if what not in ("call", "finished")]))
        # Where an inner one has swallowed the error, the outer exit seems to be the end: the report has a spell more.
        assert met.count("finished") == (2 if fast_path and path == "/swallows" else 1)
    assert found[0] == found[1]
