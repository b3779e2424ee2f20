"""Checks of the laws: coroutine tests that take a `site`, run against the library and against what must fail them.

`@pytest.mark.violated_by("hand_made")` runs the test against that root of `laws.roots` too. There it must find a
violation: the test of the test. Further arguments of the mark name the one parameter for which it is run.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import override_settings

from laws import record
from laws.roots import ROOTS
from laws.site import Site
from laws.watchdog import run

pytest.register_assert_rewrite("laws.expect")


class Variant(NamedTuple):
    root: str = "mounted"
    loop: str = "asyncio"
    root_path: str = ""

    def __str__(self) -> str:
        return "-".join(part.strip("/") for part in self if part)


# A faulty root may well leave things for the garbage collector.
UNTIDY = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
GOOD = (Variant(), Variant(root_path="/pre"), Variant(loop="uvloop", root_path="/pre"))


@pytest.fixture(autouse=True)
def hearing(request: pytest.FixtureRequest) -> Iterator[None]:
    """A module that looks at `record.signals` says so by HEARS_SIGNALS."""
    with record.hearing() if getattr(request.module, "HEARS_SIGNALS", False) else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def settings_as_found() -> Iterator[None]:
    """A faulty root may hang, and with it what a `site` has overridden."""
    with override_settings(ROOT_URLCONF=settings.ROOT_URLCONF, MIDDLEWARE=settings.MIDDLEWARE):
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "violated_by(*roots): roots that the test must find at fault")
    config.addinivalue_line("markers", "watchdog(seconds): how long the test may take")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "site" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("violated_by")
        faulty = [pytest.param(Variant(root), marks=UNTIDY) for root in marker.args] if marker else []
        metafunc.parametrize("site", [*GOOD, *faulty], ids=str, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_left_out(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("violated_by")
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if marker is None or params.get("site", Variant()).root == "mounted":
        return False
    return any(params[name] != value for name, value in marker.kwargs.items())


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    variant: Variant = request.param
    with ROOTS[variant.root]() as make:
        yield Site(make, variant.root_path)


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """In the place of pytest-django's own: no transaction around the test, whose requests run on other threads."""
    with django_db_blocker.unblock():
        yield
        apps.get_model("shop", "Item")._default_manager.all().delete()
        connection.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    callspec = getattr(pyfuncitem, "callspec", None)
    variant = callspec.params.get("site", Variant()) if callspec else Variant()
    marker = pyfuncitem.get_closest_marker("watchdog")
    good = variant.root == "mounted"
    seconds = marker.args[0] if marker else 10.0 if good else 2.0
    check = partial(pyfuncitem.function, **arguments)
    if good:
        run(check, loop=variant.loop, seconds=seconds)
        return True
    with pytest.raises(AssertionError):
        run(check, loop=variant.loop, seconds=seconds)
    gc.collect()  # What a faulty root has left behind is to be found now, and not in the next test.
    return True
