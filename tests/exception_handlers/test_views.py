"""handler500 of Django's half: 503 if the database is away, and Django's own page for everything else."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.db import InternalError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI

from api_client import ApiClient
from djfast_mount import mount

pytestmark = pytest.mark.once


def away(request: HttpRequest) -> HttpResponse:
    raise OperationalError("connection refused")


async def away_async(request: HttpRequest) -> HttpResponse:
    raise OperationalError("connection refused")


def read_only(request: HttpRequest) -> HttpResponse:
    """As PostgreSQL has it of a standby, whose class of error may mean anything."""
    raise InternalError from SimpleError(SimpleNamespace(sqlstate="25006"))


class SimpleError(Exception):
    """A driver's error."""

    def __init__(self, diag: Any) -> None:
        super().__init__()
        self.diag = diag


def internal(request: HttpRequest) -> HttpResponse:
    raise InternalError from SimpleError(SimpleNamespace(sqlstate="25P02"))


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("as planned")


@pytest.fixture
def client(root_path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    urls = ModuleType("pages_that_fail")
    urls.urlpatterns = [path(view.__name__, view) for view in (away, away_async, read_only, internal, broken)]  # type: ignore[attr-defined]
    urls.handler500 = "djfast_mount.exception_handlers.server_error"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pages_that_fail", urls)
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(tmp_path)]}
    with override_settings(ROOT_URLCONF="pages_that_fail", DEBUG=False, TEMPLATES=[engine], MIDDLEWARE=[]):
        yield ApiClient(mount("/api", FastAPI(), host_check=False), root_path)


@pytest.mark.parametrize("page", ["away", "away_async", "read_only"])
def test_an_outage_is_503(client: ApiClient, page: str) -> None:
    """Sync and async views alike: with Retry-After, and a page that says so."""
    answer = client.get(f"/{page}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Try again in a moment." in answer.text


def test_the_page_is_the_projects(client: ApiClient, tmp_path: Any) -> None:
    """The template 503.html is taken where there is one."""
    (tmp_path / "503.html").write_text("We are back soon.")
    answer = client.get("/away")
    assert (answer.status_code, answer.text) == (503, "We are back soon.")


@pytest.mark.parametrize("page", ["broken", "internal"])
def test_other_errors_are_djangos(client: ApiClient, page: str) -> None:
    """A fault of the code is Django's 500, a statement after a failed one in its transaction as well."""
    answer = client.get(f"/{page}")
    assert answer.status_code == 500
    assert "Server Error (500)" in answer.text
    assert "retry-after" not in answer.headers
