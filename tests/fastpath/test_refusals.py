"""Requests that an endpoint's own parameters make invalid, under a plan and by FastAPI itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from unittest import mock

import fastapi.dependencies.utils
import pytest
from fastapi import Body, Cookie, Depends, FastAPI, Header, Path, Query, Request
from pydantic import AfterValidator, AliasChoices, BaseModel, Field, Json

from calls import HOST, call, http_scope
from djfast_mount import mount
from djfast_mount.fastpath.private_names import private

pytestmark = pytest.mark.once


class Page(BaseModel):
    size: int = Field(3, le=10)
    after: list[int] = []


class Item(BaseModel):
    name: str
    price: float


called: list[str] = []


def counted(x_number: Annotated[int, Header()] = 1) -> int:
    called.append("counted")
    return x_number


def changeable(value: int) -> int:
    """Refuses each value when it is met first."""
    called.append("validated")
    if called.count("validated") == 1:
        raise ValueError("not yet")
    return value


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/path/{first}/{second}")
    async def path(first: int, second: Annotated[int, Path(gt=3)], third: int, fourth: int = 4) -> None: ...

    @api.get("/lists")
    async def lists(
        many: Annotated[list[int], Query()],
        text: Annotated[Json[list[int]], Query()],
        more: Annotated[list[int], Query(default_factory=lambda: [1])],
    ) -> None: ...

    @api.get("/choices")
    async def choices(x: Annotated[int, Query(validation_alias=AliasChoices("one", "two"))], y: int) -> None: ...

    @api.get("/model")
    async def model(page: Annotated[Page, Query()]) -> None: ...

    @api.get("/defaults")
    async def defaults(x: Annotated[int, Query(validate_default=True, gt=3)] = 1, y: int = 2) -> None: ...

    @api.post("/body/{number}")
    async def body(
        number: int, item: Item, x_kind: Annotated[int, Header()], c: Annotated[int, Cookie()] = 0
    ) -> None: ...

    @api.post("/bodies")
    async def bodies(item: Item, count: Annotated[int, Body(gt=1)]) -> None: ...

    @api.get("/dependency")
    async def dependency(number: Annotated[int, Depends(counted)], x: int) -> None: ...

    @api.get("/dependency-sync")
    def dependency_sync(number: Annotated[int, Depends(counted)], x: int) -> None: ...

    @api.get("/twice")
    async def twice(
        number: Annotated[int, Depends(counted)], again: Annotated[int, Depends(counted)], x: int
    ) -> None: ...

    @api.get("/shown")
    async def shown(request: Request, x: int, y: int) -> None: ...

    @api.get("/changed")
    async def changed(x: Annotated[int, AfterValidator(changeable)]) -> int:
        return x

    return api


JSON = [*HOST, (b"content-type", b"application/json")]
REQUESTS: list[tuple[str, str, list[tuple[bytes, bytes]], bytes]] = [
    *[("/path/no/1", query, HOST, b"") for query in ("", "third=x", "third=1&third=no&fourth=%20", "fourth=&third=+1")],
    ("/path/1/4", "fourth=4", HOST, b""),
    *[("/lists", query, HOST, b"") for query in ("", "many=1&many=x&text=[1]", "many=1&text=[x]&more=q", "many=")],
    *[("/choices", query, HOST, b"") for query in ("", "two=x&y=1", "one=x&two=1", "three=1&y=q")],
    *[("/model", query, HOST, b"") for query in ("size=11", "size=x&after=1&after=y")],
    *[("/defaults", query, HOST, b"") for query in ("", "x=5&y=z")],
    *[("/body/x", "", JSON, body) for body in (b"", b"{}", b"[]", b'{"name": "n", "price": "p"}', b'{"name": 1}')],
    ("/body/1", "", [*JSON, (b"x-kind", b"q"), (b"x-kind", b"2"), (b"cookie", b"c=x")], b'{"name": "n", "price": 1}'),
    *[("/bodies", "", JSON, body) for body in (b"", b"[1]", b'{"item": {}, "count": 1}', b'{"item": 1, "count": "c"}')],
    *[(path, "x=no", HOST, b"") for path in ("/dependency", "/dependency-sync", "/twice", "/shown")],
    *[(path, "x=no", [*HOST, (b"x-number", b"no")], b"") for path in ("/dependency", "/dependency-sync", "/twice")],
]


def answer_of(app: Any, asked: tuple[str, str, list[tuple[bytes, bytes]], bytes]) -> tuple[Any, ...]:
    path, query, headers, body = asked
    called.clear()
    scope = http_scope(
        "/api" + path, headers=headers, query_string=query.encode(), method="POST" if body or "bod" in path else "GET"
    )
    answer = asyncio.run(call(app, scope, body))
    return answer.status, answer.json(), list(called)


@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: f"{asked[0]}?{asked[1]} {asked[3].decode()}")
def test_an_invalid_request_is_answered_as_fastapi_answers_it(asked: Any) -> None:
    """Status, errors in their order and the calls made are FastAPI's."""
    fastapis = answer_of(mount("/api", make_api(), fast_path=False), asked)
    assert answer_of(mount("/api", make_api()), asked) == fastapis


@pytest.mark.parametrize(
    ("asked", "walks"), [("/path/no/1", 0), ("/dependency", 0), ("/dependency-sync", 0), ("/twice", 1)]
)
def test_fastapis_tree_is_not_walked_for_the_endpoints_own_parameters(asked: str, walks: int) -> None:
    """`solve_dependencies` is called only where a dependency is used twice: the second use may be what is wrong."""
    root = mount("/api", make_api())
    answer_of(root, (asked, "x=no", HOST, b""))  # The plan is made with the first.
    with mock.patch.object(private, "solve_dependencies", wraps=private.solve_dependencies) as solving:
        assert answer_of(root, (asked, "x=no", HOST, b""))[0] == 422
    assert solving.call_count == walks


def test_a_validator_that_changes_its_mind_is_heard() -> None:
    """A request that a validator has refused at first is served where it finds nothing wrong when it is asked again."""
    status, result, calls = answer_of(mount("/api", make_api()), ("/changed", "x=1", HOST, b""))
    assert (status, result) == (200, 1)
    assert set(calls) == {"validated"}


def test_the_functions_are_fastapis() -> None:
    """What words an error is what FastAPI itself calls."""
    assert private._validate_value_with_model_field is (
        fastapi.dependencies.utils._validate_value_with_model_field  # type: ignore[attr-defined]
    )
