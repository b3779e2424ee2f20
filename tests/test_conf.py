"""settings.DJFAST_MOUNT: one dict, read by mount(); arguments win.

Holds `options.py` and `spelling.py`.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import override_settings
from fastapi import FastAPI

from calls import HOST, request
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from djfast_mount.exceptions import ConfigurationError

pytestmark = pytest.mark.once


def limit_of(root: MountedApplication) -> int:
    """The body limit, as requests meet it: 0 where there is none."""

    def refused(length: int) -> bool:
        headers = [*HOST, (b"content-length", b"%d" % length)]
        return request(root, "/api/size", b"", method="POST", headers=headers).status == 413

    return next((limit for limit in (10, 20, 100 * 2**20) if refused(limit + 1) and not refused(limit)), 0)


@override_settings(DJFAST_MOUNT={"max_body_size": 10})
def test_a_setting_takes_the_place_of_an_argument() -> None:
    """A key of the dict is the default of the argument of that name."""
    assert limit_of(mount("/api", "project.api:api")) == 10


@override_settings(DJFAST_MOUNT={"max_body_size": 10})
@pytest.mark.parametrize(("argument", "limit"), [(20, 20), (None, 0)])
def test_the_argument_wins(argument: int | None, limit: int) -> None:
    """What the call says counts, None too."""
    assert limit_of(mount("/api", "project.api:api", max_body_size=argument)) == limit


@override_settings(DJFAST_MOUNT={"prefix": "/v1", "app": "project.api:api"})
def test_the_first_two_arguments_can_be_settings_too(root_path: str) -> None:
    """mount() alone serves the app and the prefix of the settings; a positional argument wins."""
    for root, prefix in ((mount(), "/v1"), (mount("/v2"), "/v2")):
        assert request(root, f"{root_path}{prefix}/where", root_path=root_path).status == 200


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_body_sise": 1}, "has the key 'max_body_sise', which is no option. Did you mean 'max_body_size'?"),
        ({"Threads": 1}, "has the key 'Threads', which is no option. Did you mean 'threads'?"),
        ({5: 1}, "has the key 5, which is no option. The options are access_log, app, "),
        ({"q": 1}, "has the key 'q', which is no option. The options are access_log, app, "),
        (["threads"], "is ['threads']. Make it a dict of options."),
        (None, "is None. Make it a dict of options."),
    ],
)
def test_a_wrong_setting_is_told(options: Any, told: str) -> None:
    """A key that is no option is named with the nearest one that is, or with all of them."""
    with (
        override_settings(DJFAST_MOUNT=options),
        pytest.raises(ConfigurationError) as caught,
    ):
        mount("/api", "project.api:api")
    assert str(caught.value).startswith(f"settings.DJFAST_MOUNT {told}")


def test_no_settings_at_all_are_told() -> None:
    """Without DJANGO_SETTINGS_MODULE, mount() shows the line that asgi.py lacks."""
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    code = "from djfast_mount import mount; mount('/api', 'nowhere:api')"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "djfast_mount.exceptions.ConfigurationError: DJANGO_SETTINGS_MODULE is not set, so Django has no settings. "
        "Above mount() in asgi.py, write "
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myproject.settings").'
    )


def test_an_argument_that_does_not_exist_is_pythons_error() -> None:
    """A misspelt argument is a TypeError, as of any function, and names the nearest one that there is."""
    with pytest.raises(
        TypeError, match=r"mount\(\) got an unexpected .* 'wait_timout'\. Did you mean 'wait_timeout'\?"
    ):
        mount("/api", FastAPI(), wait_timout=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("drain", "x", "Give a number of seconds."),
        ("tune_gc", "no", "Give True or False."),
        ("static_memory", -1, "Give a whole number of bytes."),
        ("grace", "x", "Give a number of seconds above 0, or None."),
    ],
)
def test_a_wrong_value_is_told_at_the_start(key: str, value: object, remedy: str) -> None:
    """A value of the wrong kind fails mount(), with the setting, what was met and what to give."""
    with override_settings(DJFAST_MOUNT={key: value}), pytest.raises(ConfigurationError) as caught:
        mount("/api", "project.api:api")
    assert str(caught.value) == f"settings.DJFAST_MOUNT[{key!r}] is {value!r}. {remedy}"


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("grace", "x", "Give a number of seconds above 0, or None."),
        ("grace", True, "Give a number of seconds above 0, or None."),
        ("wait_timeout", "x", "Give a number of seconds above 0."),
        ("wait_timeout", float("nan"), "Give a number of seconds above 0."),
        ("max_body_size", "1MB", "Give a whole number of bytes, or None."),
        ("max_body_size", -5, "Give a whole number of bytes, or None."),
        ("static", "no", "Give True or False."),
        ("fallthrough", "no", "Give True or False."),
        ("threads", True, "Give a whole number from 1 up, or None."),
        ("lifespan", 3, "Give a lifespan context or None."),
    ],
)
def test_a_wrong_argument_is_told(name: str, value: Any, remedy: str) -> None:
    """An argument of the wrong kind fails mount(), with what was met and what to give: as a setting of its name."""
    with pytest.raises(ConfigurationError) as caught:
        mount("/api", "project.api:api", **{name: value})
    assert str(caught.value) == f"mount() got {name}={value!r}. {remedy}"


def test_every_default_may_be_given() -> None:
    """What an argument is where it is left out may be said, too."""
    defaults = {name: item.default for name, item in inspect.signature(mount).parameters.items()}
    assert limit_of(mount(**{**defaults, "app": "project.api:api"})) == 100 * 2**20


@pytest.mark.parametrize("collection", [set, frozenset, tuple, list])
def test_names_may_stand_in_any_collection(collection: Any) -> None:
    """`django_settings_for_api` takes its names in a set as in a list."""
    for names in (["security_headers"], []):
        with override_settings(DJFAST_MOUNT={"django_settings_for_api": collection(names)}):
            answer = request(mount("/api", "project.api:api"), "/api/where", headers=HOST)
            assert answer.header("x-content-type-options") == ("nosniff" if names else None)


def test_a_mapping_is_no_collection_of_names() -> None:
    """`django_settings_for_api` refuses a mapping, whose values would count for nothing."""
    choice = {"security_headers": False}
    with (
        override_settings(DJFAST_MOUNT={"django_settings_for_api": choice}),
        pytest.raises(ConfigurationError, match=r"Give True, False or a list of names\."),
    ):
        mount("/api", "project.api:api")
