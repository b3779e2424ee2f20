"""What the app's handlers answer outside of Starlette's place for them: docs, test clients, methods, mistakes."""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.db.models import FileField
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext_lazy
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api_client import ApiClient, both
from calls import ask
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, api_key
from project.library.models import Author


def failing_lookup(key: str) -> User | None:
    if key == "http":
        raise HTTPException(418, "teapot")
    if key == "bug":
        raise RuntimeError("secret")
    raise OperationalError("secret")


key_scheme = api_key("X-API-Key", failing_lookup)


class AuthorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str


def make_api() -> FastAPI:
    api = FastAPI()

    @both(api, "GET", "/me")
    def me(user: CurrentUser) -> None: ...

    @both(api, "GET", "/bug")
    def bug() -> None:
        raise RuntimeError("secret")

    @both(api, "GET", "/item")
    def read() -> None: ...

    @both(api, "PUT", "/item")
    def write() -> None: ...

    @both(api, "DELETE", "/item")
    def delete() -> None: ...

    router = APIRouter()
    router.add_api_route("/sync/item", delete, methods=["PATCH"])
    router.add_api_route("/async/item", delete, methods=["PATCH"])
    api.include_router(router)

    @both(api, "POST", "/refuses")
    def refuses() -> None:
        raise HTTPException(405, "Not today", {"Allow": "GET"})

    @both(api, "GET", "/file")
    def file() -> AuthorOut:
        return {"name": FieldFile(None, FileField(), "a.txt")}  # type: ignore[return-value]

    @both(api, "GET", "/lazy")
    def lazy() -> AuthorOut:
        return {"name": gettext_lazy("Yes")}  # type: ignore[return-value]

    @api.get("/authors")
    async def authors() -> list[AuthorOut]:
        return Author.objects.all()  # type: ignore[return-value]

    return api


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(root_path: str, settings: Any) -> ApiClient:
    settings.DJFAST_MOUNT = {
        "docs_access": "staff",
        "authentication": ["djfast_mount.auth.session", f"{__name__}.key_scheme"],
    }
    return ApiClient(mount("/api", make_api()), root_path)


# The docs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "status"), [("outage", 503), ("http", 418), ("bug", 500)])
@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "sync/me", "async/me"])
def test_the_docs_fail_as_endpoints_do(client: ApiClient, path: str, key: str, status: int) -> None:
    """What goes wrong while somebody is let in to the docs has the answer that an endpoint has."""
    answer = client.get(f"/api/{path}", headers={"x-api-key": key})
    assert answer.status_code == status
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)


@pytest.mark.parametrize("path", ["docs", "openapi.json"])
def test_a_query_of_bytes(client: ApiClient, root_path: str, path: str) -> None:
    """A query that Django cannot read is a 400 for the docs as well."""
    headers = [(b"host", b"testserver"), (b"cookie", b"sessionid=" + b"x" * 32)]
    answer = ask(client.app, f"/api/{path}", root_path=root_path, query_string=b"q=\xff", headers=headers)
    assert (answer.status, answer.json()) == (400, {"detail": "The query is no UTF-8."})


# Test clients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [False, True])
def test_fastapis_test_client_raises(kind: str, root: bool) -> None:
    """The error of an endpoint is raised in a test, through the root as through the API alone; unless not wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It would rather have a successor of httpx.
        client: Any = importlib.import_module("fastapi.testclient").TestClient
    api = make_api()
    app, path = (mount("/api", api), f"/api/{kind}/bug") if root else (api, f"/{kind}/bug")
    with pytest.raises(RuntimeError, match="secret"):
        client(app).get(path)
    assert client(app, raise_server_exceptions=False).get(path).status_code == 500


# Methods ------------------------------------------------------------------------------------------------------------


def test_allow_names_every_method(client: ApiClient, kind: str) -> None:
    """A 405 names the methods of all routes of the path, of included routers too."""
    answer = client.post(f"/api/{kind}/item")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["allow"] == "DELETE, GET, PATCH, PUT"


def test_allow_of_an_endpoints_own(client: ApiClient, kind: str) -> None:
    """A 405 that an endpoint raises has the headers that it was given."""
    assert client.post(f"/api/{kind}/refuses").headers["allow"] == "GET"


def test_a_handler_of_the_apps_own(root_path: str) -> None:
    """An app that answers 405, or each HTTPException, itself goes on to do so."""
    for key in (405, StarletteHTTPException):
        api = make_api()

        async def own(request: Request, error: Any) -> JSONResponse:
            return JSONResponse("own", error.status_code)

        api.add_exception_handler(key, own)
        assert ApiClient(mount("/api", api), root_path).post("/api/sync/item").json() == "own"


# Mistakes -----------------------------------------------------------------------------------------------------------


def test_a_queryset_from_the_loop(client: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    """An async endpoint that returns a queryset is told of it, and what to do."""
    with caplog.at_level(logging.ERROR):
        assert client.get("/api/authors").status_code == 500
    assert "GET " in caplog.text
    assert "returned a QuerySet" in caplog.text
    assert "[row async for row in queryset]" in caplog.text


@pytest.mark.parametrize("path", ["file", "lazy"])
def test_no_text_for_a_schema(client: ApiClient, kind: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file or a lazy text under a schema's str is told with the remedy."""
    assert client.get(f"/api/{kind}/{path}").status_code == 500
    assert "Return file.url or str(text)" in caplog.text


# CORS ---------------------------------------------------------------------------------------------------------------


def test_cors_around_everything(kind: str, root_path: str) -> None:
    """CORSMiddleware as middleware of mount() has its headers on what the root answers too: 500, 413 and 400."""
    cors = Middleware(CORSMiddleware, allow_origins=["http://app.example"])
    client = ApiClient(mount("/api", make_api(), middleware=[cors], max_body_size=10), root_path)
    origin = {"origin": "http://app.example"}
    answers = [
        client.get(f"/api/{kind}/bug", headers=origin),
        client.post(f"/api/{kind}/item", headers=origin, content=b"x" * 11),
        client.get(f"/api/{kind}/item", headers={**origin, "host": "evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [500, 413, 400]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"http://app.example"}
