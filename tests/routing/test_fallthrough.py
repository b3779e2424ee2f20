"""mount(fallthrough=True): what no route of an API matches is Django's.

Holds `routing/endpoints.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, register_converter, reverse
from django.urls import path as url
from django.views.decorators.csrf import csrf_exempt
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from api_client import ApiClient, both, committed_rows
from calls import request, websocket
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.urls import route_table
from harness import TESTS
from project.shop.models import Item


@csrf_exempt
def legacy(request: HttpRequest) -> JsonResponse:
    """An old endpoint, which writes."""
    if request.method == "POST":
        Item.objects.create(name=request.body.decode()[:90])
    return JsonResponse(
        {
            "path": request.path,
            "path_info": request.path_info,
            "reverse": reverse("legacy"),
            "size": len(request.body),
            "items": list(Item.objects.values_list("name", flat=True)),
        }
    )


@csrf_exempt
async def async_legacy(request: HttpRequest) -> JsonResponse:
    if request.method == "POST":
        await Item.objects.acreate(name=request.body.decode()[:90])
    names = [name async for name in Item.objects.values_list("name", flat=True)]
    size = len(request.body)
    return JsonResponse({"path": request.path, "path_info": request.path_info, "size": size, "items": names})


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a view")


class URLs:
    urlpatterns = [
        path("api/legacy/", legacy, name="legacy"),
        path("api/async-legacy/", async_legacy),
        path("api/sync/items", view),
        path("api/missing", view),
        path("api/v1/legacy", view),
        path("api/included/legacy", view),
        path("api/both/", view),
        path("api/files/legacy", view),
        path("api", view),
        path("api/", view),
    ]


def api_of_today() -> FastAPI:
    api, v1, router = FastAPI(), FastAPI(), APIRouter(prefix="/included")

    @both(api, "GET", "/items")
    def items() -> list[str]:
        return list(Item.objects.values_list("name", flat=True))

    @api.get("/missing")
    def missing() -> None:
        raise HTTPException(404, "no such thing")

    @api.get("/both")
    def both_have_it() -> str:
        return "no slash"

    @api.get("/slash/")
    def slash() -> str:
        return "a slash"

    @v1.get("/items")
    async def v1_items() -> str:
        return "v1"

    @router.post("/items/{number:int}")
    async def included(number: int) -> int:
        return number

    @api.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    api.include_router(router)
    api.mount("/v1", v1)
    api.mount("/files", StaticFiles(directory=TESTS))
    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = URLs
    with committed_rows(django_db_blocker):
        yield


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", api_of_today(), fallthrough=True), root_path)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_route_is_the_apis(client: ApiClient, kind: str) -> None:
    """What a route matches is the API's, though Django has the path too."""
    assert client.get(f"/api/{kind}/items").json() == []


@pytest.mark.parametrize("path", ["/api/legacy/", "/api/async-legacy/"])
def test_no_route_is_djangos(client: ApiClient, path: str, root_path: str) -> None:
    """A path without a route is Django's, with its whole body, and the path that Django would have been given."""
    answer = client.post(path, content=b"x" * 100_000).json()
    assert (answer["size"], answer["items"]) == (100_000, ["x" * 90])
    assert (answer["path"], answer["path_info"]) == (root_path + path, path)
    assert answer.get("reverse", root_path + "/api/legacy/") == root_path + "/api/legacy/"
    assert client.get("/api/sync/items").json() == answer["items"]


def test_another_method_is_405(client: ApiClient) -> None:
    """A method that the route does not have is refused by the API; Django is not asked."""
    answer = client.post("/api/sync/items")
    assert answer.status_code == 405
    assert answer.json() == {"detail": "Method Not Allowed"}


def test_a_404_of_an_endpoint_stays(client: ApiClient) -> None:
    """An endpoint's own 404 is the answer."""
    answer = client.get("/api/missing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "no such thing"})


def test_what_neither_has_is_djangos_404(client: ApiClient) -> None:
    """A path that neither side knows is answered by Django's page."""
    answer = client.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_the_bare_prefix(client: ApiClient) -> None:
    """The prefix itself is Django's where the API has no root."""
    assert [client.get(path).text for path in ("/api", "/api/")] == ["a view", "a view"]


def test_djangos_middleware_appends_its_slash(client: ApiClient, root_path: str) -> None:
    """CommonMiddleware redirects to the view that has the slash."""
    answer = client.get("/api/legacy")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{root_path}/api/legacy/")


def test_the_api_redirects_where_django_has_no_view(client: ApiClient, root_path: str) -> None:
    """A slash too many or too few is redirected by the API, as without Django behind it."""
    for asked, location in [("/api/slash", "/api/slash/"), ("/api/sync/items/", "/api/sync/items")]:
        answer = client.get(asked)
        assert answer.status_code == 307
        assert answer.headers["location"] == f"http://testserver{root_path}{location}"


def test_the_api_redirects_nowhere_if_it_was_told_not_to(root_path: str) -> None:
    """An API with redirect_slashes=False leaves such a path to Django."""
    api = FastAPI(redirect_slashes=False)
    api.get("/slash/")(view_of_fastapi)
    client = ApiClient(mount("/api", api, fallthrough=True), root_path)
    assert client.get("/api/slash").headers["content-type"].startswith("text/html")


def view_of_fastapi() -> str:
    return "an endpoint"


def test_a_view_at_the_very_path_comes_before_a_redirect(client: ApiClient) -> None:
    """Where Django has a view it answers, rather than the API redirecting to its own route."""
    assert client.get("/api/both/").text == "a view"
    assert client.get("/api/both").json() == "no slash"


def test_apps_in_the_api(client: ApiClient) -> None:
    """A FastAPI mounted in the API is asked for its routes; mounted files own their paths."""
    assert client.get("/api/v1/items").json() == "v1"
    assert client.get("/api/v1/legacy").text == "a view"
    assert client.get("/api/files/legacy").json() == {"detail": "Not Found"}


def test_included_routers(client: ApiClient) -> None:
    """Routes of included routers count, and so do their convertors."""
    assert client.post("/api/included/items/1").json() == 1
    assert client.get("/api/included/items/1").status_code == 405
    assert client.get("/api/included/legacy").text == "a view"
    assert client.get("/api/included/items/one").headers["content-type"].startswith("text/html")


def test_the_apis_middleware_sees_what_the_api_serves(root_path: str) -> None:
    """A preflight of a path of Django's is not answered by the API's CORS."""
    api = api_of_today()
    api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
    client = ApiClient(mount("/api", api, fallthrough=True), root_path)
    origin = {"origin": "https://a.example"}
    assert "access-control-allow-origin" in client.get("/api/sync/items", headers=origin).headers
    assert "access-control-allow-origin" not in client.get("/api/legacy/", headers=origin).headers


class Noting(BaseRoute):
    """A route that matches nothing, and notes that it was asked."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        events.append("asked")
        return Match.NONE, {}


events: list[str] = []


def test_it_is_decided_before_the_body_is_read(root_path: str) -> None:
    """The routes are asked first, and then Django reads the body, all of it."""
    events.clear()
    api = FastAPI()
    api.router.routes.append(Noting())
    app = mount("/api", api, fallthrough=True)

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted() -> Message:
            events.append("read")
            return await receive()

        await app(scope, noted, send)

    path = f"{root_path}/api/legacy/"
    answer = request(noting, path, b"first, ", b"second", root_path=root_path, method="POST")
    assert answer.json()["items"] == ["first, second"]
    assert events[0] == "asked"
    assert events.count("asked") == 1
    assert events[1:3] == ["read", "read"]


def test_a_body_over_the_limit(root_path: str) -> None:
    """max_body_size holds for what falls through."""
    client = ApiClient(mount("/api", api_of_today(), fallthrough=True, max_body_size=10), root_path)
    assert client.post("/api/legacy/", content=b"x" * 11).status_code == 413
    assert client.post("/api/legacy/", content=iter_of(b"x" * 11)).status_code == 413
    assert client.post("/api/legacy/", content=b"x" * 10).status_code == 200


async def iter_of(body: bytes) -> AsyncIterator[bytes]:
    yield body


def test_hosts(client: ApiClient) -> None:
    """ALLOWED_HOSTS holds for what falls through."""
    assert client.get("/api/legacy/", headers={"host": "evil.example"}).status_code == 400


def test_script_name(settings: Any) -> None:
    """With FORCE_SCRIPT_NAME Django is given it and the path inside of it."""
    settings.FORCE_SCRIPT_NAME = "/forced"
    client = ApiClient(mount("/api", api_of_today(), fallthrough=True))
    answer = client.get("/forced/api/legacy/").json()
    assert (answer["path"], answer["reverse"]) == ("/forced/api/legacy/", "/forced/api/legacy/")


def test_script_name_under_a_root_path(settings: Any) -> None:
    """FORCE_SCRIPT_NAME is what Django is given, whatever the server says, as for every other path of Django's."""
    settings.FORCE_SCRIPT_NAME = "/forced"
    client = ApiClient(mount("/api", api_of_today(), fallthrough=True), "/pre")
    answer = client.get("/api/legacy/").json()
    assert (answer["path"], answer["path_info"]) == ("/forced/api/legacy/", "/api/legacy/")


class ItemConverter:
    """Asks the database, which Django allows on a thread alone."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> Item:
        try:
            return Item.objects.get(name=value)
        except Item.DoesNotExist as error:
            raise ValueError from error

    def to_url(self, value: Item) -> str:
        return value.name


register_converter(ItemConverter, "item-of-the-database")


def item_view(request: HttpRequest, item: Item) -> HttpResponse:
    return HttpResponse(item.name)


class ConvertedURLs:
    urlpatterns = [path("api/<item-of-the-database:item>/", item_view)]


def test_a_converter_that_asks_the_database(settings: Any, root_path: str) -> None:
    """Where it cannot be told without the database whether Django has a view, Django is left to tell."""
    settings.ROOT_URLCONF = ConvertedURLs
    api = FastAPI()
    api.get("/lamp")(view_of_fastapi)
    Item.objects.create(name="lamp")
    assert ApiClient(mount("/api", api, fallthrough=True), root_path).get("/api/lamp/").text == "lamp"


def test_websockets_stay(root_path: str) -> None:
    """A websocket is the API's, with a route or without."""
    app = mount("/api", api_of_today(), fallthrough=True)
    assert websocket(app, f"{root_path}/api/ws", root_path=root_path)[1]["text"] == "hello"
    assert websocket(app, f"{root_path}/api/legacy/", root_path=root_path)[0]["type"] == "websocket.close"


def test_several_prefixes(root_path: str) -> None:
    """Each prefix falls through; an app that is no Starlette owns all its paths."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("other")(scope, receive, send)

    app = mount({"/api": FastAPI(), "/api/v1": FastAPI(), "/api/files": other}, fallthrough=True)
    client = ApiClient(app, root_path)
    assert client.get("/api/v1/legacy").text == "a view"
    assert client.get("/api/legacy/").json()["reverse"] == root_path + "/api/legacy/"
    assert client.get("/api/files/legacy").text == "other"


def test_a_starlette_app(root_path: str) -> None:
    """Starlette's apps fall through as FastAPI's do."""
    starlette = Starlette(routes=[Route("/here", lambda request: PlainTextResponse("here"))])
    client = ApiClient(mount("/api", starlette, fallthrough=True), root_path)
    assert client.get("/api/here").text == "here"
    assert client.get("/api/missing").text == "a view"


def test_routes_that_are_added_later(client: ApiClient) -> None:
    """A route counts from the moment that it is there."""
    api = FastAPI()
    client.app = mount("/api", api, fallthrough=True)
    assert client.get("/api/missing").text == "a view"
    api.get("/missing")(view_of_fastapi)
    assert client.get("/api/missing").json() == "an endpoint"


def test_without_it_the_api_answers(root_path: str) -> None:
    """Off, as it is by default, a path under the prefix never reaches Django."""
    client = ApiClient(mount("/api", api_of_today()), root_path)
    assert client.get("/api/legacy/").json() == {"detail": "Not Found"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_no_docs_are_still_the_apis(root_path: str, path: str, settings: Any) -> None:
    """With docs_access=None the paths of the docs stay the API's, 404; what the app itself switches off is Django's."""
    off = {"/docs": "docs_url", "/redoc": "redoc_url", "/openapi.json": "openapi_url"}[path]

    class WithDocs:
        urlpatterns = [url(f"api{path}", view), *URLs.urlpatterns]

    settings.ROOT_URLCONF = WithDocs
    client = ApiClient(mount("/api", FastAPI(), fallthrough=True, docs_access=None), root_path)
    assert (client.get(f"/api{path}").status_code, client.get(f"/api{path}").json()) == (404, {"detail": "Not Found"})
    assert client.get("/api/legacy/").status_code == 200
    client = ApiClient(mount("/api", FastAPI(**{off: None}), fallthrough=True, docs_access=None), root_path)
    assert client.get(f"/api{path}").text == "a view"


def test_the_route_table() -> None:
    """Django's routes under the prefix are in the table when they can be reached."""
    paths = {row.path for row in route_table(mount("/api", api_of_today(), fallthrough=True))}
    assert {"/api/legacy/", "/api/sync/items"} <= paths
    assert "/api/legacy/" not in {row.path for row in route_table(mount("/api", api_of_today()))}


def test_by_settings(settings: Any, root_path: str) -> None:
    """settings.DJFAST_MOUNT turns it on."""
    settings.DJFAST_MOUNT = {"fallthrough": True}
    assert ApiClient(mount("/api", FastAPI()), root_path).get("/api/missing").text == "a view"


def test_nothing_to_fall_through_to() -> None:
    """Without Django's half it is refused."""
    with pytest.raises(ConfigurationError, match="nothing to fall through to"):
        mount("/api", FastAPI(), django=False, fallthrough=True)


def test_no_routes_to_ask() -> None:
    """With apps alone that have no routes it is refused, for it would do nothing."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(ConfigurationError, match="none of its apps"):
        mount("/api", other, fallthrough=True)
