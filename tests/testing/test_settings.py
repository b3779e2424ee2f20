"""Settings that a test overrides, and clocks that it freezes: the root follows the first, the client the real clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import Client as DjangoClient
from django.test import modify_settings, override_settings
from django.urls import path
from fastapi import FastAPI
from freezegun import freeze_time

from djfast_mount import mount
from djfast_mount.testing import Client

api = FastAPI()


@api.get("/")
async def endpoint() -> str:
    return "endpoint"


@api.get("/asleep")
async def asleep() -> str:
    await asyncio.sleep(0.01)
    return "awake"


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("view")


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("view")


urlpatterns = [path("sync/", view), path("async/", async_view)]


class Marking:
    """Reads a setting when it is made, as many middleware do."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.mark = getattr(django_settings, "MARK", "none")

    def __call__(self, request: HttpRequest) -> Any:
        response = self.get_response(request)
        response["x-mark"] = self.mark
        return response


MARKING = f"{__name__}.Marking"
SECURITY = "django.middleware.security.SecurityMiddleware"
roots = {
    "one_hop": mount("/api", api),
    "django": mount("/api", api, django_handler="django"),
}


@pytest.fixture(params=list(roots))
def client(request: pytest.FixtureRequest, root_path: str, settings: Any) -> Iterator[Client]:
    settings.ROOT_URLCONF = __name__
    with Client(roots[request.param], root_path=root_path) as client:
        yield client


views = pytest.mark.parametrize("path", ["/sync/", "/async/"])


@views
def test_middleware_of_a_test_runs(path: str, client: Client) -> None:
    """MIDDLEWARE that a test overrides is that of Django's half, as with Django's own client, as long as it holds."""
    for _ in range(2):
        assert "x-mark" not in client.get(path).headers
        with modify_settings(MIDDLEWARE={"prepend": MARKING}):
            assert client.get(path).headers["x-mark"] == "none"
            assert DjangoClient().get(path).headers["x-mark"] == "none"


@views
def test_what_a_middleware_reads_when_it_is_made(path: str, client: Client) -> None:
    """A setting that a middleware reads in `__init__` is the one that holds while the request is made."""
    with modify_settings(MIDDLEWARE={"prepend": MARKING}):
        for mark in ("one", "two"):
            with override_settings(MARK=mark):
                assert client.get(path).headers["x-mark"] == mark


@views
@pytest.mark.parametrize("wrong", ["nowhere.Middleware", f"{__name__}.Missing"])
def test_middleware_that_is_not_there(path: str, wrong: str, client: Client) -> None:
    """A test may name middleware that cannot be imported: requests fail, as with Django's client, and not the test."""
    with modify_settings(MIDDLEWARE={"prepend": wrong}):
        for raises in (lambda: client.get(path), lambda: DjangoClient().get(path)):
            with pytest.raises(ImportError):
                raises()
    assert client.get(path).status_code == 200


@views
def test_the_redirect_to_https(path: str, client: Client) -> None:
    """SECURE_SSL_REDIRECT, which SecurityMiddleware reads once, is followed."""
    with modify_settings(MIDDLEWARE={"prepend": SECURITY}):
        assert client.get(path).status_code == 200
        with override_settings(SECURE_SSL_REDIRECT=True):
            assert client.get(path).status_code == 301
        assert client.get(path).status_code == 200


def test_middleware_around_the_api(root_path: str) -> None:
    """The Django middleware around API calls reads the settings of the test as well."""
    root = mount("/api", api, django_middleware_for_api=[MARKING])
    with Client(root, root_path=root_path) as client:
        for mark in ("one", "two"):
            with override_settings(MARK=mark):
                assert client.get("/api/").headers["x-mark"] == mark


@pytest.mark.parametrize("ticks", [True, False])
@pytest.mark.parametrize("made", ["before", "within"])
def test_a_frozen_clock_stops_no_loop(ticks: bool, made: str, root_path: str) -> None:
    """An endpoint that sleeps answers while freezegun holds or moves the clock, wherever the client was made."""
    answers: list[str] = []

    def call() -> None:
        client = Client(roots["one_hop"], root_path=root_path)
        if made == "before":
            client.get("/api/")
        with freeze_time("2012-01-14", tick=ticks):
            answers.append(client.get("/api/asleep").json())
        client.close()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(10)  # A hang is the fault that this is about.
    assert answers == ["awake"]
