"""A built front end, and uploaded files: behind the API and Django, in each place that Django can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.static import serve
from fastapi import APIRouter, FastAPI
from starlette.routing import Match

from api_client import ApiClient
from djfast_mount import mount
from djfast_mount.routing.fastapi_frontend import has_front_end

pytestmark = pytest.mark.once

PAGE = {"accept": "text/html"}


def view(request: HttpRequest, **_: str) -> HttpResponse:
    return HttpResponse(f"Django has {request.path_info}")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What the build of a front end leaves."""
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<!doctype html><title>The page</title>")
    (tmp_path / "dist" / "assets" / "app.js").write_text("app()")
    return tmp_path / "dist"


class URLs:
    urlpatterns = [path("admin/", view), path("old", view)]


def api_with_items() -> FastAPI:
    api = FastAPI()
    api.get("/items")(lambda: ["an item"])
    return api


def at_the_root(dist: Path) -> Any:
    """The API and its front end at the root of the host, with Django behind the routes."""
    api = api_with_items()
    api.frontend("/", directory=dist)
    return mount("/", api, fallthrough=True)


def in_a_router(dist: Path) -> Any:
    """The same, with the front end in an included router."""
    api, router = api_with_items(), APIRouter()
    router.frontend("/", directory=dist)
    api.include_router(router)
    return mount("/", api, fallthrough=True)


def beside_a_prefix(dist: Path) -> Any:
    """The API under its prefix, the front end as an app of its own."""
    site = FastAPI(openapi_url=None)
    site.frontend("/", directory=dist)
    return mount({"/": site, "/items": plain_items()}, fallthrough=True)


def plain_items() -> FastAPI:
    api = FastAPI()
    api.get("")(lambda: ["an item"])
    api.get("/")(lambda: ["an item"])
    return api


everywhere = pytest.mark.parametrize("join", [at_the_root, in_a_router, beside_a_prefix])


@everywhere
def test_the_front_end_comes_last(join: Callable[[Path], Any], dist: Path, settings: Any, root_path: str) -> None:
    """Routes of the API and views of Django come first; then files, and for a page that is none the index."""
    settings.ROOT_URLCONF = URLs
    client = ApiClient(join(dist), root_path)
    assert client.get("/items").json() == ["an item"]
    assert client.get("/admin/", headers=PAGE).text == "Django has /admin/"
    assert client.get("/old", headers=PAGE).text == "Django has /old"
    moved = client.get("/admin", headers=PAGE)
    assert (moved.status_code, moved.headers["location"]) == (301, f"{root_path}/admin/")
    assert client.get("/assets/app.js").text == "app()"
    for page in ("/", "/some/page", "/adminx"):
        answer = client.get(page, headers=PAGE)
        assert (answer.status_code, "The page" in answer.text) == (200, True)
    assert client.get("/assets/none.js").status_code == 404
    # The app that has the front end answers for every method, and not Django, whose 404 is a page.
    refused = client.post("/some/page")
    assert (refused.status_code, refused.json()) == (404, {"detail": "Not Found"})


def test_beside_a_prefix_of_djangos(dist: Path, settings: Any, root_path: str) -> None:
    """With Django under a prefix the front end has all that the API has not; Django's 404 stays Django's."""
    settings.ROOT_URLCONF = URLs
    api = api_with_items()
    api.frontend("/", directory=dist)
    client = ApiClient(mount("/", api, django_prefix="/server"), root_path)
    assert "The page" in client.get("/some/page", headers=PAGE).text
    assert client.get("/server/admin/", headers=PAGE).text == "Django has /admin/"
    missing = client.get("/server/none", headers=PAGE)
    assert (missing.status_code, "The page" in missing.text) == (404, False)


class InLanguages:
    urlpatterns = i18n_patterns(path("admin/", view))


def test_a_page_in_another_language_is_djangos(dist: Path, settings: Any, root_path: str) -> None:
    """A path with the prefix of a language is Django's, though another language is active."""
    settings.ROOT_URLCONF = InLanguages
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    client = ApiClient(at_the_root(dist), root_path)
    assert client.get("/de/admin/", headers=PAGE).text == "Django has /de/admin/"
    assert "The page" in client.get("/some/page", headers=PAGE).text


def test_fastapi_has_the_name_that_tells_of_a_front_end(dist: Path) -> None:
    """Canary: FastAPI's router says by _match_low_priority whether it has a front end."""
    api = FastAPI()
    scope = {"type": "http", "method": "GET", "path": "/x", "root_path": "", "headers": []}
    assert api.router._match_low_priority({**scope})[0] is Match.NONE
    assert not has_front_end(api, scope)
    api.frontend("/", directory=dist)
    assert api.router._match_low_priority({**scope})[0] is Match.FULL
    assert has_front_end(api, scope)


def test_without_that_name_django_answers(
    dist: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, root_path: str
) -> None:
    """Where the name has moved, what neither half has a route for is Django's 404, and all else is as it was."""
    settings.ROOT_URLCONF = URLs
    api = FastAPI()
    api.frontend("/", directory=dist)
    client = ApiClient(mount("/", api, fallthrough=True), root_path)
    monkeypatch.delattr("fastapi.routing.APIRouter._match_low_priority")
    assert client.get("/some/page", headers=PAGE).status_code == 404
    assert client.get("/admin/", headers=PAGE).text == "Django has /admin/"


# Uploads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "served_at"),
    [({"prefix": "/", "django_prefix": "/server"}, "/server"), ({"prefix": "/", "fallthrough": True}, ""), ({}, "")],
    ids=["prefix", "routes", "ordinary"],
)
def test_uploads_in_development(
    where: dict[str, Any], served_at: str, settings: Any, tmp_path: Path, root_path: str
) -> None:
    """The pattern of docs/front-end.md serves an upload at the URL that its storage names, under Django's prefix."""
    settings.MEDIA_ROOT, settings.MEDIA_URL = tmp_path, "media/"

    def link(request: HttpRequest) -> HttpResponse:
        return HttpResponse(default_storage.url("a.txt"))

    class WithUploads:
        urlpatterns = [
            path("link/", link),
            re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
        ]

    settings.ROOT_URLCONF = WithUploads
    (tmp_path / "a.txt").write_text("uploaded")
    client = ApiClient(mount(app=api_with_items(), **where), root_path)
    url = client.get(f"{served_at}/link/").text
    assert url == f"{root_path}{served_at}/media/a.txt"
    assert client.get(url.removeprefix(root_path)).text == "uploaded"
    assert client.get(f"{served_at}/media/../none.txt").status_code == 404
