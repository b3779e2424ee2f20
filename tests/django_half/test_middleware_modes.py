"""Middleware that behaves differently by its mode, in Django's half and around an API: as with Django under ASGI."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import django
import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.middleware import PersistentRemoteUserMiddleware, RemoteUserMiddleware
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path as url_path
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from fastapi import Depends, FastAPI

from api_client import ApiClient, both, committed_rows
from djfast_mount import mount
from djfast_mount.auth import CurrentUser, get_request
from djfast_mount.django_half.middleware_modes import any_has_async_code

DjangoRequest = Annotated[HttpRequest, Depends(get_request)]
SESSION = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


# From Django 6.1 on a header of one's own is named as in META.
OWN_HEADER = "HTTP_X_OWN_USER" if django.VERSION >= (6, 1) else "X_OWN_USER"


class ByHeader(RemoteUserMiddleware):
    """A subclass with a header of its own."""

    header = OWN_HEADER


class Persistent(PersistentRemoteUserMiddleware):
    header = OWN_HEADER


@sync_and_async_middleware
def tells_its_mode(get_response: Any) -> Any:
    async def asynchronous(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await get_response(request)
        response["X-Mode"] = "async"
        return response

    def sync(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response["X-Mode"] = "sync"
        return response

    return asynchronous if iscoroutinefunction(get_response) else sync


class BothKinds:
    """A class with code for both modes, as Django's documentation writes it."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._answer(request) if iscoroutinefunction(self) else self._with(self.get_response(request), "sync")

    async def _answer(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        return self._with(await self.get_response(request), "async")

    def _with(self, response: Any, mode: str) -> Any:
        response["X-Mode"] = mode
        return response


class OwnAcall(MiddlewareMixin):
    async def __acall__(self, request: HttpRequest) -> Any:  # type: ignore[override]
        response = await self.get_response(request)  # type: ignore[misc]
        response["X-Mode"] = "async"
        return response

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Mode"] = "sync"
        return response


def sync_only(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        return response

    return middleware


def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"user": str(request.user), "thread": threading.current_thread() is not threading.main_thread()}
    )


async def async_view(request: HttpRequest) -> JsonResponse:
    return await sync_to_async(view)(request)


urlpatterns = [url_path("sync/who", view), url_path("async/who", async_view)]


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker), override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def of(*names: str) -> list[str]:
    return [name if "." in name else f"{__name__}.{name}" for name in names]


REMOTE = "django.contrib.auth.middleware.RemoteUserMiddleware"
BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]


@pytest.mark.parametrize(
    ("middleware", "header"), [(REMOTE, "remote-user"), ("ByHeader", "x-own-user"), ("Persistent", "x-own-user")]
)
def test_a_user_of_the_proxy(root_path: str, kind: str, middleware: str, header: str) -> None:
    """RemoteUserMiddleware and its subclasses log in the user of the header, for sync and async views alike."""
    with override_settings(MIDDLEWARE=[*SESSION, *of(middleware)], AUTHENTICATION_BACKENDS=BACKENDS):
        client = ApiClient(mount("/api", FastAPI()), root_path)
        assert client.get(f"/{kind}/who").json()["user"] == "AnonymousUser"
        assert client.get(f"/{kind}/who", headers={header: "ada"}).json() == {"user": "ada", "thread": True}
        assert client.get(f"/{kind}/who", headers={header: "ada"}).json()["user"] == "ada"
        stays = middleware == "Persistent"
        assert client.get(f"/{kind}/who").json()["user"] == ("ada" if stays else "AnonymousUser")
    assert User.objects.filter(username="ada").exists()


@pytest.mark.parametrize("middleware", [(REMOTE, "remote-user"), ("ByHeader", "x-own-user")])
def test_a_user_of_the_proxy_in_the_api(root_path: str, kind: str, middleware: tuple[str, str]) -> None:
    """Around an API they name the user of CurrentUser and of the Django request, from the first call on."""
    api = FastAPI()

    @both(api, "GET", "/who")
    def who(user: CurrentUser, request: DjangoRequest) -> list[str]:
        return [user.get_username(), str(request.user)]

    name, header = middleware
    with override_settings(AUTHENTICATION_BACKENDS=BACKENDS):
        client = ApiClient(mount("/api", api, django_middleware_for_api=of(name)), root_path)
        assert client.get(f"/api/{kind}/who").status_code == 401
        for _ in range(2):
            assert client.get(f"/api/{kind}/who", headers={header: "ada"}).json() == ["ada", "ada"]


CHAINS = [
    [*SESSION, "tells_its_mode"],
    [*SESSION, "BothKinds"],
    [*SESSION, "OwnAcall"],
    ["tells_its_mode", *SESSION],
    [*SESSION, "BothKinds", "sync_only"],
    ["tells_its_mode", "sync_only", *SESSION],
    SESSION,
]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(name.rpartition(".")[2] for name in chain))
def test_the_mode_is_djangos(root_path: str, kind: str, chain: list[str]) -> None:
    """Each middleware runs in the mode that Django's own handler runs it in."""
    with override_settings(MIDDLEWARE=of(*chain)):
        ours = ApiClient(mount("/api", FastAPI()), root_path).get(f"/{kind}/who")
        djangos = ApiClient(get_asgi_application(), root_path).get(f"/{kind}/who")
    assert ours.json()["user"] == djangos.json()["user"] == "AnonymousUser"
    assert ours.headers.get("x-mode") == djangos.headers.get("x-mode")


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        (SESSION, False),
        ([*SESSION, "sync_only"], False),
        ([REMOTE], True),
        (["tells_its_mode"], True),
        (["OwnAcall"], True),
    ],
)
def test_what_has_async_code(chain: list[str], found: bool) -> None:
    """Middleware with methods has one code for both modes, and keeps sync views in one hop."""
    with override_settings(MIDDLEWARE=of(*chain)):
        assert any_has_async_code() is found
