"""What ``settings.DJFAST_MOUNT`` may hold. Standard library only: a settings module imports this one.

`Options` is for type checkers and editors, which complete the keys and refuse what is none::

    from djfast_mount.options import Options

    DJFAST_MOUNT: Options = {"threads": 8}

The kinds are for the table in djfast_mount.conf.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    # A settings module imports this one: nothing is to be loaded with it.
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Lifespan

__all__ = [
    "APP",
    "BYTES",
    "CHECKS",
    "CHOICES_OF_MIDDLEWARE",
    "FLAG",
    "FLAG_OR_NAMES",
    "FLAG_OR_NONE",
    "HEADER_OR_NONE",
    "IMPORT_STRINGS",
    "LIFESPAN",
    "MIDDLEWARE",
    "PATHS",
    "PATH_OR_NONE",
    "PERMISSION_OR_NONE",
    "PREFIX",
    "SECONDS",
    "SECONDS_FROM_0",
    "SECRET_OR_NONE",
    "Kind",
    "Options",
    "one_of",
    "or_none",
    "whole_number",
]


class Options(TypedDict, total=False):
    """Every option. What each means is told in docs/settings.md, and for arguments of `mount()` in its docstring."""

    prefix: str | Mapping[str, ASGIApp | str]
    app: ASGIApp | str | None
    django: bool
    django_prefix: str
    static: bool
    websocket_app: ASGIApp | str | None
    middleware: Sequence[Middleware]
    lifespan: Lifespan[Any] | None
    debug: bool | None
    host_check: bool
    max_body_size: int | None
    threads: int | None
    wait_timeout: float
    grace: float | None
    docs_access: Literal["auto", "public", "staff"] | None
    fallthrough: bool
    django_handler: Literal["one_hop", "django"]
    fast_path: bool
    django_middleware_for_api: Sequence[str] | Literal["session", "all"] | None
    telemetry: bool
    request_id: str | None
    server_timing: bool | None
    access_log: Literal["text", "json"] | None
    metrics_path: str | None
    metrics_token: str | None
    metrics_access: Literal["token", "public"]
    opentelemetry: bool
    sentry: bool
    error_event_id: bool
    repeated_after: int
    static_memory: int
    send_timeout: float
    warn_after: float
    lend_idle: bool
    authentication: Sequence[str]
    problem_details: bool
    error_responses: bool
    django_settings_for_api: bool | Collection[str]
    health_path: str | None
    ready_path: str | None
    ready_timeout: float
    health_checks: Sequence[Any]
    drain: float
    dashboard_permission: str | None
    tune_gc: bool


class Kind(NamedTuple):
    """What an option may be: the test, and the words for it."""

    fits: Callable[[Any], bool]
    words: str


def _number(value: object) -> bool:
    # `True` is a number to Python: `threads=True` would be one thread.
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _path(value: object) -> bool:
    # Not the root: a health path there would take the front page.
    return value is None or (isinstance(value, str) and value.startswith("/") and value.strip("/") != "")


def _header(value: object) -> bool:
    """Whether it is the name of a header field (RFC 9110, section 5.1), of letters, digits and hyphens, or None."""
    return value is None or (isinstance(value, str) and value.isascii() and value.replace("-", "").isalnum())


def _words(value: object) -> bool:
    return isinstance(value, Sequence) and _names(value)


def _names(value: object) -> bool:
    """Whether it is a collection of strings; a string is one, too, and never meant as one."""
    if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping):
        return False
    return all(isinstance(item, str) for item in value)


def one_of(*values: str | None) -> Kind:
    """One of some words; None among them stands for itself."""
    return Kind(lambda value: value in values, ", ".join(map(repr, values[:-1])) + f" or {values[-1]!r}")


def whole_number(least: int, words: str) -> Kind:
    """A whole number from `least` up."""
    return Kind(lambda value: _whole(value, least), words)


def or_none(kind: Kind) -> Kind:
    """The same, or None."""
    return Kind(lambda value: value is None or kind.fits(value), f"{kind.words}, or None")


FLAG = Kind(lambda value: isinstance(value, bool), "True or False")
FLAG_OR_NONE = Kind(lambda value: value is None or isinstance(value, bool), "True, False or None")
FLAG_OR_NAMES = Kind(lambda value: isinstance(value, bool) or _names(value), "True, False or a list of names")
SECONDS = Kind(lambda value: _number(value) and value > 0, "a number of seconds above 0")
SECONDS_FROM_0 = Kind(lambda value: _number(value) and value >= 0, "a number of seconds")
BYTES = whole_number(0, "a whole number of bytes")
APP = Kind(
    lambda value: value is None or isinstance(value, str) or callable(value), 'an ASGI app, "module:name" or None'
)
PATH_OR_NONE = Kind(_path, 'a path such as "/healthz", or None')
PERMISSION_OR_NONE = Kind(
    lambda value: value is None or (isinstance(value, str) and all(value.partition("."))),
    'a permission such as "auth.view_user", or None',
)
HEADER_OR_NONE = Kind(_header, 'the name of a header such as "X-Request-ID", or None')
SECRET_OR_NONE = Kind(
    lambda value: value is None or (isinstance(value, str) and len(value) >= 16 and value.isascii()),
    "a text of 16 ASCII characters or more, or None",
)
PATHS = Kind(lambda value: isinstance(value, str | Mapping), "a path, or a mapping of paths to apps")
PREFIX = Kind(
    lambda value: isinstance(value, str) and value[:1] in ("", "/"), 'a path such as "/server", or "" for none'
)
MIDDLEWARE = Kind(lambda value: isinstance(value, Sequence) and not isinstance(value, str), "a list of Middleware")
LIFESPAN = Kind(lambda value: value is None or callable(value), "a lifespan context or None")
CHECKS = Kind(
    lambda value: isinstance(value, Sequence) and not isinstance(value, str),
    'a list of checks as in HealthCheckView.checks, such as "health_check.checks.Cache"',
)
IMPORT_STRINGS = Kind(lambda value: _words(value) and bool(value), "a list of import strings")
CHOICES_OF_MIDDLEWARE = Kind(
    lambda value: value in ("session", "all", None) or _words(value),
    "a list of import strings as in settings.MIDDLEWARE, 'session', 'all' or None",
)
