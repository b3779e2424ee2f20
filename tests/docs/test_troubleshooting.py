"""docs/troubleshooting.md: each message is provoked, in the words of its heading."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connection
from django.http import HttpRequest, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import path
from fastapi import FastAPI

from api_client import ApiClient, committed_rows
from calls import call, http_scope, request
from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from djfast_mount.exceptions import ConfigurationError
from harness import PYTHONPATH, TESTS
from project.library.models import Author

HEADINGS = re.findall(r"^## (.*)$", (TESTS.parent / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with committed_rows(django_db_blocker):
        yield


def test_every_heading_is_provoked() -> None:
    """No message stands on the page that no test provokes, and none is provoked that does not stand there."""
    assert sorted(HEADINGS) == sorted(PROVOKED)


def sync_orm_on_the_loop() -> str:
    api = FastAPI()

    @api.get("/authors")
    async def authors() -> int:
        return Author.objects.count()

    with pytest.raises(Exception, match="You cannot call this") as caught:
        request(api, "/authors")
    return str(caught.value)


def not_a_list() -> str:
    api = FastAPI()

    @api.get("/authors", response_model=list[str])
    async def authors() -> Any:
        return Author.objects

    with pytest.raises(Exception, match="valid list") as caught:
        request(api, "/authors")
    return str(caught.value)


def no_csrf_token() -> str:
    api = FastAPI()

    @api.post("/me")
    def me(user: CurrentUser) -> str:
        return user.get_username()

    browser = Client()
    browser.force_login(User.objects.create_user("ada"))
    client = ApiClient(mount("/api", api))
    client.set_cookie("sessionid", browser.cookies["sessionid"].value)
    return client.post("/api/me").text


def another_host() -> str:
    with override_settings(ALLOWED_HOSTS=["example.org"]):
        root = mount("/api", FastAPI())
        assert request(root, "/api/x", headers={"host": "evil.example"}).status == 400
    return ""


def no_thread() -> str:
    api, time_to_end = FastAPI(), threading.Event()

    @api.get("/slow")
    def slow() -> None:
        time_to_end.wait(10)

    root = mount("/api", api, threads=1, wait_timeout=0.05)

    async def both() -> str:
        first = asyncio.create_task(call(root, http_scope("/api/slow")))
        await asyncio.sleep(0.05)
        second = await call(root, http_scope("/api/slow"))
        time_to_end.set()
        await first
        return second.text

    return asyncio.run(both())


def a_websocket_for_django() -> str:
    async def nothing(*_: Any) -> Any: ...

    with pytest.raises(ValueError, match="Django can only handle") as caught:
        asyncio.run(get_asgi_application()({"type": "websocket", "path": "/"}, nothing, nothing))  # type: ignore[arg-type]
    return str(caught.value)


class Streams:
    @staticmethod
    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"one"]))

    urlpatterns = [path("stream/", stream)]


def a_sync_stream() -> str:
    with override_settings(ROOT_URLCONF=Streams), pytest.warns(Warning, match="must consume") as caught:
        request(mount("/api", FastAPI(), django_handler="django"), "/stream/")
    return str(caught[0].message)


def a_dead_connection() -> str:
    if connection.vendor != "postgresql":
        return "server closed the connection unexpectedly"  # The words are those of PostgreSQL's driver.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    try:
        with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
    return str(caught.value)


def a_locked_table() -> str:
    first, second = (sqlite3.connect("file:locked?mode=memory&cache=shared", uri=True) for _ in range(2))
    first.execute("CREATE TABLE note (title TEXT)")
    first.execute("BEGIN")
    first.execute("INSERT INTO note VALUES ('x')")
    with pytest.raises(sqlite3.OperationalError) as caught:
        second.execute("SELECT * FROM note")
    for each in (first, second):
        each.close()
    return str(caught.value)


def no_settings() -> str:
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    code = "from djfast_mount import mount; mount('/api', 'nothing:api')"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**env, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, check=False
    ).stderr


def no_app() -> str:
    with pytest.raises(ConfigurationError) as caught:
        mount("/api")
    return str(caught.value)


def no_static_root() -> str:
    with override_settings(DEBUG=False, STATIC_ROOT=None):
        mount("/api", FastAPI())
    return ""


PROVOKED: dict[str, Callable[[], str]] = {
    "You cannot call this from an async context - use a thread or sync_to_async.": sync_orm_on_the_loop,
    "Input should be a valid list": not_a_list,
    "CSRF verification failed.": no_csrf_token,
    "Invalid Host header": another_host,
    "The server is busy: no thread came free": no_thread,
    "Django can only handle ASGI/HTTP connections, not websocket.": a_websocket_for_django,
    "StreamingHttpResponse must consume synchronous iterators": a_sync_stream,
    "server closed the connection unexpectedly": a_dead_connection,
    "database table is locked": a_locked_table,
    "DJANGO_SETTINGS_MODULE is not set, so Django has no settings.": no_settings,
    "mount() got no app, and no installed Django app has an api.py": no_app,
    "STATIC_ROOT is not set: no static files are served.": no_static_root,
}


@pytest.mark.parametrize("message", PROVOKED)
def test_the_message_is_met(message: str, db: None, caplog: pytest.LogCaptureFixture) -> None:
    """What the page says of a message can be met, and in these words."""
    with caplog.at_level(logging.DEBUG, "djfast_mount"):
        met = PROVOKED[message]()
    if message == "server closed the connection unexpectedly" and connection.vendor == "postgresql":
        # psycopg words it by how the connection ended.
        message = "connection"
    assert message in f"{met}\n{caplog.text}"
