"""What each option of ``settings.DJFAST_MOUNT``, and the argument of its name, may be. Standard library only."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["OPTIONS", "wrong_value"]


class Kind(NamedTuple):
    """What an option may be: the test, and the words for it."""

    fits: Callable[[Any], bool]
    words: str


def _number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _path(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("/") and value.strip("/") != "")


def _words(value: object) -> bool:
    return isinstance(value, Sequence) and _names(value)


def _names(value: object) -> bool:
    """Whether it is a collection of strings; a string is one, too, and never meant as one."""
    if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping):
        return False
    return all(isinstance(item, str) for item in value)


_FLAG = Kind(lambda value: isinstance(value, bool), "True or False")
_SECONDS = Kind(lambda value: _number(value) and value > 0, "a number of seconds above 0")
_APP = Kind(
    lambda value: value is None or isinstance(value, str) or callable(value), 'an ASGI app, "module:name" or None'
)
_HEALTH_PATH = Kind(_path, 'a path such as "/healthz", or None')

OPTIONS: dict[str, Kind] = {
    "prefix": Kind(lambda value: isinstance(value, str | Mapping), "a path, or a mapping of paths to apps"),
    "app": _APP,
    "django": _FLAG,
    "django_prefix": Kind(
        lambda value: isinstance(value, str) and value[:1] in ("", "/"), 'a path such as "/server", or "" for none'
    ),
    "static": _FLAG,
    "websocket_app": _APP,
    "middleware": Kind(
        lambda value: isinstance(value, Sequence) and not isinstance(value, str), "a list of Middleware"
    ),
    "lifespan": Kind(lambda value: value is None or callable(value), "a lifespan context or None"),
    "debug": Kind(lambda value: value is None or isinstance(value, bool), "True, False or None"),
    "host_check": _FLAG,
    "max_body_size": Kind(lambda value: value is None or _whole(value, 0), "a whole number of bytes, or None"),
    "threads": Kind(lambda value: value is None or _whole(value, 1), "a whole number from 1 up, or None"),
    "wait_timeout": _SECONDS,
    "grace": Kind(lambda value: value is None or _SECONDS.fits(value), "a number of seconds above 0, or None"),
    "docs_access": Kind(
        lambda value: value in ("auto", "public", "staff", None), "'auto', 'public' or 'staff', or None for no docs"
    ),
    "fallthrough": _FLAG,
    "django_handler": Kind(lambda value: value in ("one_hop", "django"), "'one_hop' or 'django'"),
    "fast_path": _FLAG,
    "django_middleware_for_api": Kind(
        lambda value: value in ("session", "all", None) or _words(value),
        "a list of import strings as in settings.MIDDLEWARE, 'session', 'all' or None",
    ),
    "static_memory": Kind(lambda value: _whole(value, 0), "a whole number of bytes"),
    "send_timeout": _SECONDS,
    "warn_after": _SECONDS,
    "lend_idle": _FLAG,
    "authentication": Kind(lambda value: _words(value) and bool(value), "a list of import strings"),
    "problem_details": _FLAG,
    "error_responses": _FLAG,
    "django_settings_for_api": Kind(
        lambda value: isinstance(value, bool) or _names(value), "True, False or a list of names"
    ),
    "health_path": _HEALTH_PATH,
    "ready_path": _HEALTH_PATH,
    "ready_timeout": _SECONDS,
    "drain": Kind(lambda value: _number(value) and value >= 0, "a number of seconds"),
    "tune_gc": _FLAG,
}
"""Every option of ``settings.DJFAST_MOUNT``, and what it may be."""


def wrong_value(key: str, value: object) -> str | None:
    """Returns the words for what the option `key` may be, where `value` is none of it."""
    kind = OPTIONS[key]
    return None if kind.fits(value) else kind.words
