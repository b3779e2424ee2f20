"""The system checks of where things stand: each fault has an id, and none is told of a project that is well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from djfast_mount import mount
from djfast_mount.routing.placement import placements
from harness import PYTHONPATH

pytestmark = pytest.mark.once


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class URLs:
    urlpatterns = [path("admin/", view), path("accounts/login/", view)]


class WithoutLogin:
    urlpatterns = [path("admin/", view)]


@pytest.fixture(autouse=True)
def nothing_mounted(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = WithoutLogin
    settings.ASGI_APPLICATION = "nowhere.app"  # Each test mounts an app of its own.
    before = list(placements)
    placements.clear()
    yield
    placements[:] = before


def ids() -> list[str]:
    """What is found, less what other checks find."""
    found = [str(message.id) for message in checks.run_checks(tags=["djfast_mount"])]
    return [name.removeprefix("djfast_mount.") for name in found if name[-4:] == "E031" or name[-4:-1] == "W03"]


def api_with(*paths: str) -> FastAPI:
    api = FastAPI()
    for name in paths:
        api.get(name)(lambda: "")
    return api


@pytest.mark.parametrize(
    "options", [{"prefix": "/", "django_prefix": "/server"}, {"prefix": "/", "fallthrough": True}, {}]
)
def test_a_project_that_is_well(options: dict[str, Any], settings: Any) -> None:
    """With the defaults of Django's settings nothing is told, before mount() and after it."""
    settings.DJFAST_MOUNT = options
    assert ids() == []
    mount(app=api_with("/items"))
    assert ids() == []


def test_a_script_name_without_the_prefix(settings: Any) -> None:
    """FORCE_SCRIPT_NAME has to end with Django's prefix."""
    settings.DJFAST_MOUNT = {"prefix": "/", "django_prefix": "/server"}
    settings.FORCE_SCRIPT_NAME = "/outer"
    assert ids() == ["E031"]
    settings.FORCE_SCRIPT_NAME = "/outer/server"
    assert ids() == []


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/accounts/login/", ["W031"]),
        ("/admin/", ["W031"]),
        ("/server/admin/", []),
        ("/outer/server/admin/", []),
        ("admin:login", []),
        ("https://sso.example/", []),
        ("//sso.example/", []),
        ("/spa/login", []),
    ],
)
def test_a_literal_login_url(url: str, found: list[str], settings: Any) -> None:
    """A path outside of Django's prefix is told, unless the app at the root has a route for it."""
    settings.LOGIN_URL = url
    mount("/", api_with("/spa/login"), django_prefix="/server")
    assert ids() == found


def test_the_default_login_url(settings: Any) -> None:
    """Django's default is told where the URLconf has that page, which it would not lead to."""
    mount("/", api_with(), django_prefix="/server")
    assert ids() == []
    settings.ROOT_URLCONF = URLs
    assert ids() == ["W031"]


@pytest.mark.parametrize("name", ["SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH"])
@pytest.mark.parametrize(
    ("cookie_path", "where", "found"),
    [
        ("/", {"django_prefix": "/server"}, []),
        ("/server", {"django_prefix": "/server"}, ["W032"]),
        ("/server/admin/", {"django_prefix": "/server"}, ["W032"]),
        ("/outer", {"django_prefix": "/server"}, []),
        ("/admin", {"fallthrough": True}, ["W032"]),
        ("/outer", {"fallthrough": True}, []),
    ],
)
def test_a_cookie_path_narrower_than_the_api(
    name: str, cookie_path: str, where: dict[str, Any], found: list[str], settings: Any
) -> None:
    """A cookie that browsers send to a part of the site alone is told; an outer prefix is none."""
    setattr(settings, name, cookie_path)
    mount("/", api_with(), **where)
    assert ids() == found


def test_a_route_for_every_path() -> None:
    """A route of the API that takes every path, or an app that owns them, leaves Django nothing to fall through to."""
    mount("/", api_with("/items", "/{rest:path}"), fallthrough=True)
    assert ids() == ["W033"]
    files = FastAPI()
    files.mount("/", StaticFiles(directory=Path(__file__).parent, html=True))
    mount("/api", files, fallthrough=True)
    assert ids() == ["W033"]
    mount("/", api_with("/{rest:path}"), django_prefix="/server")
    assert ids() == []
    mount("/", api_with("/{one}", "/x/{rest:path}"), fallthrough=True)
    assert ids() == []


def test_a_route_at_a_health_path(settings: Any) -> None:
    """A route that the root answers before the API is told."""
    mount("/", api_with("/healthz"), fallthrough=True)
    assert ids() == ["W034"]
    mount("/", api_with("/{name}"), fallthrough=True)
    assert ids() == []
    settings.DJFAST_MOUNT = {"health_path": "/alive"}
    mount("/", api_with("/healthz"), fallthrough=True)
    assert ids() == []


def test_check_deploy_imports_the_application(tmp_path: Path) -> None:
    """What only mount()'s arguments tell is told by `manage.py check --deploy`, which imports the application."""
    (tmp_path / "placed.py").write_text(
        "from djfast_mount import mount\nfrom fastapi import FastAPI\napi = FastAPI()\n"
        'api.get("/{rest:path}")(lambda: "")\napp = mount("/", api, fallthrough=True)\n'
    )
    (tmp_path / "placed_settings.py").write_text('from project.settings import *\nASGI_APPLICATION = "placed.app"\n')
    environment = {"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}", "DJANGO_SETTINGS_MODULE": "placed_settings"}
    told = [
        subprocess.run(
            [sys.executable, "-m", "django", "check", *options],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for options in ([], ["--deploy"])
    ]
    assert ["W033" in text for text in told] == [False, True]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/admin", ["W035"]),
        ("/accounts", ["W035"]),
        ("/static", ["W035"]),
        ("/assets", []),
        ("/adm", []),
        ("/admin/api", []),
        ("/accounts/login", ["W035"]),
    ],
)
def test_a_prefix_that_hides_what_django_has(prefix: str, found: list[str], settings: Any) -> None:
    """A prefix that Django's pages or the static files lie under is told, by the settings and after mount()."""
    settings.ROOT_URLCONF = URLs
    settings.STATIC_URL = "static/"
    settings.DJFAST_MOUNT = {"prefix": prefix}
    assert ids() == found
    settings.DJFAST_MOUNT = {}
    mount(prefix, api_with("/items"))
    assert ids() == found


def test_a_prefix_beside_djangos_own(settings: Any) -> None:
    """With `django_prefix` Django's pages lie elsewhere, and with `fallthrough` they are reached."""
    settings.ROOT_URLCONF = WithoutLogin
    mount("/admin", api_with("/items"), django_prefix="/server")
    assert ids() == []
    mount("/server/admin", api_with("/items"), django_prefix="/server")
    assert ids() == ["W035"]
    mount("/admin", api_with("/items"), fallthrough=True)
    assert ids() == []


def again(api: FastAPI) -> Any:
    return mount("/api", api)


def with_a_prefix(api: FastAPI) -> Any:
    outer = FastAPI()
    router = APIRouter(prefix="/api")
    router.get("/items")(lambda: "")
    outer.include_router(router)
    return outer


def wrapped(api: FastAPI) -> Any:
    return CORSMiddleware(with_a_prefix(api))


@pytest.mark.parametrize("make", [again, with_a_prefix, wrapped])
def test_a_prefix_that_comes_twice(make: Any) -> None:
    """A mounted app that is mounted again, and routes that hold the prefix themselves, are told."""
    mount("/api", make(api_with("/items")))
    assert ids() == ["W036"]
