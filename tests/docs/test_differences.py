"""docs/differences.md: each kind that the suites of others are excused by is on it, and its table is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Cookie, FastAPI, Request

from djfast_mount import mount
from suites.foreign import SUITES, Exclusions, kinds_of_differences

pytestmark = pytest.mark.once

Answer = tuple[int, Any]


def make_api() -> FastAPI:
    api = FastAPI()

    @api.get("/fails")
    async def fails() -> None:
        raise RuntimeError("unexpected")

    @api.get("/path/{name:path}")
    async def where(name: str, request: Request) -> str:
        return request.url.path

    @api.post("/path/{name:path}")
    async def other(name: str, body: Annotated[float | str, Body()]) -> float | str:
        return body

    @api.get("/cookie")
    async def cookie(visits: Annotated[int, Cookie()]) -> int:
        return visits

    return api


def asked(path: str, of: Callable[[Any], Any] = lambda answer: answer.text, **options: Any) -> Any:
    """What an app under `prefix` answers to a request: its status, and what `of` it is looked at."""

    def ask(app: Any, prefix: str) -> Answer:
        return asyncio.run(send(app, prefix))

    async def send(app: Any, prefix: str) -> Answer:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        method, cookies = options.get("method", "GET"), options.get("cookies")
        given = {name: value for name, value in options.items() if name not in ("cookies", "method")}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", cookies=cookies) as client:
            answer = await client.request(method, prefix + path, **given)
        return answer.status_code, of(answer)

    return ask


def responses_of(answer: Any) -> Any:
    return set(answer.json()["paths"]["/path/{name}"]["post"]["responses"])


def nothing(answer: Any) -> Any:
    return None


# The request, what FastAPI alone answers, what the mounted one does, and the options with which that is the same.
ROWS: dict[str, tuple[Any, Answer, Answer, dict[str, Any] | None]] = {
    "prefix": (asked("/path/a"), (200, '"/path/a"'), (200, '"/api/path/a"'), {"prefix": "/", "django_prefix": "/d"}),
    "hosts": (asked("/path/a", nothing, headers={"host": "evil"}), (200, None), (400, None), {"host_check": False}),
    "control-character": (asked("/path/a%01", nothing), (200, None), (400, None), None),
    "docs-access": (asked("/openapi.json", nothing), (200, None), (401, None), {"docs_access": "public"}),
    "json-500": (asked("/fails"), (500, "Internal Server Error"), (500, '{"detail":"Internal Server Error"}'), None),
    "secrets": (
        asked("/cookie", lambda answer: answer.json()["detail"][0]["input"], cookies={"visits": "many"}),
        (422, "many"),
        (422, "**********"),
        None,
    ),
    "allow": (
        asked("/path/a", lambda answer: answer.headers["allow"], method="PUT"),
        (405, "GET"),
        (405, "GET, POST"),
        None,
    ),
    "odd-json": (
        asked("/path/a", nothing, method="POST", content='"\\ud800"', headers={"content-type": "application/json"}),
        (500, None),
        (422, None),
        None,
    ),
    "body-limit": (
        asked("/path/a", nothing, method="POST", content="1", headers={"content-length": str(2**27)}),
        (200, None),
        (413, None),
        {"max_body_size": None},
    ),
}
OF_SETTINGS: dict[str, tuple[Any, Answer, Answer, dict[str, Any]]] = {
    "error-responses": (
        asked("/openapi.json", responses_of),
        (200, {"200", "422"}),
        (200, {"200", "400", "413", "422", "503"}),
        {"error_responses": False},
    ),
    "django-headers": (
        asked("/path/a", lambda answer: answer.headers.get("x-frame-options")),
        (200, None),
        (200, "DENY"),
        {"django_settings_for_api": False},
    ),
}


@pytest.mark.parametrize("suite", ["django", "fastapi", "starlette"])
def test_what_the_suites_are_excused_by_is_on_the_page(suite: str) -> None:
    """Each exclusion of the suites of Django, FastAPI and Starlette names a row of a table."""
    files = sorted((SUITES / suite).glob("exclusions*.toml"))
    assert files
    assert Exclusions(*files).of_no_kind(kinds_of_differences()) == []


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_is_true(kind: str, settings: Any) -> None:
    """FastAPI alone answers one thing and the mounted app another, and the option of the last column undoes it."""
    assert kind in kinds_of_differences()
    ask, alone, mounted, options = ROWS[kind]
    settings.DEBUG, settings.DJFAST_MOUNT = False, {}
    settings.ALLOWED_HOSTS = ["testserver"]
    assert ask(make_api(), "") == alone
    assert ask(mount("/api", make_api()), "/api") == mounted
    if options is not None:
        prefix = options.get("prefix", "/api")
        root = mount(prefix, make_api(), **{name: value for name, value in options.items() if name != "prefix"})
        assert ask(root, prefix.rstrip("/")) == alone


@pytest.mark.parametrize("kind", OF_SETTINGS)
def test_a_row_with_a_setting_is_true(kind: str, settings: Any) -> None:
    """So it is where a key of the setting undoes it."""
    assert kind in kinds_of_differences()
    ask, alone, mounted, undone = OF_SETTINGS[kind]
    settings.DJFAST_MOUNT = {}
    assert ask(make_api(), "") == alone
    assert ask(mount("/api", make_api(), docs_access="public"), "/api") == mounted
    settings.DJFAST_MOUNT = undone
    assert ask(mount("/api", make_api(), docs_access="public"), "/api") == alone
