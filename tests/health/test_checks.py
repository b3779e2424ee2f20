"""Checks of django-health-check on `/readyz`: asked beside the databases, told by name, and never in the way."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from fastapi import FastAPI

from calls import call, http_scope
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.health import paths as health

pytest.importorskip("health_check")
from health_check import exceptions
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

pytestmark = pytest.mark.once

SECRET = "postgres://admin:s3cr3t@db"
# The package's name for any other error, which it has changed.
UNEXPECTED = "HealthCheckError" if hasattr(exceptions, "HealthCheckError") else "HealthCheckException"
threads: list[threading.Thread] = []
released = threading.Event()


@dataclasses.dataclass
class Thread(HealthCheck):
    """Notes the thread that it runs on."""

    number: int = 0

    def run(self) -> None:
        threads.append(threading.current_thread())


@dataclasses.dataclass
class Failing(HealthCheck):
    """Fails as its argument says."""

    error: Any = None

    async def run(self) -> None:
        raise self.error


@dataclasses.dataclass
class Hanging(HealthCheck):
    """Holds its thread until it is released."""

    def run(self) -> None:
        threads.append(threading.current_thread())
        released.wait(30)


@dataclasses.dataclass
class Sleeping(HealthCheck):
    """Takes longer than it gives itself."""

    timeout: datetime.timedelta = dataclasses.field(default=datetime.timedelta(seconds=-0.99), repr=False)

    async def run(self) -> None:
        await asyncio.sleep(30)


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "connections", [])
    threads.clear()
    released.clear()
    yield
    released.set()


def root(settings: Any, *checks: Any, **options: Any) -> Any:
    settings.DJFAST_MOUNT = {"health_checks": list(checks), "ready_timeout": 0.3, **options}
    return mount("/api", FastAPI())


async def ask(app: Any, root_path: str = "") -> tuple[int, Any]:
    answer = await call(app, http_scope(f"{root_path}/readyz", root_path=root_path))
    return answer.status, json.loads(answer.body)


def test_checks_of_the_package(settings: Any, root_path: str) -> None:
    """Its own checks are asked by import string, with their arguments; two of a class have two names."""
    settings.CACHES = {name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"} for name in ("default", "b")}
    path = "health_check.checks.Cache"
    status, found = asyncio.run(ask(root(settings, path, (path, {"alias": "b"}), Thread), root_path))
    assert (status, found["checks"]) == (200, {"Cache": "OK", "Cache 2": "OK", "Thread": "OK"})


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ServiceUnavailable(SECRET), 503, "ServiceUnavailable"),
        (ServiceWarning(SECRET), 200, "warning"),
        (OSError(SECRET), 503, UNEXPECTED),
    ],
)
def test_a_check_that_fails(settings: Any, error: Exception, status: int, told: str) -> None:
    """It is 503 with its name and the kind of its error, a warning is 200, and nobody is told what either says."""
    found = asyncio.run(ask(root(settings, (Failing, {"error": error}), Thread)))
    assert found[0] == status
    assert found[1]["checks"] == {"Failing": told, "Thread": "OK"}
    assert SECRET not in json.dumps(found[1])


def test_sync_checks_have_one_request_thread(settings: Any) -> None:
    """They run on one thread of the pool, with Django's signals before and after."""
    signals: list[tuple[Any, threading.Thread]] = []

    def note(signal: Any, **kwargs: Any) -> None:
        signals.append((signal, threading.current_thread()))

    app = root(settings, Thread, (Thread, {"number": 2}))
    for signal in (request_started, request_finished):
        signal.connect(note)
    try:
        assert asyncio.run(ask(app))[0] == 200
    finally:
        for signal in (request_started, request_finished):
            signal.disconnect(note)
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()
    own = [signal for signal, thread in signals if thread is threads[0]]
    assert own[-2:] == [request_started, request_finished]


def test_a_check_that_hangs(settings: Any) -> None:
    """It is 503 in time, however often it is asked it holds one thread, and all is well when it goes on."""
    app = root(settings, Hanging, threads=2)

    async def several() -> list[Any]:
        found = [await ask(app) for _ in range(3)]
        assert len(threads) == 1
        released.set()
        await asyncio.sleep(0.05)
        return [*found, await ask(app)]

    *hung, last = asyncio.run(several())
    for status, found in hung:
        assert (status, found["checks"], found["threads"]) == (503, {"Hanging": "no answer"}, {"pool": "free"})
    assert (last[0], last[1]["checks"]) == (200, {"Hanging": "OK"})


def test_a_check_that_takes_too_long_for_itself(settings: Any) -> None:
    """A check with a timeout of its own is given up by then."""
    status, found = asyncio.run(ask(root(settings, Sleeping, ready_timeout=5)))
    assert (status, found["checks"]) == (503, {"Sleeping": "ServiceUnavailable"})


@pytest.mark.parametrize("wrong", ["health_check.checks.Nothing", ("health_check.checks.Cache", {"name": 1})])
def test_a_check_that_is_none(settings: Any, wrong: Any) -> None:
    """One that cannot be made is an error at the start."""
    with pytest.raises(ConfigurationError, match="health_checks"):
        root(settings, wrong)


def test_without_checks_nothing_is_told_of_them(settings: Any) -> None:
    """By default the answer has no part for them."""
    settings.DJFAST_MOUNT = {}
    assert "checks" not in asyncio.run(ask(mount("/api", FastAPI())))[1]
