"""HEAD is answered by the route of GET, whatever that is, and wherever the router is included.

Holds `crud/routes/heads.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calls import ask
from crud.resources import CompanySchema, companies
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from project.companies.models import Company
from telemetry_site import records, site

pytestmark = pytest.mark.django_db


def company(name: str = "a", **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name, **values)


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
            got, head = client.get(f"{before}/companies{path}"), client.head(f"{before}/companies{path}")
            assert (head.status_code, head.headers, head.content) == (got.status_code, got.headers, b"")
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
    """HEAD follows a route that is written by hand, a stream too; a HEAD that is written by hand goes first."""
    router = ModelRouter(CompanySchema, prefix="/companies")
    sent: list[int] = []

    @router.get("")
    async def lines() -> Any:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                sent.append(number)
                yield f"{number}\n"

        return StreamingResponse(numbers(), headers={"X-Own": "list"})

    @router.head("/{company_id}")
    def own(row: Company = router.row) -> Response:
        return Response(headers={"X-Own": row.name})

    row = company("mine")
    with Api(served(router), root_path) as client:
        found = client.head("/companies")
        assert (found.headers["x-own"], found.content, sent) == ("list", b"", [0, 1, 2])
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
