"""Where Django's half stands: behind the routes of an API at the root of the host, or under a prefix of its own.

Holds `routing/root_interface.py` and `routing/django_views.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.test import Client as DjangoClient
from django.urls import path, reverse
from fastapi import FastAPI, Request, WebSocket

from api_client import ApiClient, committed_rows
from calls import answer_name, ask, websocket
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.auth import CurrentUser, get_request
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.management.startup_banner import places
from djfast_mount.management.unreachable_routes import out_of_reach, shadowed
from djfast_mount.url_names import names
from djfast_mount.urls import reverse as reverse_both
from djfast_mount.urls import route_table
from lifespan_drive import Drive

STATIC = "{% load static %}{% static 'admin/css/base.css' %}"


def where(request: HttpRequest) -> JsonResponse:
    """What Django's half met, and what it makes of it."""
    return JsonResponse(
        {
            "script_name": request.META["SCRIPT_NAME"],
            "path_info": request.path_info,
            "path": request.path,
            "view": reverse("where"),
            "admin": reverse("admin:index"),
            "endpoint": reverse("root:item", kwargs={"number": 1}),
            "static": engines["django"].from_string(STATIC).render(),
        }
    )


def whole(request: HttpRequest, rest: str = "") -> HttpResponse:
    return HttpResponse(f"Django has {request.path_info}")


class URLs:
    urlpatterns = [
        path("where/", where, name="where"),
        path("admin/", admin.site.urls),
        path("both/", whole, name="both"),
        path("", whole, name="home"),
    ]


def make_api() -> FastAPI:
    api, below = FastAPI(title="At the root"), FastAPI()

    @api.get("/items/{number}", name="item")
    async def item(number: int, request: Request) -> dict[str, Any]:
        django = await get_request(request)
        return {
            "root_path": request.scope["root_path"],
            "path": request.scope["path"],
            "self": str(request.url_for("item", number=number)),
            "view": str(request.url_for("where")),
            "admin": reverse_both("admin:index"),
            "below": reverse_both("root:v1:thing", key="k"),
            "django": [django.path, django.path_info],
        }

    @api.get("/both/")
    async def both() -> str:
        return "the API has it"

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    @api.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("the API's")
        await socket.close()

    @below.get("/things/{key}", name="thing")
    def thing(key: str) -> str:
        return key

    api.mount("/v1", below, name="v1")
    return api


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = URLs
    settings.STATIC_URL = "static/"  # Django keeps it with the script prefix of its first reader.
    with committed_rows(django_db_blocker):
        yield
    names.register(lambda: ())


@pytest.fixture
def under_server() -> MountedApplication:
    return mount("/", make_api(), django_prefix="/server")


@pytest.fixture
def behind_routes() -> MountedApplication:
    return mount("/", make_api(), fallthrough=True)


# Django under a prefix ------------------------------------------------------------------------------------------------


def test_django_has_its_prefix_for_a_script_name(under_server: MountedApplication, root_path: str) -> None:
    """Django's half gets the path inside of its prefix, and its own links have the prefix; an endpoint's have not."""
    found = ApiClient(under_server, root_path).get("/server/where/").json()
    script_name = f"{root_path}/server"
    assert found.pop("static").startswith(f"{script_name}/static/")
    assert found == {
        "script_name": script_name,
        "path_info": "/where/",
        "path": f"{script_name}/where/",
        "view": f"{script_name}/where/",
        "admin": f"{script_name}/admin/",
        "endpoint": f"{root_path}/items/1",
    }


def test_all_else_is_the_apis(under_server: MountedApplication, root_path: str) -> None:
    """What is not under Django's prefix, at segment boundaries, is the API's, with the outer root_path alone."""
    client = ApiClient(under_server, root_path)
    found = client.get("/items/1").json()
    host = f"http://testserver{root_path}"
    assert found == {
        "root_path": root_path,
        "path": f"{root_path}/items/1",
        "self": f"{host}/items/1",
        "view": f"{host}/server/where/",
        "admin": f"{root_path}/server/admin/",
        "below": f"{root_path}/v1/things/k",
        "django": [f"{root_path}/items/1", "/items/1"],
    }
    for nobodys in ("/where/", "/serverx", "/SERVER/where/", "/", "/v1/none"):
        answer = client.get(nobodys)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("asked", ["/server", "/server/"])
def test_the_bare_prefix_is_djangos_root(under_server: MountedApplication, asked: str, root_path: str) -> None:
    """The prefix itself is the root of Django's site, with the slash and without, and there is no redirect."""
    assert ApiClient(under_server, root_path).get(asked).text == "Django has /"


def test_the_admin_logs_in_and_the_api_knows(under_server: MountedApplication, root_path: str) -> None:
    """The admin under the prefix sends to its own login page, whose session is the API's too."""
    User.objects.create_superuser("ada", password="pass")
    client = ApiClient(under_server, root_path)
    answer = client.get("/server/admin/")
    assert answer.headers["location"] == f"{root_path}/server/admin/login/?next={root_path}/server/admin/"
    token = client.get("/server/admin/login/").cookies["csrftoken"]
    form = {"username": "ada", "password": "pass", "csrfmiddlewaretoken": token, "next": f"{root_path}/server/admin/"}
    answer = client.post("/server/admin/login/", data=form)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{root_path}/server/admin/")
    assert client.get("/me").json() == "ada"
    cookies = [header for header in answer.headers.get_list("set-cookie") if header.startswith("sessionid")]
    assert "Path=/;" in cookies[0]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("static_url", "served_at"), [("static/", "/server/static"), ("/files/", "/files"), ("http://cdn/s/", "/s")]
)
def test_static_files(
    debug: bool, static_url: str, served_at: str, settings: Any, tmp_path: Path, root_path: str
) -> None:
    """A relative STATIC_URL is below Django's prefix, an absolute one where it says; the API has neither's place."""
    (tmp_path / "a.css").write_text("a {}")
    settings.DEBUG, settings.STATIC_URL, settings.STATIC_ROOT = debug, static_url, tmp_path
    settings.STATICFILES_DIRS = [tmp_path / "none", tmp_path] if debug else []
    api = make_api()
    api.get("/{rest:path}")(lambda rest: "caught")
    client = ApiClient(mount("/", api, django_prefix="/server"), root_path)
    asked = [f"{place}/a.css" for place in ("/server/static", "/files", "/s", "/static")]
    assert [path for path in asked if client.get(path).text == "a {}"] == [f"{served_at}/a.css"]
    missing = client.get("/static/none.css")
    assert missing.json() == "caught"


def test_static_files_are_held_to_the_host(settings: Any, tmp_path: Path, root_path: str) -> None:
    """A file, the API and Django under its prefix each refuse a Host that ALLOWED_HOSTS does not name."""
    (tmp_path / "a.css").write_text("a {}")
    settings.STATIC_ROOT = tmp_path
    client = ApiClient(mount("/", make_api(), django_prefix="/server"), root_path)
    for asked in ("/server/static/a.css", "/items/1", "/server/where/"):
        assert client.get(asked, headers={"host": "evil.example"}).status_code == 400
        assert client.get(asked).status_code == 200


def test_a_file_at_the_root_of_the_host(settings: Any, tmp_path: Path, root_path: str) -> None:
    """Files of WHITENOISE_ROOT are at the root of the host, before an API that would have taken their path."""
    (tmp_path / "robots.txt").write_text("none")
    settings.WHITENOISE_ROOT = tmp_path
    api = FastAPI()
    api.get("/{rest:path}")(lambda rest: "caught")
    client = ApiClient(mount("/", api, django_prefix="/server"), root_path)
    assert client.get("/robots.txt").text == "none"
    assert client.get("/other.txt").json() == "caught"


@pytest.mark.parametrize("root_path", ["", "/ignored"])
def test_force_script_name_is_outer_plus_prefix(settings: Any, root_path: str) -> None:
    """FORCE_SCRIPT_NAME is Django's whole script name: what it has before Django's prefix is the outer one."""
    settings.FORCE_SCRIPT_NAME = "/outer/server"
    client = ApiClient(mount("/", make_api(), django_prefix="/server"), root_path)
    # With no root_path of the server's, the proxy has left the outer prefix on.
    left = "" if root_path else "/outer"
    found = client.get(f"{left}/server/where/").json()
    assert (found["script_name"], found["path_info"]) == ("/outer/server", "/where/")
    assert (found["view"], found["endpoint"]) == ("/outer/server/where/", "/outer/items/1")
    found = client.get(f"{left}/items/1").json()
    assert (found["admin"], found["root_path"]) == ("/outer/server/admin/", "/outer")
    assert found["django"][1] == "/items/1"


def test_force_script_name_without_the_prefix(settings: Any) -> None:
    """A FORCE_SCRIPT_NAME that does not end with Django's prefix is refused, with what to write."""
    settings.FORCE_SCRIPT_NAME = "/outer"
    with pytest.raises(ConfigurationError, match="Write FORCE_SCRIPT_NAME = '/outer/server'"):
        mount("/", make_api(), django_prefix="/server")


def test_names_outside_of_a_request(under_server: MountedApplication) -> None:
    """Where no request tells the script name, as in Django's test client, Django's names are those of its URLconf."""
    assert reverse("admin:index") == "/admin/"
    assert reverse("root:item", kwargs={"number": 1}) == "/items/1"
    assert DjangoClient().get(reverse("both")).content == b"Django has /both/"


def test_several_apps_and_django_under_prefixes(root_path: str) -> None:
    """The longest prefix wins, Django's among them; what nobody has is the root's own 404."""
    apps = {"/api": make_api(), "/server/hook": make_api()}
    client = ApiClient(mount(apps, django_prefix="/server"), root_path)
    assert client.get("/server/hook/both/").json() == client.get("/api/both/").json() == "the API has it"
    assert client.get("/server/both/").text == "Django has /both/"
    nobodys = client.get("/both/")
    assert (nobodys.status_code, nobodys.text) == (404, "Not Found")


def test_django_under_its_prefix_checks_csrf(under_server: MountedApplication, root_path: str) -> None:
    """A form to the admin without a token is refused, as it is without mount()."""
    assert ApiClient(under_server, root_path).post("/server/admin/login/").status_code == 403


def test_a_body_over_the_limit(root_path: str) -> None:
    """max_body_size holds under Django's prefix and for the API at the root."""
    client = ApiClient(mount("/", make_api(), django_prefix="/server", max_body_size=10), root_path)
    assert [client.post(path, content=b"x" * 11).status_code for path in ("/server/both/", "/both/")] == [413, 413]


# Django behind the routes of an API at the root --------------------------------------------------------------------


def test_routes_first_then_django(behind_routes: MountedApplication, root_path: str) -> None:
    """The API's routes are asked first, all else is Django's, at the paths of its URLconf."""
    client = ApiClient(behind_routes, root_path)
    assert client.get("/both/").json() == "the API has it"
    assert client.get("/").text == "Django has /"
    found = client.get("/where/").json()
    assert (found["script_name"], found["path_info"]) == (root_path, "/where/")
    assert (found["admin"], found["endpoint"]) == (f"{root_path}/admin/", f"{root_path}/items/1")
    found = client.get("/items/1").json()
    assert found["view"] == f"http://testserver{root_path}/where/"
    assert found["below"] == f"{root_path}/v1/things/k"
    assert client.get("/nobodys").headers["content-type"].startswith("text/html")
    assert client.get("/v1/things/a").json() == "a"


def test_docs_and_schema_are_whole(behind_routes: MountedApplication, root_path: str) -> None:
    """The docs page and the schema of the API are at its own paths, and the schema has every operation."""
    client = ApiClient(behind_routes, root_path)
    schema = client.get("/openapi.json").json()
    assert {"/items/{number}", "/both/", "/me"} == set(schema["paths"])
    assert schema.get("servers", [{"url": ""}])[0]["url"] == root_path
    page = client.get("/docs")
    assert page.status_code == 200
    assert f"{root_path}/static/djfast_mount/" in page.text
    assert f"{root_path}/openapi.json" in page.text


def test_docs_beside_a_prefix_of_djangos(under_server: MountedApplication, root_path: str) -> None:
    """The docs page's own files are where static files are: below Django's prefix."""
    client = ApiClient(under_server, root_path)
    page = client.get("/docs").text
    [file] = {part.split('"')[0] for part in page.split('href="')[1:] if part.split('"')[0].endswith("swagger-ui.css")}
    assert file.startswith(f"{root_path}/server/static/")
    assert client.get(file.removeprefix(root_path)).status_code == 200


def test_docs_of_staff_send_to_the_admins_login(root_path: str) -> None:
    """A browser that may not see the docs is sent to the admin's login page under Django's prefix."""
    client = ApiClient(mount("/", make_api(), django_prefix="/server", docs_access="staff"), root_path)
    answer = client.get("/docs", headers={"accept": "text/html"})
    assert answer.headers["location"].startswith(f"{root_path}/server/admin/login/?next=")


@pytest.mark.parametrize("debug", [True, False])
def test_static_files_before_an_app_that_takes_all(debug: bool, settings: Any, tmp_path: Path, root_path: str) -> None:
    """Static files come before the routes, also where the disk is asked; what is no file goes on to them."""
    (tmp_path / "a.css").write_text("a {}")
    settings.DEBUG, settings.STATIC_ROOT, settings.STATICFILES_DIRS = debug, tmp_path / "r", [tmp_path]
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a.css").write_text("a {}")
    api = FastAPI()
    api.get("/static/{rest:path}")(lambda rest: "caught")
    client = ApiClient(mount("/", api, fallthrough=True), root_path)
    assert client.get("/static/a.css").text == "a {}"
    assert client.get("/static/b.css").json() == "caught"
    assert client.get("/where/x").headers["content-type"].startswith("text/html")


# Websockets, lifespan, tables --------------------------------------------------------------------------------------


def talk(app: MountedApplication, path: str, root_path: str) -> list[str]:
    """The texts that a websocket gets, or the type of the message that refuses it."""
    sent = websocket(app, root_path + path, root_path=root_path)
    return [message.get("text") or message["type"] for message in sent if message["type"] != "websocket.accept"]


@pytest.mark.parametrize("options", [{"django_prefix": "/server"}, {"fallthrough": True}], ids=["prefix", "routes"])
def test_websockets_are_the_apis(options: dict[str, Any], root_path: str) -> None:
    """A websocket at the root is the API's; where it has no route, or under Django's prefix, it is refused."""
    app = mount("/", make_api(), **options)
    assert talk(app, "/ws", root_path)[0] == "the API's"
    assert talk(app, "/none", root_path) == ["websocket.close"]
    assert talk(app, "/server/ws", root_path) == ["websocket.close"]


async def channels(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    await answer_name(f"{scope['root_path']}|{scope['path']}", scope, receive, send)


def test_websocket_app_has_what_is_djangos(root_path: str) -> None:
    """websocket_app gets those under Django's prefix, or those that no route of the API takes."""
    app = mount("/", make_api(), django_prefix="/server", websocket_app=channels)
    assert talk(app, "/server/chat", root_path)[0] == f"{root_path}/server|{root_path}/server/chat"
    assert talk(app, "/ws", root_path)[0] == "the API's"
    assert talk(app, "/chat", root_path) == ["websocket.close"]
    app = mount("/", make_api(), fallthrough=True, websocket_app=channels)
    assert talk(app, "/chat", root_path)[0] == f"{root_path}|{root_path}/chat"
    assert talk(app, "/ws", root_path)[0] == "the API's"


def test_the_lifespan_of_the_app_at_the_root_runs() -> None:
    """It is started and ended with the server."""
    events = []

    async def lifespan(app: FastAPI) -> Any:
        events.append("up")
        yield
        events.append("down")

    async def run() -> None:
        async with Drive(mount("/", FastAPI(lifespan=asynccontextmanager(lifespan)), fallthrough=True)):
            assert events == ["up"]

    asyncio.run(run())
    assert events == ["up", "down"]


def test_health_comes_before_the_api(root_path: str) -> None:
    """The health paths are answered by the root, and the table tells of the route that is never reached."""
    api = FastAPI()
    api.get("/healthz")(lambda: "the API's")
    app = mount("/", api, fallthrough=True)
    assert ask(app, "/healthz", root_path=root_path).json() == {"status": "alive"}
    table = route_table(app)
    assert [(table[place].path, table[place].owner) for place in shadowed(table)] == [("/healthz", "FastAPI")]


def test_the_route_table_under_a_prefix(under_server: MountedApplication) -> None:
    """Django's paths stand in the table with their prefix, before the API's; files are where they are served."""
    rows = {row.path: row for row in route_table(under_server)}
    assert rows["/server/where/"].owner == "Django"
    assert rows["/items/{number}"].name == "root:item"
    assert rows["/v1/things/{key}"].name == "root:v1:thing"
    assert "/where/" not in rows
    assert rows["/server/static/djfast_mount/{path:path}"].owner == "static"


def test_the_route_table_behind_routes(behind_routes: MountedApplication) -> None:
    """All of both halves is in the table, the API's routes above Django's."""
    paths = [row.path for row in route_table(behind_routes)]
    assert paths.index("/items/{number}") < paths.index("/where/")
    assert paths.index("/healthz") == 0


def test_what_is_out_of_reach() -> None:
    """A path of Django's that lies under the prefix of an app is told."""
    app = mount({"/": FastAPI(), "/server/both": FastAPI()}, django_prefix="/server")
    assert list(out_of_reach(app)) == [("/server/both/ of the URLconf", "/server/both")]


@pytest.mark.parametrize("script_name", [None, "/outer/server"])
def test_the_banner_knows_where_everything_is(script_name: str | None, settings: Any) -> None:
    """runserver's banner names site and admin under the prefix, the docs of the API, and the API if it has a root."""
    settings.FORCE_SCRIPT_NAME = script_name
    outer = "/outer" if script_name else ""
    api = make_api()
    known = [("site", f"{outer}/server/"), ("admin", f"{outer}/server/admin/"), ("API docs", f"{outer}/docs")]
    assert list(places(mount("/", api, django_prefix="/server"))) == known
    api.add_api_route("/", lambda: "root")
    assert list(places(mount("/", api, django_prefix="/server"))) == [
        *known[:2],
        ("API", f"{outer}/"),
        *known[2:],
    ]


# Wrong use -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("/",), {}, "would leave no path to Django"),
        (("/",), {"django_prefix": "/server", "fallthrough": True}, "two places"),
        (("/api",), {"django_prefix": "/server", "fallthrough": True}, "two places"),
        (("/",), {"django_prefix": "/server", "django": False}, "no Django"),
        (("/",), {"django_prefix": "/"}, "Name a path"),
        (("/",), {"django_prefix": "server"}, "a path such as"),
        (("/",), {"django_prefix": "/server/"}, "Write '/server'"),
        (("/",), {"django_prefix": "/a//b"}, "empty or a dot segment"),
        (("/",), {"django_prefix": "/{a}"}, "plain segments"),
        (("/api",), {"django_prefix": "/api"}, "prefix of an app"),
        (("",), {"fallthrough": True}, "is no path"),
    ],
)
def test_wrong_use_names_the_remedy(arguments: tuple[str], options: dict[str, Any], said: str) -> None:
    """What leaves Django without a place, or with two, or is no prefix, is refused at the start."""
    with pytest.raises(ConfigurationError, match=said):
        mount(*arguments, FastAPI(), **options)


def test_the_api_alone_may_have_the_root(root_path: str) -> None:
    """Without a Django half nothing has to be left for it."""
    app = mount("/", make_api(), django=False)
    assert ask(app, "/both/", root_path=root_path).json() == "the API has it"


def test_by_settings(settings: Any, root_path: str) -> None:
    """settings.DJFAST_MOUNT can hold both."""
    settings.DJFAST_MOUNT = {"prefix": "/", "django_prefix": "/server"}
    client = ApiClient(mount(app=make_api()), root_path)
    assert client.get("/server/both/").text == "Django has /both/"
