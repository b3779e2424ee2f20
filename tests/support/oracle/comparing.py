"""The same choices made twice: once for FastAPI alone, once for the API that plans serve."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from fastapi import FastAPI, routing
from fastapi.exceptions import FastAPIError
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from djfast_mount.fastpath import front
from djfast_mount.fastpath.before_stack import Around, before, shortest_way
from djfast_mount.offload.current import KEY
from djfast_mount.request_thread.response import WatchedResponse
from oracle.apis import Log, change, make_api, scope_seen, seen, without_places
from oracle.calls import converse
from oracle.requests import make_request


class Choices:
    """Notes what is picked, so that it can be picked again."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self.made: list[int] = []

    def pick(self, options: Sequence[Any]) -> Any:
        number = self._draw(len(options))
        self.made.append(number)
        return options[number]


class _Again:
    def __init__(self, made: list[int]) -> None:
        self._made = iter(made)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[next(self._made)]


class Impossible(Exception):
    """FastAPI refuses what was drawn."""


class Pair:
    """An API alone, and the same with plans. Raises: Impossible."""

    def __init__(self, draw: Callable[[int], int], *, only_async: bool) -> None:
        routing._endpoint_context_cache.clear()  # By id(): of functions that were collected since, too.
        choices = Choices(draw)
        self.logs = Log(), Log()
        self.only_async = only_async
        try:
            alone = make_api(choices.pick, self.logs[0], only_async=only_async)
        except (FastAPIError, AssertionError) as error:
            raise Impossible from error
        again = make_api(_Again(choices.made).pick, self.logs[1], only_async=only_async)
        self.apis = alone, again
        for route in again.routes:
            if isinstance(route, Mount) and isinstance(route.app, FastAPI):
                front.straighten(route.app, (again,))
        front.straighten(again)
        # Half of them as `mount()` has it where nothing is around: the plans send by the request itself.
        served = _OfARequest(again) if len(choices.made) % 2 else before(again)
        self.apps: tuple[Any, Any] = alone, served


class _OfARequest:
    """ASGI: calls `api` as a request thread does on the shortest way."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        lists = SimpleNamespace(now=[], then=[])
        self._way = shortest_way(api, Around(before(api, is_direct=True), lists, None, lambda is_secure: {}))
        self._threads: Any = SimpleNamespace(pool=SimpleNamespace(streams=SimpleNamespace(full=False)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        response = scope[KEY] = WatchedResponse(self._threads, scope, send)
        try:
            await self._way(scope, receive, response.send)
        finally:
            response.over = True
            scope.pop(KEY)


async def _observe(app: Any, log: Log, request: Any, *, alive: bool) -> dict[str, Any]:
    log.clear(request.cancelled_at)
    seen.set("unset")
    with _logged() as logged:
        found = await converse(app, *request)
    error, found.raised = found.raised, None
    observed = {
        "sent": found.sent,
        "left": len(found.messages),
        "raised": _shown(error),
        "cause": _shown(error and error.__cause__),
        "context": _shown(error and error.__context__),
        "events": log.events,
        "logged": logged,
        "scope": scope_seen(request.scope),
        "seen": seen.get(),
    }
    del error, found, request
    if alive:
        observed["alive"] = [reference() is not None for reference in log.tracked]
    return observed


class _Kept(logging.Handler):
    """Keeps of each record what can be compared, and nothing that it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        self.records.append((record.name, record.levelname, record.getMessage(), error))


@contextmanager
def _logged() -> Iterator[list[Any]]:
    handler, root = _Kept(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.records
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _shown(error: Any) -> Any:
    if error is None:
        return None
    return type(error).__name__, without_places(str(error)), error.__suppress_context__


def _is_refused(observed: dict[str, Any]) -> bool:
    """Whether FastAPI did not come to the endpoint: a plan then may validate again what it had validated."""
    return not any(event[:2] == ("call", "endpoint") for event in observed["events"])


def _drop_repeated_validation(first: dict[str, Any], second: dict[str, Any]) -> None:
    validations = [
        {repr(event) for event in observed["events"] if event[0] in ("validator", "factory")}
        for observed in (first, second)
    ]
    assert validations[0] == validations[1]
    for observed in (first, second):
        observed["events"] = [event for event in observed["events"] if event[0] not in ("validator", "factory")]


def compare(pair: Pair, draw: Callable[[int], int], count: int) -> int:
    """Sends `count` requests to both. Raises AssertionError at the first that differs. Returns how many were sent."""

    async def main() -> None:
        for log in pair.logs:
            log.loop_thread = threading.get_ident()
        for _ in range(count):
            choices = Choices(draw)
            change(choices.pick, pair.logs[0], pair.apis[0])
            change(_Again(choices.made).pick, pair.logs[1], pair.apis[1])
            choices = Choices(draw)
            first = await _observe(
                pair.apps[0], pair.logs[0], make_request(choices.pick, pair.logs[0]), alive=pair.only_async
            )
            again = make_request(_Again(choices.made).pick, pair.logs[1])
            second = await _observe(pair.apps[1], pair.logs[1], again, alive=pair.only_async)
            shown = make_request(_Again(choices.made).pick, pair.logs[1])
            if _is_refused(first):
                _drop_repeated_validation(first, second)
            differing = {name: (first[name], second[name]) for name in first if first[name] != second[name]}
            # What FastAPI lets go of, a plan lets go of. The other way round it may be better than FastAPI.
            leaks = [
                mine and not its for its, mine in zip(first.get("alive", []), second.get("alive", []), strict=False)
            ]
            if not any(leaks):
                differing.pop("alive", None)
            assert not differing, f"{shown}\n(FastAPI, plan): {differing}"

    gc.disable()
    try:
        # Plans serve the requests of `mount()` alone. There is none here, and AnyIO's threads do the plain calls.
        with mock.patch.object(front, "current_response", object):
            asyncio.run(main())
    finally:
        gc.enable()
    return count
