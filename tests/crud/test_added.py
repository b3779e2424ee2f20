"""Routes of other routers, and of Starlette's, on a router of rows: they ask for what it asks, or are refused.

Holds `crud/routes/dependencies.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Q
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse, Response

from crud.resources import DepartmentItem, RateSchema, api_of, caller, companies, visible
from crud.serving import Api, ok, served
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.testing import Client
from project.companies.models import Company, Label

pytestmark = pytest.mark.django_db


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name, **values)


def reports() -> APIRouter:
    router = APIRouter()

    @router.get("/reports")
    def every(company_id: int | None = None) -> str:
        return f"read {company_id}"

    @router.post("/reports")
    async def add(company_id: int | None = None) -> str:
        return f"added {company_id}"

    return router


def included(**options: Any) -> ModelRouter:
    router = companies(**options)
    router.include_router(reports())
    router.include_router(reports(), prefix="/{company_id}")
    return router


def asked(client: Api, path: str, method: str = "GET", token: str | None = "1") -> int:
    """The status of the answer to a token; None for no token."""
    client.headers.pop("X-Token", None)
    headers = {} if token is None else {"X-Token": token}
    return client.request(method, path, headers=headers).status_code


def test_an_included_router_asks_what_the_router_asks(root_path: str) -> None:
    """Its routes are 401 without a caller, 403 without the scope, and 404 below a row that is hidden."""
    mine, theirs = company("mine"), company("theirs", tenant_id=2)
    with Api(served(included()), root_path) as client:
        for where in ("", f"/{mine.pk}"):
            path = f"/companies{where}/reports"
            assert [asked(client, path, token=token) for token in (None, "1:update", "1:read")] == [401, 403, 200]
            for method in ("POST",):
                assert [asked(client, path, method, token) for token in (None, "1:read", "1:update")] == [401, 403, 200]
        for key, status in ((theirs.pk, 404), (0, 404), ("x", 422), ("9" * 30, 422)):
            for method in ("GET", "POST"):
                assert asked(client, f"/companies/{key}/reports", method) == status


def test_an_included_router_below_a_child(root_path: str) -> None:
    """A router that a child includes asks what the child has from its parent, whenever it was included."""
    department = company("mine").departments.create(name="d")
    theirs = company("theirs", tenant_id=2).departments.create(name="d")
    child = ModelRouter(DepartmentItem, prefix="/departments")
    child.include_router(reports(), prefix="/{department_id}")
    router = companies(children=[child])
    assert any("reports" in path for path in FastAPI(routes=router.routes).openapi()["paths"])
    child.include_router(reports(), prefix="/late")
    with Api(served(router), root_path) as client:
        for place in (f"/{department.pk}", "/late"):
            path = f"/companies/{department.company_id}/departments{place}/reports"
            assert [asked(client, path, token=token) for token in (None, "1:update", "1:read")] == [401, 403, 200]
        for company_id, key in ((theirs.company_id, theirs.pk), (department.company_id, theirs.pk)):
            assert asked(client, f"/companies/{company_id}/departments/{key}/reports") == 404
        assert asked(client, f"/companies/{theirs.company_id}/departments/late/reports") == 404


def test_dependencies_of_ones_own_come_after() -> None:
    """Dependencies that are given for the included router are asked as well, after the router's."""

    def refused() -> None:
        raise HTTPException(418)

    router = companies()
    router.include_router(reports(), prefix="/x", dependencies=[Depends(refused)], tags=["x"])
    with Api(served(router)) as client:
        assert [asked(client, "/companies/x/reports", token=token) for token in (None, "1")] == [401, 418]
        client.headers["X-Token"] = "1"
        assert ok(client.get("/openapi.json"))["paths"]["/companies/x/reports"]["get"]["tags"] == ["x"]


@pytest.fixture
def users(root_path: str) -> Iterator[Client]:
    """A router that asks for Django's permissions, with routes of its project."""
    open_to_users: dict[str, Any] = {"scopes": None, "rows": every_row, "related_rows": {Label: every_row}}
    router = companies(
        security=CurrentUser, permissions="django", server_values=None, children=[], search=["name"], **open_to_users
    )
    router.include_router(reports(), prefix="/included")
    router.include_router(reports(), prefix="/{company_id}/included")

    @router.post("/all")
    def everything() -> str:
        return "changed"

    @router.post("/all/delete", dependencies=[router.allowing("delete")])
    def delete_everything() -> str:
        return "deleted"

    @router.post("/{company_id}/one")
    def one(row: Any = router.row) -> str:
        return str(row)

    @router.post("/{company_id}/delete", dependencies=[router.allowing("delete")])
    def delete_one(row: Any = router.row) -> str:
        return str(row)

    @router.post("/{company_id}/reopen", dependencies=[router.allowing("delete")])
    def reopen(company_id: int) -> str:
        return "open"

    with Client(mount("/api", api_of(router)), root_path=root_path) as client:
        yield client


CHANGES = ["/all", "/{}/one", "/included/reports", "/{}/included/reports"]
DELETES = ["/all/delete", "/{}/delete", "/{}/reopen"]


def test_routes_of_a_project_ask_for_djangos_permissions(users: Client) -> None:
    """A route that a project has written or included asks for the permission of its action, with a row and without."""
    row, user = company("mine"), User.objects.create_user("ada")

    def allowed(*names: str) -> set[str]:
        # Departments are shown nested, and have no router here that would ask for itself.
        known = Permission.objects.filter(codename__in=[*names, "view_companydepartment"])
        user.user_permissions.set(known)
        users.force_login(User.objects.get(pk=user.pk))
        found = {path: users.post(f"/api/companies{path.format(row.pk)}").status_code for path in CHANGES + DELETES}
        assert set(found.values()) <= {200, 403, 404}, found
        return {path for path, status in found.items() if status == 200}

    assert allowed() == allowed("view_company") == set()
    assert allowed("view_company", "change_company") == set(CHANGES)
    assert allowed("view_company", "delete_company") == set(DELETES)
    Company.objects.filter(pk=row.pk).update(status="closed")
    assert allowed("view_company", "delete_company") == {"/all/delete", "/{}/reopen"}


def plain(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} plain")


async def coroutine(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} plain")


@pytest.mark.parametrize("function", [plain, coroutine, partial(plain)])
def test_a_route_of_starlettes_asks_what_the_router_asks(function: Any, root_path: str) -> None:
    """`add_route()` with a function makes a route as one that is written by hand."""
    mine, theirs = company("mine"), company("theirs", tenant_id=2)
    router = companies()
    router.add_route("/plain", function)
    router.add_route("/{company_id}/plain", function, methods=["POST"], name="own")
    with Api(served(router), root_path) as client:
        assert [asked(client, "/companies/plain", token=token) for token in (None, "1:update", "1")] == [401, 403, 200]
        assert asked(client, "/companies/plain", "HEAD") == 200
        path = f"/companies/{mine.pk}/plain"
        assert [asked(client, path, "POST", token) for token in (None, "1:read", "1")] == [401, 403, 200]
        assert asked(client, f"/companies/{theirs.pk}/plain", "POST") == 404
        client.headers["X-Token"] = "1"
        assert client.get("/companies/plain").text == "GET plain"


class Endpoint(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        return PlainTextResponse("open")


async def feed(socket: WebSocket) -> None:
    await socket.accept()


def with_socket() -> APIRouter:
    router = APIRouter()
    router.add_api_websocket_route("/feed", feed)
    return router


def with_plain() -> APIRouter:
    router = APIRouter()
    router.add_route("/open", plain)
    return router


OPEN = {
    "a mount": lambda router: router.mount("/open", Starlette()),
    "a host": lambda router: router.host("open.example", Starlette()),
    "an ASGI app": lambda router: router.add_route("/open", Endpoint),
    "a WebSocket of Starlette's": lambda router: router.add_websocket_route("/open", feed),
    "a router with a WebSocket": lambda router: router.include_router(with_socket()),
    "a router with a route of Starlette's": lambda router: router.include_router(with_plain()),
}


@pytest.mark.parametrize("add", OPEN.values(), ids=OPEN)
def test_what_cannot_ask_is_refused(add: Any) -> None:
    """Where the router asks for a caller, or has rules, what takes no dependencies is an error that names it."""
    security: dict[str, Any] = {"security": caller}
    for options in (security, {**security, "rows": visible}, {**security, "delete": SoftDelete(percent=0)}):
        router = companies() if "rows" in options else ModelRouter(RateSchema, prefix="/rates", **options)
        add(router)
        with pytest.raises(ConfigurationError, match=r"would ask neither for the caller nor for rows="):
            served(router)


@pytest.mark.parametrize("add", OPEN.values(), ids=OPEN)
def test_a_router_that_asks_nothing_takes_everything(add: Any) -> None:
    """Without a caller and without rules the router is open, and so is what is added to it."""
    router = ModelRouter(RateSchema, prefix="/rates")
    add(router)
    with Api(served(router)) as client:
        assert client.get("/rates").status_code == 200


def test_an_error_of_a_child_comes_below_its_parent() -> None:
    """A child that includes a router before it has its parent, whose `security` its scopes need, is no error."""
    child = ModelRouter(DepartmentItem, prefix="/departments", rows=visible_departments)
    child.include_router(reports())
    api = FastAPI()
    api.include_router(companies(children=[child]))
    with Api(mount("/api", api)) as client:
        assert asked(client, f"/companies/{company('mine').pk}/departments/reports") == 200


def visible_departments(access: Any) -> Q:
    return Q(company__tenant_id=access.tenant_id)
