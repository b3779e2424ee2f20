"""The errors that stand in the schema of a mounted FastAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.utils import translation
from fastapi import APIRouter, Depends, FastAPI, UploadFile
from pydantic import BaseModel, Field

from api_client import ApiClient, committed_rows
from calls import ask
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, OptionalUser, StaffUser, SuperUser, api_key, require_perm, router, session
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import ModelSchema

key = api_key("X-API-Key", lambda value: User(username="robot") if value == "right" else None)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


class Item(BaseModel):
    name: Annotated[str, Field(max_length=20)]


def make_api() -> FastAPI:
    api, included = FastAPI(), APIRouter(prefix="/included")
    api.get("/plain")(lambda: 1)
    api.get("/with/{name}")(lambda name: name)

    @api.post("/items")
    def add(item: Item) -> Item:
        return item

    @api.post("/files")
    def upload(file: UploadFile) -> int | None:
        return file.size

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @api.post("/me")
    def change_me(user: CurrentUser) -> None: ...

    @api.get("/maybe")
    def maybe(user: OptionalUser) -> bool:
        return user is not None

    @included.get("/staff")
    def staff(user: StaffUser) -> None: ...

    @included.get("/super", responses={403: {"description": "Only for the best"}})
    def best(user: SuperUser) -> None: ...

    @included.get("/perm", dependencies=[require_perm("shop.change_item")], responses={"4XX": {"description": "No"}})
    def perm() -> None: ...

    @api.get("/key")
    def by_key(user: Annotated[User, Depends(key)]) -> str:
        return user.username

    @api.post("/session")
    def by_session(user: Annotated[User, Depends(session)]) -> str:
        return user.username

    api.include_router(included)
    api.include_router(router, prefix="/auth")
    return api


def errors(schema: dict[str, Any], method: str, path: str) -> list[str]:
    return sorted(status for status in schema["paths"][path][method]["responses"] if status[0] in "45")


EXPECTED = {
    ("get", "/plain"): ["503"],
    ("get", "/with/{name}"): ["400", "422", "503"],
    ("post", "/items"): ["400", "413", "422", "503"],
    ("post", "/files"): ["400", "413", "422", "503"],
    ("get", "/me"): ["400", "401", "503"],
    ("post", "/me"): ["400", "401", "403", "503"],
    ("get", "/maybe"): ["400", "503"],
    ("get", "/included/staff"): ["400", "401", "403", "503"],
    ("get", "/included/super"): ["400", "401", "403", "503"],
    ("get", "/included/perm"): ["4XX", "503"],
    ("get", "/key"): ["401", "503"],
    ("post", "/session"): ["401", "403", "503"],
    ("post", "/auth/login"): ["400", "401", "403", "413", "422", "503"],
    ("post", "/auth/logout"): ["400", "403", "503"],
}


def test_each_operation_names_its_errors(root_path: str) -> None:
    """The schema that is served has the errors of each operation, and no others."""
    schema = ask(mount("/api", make_api()), "/api/openapi.json", root_path=root_path).json()
    assert {place: errors(schema, *place) for place in EXPECTED} == EXPECTED


def test_what_a_route_says_stays() -> None:
    """A description of the route's own is not replaced, and FastAPI's kept schema is not changed."""
    api = make_api()
    mount("/api", api)
    schema = api.openapi()
    assert schema["paths"]["/included/super"]["get"]["responses"]["403"]["description"] == "Only for the best"
    assert schema["paths"]["/items"]["post"]["responses"]["422"]["description"] == "Validation Error"
    assert api.openapi() is schema
    assert api.openapi_schema is not None
    assert "503" not in api.openapi_schema["paths"]["/plain"]["get"]["responses"]


def test_an_openapi_of_the_apps_own() -> None:
    """A function that an app has put in the place of `openapi()` is called, and what it returns has the errors."""
    api = make_api()
    original = api.openapi
    api.openapi = lambda: {**original(), "info": {"title": "Mine", "version": "1"}}  # type: ignore[method-assign]
    mount("/api", api)
    mount("/api", api)
    assert api.openapi()["info"]["title"] == "Mine"
    assert errors(api.openapi(), "get", "/plain") == ["503"]


def test_routes_that_come_later() -> None:
    """Where the app makes its schema anew, so are the errors."""
    api = make_api()
    mount("/api", api)
    api.openapi()
    api.get("/later")(lambda: 1)
    api.openapi_schema = None
    assert errors(api.openapi(), "get", "/later") == ["503"]


def test_a_wrong_key_is_a_401_of_optional_users_too(settings: Any) -> None:
    """Where a credential can be wrong an anonymous call's operation has 401 too."""
    settings.DJFAST_MOUNT = {"authentication": [f"{__name__}.key", "djfast_mount.auth.session"]}
    api = make_api()
    mount("/api", api)
    assert errors(api.openapi(), "get", "/maybe") == ["400", "401", "503"]


def test_no_limit_is_no_413() -> None:
    """Without a limit a body cannot be too large."""
    api = make_api()
    mount("/api", api, max_body_size=None)
    assert errors(api.openapi(), "post", "/items") == ["400", "422", "503"]


def test_problem_details(settings: Any) -> None:
    """With problem_details the shape of a 401 is that of RFC 9457."""
    settings.DJFAST_MOUNT = {"problem_details": True}
    api = make_api()
    mount("/api", api)
    [kind] = api.openapi()["paths"]["/me"]["get"]["responses"]["401"]["content"]
    assert kind == "application/problem+json"


def test_it_can_be_left_out(settings: Any) -> None:
    """With error_responses False the schema is FastAPI's."""
    settings.DJFAST_MOUNT = {"error_responses": False}
    api = make_api()
    mount("/api", api)
    assert errors(api.openapi(), "get", "/plain") == []


@pytest.mark.parametrize("adds_errors", [True, False])
def test_one_language(settings: Any, adds_errors: bool) -> None:
    """FastAPI keeps the document for all: it is in the language of the site, and not of the one who asks first."""
    settings.DJFAST_MOUNT = {"error_responses": adds_errors}

    class UserSchema(ModelSchema[User]):
        class Meta:
            fields = ["username"]

    api = FastAPI()
    api.include_router(ModelRouter(UserSchema, prefix="/users", create=True, update=True))
    mount("/api", api)
    with translation.override("de"):
        schemas = api.openapi()["components"]["schemas"]
    assert schemas["User"]["properties"]["username"]["description"].startswith("Required.")
    assert schemas["UserChange"]["properties"]["id"]["description"] == "Which user is changed."


# Held against what is answered -------------------------------------------------------------------------------------


ODD: list[tuple[str, str, dict[str, Any]]] = [
    ("get", "/with/{name}", {"path": "/with/%00"}),
    ("get", "/with/{name}", {"path": "/with/a%0Ab"}),
    ("get", "/me", {"path": "/me?a=%ff"}),
    ("get", "/me", {}),
    ("post", "/me", {}),
    ("get", "/included/staff", {}),
    ("get", "/key", {"headers": {"x-api-key": "wrong"}}),
    ("get", "/key", {"headers": {"x-api-key": b"\xff"}}),
    ("post", "/items", {"content": b"{"}),
    ("post", "/items", {"content": b"\xff", "headers": {"content-type": "application/json"}}),
    ("post", "/items", {"content": b"x" * 3000}),
    ("post", "/files", {"content": b"--x", "headers": {"content-type": "multipart/form-data"}}),
    ("post", "/files", {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    ("post", "/auth/login", {"json": {"username": "a", "password": "b"}}),
    ("post", "/auth/login", {"json": {"username": "a\x00", "password": "b"}}),
    (
        "post",
        "/auth/login",
        {"json": {"username": "a", "password": "b"}, "headers": {"origin": "https://evil.example"}},
    ),
]


def test_odd_requests_get_what_is_documented(root_path: str) -> None:
    """The status of each request that is meant to fail stands in the schema of its operation."""
    app = mount("/api", make_api(), max_body_size=2000)
    client = ApiClient(app, root_path)
    schema = client.get("/api/openapi.json").json()
    found = []
    for method, place, options in ODD:
        asked = {**options}
        status = client.request(method, "/api" + asked.pop("path", place), **asked).status_code
        found.append(status)
        documented = schema["paths"][place][method]["responses"]
        assert str(status) in documented, (method, place, options, status)
    assert set(found) >= {400, 401, 403, 413, 422}
