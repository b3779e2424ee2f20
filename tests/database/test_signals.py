"""What Django does at a request's begin and end, whoever listens to its signals."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import get_urlconf, path, set_urlconf
from fastapi import FastAPI

from calls import request
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.database import signals as request_signals
from harness import PYTHONPATH

pytestmark = pytest.mark.django_db

Seen = list[Any]

api = FastAPI()
seen: Seen = []
wrappers: list[BaseDatabaseWrapper] = []  # the one on the thread of the last request


class NotingCache(LocMemCache):
    def close(self, **_: object) -> None:
        seen.append("the cache is closed")


@api.get("/connection")
def use() -> None:
    connection.ensure_connection()
    connection.force_debug_cursor = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.force_debug_cursor = False
    seen.append((connection.connection, len(connection.queries_log)))
    wrappers[:] = [connections["default"]]


@api.get("/unusable")
def make_unusable() -> None:
    connection.ensure_connection()
    connection.errors_occurred = True
    connection.connection.close()


@api.get("/cache")
def use_cache() -> None:
    cache.set("a", 1)
    set_urlconf("project.urls")


@api.get("/failing")
def make_closing_fail() -> None:
    connection.ensure_connection()
    vars(connections["default"])["close_if_unusable_or_obsolete"] = fail
    seen.append("failing")


def fail() -> None:
    if seen == ["failing"]:
        raise LookupError("a connection that cannot be closed")


def hear(**_: object) -> None:
    """A receiver of the project's own."""


@pytest.fixture(params=["alone", "heard"], autouse=True)
def listeners(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with Django's receivers alone, and with another."""
    seen.clear()
    signals = (request_started, request_finished) if request.param == "heard" else ()
    for signal in signals:
        signal.connect(hear)
    yield
    for signal in signals:
        signal.disconnect(hear)


@pytest.fixture
def root() -> Iterator[MountedApplication]:
    """A root with one thread, whose connections are closed at the end."""
    root = mount("/api", api, threads=1)
    yield root
    emptied = threading.Event()
    root._threads.pool.shutdown(emptied.set)
    assert emptied.wait(10)


@contextlib.contextmanager
def kept(seconds: int) -> Iterator[None]:
    """CONN_MAX_AGE for connections that are made within."""
    before = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = seconds
    try:
        yield
    finally:
        connections.settings["default"]["CONN_MAX_AGE"] = before


def ask(root: MountedApplication, root_path: str, where: str) -> None:
    assert request(root, f"{root_path}/api{where}", root_path=root_path).status == 200


@pytest.mark.parametrize(("seconds", "same"), [(0, False), (600, True)])
def test_a_connection_lives_as_long_as_it_may(
    root: MountedApplication, root_path: str, seconds: int, same: bool
) -> None:
    """With CONN_MAX_AGE of zero each request has a connection of its own, else the thread keeps one; queries are
    forgotten in between.
    """
    with kept(seconds):
        for _ in range(2):
            ask(root, root_path, "/connection")
    (first, queries), (second, later) = seen
    assert (first is second) is same
    assert queries == later == 1


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="Django takes every SQLite connection for usable")
def test_a_connection_that_broke_is_replaced(root: MountedApplication, root_path: str) -> None:
    """A connection that has met an error and is of no use is closed at the request's end: the next one gets another."""
    with kept(600):
        ask(root, root_path, "/unusable")
        ask(root, root_path, "/connection")
    assert len(seen) == 1


@override_settings(CACHES={"default": {"BACKEND": f"{__name__}.NotingCache"}})
def test_caches_are_closed(root: MountedApplication, root_path: str) -> None:
    """What caches a request has used are closed at its end, once."""
    ask(root, root_path, "/cache")
    assert seen == ["the cache is closed"]


def test_a_failing_end_is_logged(root: MountedApplication, root_path: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error at a request's end is logged by Django, and harms neither this request nor the next."""
    with caplog.at_level(logging.ERROR, "django.dispatch"), kept(600):
        ask(root, root_path, "/failing")
        seen.clear()
        ask(root, root_path, "/connection")
    assert len(seen) == 1
    [record] = caplog.records
    assert "a connection that cannot be closed" in record.getMessage()


@contextlib.contextmanager
def disconnected(signal: Signal, receiver: Callable[..., Any]) -> Iterator[None]:
    assert signal.disconnect(receiver)
    try:
        yield
    finally:
        signal.connect(receiver)


def test_a_receiver_that_is_disconnected_is_not_called(root: MountedApplication, root_path: str) -> None:
    """Without close_old_connections connected, as in Django's test client, connections stay whatever their age."""
    with (
        kept(0),
        disconnected(request_started, close_old_connections),
        disconnected(request_finished, close_old_connections),
    ):
        for _ in range(2):
            ask(root, root_path, "/connection")
    (first, _), (second, _) = seen
    assert first is second


async def hear_async(**_: object) -> None:
    seen.append("heard async")


def hear_ours(**named: object) -> None:
    seen.append(("heard", named["sender"]))


@dataclass
class Audit:
    """A receiver without a hash."""

    name: str

    def __call__(self, **_: object) -> None:
        seen.append(self.name)


AUDIT = Audit("audited")


@pytest.mark.parametrize(
    ("receiver", "sender", "heard"),
    [
        (hear_ours, None, [("heard", MountedApplication)]),
        (hear_ours, MountedApplication, [("heard", MountedApplication)]),
        (hear_ours, Signal, []),
        (hear_async, None, ["heard async"]),
        (AUDIT, None, ["audited"]),
    ],
    ids=["any sender", "its sender", "another sender", "async", "without a hash"],
)
@pytest.mark.parametrize("signal", [request_started, request_finished], ids=["started", "finished"])
def test_a_receiver_may_come_at_any_time(
    root: MountedApplication, root_path: str, signal: Signal, receiver: Any, sender: Any, heard: Seen
) -> None:
    """A receiver hears the signals from its connecting to its disconnecting: those of its sender."""
    ask(root, root_path, "/cache")
    signal.connect(receiver, sender=sender)
    ask(root, root_path, "/cache")
    signal.disconnect(receiver, sender=sender)
    ask(root, root_path, "/cache")
    assert seen == heard


@pytest.mark.parametrize("handler", ["one_hop", "django"])
@override_settings(ROOT_URLCONF=__name__)
def test_the_sender_is_djangos_handler(handler: Any, root_path: str) -> None:
    """For a view a receiver that was connected for ASGIHandler hears both signals, whose ever handler serves it."""
    root = mount("/api", FastAPI(), django_handler=handler)
    signals = (request_started, request_finished)

    def hear_djangos(signal: Signal, **_: object) -> None:
        seen.append(signals.index(signal))

    for signal in signals:
        signal.connect(hear_djangos, sender=ASGIHandler)
    request(root, f"{root_path}/plain", root_path=root_path)
    for signal in signals:
        signal.disconnect(hear_djangos, sender=ASGIHandler)
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        *(("/api/connection", name) for name in ("send", "send_robust", "_live_receivers")),
        *(("/plain", name) for name in ("send", "_live_receivers")),
    ],
)
@pytest.mark.parametrize("of_the_class", [True, False], ids=["class", "instance"])
@override_settings(ROOT_URLCONF=__name__)
def test_who_takes_the_place_of_a_method_is_called(
    root: MountedApplication,
    root_path: str,
    where: str,
    name: str,
    of_the_class: bool,
) -> None:
    """What stands in the place of a signal's method, as tracing and tests put it there, is called with each request."""
    called: list[str] = []

    def instead_of(method: Any) -> Any:
        def instead(*args: Any, **named: Any) -> Any:
            if not of_the_class or args[0] in (request_started, request_finished):
                called.append(name)
            return method(*args, **named)

        return instead

    with contextlib.ExitStack() as patches:
        for target in (Signal,) if of_the_class else (request_started, request_finished):
            patches.enter_context(mock.patch.object(target, name, instead_of(getattr(target, name))))
        assert request(root, root_path + where, root_path=root_path).status == 200
    assert called == [name] * (1 if name == "send_robust" or (name, where) == ("send", "/api/connection") else 2)


def test_a_connection_that_grew_old_in_between_is_replaced(root: MountedApplication, root_path: str) -> None:
    """A connection whose time runs out between two requests is closed before the second one uses it."""
    with kept(600):
        ask(root, root_path, "/connection")
        wrappers[0].close_at = 0.0
        ask(root, root_path, "/connection")
    (first, _), (second, _) = seen
    assert first is not second


def leave_a_transaction(**_: object) -> None:
    transaction.set_autocommit(False)
    Group.objects.exists()


def test_what_a_receiver_leaves_open_is_thrown_away(
    root: MountedApplication, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver of request_finished that leaves a transaction open is reported, and the next request is not in it."""
    with kept(600):
        request_finished.connect(leave_a_transaction)
        ask(root, root_path, "/connection")
        request_finished.disconnect(leave_a_transaction)
        ask(root, root_path, "/connection")
    (first, _), (second, _) = seen
    assert first is not second
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def leave_autocommit_off(request: HttpRequest) -> HttpResponse:
    transaction.set_autocommit(False)
    connection.ensure_connection()
    transaction.commit()
    return HttpResponse()


def close_in_a_way_of_its_own(request: HttpRequest) -> HttpResponse:
    response = HttpResponse()
    close = response.close

    def note() -> None:
        seen.append("closed")
        close()

    response.close = note  # type: ignore[method-assign]
    return response


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("plain", plain),
    path("autocommit", leave_autocommit_off),
    path("closing", close_in_a_way_of_its_own),
]


@override_settings(ROOT_URLCONF=__name__)
def test_a_view_may_leave_autocommit_off(
    root: MountedApplication, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A view that has committed and leaves autocommit off is no fault, as with Django, which closes the connection."""
    with kept(600):
        assert request(root, f"{root_path}/autocommit", root_path=root_path).status == 200
        ask(root, root_path, "/connection")
    assert len(seen) == 1
    assert caplog.records == []


@override_settings(ROOT_URLCONF=__name__)
def test_a_response_may_close_in_a_way_of_its_own(root: MountedApplication, root_path: str) -> None:
    """What middleware puts in the place of a response's close() is called, once."""
    assert request(root, f"{root_path}/closing", root_path=root_path).status == 200
    assert seen == ["closed"]


def test_who_came_first_is_called() -> None:
    """What has taken the place of a signal's method before this package was imported, as a tracer that settings start,
    is called with each request.
    """
    program = """
import os
from django.dispatch import Signal
seen = []
before = Signal._live_receivers
def live_receivers(self, sender):
    seen.append(self)
    return before(self, sender)
Signal._live_receivers = live_receivers
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
from djfast_mount import mount
from fastapi import FastAPI
from calls import request
from django.core.signals import request_finished, request_started
api = FastAPI()
api.add_api_route("/a", lambda: None)
request(mount("/api", api), "/api/a")
print(seen.count(request_started), seen.count(request_finished))
"""
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 1"


# Names that are not public ------------------------------------------------------------------------------------------


def test_django_connects_these_receivers() -> None:
    """A process that serves has Django's receivers that djfast_mount.request_signals knows, and no others."""
    program = """
import django; django.setup()
from django.core.asgi import get_asgi_application; get_asgi_application()
from django.core.signals import request_finished, request_started
for signal in (request_started, request_finished):
    print(*sorted(entry[1]().__name__ for entry in signal.receivers))
"""
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines() == [
        "close_old_connections reset_queries",
        "close_caches close_old_connections reset_urlconf",
    ]


def test_an_entry_of_a_signal_begins_with_its_key() -> None:
    """An entry of Signal.receivers begins with a key, whose second part is the sender's id, and with the receiver, or
    a reference to it.
    """
    signal = Signal()
    signal.connect(hear)
    signal.connect(hear_async, sender=Signal, weak=False)
    ((_, no_sender), reference, *_), ((_, sender), receiver, *_) = signal.receivers
    assert (no_sender, reference()) == (id(None), hear)
    assert (sender, receiver) == (id(Signal), hear_async)


def test_the_connections_of_a_thread_are_found() -> None:
    """On a thread without an event loop `initialized()` is what Django finds there: nothing first, then its own."""

    def look() -> list[bool]:
        found = [request_signals.initialized() == connections.all(initialized_only=True) == []]
        connections["default"].ensure_connection()
        found.append(request_signals.initialized() == connections.all(initialized_only=True) != [])
        connections.close_all()
        return found

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result() == [True, True]


def test_it_is_known_whether_a_context_has_caches_and_a_urlconf() -> None:
    """A context in which no cache and no URLconf was used is known to have none, and one that has, to have them."""

    def closes() -> list[Any]:
        with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.NotingCache"}}):
            request_signals.finish(None, [])
            before = list(seen)
            cache.set("a", 1)
            set_urlconf("project.urls")
            request_signals.finish(None, [])
            return [before, list(seen), get_urlconf()]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(copy_context().run, closes).result() == [[], ["the cache is closed"], None]
