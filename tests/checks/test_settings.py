"""The system checks: each fault of the settings has an id, is told with a hint, and is silent once it is mended.

Holds `apps.py`.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import checks
from django.test import override_settings

import djfast_mount
from djfast_mount import mount
from djfast_mount.conf import OPTIONS
from harness import TESTS

pytestmark = pytest.mark.once

POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


def found(*, deploy: bool = False, **changed: Any) -> list[checks.CheckMessage]:
    """What our checks say of the settings with these changes."""
    with override_settings(**changed):
        messages = checks.run_checks(tags=["djfast_mount"], include_deployment_checks=deploy)
    return [message for message in messages if message.id != "djfast_mount.W002"]


def ids(**changed: Any) -> list[str]:
    return [str(message.id) for message in found(**changed)]


def without(name: str) -> list[str]:
    return [other for other in settings.MIDDLEWARE if other != name]


def test_good_settings_are_let_pass() -> None:
    """The test project has nothing to be told of."""
    assert found() == []


@pytest.mark.parametrize("options", [None, [], "threads"])
def test_e001(options: Any) -> None:
    """DJFAST_MOUNT has to be a dict."""
    [message] = found(DJFAST_MOUNT=options)
    assert (message.id, message.level) == ("djfast_mount.E001", checks.ERROR)
    assert "settings.DJFAST_MOUNT" in message.msg
    assert message.hint


@pytest.mark.parametrize(("key", "hint"), [("thread", "Did you mean 'threads'?"), ("q", "The options are ")])
def test_e002(key: str, hint: str) -> None:
    """A key that is no option is named with the nearest one, or with all."""
    [message] = found(DJFAST_MOUNT={key: 1})
    assert message.id == "djfast_mount.E002"
    assert repr(key) in message.msg
    assert str(message.hint).startswith(hint)


BAD = {
    "prefix": 1,
    "app": 1,
    "django": None,
    "static": "yes",
    "websocket_app": 1,
    "middleware": "all",
    "lifespan": "project.lifespan",
    "debug": "1",
    "host_check": 0,
    "max_body_size": "1 MB",
    "threads": 0,
    "wait_timeout": 0,
    "grace": -1,
    "django_handler": "wsgi",
    "fast_path": "no",
    "docs_access": "all",
    "static_memory": None,
    "send_timeout": True,
    "warn_after": "30",
    "lend_idle": "no",
    "authentication": "djfast_mount.auth.session",
    "problem_details": "always",
    "health_path": "healthz",
    "ready_path": "/",
    "ready_timeout": 0,
    "health_checks": "health_check.checks.Cache",
    "drain": -1,
}


@pytest.mark.parametrize("key", BAD)
def test_e003(key: str) -> None:
    """A value that an option cannot have is shown, with what it may be."""
    [message] = found(DJFAST_MOUNT={key: BAD[key]})
    assert message.id == "djfast_mount.E003"
    assert repr(BAD[key]) in message.msg
    assert str(message.hint).startswith("Give ")


def test_every_option_has_a_check() -> None:
    """The table has each argument of mount(), with its default, and knows which options are arguments."""
    arguments = {name: item.default for name, item in inspect.signature(mount).parameters.items()}
    assert {name: option.default for name, option in OPTIONS.items() if option.is_argument} == arguments


def test_the_defaults_are_let_pass() -> None:
    """Every option may be given its default."""
    assert found(DJFAST_MOUNT={name: option.default for name, option in OPTIONS.items()}) == []


def test_e004() -> None:
    """FORCE_SCRIPT_NAME begins with a slash."""
    assert ids(FORCE_SCRIPT_NAME="pre") == ["djfast_mount.E004"]
    assert ids(FORCE_SCRIPT_NAME="/pre") == []


def test_e005() -> None:
    """A session that the API is to take needs Django's two middlewares."""
    chosen = {"authentication": ["djfast_mount.auth.session"]}
    assert ids(DJFAST_MOUNT=chosen, MIDDLEWARE=without(SESSION)) == ["djfast_mount.E005"]
    assert ids(DJFAST_MOUNT=chosen) == []


def test_w001() -> None:
    """WhiteNoise's middleware has nothing left to do, unless mount() leaves static files to it."""
    both = [WHITENOISE, *settings.MIDDLEWARE]
    assert ids(MIDDLEWARE=both) == ["djfast_mount.W001"]
    assert ids(MIDDLEWARE=both, DJFAST_MOUNT={"static": False}) == []


@pytest.mark.parametrize("other", ["django.contrib.staticfiles", "daphne.apps.DaphneConfig"])
def test_w002(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app with a runserver of its own stands below ours."""
    # Not by override_settings, which would load the apps.
    monkeypatch.setattr(settings, "INSTALLED_APPS", [other, "djfast_mount"])
    assert "djfast_mount.W002" in [message.id for message in checks.run_checks(tags=["djfast_mount"])]
    monkeypatch.setattr(settings, "INSTALLED_APPS", ["djfast_mount.apps.DjfastMountConfig", other])
    assert "djfast_mount.W002" not in [message.id for message in checks.run_checks(tags=["djfast_mount"])]


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the default database for the checks alone: connections stay as they are."""
    return lambda **changes: monkeypatch.setattr(settings, "DATABASES", {"default": {**POSTGRESQL, **changes}})


def test_w003(databases: Any) -> None:
    """Connections that are kept are checked before they are used."""
    databases(CONN_MAX_AGE=60)
    assert ids() == ["djfast_mount.W003"]
    databases(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    assert ids() == []


def test_w004(databases: Any) -> None:
    """Django's connection pool has a connection for each thread; psycopg_pool's default is four."""
    for pool in (True, {"max_size": 7}, {"min_size": 2}):
        databases(OPTIONS={"pool": pool})
        assert ids() == ["djfast_mount.W004"]
    databases(OPTIONS={"pool": {"max_size": 8}})
    assert ids() == []
    assert ids(DJFAST_MOUNT={"threads": 9}) == ["djfast_mount.W004"]


def test_w020(tmp_path: Path) -> None:
    """Production has collected static files; development and sites without static files are not asked for any."""
    assert ids(deploy=True, STATIC_ROOT=None, DJFAST_MOUNT={}) == ["djfast_mount.W020"]
    assert ids(deploy=True, STATIC_ROOT=str(tmp_path), DJFAST_MOUNT={}) == ["djfast_mount.W020"]
    assert ids(deploy=True, STATIC_ROOT=None, DJFAST_MOUNT={"static": False}) == []
    (tmp_path / "style.css").touch()
    assert ids(deploy=True, STATIC_ROOT=str(tmp_path), DJFAST_MOUNT={}) == []


ROOTS = [(None, "is not set:"), ("", "is not set:"), ("/nowhere", "is '/nowhere', where")]


@pytest.mark.parametrize(("root", "told"), ROOTS)
def test_w020_says_what_was_met(root: str | None, told: str) -> None:
    """A STATIC_ROOT that is not set is told in words, and another one is shown."""
    [message] = found(deploy=True, STATIC_ROOT=root, DJFAST_MOUNT={})
    assert message.msg.startswith(f"settings.STATIC_ROOT {told}")


def test_w021(tmp_path: Path) -> None:
    """Docs that everybody may read are told in production."""
    (tmp_path / "style.css").touch()
    public = {"docs_access": "public"}
    assert ids(deploy=True, STATIC_ROOT=str(tmp_path), DJFAST_MOUNT=public) == ["djfast_mount.W021"]
    assert ids(DJFAST_MOUNT=public) == []


def test_w022_w023(databases: Any, tmp_path: Path) -> None:
    """PostgreSQL is to end a query, and an attempt to connect, that takes too long."""
    (tmp_path / "style.css").touch()
    databases()
    assert ids(deploy=True, STATIC_ROOT=str(tmp_path), DJFAST_MOUNT={}) == ["djfast_mount.W022", "djfast_mount.W023"]
    databases(OPTIONS={"options": "-c statement_timeout=30s", "connect_timeout": 5})
    assert ids(deploy=True, STATIC_ROOT=str(tmp_path), DJFAST_MOUNT={}) == []


DOCS = TESTS.parent / "docs"
PACKAGE = Path(djfast_mount.__file__).parent
SOURCES = [*PACKAGE.rglob("*.py")]


def test_the_docs_list_every_finding() -> None:
    """docs/doctor.md has a row for each id of the checks and of the doctor, and for no other."""
    used = set(re.findall(r'"djfast_mount\.([EWI]\d{3})"', "".join(source.read_text() for source in SOURCES)))
    rows = [line.split("|")[1] for line in (DOCS / "doctor.md").read_text().splitlines() if line.startswith("| ")]
    assert set(re.findall(r"[EWI]\d{3}", " ".join(rows))) == used


@pytest.mark.parametrize("page", ["health.md", "doctor.md"])
def test_the_settings_of_the_docs_are_let_pass(page: str) -> None:
    """What the pages show of DJFAST_MOUNT has options that exist, of their kind."""
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        names: dict[str, Any] = {}
        exec(block, names)
        assert ids(DJFAST_MOUNT=names.get("DJFAST_MOUNT", {})) == []
