"""The merged route table of what mount() returns."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.security import HTTPBasic
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from djfast_mount import mount
from djfast_mount.auth import CurrentUser, OptionalUser, StaffUser, SuperUser, require_perm, session
from djfast_mount.urls import Route, route_table
from harness import TESTS

pytestmark = pytest.mark.once


def view(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


def endpoint() -> None: ...


def for_staff(user: StaffUser) -> None: ...


async def async_view(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


class Books(View):
    get = post = view


class Private(LoginRequiredMixin, Books):
    pass


class Lend(PermissionRequiredMixin, Books):
    permission_required = "library.lend_book"


class URLs:
    urlpatterns = [
        path("", view, name="home"),
        path("items/<int:id>/", include(([path("edit/", view, name="edit")], "items"))),
        re_path(r"^old/(?P<year>[0-9]{4})/$", async_view, name="old"),
        path("books/", Books.as_view(), name="books"),
        path("private/", login_required(view), name="private"),
        path("own/", Private.as_view(), name="own"),
        path("lend/", Lend.as_view(), name="lend"),
        path("api/legacy/", view, name="legacy"),
        path("apix/", view),
    ]


def rows(api: Any = None, **options: Any) -> dict[str, Route]:
    """By path, without what FastAPI adds."""
    table = route_table(mount("/api", api or FastAPI(), **options))
    return {row.path: row for row in table if row.name.partition(":")[2] not in ADDED}


ADDED = {"openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html"}


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = URLs


def bare() -> FastAPI:
    return FastAPI(openapi_url=None)


def test_endpoints() -> None:
    """An endpoint has its whole path, its methods, a name with the prefix's namespace, and its kind."""
    api, router = bare(), APIRouter(prefix="/shop")

    @api.get("/items/{number:int}")
    def item(number: int) -> None: ...

    @router.api_route("/orders", methods=["PUT", "POST"])
    async def order() -> None: ...

    @router.websocket("/ws")
    async def talk(socket: WebSocket) -> None: ...

    api.include_router(router)
    assert [row for row in rows(api).values() if row.owner == "FastAPI"] == [
        Route("/api/items/{number:int}", ("GET",), "api:item", "FastAPI", False, ""),
        Route("/api/shop/orders", ("POST", "PUT"), "api:order", "FastAPI", True, ""),
        Route("/api/shop/ws", ("WEBSOCKET",), "api:talk", "FastAPI", True, ""),
    ]


def test_kinds_of_callables() -> None:
    """A partial is what it calls, an object what its __call__ is."""

    async def coroutine() -> None: ...

    class Endpoint:
        __name__ = "endpoint"

        async def __call__(self) -> None: ...

    api = bare()
    api.get("/partial", name="partial")(functools.partial(coroutine))
    api.get("/object", name="object")(Endpoint())
    found = rows(api)
    assert found["/api/partial"].is_async
    assert found["/api/object"].is_async


def test_apps_within_apps() -> None:
    """A mounted FastAPI's endpoints are rows; files and apps of other kinds are one."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None: ...

    api, inner = bare(), bare()
    inner.get("/x", name="x")(endpoint)
    api.mount("/v1", inner, name="v1")
    api.mount("/v2", inner)
    api.mount("/files", StaticFiles(directory=TESTS))
    api.mount("/other", other)
    found = rows(api)
    assert found["/api/v1/x"].name == "api:v1:x"
    assert found["/api/v2/x"].name == "api:x"
    assert found["/api/files/{path:path}"].owner == "StaticFiles"
    assert found["/api/other/{path:path}"] == Route("/api/other/{path:path}", (), "", "function", True, "")


def test_several_prefixes() -> None:
    """The longest prefix comes first, as it is asked first, and its inner slashes become hyphens in the namespace."""
    api, other = bare(), bare()
    api.get("/x", name="x")(endpoint)
    other.get("/x", name="x")(endpoint)
    table = route_table(mount({"/api": api, "/api/v1": other}))
    assert [row.name for row in table if row.owner == "FastAPI"] == ["api-v1:x", "api:x"]


def test_health_and_static_files(settings: Any, tmp_path: Path) -> None:
    """The paths of health come first, and static files, with those at the root, between the prefixes and Django."""
    api = bare()
    api.get("/x", name="x")(endpoint)
    (tmp_path / "well-known").mkdir()
    (tmp_path / "robots.txt").write_text("")
    settings.STATIC_ROOT = settings.WHITENOISE_ROOT = str(tmp_path)
    settings.DJFAST_MOUNT = {"health_path": "/alive"}
    read = ("GET", "HEAD")
    assert list(rows(api).values())[:7] == [
        Route("/alive", read, "", "root", True, ""),
        Route("/readyz", read, "", "root", True, ""),
        Route("/api/x", ("GET",), "api:x", "FastAPI", False, ""),
        Route("/static/{path:path}", read, "", "static", True, ""),
        Route("/robots.txt", read, "", "static", True, ""),
        Route("/well-known/{path:path}", read, "", "static", True, ""),
        Route("/", (), "home", "Django", False, ""),
    ]


def test_no_static_files(settings: Any, tmp_path: Path) -> None:
    """Where no static files are served, and none come with the docs, none are listed; nor are those under a prefix."""
    settings.STATIC_ROOT = str(tmp_path)
    documented = "/static/djfast_mount/{path:path}"
    assert [row.path for row in rows(FastAPI(), static=False).values() if row.owner == "static"] == [documented]
    assert "static" not in {row.owner for row in rows(bare(), static=False, docs_access=None).values()}
    settings.STATIC_URL = "/api/static/"
    assert "static" not in {row.owner for row in rows(bare()).values()}


def test_an_app_that_is_no_starlette() -> None:
    """What answers a prefix and has no routes to show is one row."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert rows(app)["/api/{path:path}"].owner == "function"


def test_whom_endpoints_are_for() -> None:
    """Permissions come before kinds of users, and these before schemes; what no dependency asks is anyone's."""

    def anyone() -> None: ...
    def optional(user: OptionalUser) -> None: ...
    def user(user: CurrentUser) -> None: ...
    def staff(checked: Annotated[None, Depends(for_staff)]) -> None: ...
    def superuser(user: SuperUser) -> None: ...
    def lend(user: Annotated[Any, require_perm("library.lend_book", "library.add_book")]) -> None: ...
    def cookie(user: Annotated[Any, Depends(session)]) -> None: ...
    def basic(credentials: Annotated[Any, Depends(HTTPBasic())]) -> None: ...

    api = bare()
    for endpoint in (anyone, optional, user, staff, superuser, lend, cookie, basic):
        api.get(f"/{endpoint.__name__}")(endpoint)
    found = {row.name.removeprefix("api:"): row.auth for row in rows(api).values() if row.owner == "FastAPI"}
    assert found == {
        "anyone": "",
        "optional": "optional user",
        "user": "user",
        "staff": "staff",
        "superuser": "superuser",
        "lend": "library.lend_book, library.add_book",
        "cookie": "session",
        "basic": "HTTPBasic",
    }


def test_django() -> None:
    """Django's patterns come after, from the root and with their namespaces; what a prefix hides is left out."""
    found = rows(bare())
    assert "/api/legacy/" not in found
    assert "/apix/" in found
    assert found["/"] == Route("/", (), "home", "Django", False, "")
    assert found["/items/<int:id>/edit/"].name == "items:edit"
    assert found["/old/(?P<year>[0-9]{4})/$"].is_async
    assert found["/books/"].methods == ("GET", "OPTIONS", "POST")


def test_whom_views_are_for(settings: Any) -> None:
    """Django's own ways to keep a view to some users are told."""
    found = rows(bare())
    assert [found[path].auth for path in ("/", "/private/", "/own/", "/lend/")] == [
        "",
        "user",
        "user",
        "library.lend_book",
    ]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert rows(bare())["/"].auth == "user"


def test_the_admin(settings: Any) -> None:
    """The admin's views are the staff's, but for those by which one logs in."""
    settings.ROOT_URLCONF = "project.urls"
    found = {row.name: row.auth for row in rows(bare()).values()}
    assert found["admin:index"] == found["admin:auth_user_password_change"] == found["admin:shop_item_add"] == "staff"
    assert found["admin:login"] == ""


def test_the_api_alone() -> None:
    """Without Django's half there are none of its rows."""
    assert "Django" not in {row.owner for row in rows(bare(), django=False).values()}
