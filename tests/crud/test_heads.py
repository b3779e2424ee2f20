"""HEAD answers what GET does, without the body, wherever the router is included or mounted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calls import ask
from crud.resources import CompanySchema, companies
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.route_table import route_table
from project.companies.models import Company
from telemetry_site import records, site

pytestmark = pytest.mark.django_db


def company(name: str = "a", **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name, **values)


def compared(client: Api, path: str) -> httpx.Response:
    """The answer to GET, to which that to HEAD is equal but for the body."""
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.headers, head.content) == (got.status_code, got.headers, b"")
    return got


LEVELS = ["the app", "a router", "a router in a router", "an app in the app", "a resource"]


def app_of(level: str, router: ModelRouter) -> FastAPI:
    """An API with `router` at /companies."""
    api = FastAPI()
    if level == "the app":
        api.include_router(router)
    elif level == "an app in the app":
        inner = FastAPI()
        inner.include_router(router)
        api.mount("/inner", inner)
    elif level == "a resource":
        outer = ModelRouter(CompanySchema, prefix="/inner")
        outer.include_router(router)
        api.include_router(outer)
    else:
        between = APIRouter(prefix="/inner")
        between.include_router(router)
        outermost = APIRouter()
        outermost.include_router(between)
        api.include_router(between if level == "a router" else outermost)
    return api


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_it_is_get_without_the_body(level: str, asynchronous: bool, root_path: str) -> None:
    """Status and headers are those of GET, for a list, a row, numbers and errors, by endpoints of both kinds."""
    row = company()
    api = app_of(level, ModelRouter(CompanySchema, prefix="/companies", asynchronous=asynchronous))
    before = "" if level == "the app" else "/inner"
    with Api(mount("/api", api), root_path) as client:
        for path in ("", f"/{row.pk}", "/aggregate/count/size", "/999999", "?nothing=1"):
            compared(client, f"{before}/companies{path}")
        assert client.head(f"{before}/companies/{row.pk}").headers["content-length"] > "10"
        tag = client.head(f"{before}/companies/{row.pk}").headers["etag"]
        assert client.head(f"{before}/companies/{row.pk}", headers={"If-None-Match": tag}).status_code == 304
        assert client.post(f"{before}/companies/{row.pk}").status_code == 405


def test_it_asks_what_get_asks(root_path: str) -> None:
    """A caller who is not known, who lacks the scope or who may not see the row has the status of GET."""
    theirs = company("theirs", tenant_id=2)
    with Api(served(companies()), root_path) as client:
        path = f"/companies/{theirs.pk}"
        assert [client.head("/companies", **client.of(token)).status_code for token in ("x", "1:create")] == [401, 403]
        assert client.head(path).status_code == 404
        assert client.head(path, **client.of("2")).status_code == 200


@pytest.mark.parametrize("level", LEVELS[:4])
def test_dependencies_of_every_level_are_asked(level: str) -> None:
    """What an app or a router around it asks for is asked for HEAD too, and once."""
    asked = []

    def refused(request: Request) -> None:
        asked.append(request.method)
        raise HTTPException(403)

    router = ModelRouter(CompanySchema, prefix="/companies", dependencies=[Depends(refused)])
    with Api(mount("/api", app_of(level, router))) as client:
        assert client.head(f"{'' if level == 'the app' else '/inner'}/companies").status_code == 403
    assert len(asked) == 1


def test_a_route_in_the_place_of_get(root_path: str) -> None:
    """A GET that is written by hand takes the place of HEAD too. A HEAD that is written by hand takes that of HEAD."""
    router = ModelRouter(CompanySchema, prefix="/companies")

    @router.get("")
    def listed() -> list[str]:
        return ["mine"]

    @router.head("/{company_id}")
    def own(row: Company = router.row) -> Response:
        return Response(headers={"X-Own": row.name})

    row = company("mine")
    with Api(served(router), root_path) as client:
        assert client.head("/companies").status_code == 405
        assert ok(client.get("/companies")) == ["mine"]
        assert client.head(f"/companies/{row.pk}").headers["x-own"] == "mine"
        assert ok(client.get(f"/companies/{row.pk}"))["name"] == "mine"


def test_a_route_that_is_left_out_has_none() -> None:
    """Without GET there is no HEAD, and it is in no document."""
    api = FastAPI()
    api.include_router(ModelRouter(CompanySchema, prefix="/companies", without=["list"]))
    with Api(mount("/api", api)) as client:
        assert client.head("/companies").status_code in (404, 405)
    assert not [path for path, item in api.openapi()["paths"].items() if "head" in item]


@pytest.mark.parametrize("fast_path", [True, False])
def test_metrics_have_its_route(fast_path: bool) -> None:
    """The record of a request has the method that was sent, and the route of GET."""
    api = app_of("a router", ModelRouter(CompanySchema, prefix="/companies"))
    with site(api=api, fast_path=fast_path) as root, records() as found:
        assert ask(root, "/api/inner/companies/aggregate/count/size", method="HEAD").status == 200
    template = "/api/inner/companies/aggregate/{function}/{field}"
    assert [(record.method, record.route) for record in found] == [("HEAD", template)]


class Noting:
    """A middleware that reads, once the answer begins, which endpoint it is of."""

    def __init__(self, app: ASGIApp, noted: list[tuple[str, str]]) -> None:
        self._app = app
        self._noted = noted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._noted.append((scope["method"], scope["endpoint"].__name__))
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "http" else send)


def test_middleware_sees_the_endpoint_of_get() -> None:
    """What tools outside of the router call the request after is the endpoint that has answered it."""
    noted: list[tuple[str, str]] = []
    api = app_of("a router", ModelRouter(CompanySchema, prefix="/companies"))
    api.add_middleware(Noting, noted=noted)
    with Api(mount("/api", api)) as client:
        client.head("/inner/companies")
    assert noted == [("HEAD", "list_companies")]


def mounted(place: str, router: ModelRouter) -> FastAPI:
    """An API with `router` at /raw, though it is not included in the API. What is at /companies refuses everybody."""
    api, between = FastAPI(), APIRouter()
    between.include_router(router)
    if place == "a route of the app":
        api.mount("/raw", router)
    elif place == "a route with a parameter":
        api.mount("/{company_id}", between)
    elif place == "a route of an included router":
        outer = APIRouter(routes=[Mount("/raw", between)])
        api.include_router(outer)
    elif place == "an app in the app":
        inner = FastAPI()
        inner.mount("/raw", router)
        api.mount("", inner)
    elif place == "a host":
        outer = APIRouter()
        outer.mount("/raw", router)
        api.router.host("{host}", outer)
    elif place == "middleware":
        api.router.routes.append(Mount("/raw", between, middleware=[Middleware(GZipMiddleware)]))
    else:
        api.mount("/raw", GZipMiddleware(between))
    return api


PLACES = [
    *("a route of the app", "a route with a parameter", "a route of an included router", "an app in the app"),
    *("a host", "middleware", "middleware around the router"),
]


def refused() -> None:
    raise HTTPException(403)


@pytest.mark.parametrize("place", PLACES)
def test_a_router_that_is_mounted(place: str, root_path: str) -> None:
    """HEAD is answered by GET of that router, and not by a route of the app that has the rest of the path."""
    row, api = company(), mounted(place, ModelRouter(CompanySchema, prefix="/companies"))
    api.include_router(ModelRouter(CompanySchema, prefix="/companies", dependencies=[Depends(refused)]))
    with Api(mount("/api", api), root_path) as client:
        for path, status in (("", 200), (f"/{row.pk}", 200), ("/999999", 404)):
            assert compared(client, f"/raw/companies{path}").status_code == status
        if place not in (
            "a route with a parameter",
            "an app in the app",
            "a host",
        ):  # These take what is at /companies, too.
            assert compared(client, f"/companies/{row.pk}").status_code == 403


class Reading:
    """A middleware that reads what the answer, or an error, has left in the scope."""

    def __init__(self, app: ASGIApp, read: list[Any]) -> None:
        self._app = app
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self._read.append((scope["state"], scope["route"].path, scope["method"]))


@pytest.mark.parametrize("fails", [False, True])
def test_middleware_sees_the_state(fails: bool) -> None:
    """What a dependency says of the request is known outside, and the route, though the endpoint fails."""

    def note(request: Request) -> None:
        request.state.caller = "a"
        if fails:
            raise ZeroDivisionError

    api, read = FastAPI(), list[Any]()
    api.include_router(ModelRouter(CompanySchema, prefix="/companies", dependencies=[Depends(note)]))
    api.add_middleware(Reading, read=read)
    root = mount("/api", api)
    for method in ("GET", "HEAD"):
        assert ask(root, "/api/companies", method=method).status == (500 if fails else 200)
    assert read == [({"caller": "a"}, "/companies", method) for method in ("GET", "HEAD")]


def test_the_table_of_routes_says_who_may() -> None:
    """HEAD has the same in the table of routes as GET, but for the method: it is as closed, and runs as it does."""
    rows = {(row.path, row.methods): row for row in route_table(served(companies()))}
    heads = [row for row in rows.values() if row.methods == ("HEAD",)]
    assert len(heads) == 12
    assert heads == [rows[row.path, ("GET",)]._replace(methods=("HEAD",)) for row in heads]
    assert {row.auth for row in heads} == {"APIKeyHeader"}
