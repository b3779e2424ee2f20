"""The URLconf is loaded in the lifespan, where telemetry is on."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import pytest
from django.test import override_settings
from django.urls import clear_url_caches
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.testing import Client

pytestmark = pytest.mark.once


class Urls(types.ModuleType):
    """A URLconf that notes when it is read."""

    read = 0

    @property
    def urlpatterns(self) -> list[object]:
        self.read += 1
        return []


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Urls]:
    urls = Urls("urls_of_lifespan")
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    clear_url_caches()
    yield urls
    clear_url_caches()


@pytest.mark.parametrize("telemetry", [True, False])
def test_the_urlconf_is_there_with_the_lifespan(urls: Urls, telemetry: bool) -> None:
    """With telemetry it is loaded before any request, and without it the lifespan leaves it alone."""
    options = {"telemetry": telemetry}
    with override_settings(DJFAST_MOUNT=options, ROOT_URLCONF=urls.__name__), Client(mount("/api", FastAPI())):
        assert bool(urls.read) == telemetry


def test_a_urlconf_that_cannot_be_loaded_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """The lifespan starts all the same, the API answers, and the log names the setting."""
    api = FastAPI()
    api.get("/")(lambda: "answered")
    options = {"telemetry": True}
    with override_settings(DJFAST_MOUNT=options, ROOT_URLCONF="nowhere.urls"), Client(mount("/api", api)) as client:
        assert client.get("/api/").json() == "answered"
    assert "settings.ROOT_URLCONF, 'nowhere.urls', cannot be loaded." in caplog.text
