"""URLs by name: one reverse() over both halves, Django's own, templates, and request.url_for."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template import Context, Template
from django.urls import NoReverseMatch, Resolver404, base, clear_url_caches, include, path, resolve, set_urlconf
from django.urls import reverse as django_reverse
from django.utils import translation
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.routing import NoMatchFound, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from api_client import ApiClient, both
from calls import websocket
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError, MountError
from djfast_mount.urls import UnknownURL, reverse
from harness import PYTHONPATH, TESTS

pytestmark = pytest.mark.once


class Colour(Enum):
    RED = "red"


def view(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


def links(request: HttpRequest) -> JsonResponse:
    """What Django's half writes."""
    template = Template("{% load djfast_mount %}{% url 'api:item' id=1 %} {% api_url 'item' id=2 %}")
    return JsonResponse(
        [reverse("api:item", id=3), django_reverse("api:item", args=[4]), *template.render(Context()).split()],
        safe=False,
    )


async def async_links(request: HttpRequest) -> JsonResponse:
    return await sync_to_async(links)(request)


def go(request: HttpRequest) -> HttpResponse:
    return redirect("api:item", id=5)


class URLs:
    urlpatterns = [
        path("", view, name="home"),
        path("pages/<int:number>/", view, name="page"),
        path("links/", links, name="links"),
        path("async-links/", async_links),
        path("go/", go),
        path("shop/", include(([path("carts/<slug:name>/", view, name="cart")], "shop"))),
    ]


class OtherURLs:
    urlpatterns = [path("other/", view, name="other")]


def tenant(tenant: int) -> int:
    return tenant


def api_with_names() -> FastAPI:
    api, v1, inner, rooted, router = FastAPI(), FastAPI(), FastAPI(), FastAPI(), APIRouter(prefix="/included")

    @api.get("/items/{id}", name="item")
    def item(id: int) -> int:  # noqa: A002
        return id

    @api.get("/typed/{kind}/{day}/{key}")
    def typed(kind: Colour, day: datetime.date, key: UUID) -> None: ...

    @api.get("/converted/{number:int}/{share:float}/{file:path}")
    def converted(number: str, share: str, file: str) -> None: ...

    @api.get("/uuid/{key:uuid}")
    def uuid(key: str) -> None: ...

    @rooted.get("/rooted", name="rooted")
    def at_the_root() -> None: ...

    @api.get("/text/{text}")
    def text(text: str) -> None: ...

    @api.get("/tenants/{tenant}/x")
    def in_dependency(checked: Annotated[int, Depends(tenant)]) -> None: ...

    @api.get("/first", name="twice")
    @api.get("/second", name="twice")
    @api.get("/third/{number}", name="twice")
    def twice(number: int = 0) -> None: ...

    @router.get("/{number}", name="included")
    def included(number: int) -> None: ...

    @inner.get("/deep")
    def deep() -> None: ...

    @v1.get("/items/{id}", name="item")
    def v1_item(id: int) -> None: ...  # noqa: A002

    @api.websocket("/ws/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_json([str(socket.url_for("talk", room="b")), str(socket.url_for("page", number=1))])
        await socket.close()

    @both(api, "GET", "/links")
    def api_links(request: Request) -> list[str]:
        return [
            reverse("page", number=1),
            reverse("api:item", id=2),
            django_reverse("shop:cart", args=["a"]),
            django_reverse("api:item", args=[3]),
            str(request.url_for("item", id=4)),
            str(request.url_for("api:item", id=5)),
            str(request.url_for("page", number=6)),
        ]

    @both(api, "GET", "/unknown")
    def unknown(request: Request) -> str:
        try:
            return str(request.url_for("pag", number=1))
        except NoMatchFound as error:
            return str(error)

    api.include_router(router)
    v1.mount("/inner", inner)
    api.mount("/{version}/v1", v1, name="v1")
    api.mount("/", rooted)
    api.mount("/files", StaticFiles(directory=TESTS), name="files")
    return api


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = URLs


@pytest.fixture
def client(root_path: str) -> ApiClient:
    return ApiClient(mount("/api", api_with_names()), root_path)


@pytest.fixture
def mounted() -> None:
    mount("/api", api_with_names())


KEY = "0198c0de-0000-7000-8000-000000000000"
NAMES: list[tuple[str, dict[str, Any], str]] = [
    ("home", {}, "/"),
    ("page", {"number": 1}, "/pages/1/"),
    ("shop:cart", {"name": "a-b"}, "/shop/carts/a-b/"),
    ("api:item", {"id": 1}, "/api/items/1"),
    ("api:item", {"id": "1"}, "/api/items/1"),
    (
        "api:typed",
        {"kind": Colour.RED, "day": datetime.date(2026, 1, 2), "key": UUID(KEY)},
        f"/api/typed/red/2026-01-02/{KEY}",
    ),
    ("api:converted", {"number": 7, "share": 0.5, "file": "a/b c.txt"}, "/api/converted/7/0.5/a/b%20c.txt"),
    ("api:text", {"text": "ü%?#"}, "/api/text/%C3%BC%25%3F%23"),
    ("api:in_dependency", {"tenant": 1}, "/api/tenants/1/x"),
    ("api:uuid", {"key": UUID(KEY)}, f"/api/uuid/{KEY}"),
    ("api:rooted", {}, "/api/rooted"),
    ("api:included", {"number": 1}, "/api/included/1"),
    ("api:v1:item", {"version": "beta", "id": 1}, "/api/beta/v1/items/1"),
    ("api:v1:deep", {"version": "beta"}, "/api/beta/v1/inner/deep"),
    ("api:files", {"path": "a.css"}, "/api/files/a.css"),
    ("api:talk", {"room": "a"}, "/api/ws/a"),
    ("api:openapi", {}, "/api/openapi.json"),
    ("api:twice", {"number": 3}, "/api/third/3"),
]
names = pytest.mark.parametrize(
    ("name", "params", "path"), NAMES, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(NAMES)]
)


@names
def test_one_function_knows_all(mounted: None, name: str, params: dict[str, Any], path: str) -> None:
    """reverse() finds endpoints, websockets, mounted apps and views, by keywords, by kwargs= and by args=."""
    assert reverse(name, **params) == path
    assert reverse(name, kwargs=params) == path
    assert reverse(name, args=list(params.values())) == path


@names
def test_djangos_reverse_knows_all(mounted: None, name: str, params: dict[str, Any], path: str) -> None:
    """So does Django's own function."""
    assert django_reverse(name, kwargs=params) == path
    assert django_reverse(name, args=list(params.values())) == path


def test_the_first_of_two_routes_counts(mounted: None) -> None:
    """As for Starlette's url_for, where two routes have one name and the same parameters."""
    assert reverse("api:twice") == mount("/api", api_with_names()).url_path_for("api:twice")


def test_query_and_fragment(mounted: None) -> None:
    """Both are added as Django adds them."""
    assert reverse("api:item", id=1, query={"a": ["1", "2"]}, fragment="top") == "/api/items/1?a=1&a=2#top"


BAD: list[tuple[str, dict[str, Any]]] = [
    ("api:item", {"id": "one"}),
    ("api:item", {"id": 1.5}),
    ("api:item", {}),
    ("api:item", {"id": 1, "more": 2}),
    ("api:typed", {"kind": "blue", "day": "2026-01-02", "key": KEY}),
    ("api:typed", {"kind": "red", "day": "soon", "key": KEY}),
    ("api:typed", {"kind": "red", "day": "2026-01-02", "key": "key"}),
    ("api:converted", {"number": -1, "share": 0.5, "file": "a"}),
    ("api:converted", {"number": "x", "share": 0.5, "file": "a"}),
    ("api:converted", {"number": 1, "share": float("nan"), "file": "a"}),
    ("api:in_dependency", {"tenant": "t"}),
    ("api:uuid", {"key": "key"}),
    ("api:text", {"text": "a/b"}),
    ("api:text", {"text": ""}),
    ("page", {"number": "one"}),
]


@pytest.mark.parametrize(("name", "params"), BAD)
def test_values_are_checked(mounted: None, name: str, params: dict[str, Any]) -> None:
    """A value that the path or the endpoint would not take makes no URL; the error says that the name is known."""
    with pytest.raises(UnknownURL, match=r"not found.*is known; give the parameters"):
        reverse(name, **params)
    with pytest.raises(NoReverseMatch):
        django_reverse(name, kwargs=params)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("api:itm", "'api:item'"),
        ("pgae", "'page'"),
        ("shop:carts", "'shop:cart'"),
        ("ap:item", "'api:item'"),
        ("item", "'api:item'"),
        ("zzzzzz", "manage.py mount_routes"),
    ],
)
def test_an_unknown_name_gets_the_nearest(mounted: None, name: str, nearest: str) -> None:
    """A name that neither side knows is an error of both frameworks', and ours, that lists the nearest names."""
    with pytest.raises(UnknownURL, match="Neither a mounted app nor Django's URLconf has the URL name") as caught:
        reverse(name)
    assert nearest in str(caught.value)
    assert isinstance(caught.value, MountError)
    assert isinstance(caught.value, NoReverseMatch)
    assert isinstance(caught.value, NoMatchFound)


def test_a_view_itself(mounted: None) -> None:
    """What Django's reverse() takes but names is left to it, its error too."""
    assert reverse(links) == "/links/"
    with pytest.raises(NoReverseMatch) as caught:
        reverse(tenant)
    assert not isinstance(caught.value, UnknownURL)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_from_the_api(client: ApiClient, kind: str, root_path: str) -> None:
    """An endpoint makes URLs of both halves, by every function, behind the outer prefix of its request."""
    host = "http://testserver"
    assert client.get(f"/api/{kind}/links").json() == [
        f"{root_path}/pages/1/",
        f"{root_path}/api/items/2",
        f"{root_path}/shop/carts/a/",
        f"{root_path}/api/items/3",
        f"{host}{root_path}/api/items/4",
        f"{host}{root_path}/api/items/5",
        f"{host}{root_path}/pages/6/",
    ]


@pytest.mark.parametrize("path", ["/links/", "/async-links/"])
def test_from_django(client: ApiClient, path: str, root_path: str) -> None:
    """A view and its templates make URLs of endpoints, behind the outer prefix of the request."""
    assert client.get(path).json() == [f"{root_path}/api/items/{number}" for number in (3, 4, 1, 2)]


def test_djangos_redirect(client: ApiClient, root_path: str) -> None:
    """redirect() takes the name of an endpoint, and the endpoint answers there."""
    location = client.get("/go/").headers["location"]
    assert location == f"{root_path}/api/items/5"
    assert client.get(location.removeprefix(root_path)).json() == 5


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_url_for_of_an_unknown_name(client: ApiClient, kind: str) -> None:
    """request.url_for raises Starlette's exception, with the nearest names in it."""
    assert "Did you mean 'page'" in client.get(f"/api/{kind}/unknown").json()


def test_from_a_websocket(client: ApiClient, root_path: str) -> None:
    """websocket.url_for makes URLs of both halves, each with its scheme."""
    sent = websocket(client.app, f"{root_path}/api/ws/a", root_path=root_path)
    assert sent[1]["text"] == (f'["ws://testserver{root_path}/api/ws/b","http://testserver{root_path}/pages/1/"]')


def test_url_for_over_https(client: ApiClient, root_path: str) -> None:
    """The scheme is that of the call, and its query no part of a URL."""
    found = client.request("GET", "/api/sync/links?a=1", scheme="https").json()
    assert found[-1] == f"https://testserver{root_path}/pages/6/"


def test_the_script_name(settings: Any) -> None:
    """FORCE_SCRIPT_NAME stands in front of every path, from endpoints and views."""
    settings.FORCE_SCRIPT_NAME = "/forced"
    client = ApiClient(mount("/api", api_with_names()))
    assert client.get("/forced/api/sync/links").json()[:2] == ["/forced/pages/1/", "/forced/api/items/2"]
    assert client.get("/forced/links/").json()[0] == "/forced/api/items/3"


# Templates ----------------------------------------------------------------------------------------------------------


def render(code: str, **context: Any) -> str:
    return Template("{% load djfast_mount %}" + code).render(Context(context))


@pytest.mark.parametrize(
    ("code", "rendered"),
    [
        ("{% api_url 'item' id=1 %}", "/api/items/1"),
        ("{% api_url 'item' 1 %}", "/api/items/1"),
        ("{% api_url 'api:item' id=number %}", "/api/items/7"),
        ("{% api_url 'v1:deep' version='beta' %}", "/api/beta/v1/inner/deep"),
        ("{% api_url 'item' id=1 as there %}[{{ there }}]", "[/api/items/1]"),
        ("{% api_url 'item' id=1 query=query %}", "/api/items/1?a=1&amp;b=2"),
        ("{% url 'api:item' id=1 %}", "/api/items/1"),
        ("{% url 'api:nothing' as there %}[{{ there }}]", "[]"),
    ],
)
def test_templates(mounted: None, code: str, rendered: str) -> None:
    """{% api_url %} takes names with and without a namespace, and {% url %} those with one."""
    assert render(code, number=7, query={"a": "1", "b": "2"}) == rendered


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("{% api_url 'itm' id=1 %}", "'api:itm'. Did you mean 'api:item'"),
        ("{% api_url 'item' %}", "'api:item' is known"),
        ("{% api_url 'page' number=1 %}", "'api:page'. Did you mean"),
    ],
)
def test_errors_in_templates(mounted: None, code: str, told: str) -> None:
    """A name that {% api_url %} does not know gets the nearest."""
    with pytest.raises(UnknownURL) as caught:
        render(code)
    assert told in str(caught.value)


def test_a_template_of_several_apps() -> None:
    """Without a namespace the first app that has the name is meant, in the order of mount()."""
    first, second = FastAPI(), FastAPI()
    first.get("/a", name="a")(tenant)
    second.get("/a", name="a")(tenant)
    second.get("/b/{number:int}", name="b")(tenant)
    mount({"/api/v1": first, "/api": second})
    assert render("{% api_url 'a' %} {% api_url 'b' number=1 %}") == "/api/v1/a /api/b/1"
    with pytest.raises(UnknownURL, match="'api:b' is known"):
        render("{% api_url 'b' number='x' %}")


# Namespaces ---------------------------------------------------------------------------------------------------------


def test_inner_slashes() -> None:
    """The namespace of a prefix has hyphens for its inner slashes."""
    api = FastAPI()
    api.get("/a", name="a")(tenant)
    app = mount("/api/v1", api)
    assert reverse("api-v1:a") == django_reverse("api-v1:a") == app.url_path_for("api-v1:a") == "/api/v1/a"


def test_a_prefix_is_no_pattern() -> None:
    """What means something in a regular expression stands for itself in a prefix."""
    api = FastAPI()
    api.get("/a", name="a")(tenant)
    mount("/c++/v1.0", api)
    assert reverse("c++-v1.0:a") == "/c++/v1.0/a"


def test_two_prefixes_of_one_namespace() -> None:
    """Prefixes whose names could not be told apart are refused."""
    with pytest.raises(ConfigurationError, match=r"'/api/v1' and '/api-v1' have one namespace, 'api-v1'"):
        mount({"/api/v1": FastAPI(), "/api-v1": FastAPI()})


class SameNamespace:
    urlpatterns = [
        path("api/<slug:shop>/", include(([path("old/", view, name="old"), path("x/", view, name="item")], "api"))),
        path("page/", view, name="page"),
    ]


class SameAppName:
    urlpatterns = [path("drf/", include(([path("old/", view, name="old")], "api"), namespace="drf"))]


def test_a_namespace_that_django_has_too(settings: Any) -> None:
    """Both sides' names are found in it; the API's come first, and parameters decide."""
    settings.ROOT_URLCONF = SameNamespace
    mount("/api", api_with_names())
    assert reverse("api:old", shop="s") == django_reverse("api:old", args=["s"]) == "/api/s/old/"
    assert django_reverse("api:item", args=[1]) == "/api/items/1"
    assert reverse("api:item", shop="s") == "/api/s/x/"
    assert resolve("/api/s/old/").route == "api/<slug:shop>/old/"
    assert reverse("page") == "/page/"


def test_an_app_name_that_django_has_too(settings: Any) -> None:
    """An app_name of Django's that is the API's namespace still leads to its names, as does its own namespace."""
    settings.ROOT_URLCONF = SameAppName
    mount("/api", api_with_names())
    assert reverse("api:old") == reverse("drf:old") == django_reverse("api:old") == "/drf/old/"
    assert reverse("api:item", id=1) == "/api/items/1"


class Translated:
    urlpatterns = i18n_patterns(path("x/", include(([path("old/", view, name="old")], "api"))))


def test_languages(settings: Any) -> None:
    """A namespace under a language's prefix goes with the language, and the API's names do not."""
    settings.ROOT_URLCONF = Translated
    mount("/api", api_with_names())
    for language in ("de", "fr", "de"):
        with translation.override(language):
            assert reverse("api:old") == f"/{language}/x/old/"
            assert reverse("api:item", id=1) == "/api/items/1"


# Whose resolver -----------------------------------------------------------------------------------------------------


@contextmanager
def urlconf(found: Any) -> Iterator[None]:
    set_urlconf(found)
    try:
        yield
    finally:
        set_urlconf(None)


def test_a_urlconf_of_the_request(mounted: None) -> None:
    """The API's names are there under every URLconf, and those of the URLconf in force are the ones that are near."""
    with urlconf(OtherURLs):
        assert [reverse("api:item", id=1), reverse("other")] == ["/api/items/1", "/other/"]
        with pytest.raises(UnknownURL, match="Did you mean 'other'"):
            reverse("othr")
    assert django_reverse("api:item", urlconf=OtherURLs, args=[1]) == "/api/items/1"


def test_cleared_caches(mounted: None) -> None:
    """The names outlive clear_url_caches(), by which dynamic URLconfs are made known."""
    clear_url_caches()
    assert django_reverse("api:item", args=[1]) == "/api/items/1"


def test_tables_are_made_once(mounted: None) -> None:
    """A second name is looked up in the resolver that was made for the first."""
    assert base.get_resolver() is base.get_resolver()  # type: ignore[attr-defined]
    with translation.override("de"):
        assert base.get_resolver() is base.get_resolver()  # type: ignore[attr-defined]


def test_names_only(mounted: None) -> None:
    """Django resolves no path to an endpoint, and its resolver is as it was: no check and no page of a 404 sees one."""
    assert resolve("/pages/1/").url_name == "page"
    with pytest.raises(Resolver404):
        resolve("/api/items/1")
    assert len(base.get_resolver(URLs).url_patterns) > len(URLs.urlpatterns)
    assert run_checks(tags=["urls"]) == []


def test_the_404_page(settings: Any, client: ApiClient) -> None:
    """The page of a 404 in DEBUG lists Django's patterns alone."""
    settings.DEBUG = True
    page = client.get("/nothing").text
    assert "pages/" in page
    assert "api" not in page


def test_routes_that_are_added_before_the_first_name_is_asked_for() -> None:
    """A route counts when it is there before the first name is asked for, be it after mount()."""
    api = FastAPI()
    mount("/api", api)
    api.get("/late", name="late")(tenant)
    assert reverse("api:late") == "/api/late"


def test_the_last_mount_counts(mounted: None) -> None:
    """A later mount() takes the place of an earlier one, though names were asked for in between."""
    assert reverse("api:item", id=1) == "/api/items/1"
    api = FastAPI()
    api.get("/things/{id}", name="item")(tenant)
    mount("/api", api)
    assert reverse("api:item", id=1) == "/api/things/1"


def test_starlettes_routes(mounted: None) -> None:
    """Apps of Starlette have their names too; an app without routes has none, and no namespace."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None: ...

    api = FastAPI(routes=[Route("/plain/{number:int}", tenant, name="plain")])
    mount({"/api": api, "/other": other})
    assert reverse("api:plain", number=1) == "/api/plain/1"
    with pytest.raises(NoReverseMatch, match="'other' is not a registered namespace"):
        django_reverse("other:x")


def test_without_django(settings: Any) -> None:
    """mount(django=False) needs no ROOT_URLCONF for the API's names."""
    del settings.ROOT_URLCONF
    mount("/api", api_with_names(), django=False)
    assert reverse("api:item", id=1) == "/api/items/1"
    with pytest.raises(UnknownURL, match="Did you mean 'api:item'"):
        reverse("api:itm")


def test_djangos_reverse_asks_the_name_that_is_replaced() -> None:
    """Django's reverse() looks get_resolver up among the globals of its module, when it is called."""
    assert "get_resolver" in base.reverse.__code__.co_names
    assert django_reverse is base.reverse


# Without a server ---------------------------------------------------------------------------------------------------


def run(tmp_path: Path, code: str, **more: str) -> str:
    """Runs `code` after django.setup() in a process of its own, with `more` settings."""
    lines = ["from project.settings import *", *(f"{name} = {value!r}" for name, value in more.items())]
    (tmp_path / "own_settings.py").write_text("\n".join(lines))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{PYTHONPATH}",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import django, sys\ndjango.setup()\nfrom django.urls import *\n{code}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_command_or_a_task(tmp_path: Path) -> None:
    """Where nothing is mounted the application of the settings is imported, when a name of it is asked for."""
    (tmp_path / "plain_urls.py").write_text(
        "from django.urls import path\nurlpatterns = [path('echo/', lambda request: None, name='echo')]\n"
    )
    code = "from django.urls import base\nassert base.get_resolver() is base.get_resolver()\n"
    code += "print(reverse('echo'), 'fastapi' in sys.modules, reverse('api:where'), reverse('api:where'))"
    for name in ("project.asgi.app", "project.asgi:app"):
        shown = run(tmp_path, code, ASGI_APPLICATION=name, ROOT_URLCONF="plain_urls")
        assert shown == "/echo/ False /api/where /api/where"


def test_a_template_of_a_command(tmp_path: Path) -> None:
    """{% api_url %} needs no server either."""
    code = (
        "from django.template import Context, Template\n"
        "print(Template('{% load djfast_mount %}{% api_url \"where\" %}').render(Context()))"
    )
    assert run(tmp_path, code, ASGI_APPLICATION="project.asgi.app") == "/api/where"


def test_without_an_application(tmp_path: Path) -> None:
    """Where the settings name no application, Django's names are as ever, and {% api_url %} says what is missing."""
    code = (
        "from djfast_mount.templatetags.djfast_mount import api_url\n"
        "try: reverse('api:where')\nexcept NoReverseMatch as error: print(error)\n"
        "try: api_url('where')\nexcept NoReverseMatch as error: print(error)\n"
        "print(reverse('echo'))"
    )
    assert run(tmp_path, code, ASGI_APPLICATION="").splitlines() == [
        "'api' is not a registered namespace",
        "{% api_url %} got 'where', and no app with routes is mounted. Call mount() in asgi.py.",
        "/echo/",
    ]


def test_an_application_that_mounts_nothing(tmp_path: Path) -> None:
    """An application of Django alone adds no names, and is imported once."""
    (tmp_path / "plain.py").write_text("from django.core.asgi import get_asgi_application as g\nprint('in')\napp = g()")
    code = "for _ in range(2):\n try: reverse('api:where')\n except NoReverseMatch as error: print(error)"
    missing = "'api' is not a registered namespace"
    assert run(tmp_path, code, ASGI_APPLICATION="plain.app").splitlines() == ["in", missing, missing]
