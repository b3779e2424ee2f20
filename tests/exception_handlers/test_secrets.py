"""Answers to invalid requests, which show no secret that was sent."""

from __future__ import annotations

import gc
import itertools
import json
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import urlencode

import pytest
from django.core.exceptions import ValidationError
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Form, Header, Query, WebSocket
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from api_client import ApiClient, both
from calls import websocket
from djfast_mount import mount
from djfast_mount.auth import router
from djfast_mount.exception_handlers import secrets
from djfast_mount.exception_handlers.secrets import is_secret

SECRET = "correct-horse-battery"

pytestmark = pytest.mark.once


class Inner(BaseModel):
    code: SecretStr
    count: int


class ByType(BaseModel):
    """Secrets by their types, under names that say nothing."""

    word: SecretStr = Field(max_length=3)
    raw: SecretBytes = SecretBytes(b"")
    many: list[SecretStr] = []
    maybe: SecretStr | None = None
    number: Secret[int] | None = None
    other: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("else", "other"))
    inner: Inner | None = None
    count: int


class ByName(BaseModel):
    password: str = Field(min_length=40)
    apiKey: int = 0  # noqa: N815
    count: int

    @field_validator("password")
    @classmethod
    def check(cls, value: str) -> str:
        raise ValueError(f"{value} is too weak")


class ByOthers(BaseModel):
    """Words of the project's own, about the secret and about the whole."""

    model_config = {"str_strip_whitespace": True}

    password: str = ""
    token: str = ""
    count: int = 0

    @field_validator("token")
    @classmethod
    def check_token(cls, value: str) -> str:
        raise ValueError(f"{value!r} is no token, nor is {value.lower()}")

    @field_validator("count", mode="before")
    @classmethod
    def check_count(cls, value: Any, info: ValidationInfo) -> Any:
        if value == "x":
            raise ValueError(f"{info.data.get('password')} does not count")
        return value

    @model_validator(mode="after")
    def check(self) -> Self:
        raise ValueError(f"{self.password} is not what it was")


@dataclass
class AsDataclass:
    word: SecretStr
    count: int


class AsDict(TypedDict):
    word: SecretStr
    count: int


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "POST", "/type")
    def by_type(body: ByType) -> None: ...

    @both(api, "POST", "/name")
    def by_name(body: ByName) -> None: ...

    @both(api, "POST", "/others")
    def by_others(body: ByOthers) -> None: ...

    @both(api, "POST", "/list")
    def in_list(body: list[ByType]) -> None: ...

    @both(api, "POST", "/dataclass")
    def as_dataclass(body: AsDataclass) -> None: ...

    @both(api, "POST", "/dict")
    def as_dict(body: AsDict) -> None: ...

    @both(api, "POST", "/two")
    def two(one: ByType, two: ByName) -> None: ...

    @both(api, "POST", "/form")
    def form(body: Annotated[ByType, Form()]) -> None: ...

    @both(api, "POST", "/body")
    def body(new_password: Annotated[int, Body()], count: Annotated[int, Body()]) -> None: ...

    @both(api, "GET", "/parameters")
    def parameters(
        token: Annotated[int, Query()] = 0,
        x_api_key: Annotated[int, Header()] = 0,
        sessionid: Annotated[int, Cookie()] = 0,
        authorization: Annotated[int, Header()] = 0,
    ) -> None: ...

    @both(api, "GET", "/missing")
    def missing(token: str, x_api_key: Annotated[str, Header()], sessionid: Annotated[str, Cookie()]) -> None: ...

    @both(api, "POST", "/public")
    def public(body: dict[str, int]) -> None: ...

    @both(api, "POST", "/django")
    def django() -> None:
        params = {"value": SECRET}
        raise ValidationError({"password": ValidationError("“%(value)s” is no password.", params=params)})

    @api.websocket("/ws")
    async def ws(websocket: WebSocket, token: int) -> None: ...

    api.include_router(router, prefix="/auth")
    return api


KINDS = ("sync", "async")


@pytest.fixture(params=[False, True], ids=["json", "problem"])
def client(request: pytest.FixtureRequest, settings: Any) -> ApiClient:
    settings.DJFAST_MOUNT = {"problem_details": request.param}
    return ApiClient(mount("/api", make_api()), "/pre" if request.param else "")


BODIES: list[tuple[str, Any]] = [
    *[
        ("type", body)
        for body in (
            {"word": SECRET},  # The count is missing.
            {"word": SECRET, "count": "x"},
            {"word": SECRET, "count": 1},  # It is too long.
            {"word": {"of": SECRET}, "count": 1},
            {"word": [SECRET], "count": 1},
            {"word": "a", "raw": [SECRET], "count": 1},
            {"word": "a", "many": [{"a": SECRET}], "count": 1},
            {"word": "a", "many": SECRET, "count": 1},
            {"word": "a", "maybe": [SECRET], "count": 1},
            {"word": "a", "number": SECRET, "count": 1},
            {"word": "a", "else": SECRET},
            {"word": "a", "inner": {"code": SECRET}, "count": 1},
            {"word": "a", "inner": {"code": SECRET, "count": "x"}, "count": 1},
            {"word": "a", "inner": f'{{"code": "{SECRET}"}}', "count": 1},
            [{"word": SECRET, "count": 1}],
            SECRET,
        )
    ],
    ("name", {"password": SECRET, "count": 1}),
    ("name", {"password": SECRET * 3, "count": 1}),
    ("name", {"password": SECRET}),
    ("name", {"password": 0, "apiKey": SECRET, "count": 1}),
    ("others", {"password": SECRET}),
    ("others", {"password": f" {SECRET} ", "count": 1}),
    ("others", {"token": f" {SECRET}\n"}),
    ("others", {"password": f" {SECRET}", "count": "x"}),
    ("others", {"token": SECRET.title()}),
    ("list", [{"word": SECRET}, SECRET]),
    ("list", {"word": SECRET}),
    ("dataclass", {"word": SECRET}),
    ("dataclass", {"word": SECRET, "count": "x"}),
    ("dict", {"word": SECRET}),
    ("two", {"one": {"word": SECRET}}),
    ("two", {"one": {"word": "a", "count": 1}, "two": {"password": SECRET}}),
    ("body", {"new_password": SECRET, "count": "x"}),
    ("body", {"new_password": [SECRET]}),
    ("public", {"password": {"a": SECRET}}),
    ("public", [{"password": SECRET}]),
    ("django", {}),
]


def assert_hidden(answer: Any, case: object) -> None:
    assert answer.status_code == 422, case
    assert SECRET not in answer.text.lower(), case


def test_a_secret_in_json(client: ApiClient) -> None:
    """No error about a body shows a secret of it: of its own field, of another's, of one that is missing."""
    for kind, (path, body) in itertools.product(KINDS, BODIES):
        assert_hidden(client.post(f"/api/{kind}/{path}", json=body), (path, body))


def test_a_secret_in_a_body_that_was_not_decoded(client: ApiClient) -> None:
    """A body of another type is shown as one text by FastAPI, and here not at all."""
    types = ("text/plain", "application/x-www-form-urlencoded", "")
    contents = (json.dumps({"word": SECRET, "count": 1}), urlencode({"password": SECRET}))
    for path, content_type, content in itertools.product(("type", "name", "list", "two"), types, contents):
        answer = client.post(f"/api/sync/{path}", content=content, headers={"content-type": content_type})
        assert_hidden(answer, (path, content_type, content))


def test_a_secret_in_a_form(client: ApiClient) -> None:
    """Fields of a form are fields as others."""
    for kind, data in itertools.product(KINDS, ({"word": SECRET}, {"word": SECRET, "count": "x"})):
        assert_hidden(client.post(f"/api/{kind}/form", data=data), data)


def test_a_secret_in_a_parameter(client: ApiClient) -> None:
    """Headers, cookies and queries are hidden by their names."""
    client.set_cookie("sessionid", SECRET)
    headers = {"x-api-key": SECRET, "authorization": SECRET}
    answer = client.get(f"/api/sync/parameters?token={SECRET}", headers=headers)
    assert len(answer.json().get("errors") or answer.json()["detail"]) == 4
    assert_hidden(answer, headers)


def test_a_login(client: ApiClient) -> None:
    """An incomplete login does not come back with its password."""
    without_name, wrong_name = {"password": SECRET}, {"username": [1], "password": SECRET}
    for body in (without_name, wrong_name, {"username": "a", "password": [SECRET]}, SECRET):
        assert_hidden(client.post("/api/auth/login", json=body), body)


def test_a_websocket(root_path: str) -> None:
    """The reason with which a handshake is refused shows no secret."""
    app = mount("/api", make_api())
    query = f"token={SECRET}".encode()
    sent = websocket(app, f"{root_path}/api/ws", root_path=root_path, query_string=query)
    assert sent[0]["type"] == "websocket.close"
    assert "int_parsing" in str(sent[0]["reason"])
    assert SECRET not in str(sent)


def test_a_router_in_two_apps() -> None:
    """What is a secret is asked for each app: the one that includes a router may add dependencies to it."""

    def takes_a_secret(word: Annotated[SecretStr, Query(max_length=3)]) -> None: ...

    shared = APIRouter()

    @shared.get("/item")
    def item(count: int) -> None: ...

    open_one, closed = FastAPI(), FastAPI()
    open_one.include_router(shared)
    closed.include_router(shared, dependencies=[Depends(takes_a_secret)])
    client = ApiClient(mount({"/open": open_one, "/closed": closed}))
    assert client.get("/open/item", params={"count": "x"}).status_code == 422
    answer = client.get("/closed/item", params={"count": "1", "word": SECRET})
    assert answer.status_code == 422
    assert SECRET not in answer.text


def test_nothing_is_kept_of_apps_that_are_gone() -> None:
    """What is known of an app's secrets goes with the app, which may have been made for one request."""
    gc.collect()
    before = len(secrets._known)
    for _ in range(5):
        api = FastAPI()

        @api.get("/items")
        def items(count: int) -> None: ...

        assert ApiClient(mount("/api", api)).get("/api/items?count=x").status_code == 422
    gc.collect()
    # The last one may still be known as what was mounted last.
    assert len(secrets._known) <= before + 1


def test_what_is_no_secret_is_shown(client: ApiClient) -> None:
    """All else is told as FastAPI tells it: the words of an error, and the value that was meant."""
    answer = client.post("/api/sync/type", json={"word": "a", "count": "seven"})
    [error] = answer.json().get("errors") or answer.json()["detail"]
    assert error == {
        "type": "int_parsing",
        "loc": ["body", "count"],
        "msg": "Input should be a valid integer, unable to parse string as an integer",
        "input": "seven",
    }
    answer = client.post("/api/sync/type", json={"word": SECRET, "inner": {"count": 1}})
    errors = answer.json().get("errors") or answer.json()["detail"]
    shown = {tuple(error["loc"]): error["input"] for error in errors}
    assert shown == {
        ("body", "word"): "**********",
        ("body", "inner", "code"): "**********",
        ("body", "count"): {"word": "**********", "inner": {"count": 1}},
    }


def test_what_was_not_sent_is_told(client: ApiClient) -> None:
    """Nothing stands for a secret that was not sent: an error then has FastAPI's `None`, or its empty object."""
    answer = client.get("/api/sync/missing")
    errors = answer.json().get("errors") or answer.json()["detail"]
    assert answer.status_code == 422
    assert [(*error["loc"], error["input"]) for error in errors] == [
        ("query", "token", None),
        ("header", "x-api-key", None),
        ("cookie", "sessionid", None),
    ]
    answer = client.post("/api/auth/login", json={})
    errors = answer.json().get("errors") or answer.json()["detail"]
    assert [error["input"] for error in errors] == [{}, {}]


SECRETS = """
password Password passwd user_password newPassword passphrase passcode pwd secret client_secret api_key apiKey X-API-Key
token access_token refreshToken csrftoken authorization credentials private_key otp pin card_pin cvv sessionid
session_key Set-Cookie
"""
OTHERS = "author compass passenger keyboard pinned opinion title monkey spin bypass session 0"


def test_names_of_secrets() -> None:
    """A name that says so holds a secret, and one that only sounds so does not."""
    assert [name for name in SECRETS.split() if not is_secret(name)] == []
    assert [name for name in OTHERS.split() if is_secret(name)] == []
