"""The settings of djfast_mount: one dict, ``DJFAST_MOUNT``, keys named as `mount()`'s arguments. Arguments win.

DJFAST_MOUNT = {"max_body_size": 10 * 2**20}
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from django.conf import settings

from djfast_mount import options as kinds
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["DEFAULT_THREADS", "OPTIONS", "SETTING", "Option", "option", "with_settings", "wrong_value"]

SETTING = "DJFAST_MOUNT"

DEFAULT_THREADS = 8
"""How many threads a root has, and so connections to each database, where nobody says."""

# Options of the first release. A later option names its own version.
_FIRST = "0.1.0"


class Option(NamedTuple):
    """One option: a key of ``settings.DJFAST_MOUNT`` and, mostly, an argument of `mount()`."""

    kind: kinds.Kind
    default: Any
    help: str
    """In Markdown, for docs/settings.md. It says what a user gives; `mount()`'s docstring says more."""
    unit: str = ""
    since: str = _FIRST
    is_argument: bool = True


def _setting(kind: kinds.Kind, default: Any, words: str, unit: str = "", since: str = _FIRST) -> Option:
    """An option that is no argument of `mount()`."""
    return Option(kind, default, words, unit, since, is_argument=False)


OPTIONS: dict[str, Option] = {
    "prefix": Option(kinds.PATHS, "/api", "The path of the app. It may also be a mapping of paths to apps."),
    "app": Option(
        kinds.APP,
        None,
        "The app, or its import string. With None, the app is made from the `api.py` of every installed app.",
    ),
    "django": Option(kinds.FLAG, True, "Whether Django answers the paths that are under no prefix."),
    "django_prefix": Option(
        kinds.PREFIX, "", "The path of Django's half, which is its script name. See [moving.md](moving.md)."
    ),
    "static": Option(kinds.FLAG, True, "Whether static files are served. See [static-files.md](static-files.md)."),
    "websocket_app": Option(
        kinds.APP, None, "The app for websockets that are under no prefix. With None, they are refused."
    ),
    "middleware": Option(kinds.MIDDLEWARE, (), "The Starlette middleware that is put around both halves."),
    "lifespan": Option(kinds.LIFESPAN, None, "The lifespan context of the root itself."),
    "debug": Option(kinds.FLAG_OR_NONE, None, "Whether errors show a traceback. With None, `settings.DEBUG` decides."),
    "host_check": Option(
        kinds.FLAG, True, "Whether `ALLOWED_HOSTS` also applies to the API, static files and websockets."
    ),
    "max_body_size": Option(
        kinds.or_none(kinds.BYTES),
        100 * 2**20,
        "The largest body that a request may have, in both halves. With None, there is no limit.",
        "bytes",
    ),
    "threads": Option(
        kinds.or_none(kinds.whole_number(1, "a whole number from 1 up")),
        None,
        f"The most threads that run, and so the most connections to each database. None means {DEFAULT_THREADS}.",
    ),
    "wait_timeout": Option(
        kinds.SECONDS, 10.0, "The time that a request waits for a thread before it gets 503.", "seconds"
    ),
    "grace": Option(
        kinds.or_none(kinds.SECONDS),
        None,
        "The time from SIGTERM to the end of the process. With None, the server decides. See "
        "[deployment.md](deployment.md).",
        "seconds",
    ),
    "docs_access": Option(
        kinds.one_of("auto", "public", "staff", None),
        "auto",
        "Who may see the docs pages. See [api-docs.md](api-docs.md).",
    ),
    "fallthrough": Option(
        kinds.FLAG,
        False,
        "Whether Django gets the paths of the app that none of its routes matches. See "
        "[fallthrough.md](fallthrough.md).",
    ),
    "django_handler": Option(
        kinds.one_of("one_hop", "django"),
        "one_hop",
        "Which ASGI handler serves views. See [request-thread.md](request-thread.md).",
    ),
    "fast_path": Option(
        kinds.FLAG, True, "Whether plans serve plain routes. With False, FastAPI's own handler serves them."
    ),
    "django_middleware_for_api": Option(
        kinds.CHOICES_OF_MIDDLEWARE,
        None,
        "The Django middleware that is put around API calls. See [middleware.md](middleware.md).",
    ),
    "authentication": _setting(
        kinds.IMPORT_STRINGS,
        ("djfast_mount.auth.session",),
        "The import strings of the schemes that authenticate callers. See [auth.md](auth.md).",
    ),
    "problem_details": _setting(
        kinds.FLAG, False, "Whether errors are sent as `application/problem+json`. See [errors.md](errors.md)."
    ),
    "error_responses": _setting(
        kinds.FLAG,
        True,
        "Whether the OpenAPI schema lists the answers 400, 401, 403, 413 and 503. See [errors.md](errors.md).",
    ),
    "django_settings_for_api": _setting(
        kinds.FLAG_OR_NAMES,
        True,
        "Which of Django's settings also apply to the API. See [middleware.md](middleware.md).",
    ),
    "telemetry": _setting(
        kinds.FLAG,
        False,
        "Whether each request is measured, for listeners and exporters. See [telemetry.md](telemetry.md).",
    ),
    "request_id": _setting(
        kinds.HEADER_OR_NONE,
        "X-Request-ID",
        "The header that has the id of a request. With None, requests have no id. It needs `telemetry`.",
    ),
    "server_timing": _setting(
        kinds.FLAG_OR_NONE,
        None,
        "Whether responses have the header Server-Timing. With None, they have it if `DEBUG` is on. It needs "
        "`telemetry`.",
    ),
    "access_log": _setting(
        kinds.one_of("text", "json", None),
        None,
        "The form of the access log, which replaces the server's own. With None, there is none. It needs `telemetry`.",
    ),
    "metrics_path": _setting(
        kinds.PATH_OR_NONE,
        None,
        "The path of the metrics for Prometheus. With None, there are no metrics. It needs `telemetry`.",
    ),
    "metrics_token": _setting(
        kinds.SECRET_OR_NONE, None, "The token that a client sends as `Authorization: Bearer` to read the metrics."
    ),
    "metrics_access": _setting(
        kinds.one_of("token", "public"),
        "token",
        "Who may read the metrics if `DEBUG` is off: clients that send the token, or everybody.",
    ),
    "opentelemetry": _setting(
        kinds.FLAG, False, "Whether each request becomes a span of OpenTelemetry. It needs `telemetry`."
    ),
    "sentry": _setting(
        kinds.FLAG, False, "Whether each request becomes a transaction of Sentry. It needs `telemetry`."
    ),
    "error_event_id": _setting(
        kinds.FLAG, False, "Whether the body of an API error has the id of its event. It needs `sentry`."
    ),
    "repeated_after": _setting(
        kinds.whole_number(1, "a whole number from 1 up"),
        10,
        "How often a request may send the same statement before telemetry reports it.",
    ),
    "static_memory": _setting(
        kinds.BYTES, 32 * 2**20, "How much of the static files is kept in memory at most.", "bytes"
    ),
    "send_timeout": _setting(
        kinds.SECONDS,
        30.0,
        "The time that a client may take to read one part of a stream that holds a thread.",
        "seconds",
    ),
    "warn_after": _setting(
        kinds.SECONDS,
        30.0,
        "The time that a request may hold a thread before it is logged, with the stack of the thread.",
        "seconds",
    ),
    "lend_idle": _setting(
        kinds.FLAG,
        True,
        "Whether a request that waits for something else lends its thread and its connections to requests that wait "
        "for a thread. See [request-thread.md](request-thread.md).",
    ),
    "health_path": _setting(
        kinds.PATH_OR_NONE,
        "/healthz",
        "The path that tells whether the process lives. With None, there is no such path. See [health.md](health.md).",
    ),
    "ready_path": _setting(
        kinds.PATH_OR_NONE,
        "/readyz",
        "The path that tells whether the process is ready. With None, there is no such path. See "
        "[health.md](health.md).",
    ),
    "ready_timeout": _setting(
        kinds.SECONDS,
        2.0,
        "The time that the databases and the `health_checks` may take to answer a readiness check.",
        "seconds",
    ),
    "health_checks": _setting(
        kinds.CHECKS,
        (),
        "The checks of django-health-check that `/readyz` also runs. See [health.md](health.md#checks-of-your-own).",
    ),
    "drain": _setting(
        kinds.SECONDS_FROM_0,
        0.0,
        "The time by which SIGTERM is delayed. Until then the server serves requests, and says that it is not ready. "
        "See [health.md](health.md).",
        "seconds",
    ),
    "dashboard_permission": _setting(
        kinds.PERMISSION_OR_NONE,
        None,
        "The permission that staff users need to see `/admin/mount/`. With None, every staff user sees it. See "
        "[dashboard.md](dashboard.md).",
    ),
    "tune_gc": _setting(
        kinds.FLAG,
        True,
        "Whether Python's garbage collector skips the objects made at start-up (`gc.freeze`) and runs only after "
        "10,000 new ones. See [deployment.md](deployment.md#a-parent-that-has-loaded-the-project).",
    ),
}
"""Every option. `mount()`'s checks, the system checks, the doctor and docs/settings.md read it."""

# Not checked here: djfast_mount.apis.loading has better messages for these.
_LOADED = {"prefix", "app", "websocket_app"}

P = ParamSpec("P")
R = TypeVar("R")


def with_settings(function: Callable[P, R]) -> Callable[P, R]:
    """Fills the arguments that a call leaves out from ``settings.DJFAST_MOUNT``.

    The decorated function raises ConfigurationError when Django has no settings, when the dict has a key that is no
    argument, and for a value, there or in the call, that its option cannot have.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Before `bind()`, whose TypeError knows no nearest name.
        for key in kwargs.keys() - parameters.keys():
            remedy = did_you_mean(key, parameters, f"The arguments are {', '.join(sorted(parameters))}.")
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {key!r}. {remedy}")
        given = signature.bind(*args, **kwargs).arguments
        named = {key: value for key, value in _read().items() if OPTIONS[key].is_argument}
        # What is given in the call is checked as well: a type checker has seen it in some projects only.
        for key in given.keys() - _LOADED:
            _check(key, given[key], f"{function.__name__}() got {key}={given[key]!r}")
        return function(**{**named, **given})  # type: ignore[call-arg]

    return call


def option(key: str) -> Any:
    """Returns the setting `key`, which is no argument of `mount()`, or its default."""
    # Read each time, so that override_settings works. Code that runs for every request keeps the value.
    return getattr(settings, SETTING, {}).get(key, OPTIONS[key].default)


def wrong_value(key: str, value: object) -> str | None:
    """Returns the words for what the option `key` may be, where `value` is none of it."""
    kind = OPTIONS[key].kind
    return None if kind.fits(value) else kind.words


def _read() -> dict[str, Any]:
    # Django's own ImproperlyConfigured names the first setting that happens to be read, which says nothing of asgi.py.
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ConfigurationError(
            "DJANGO_SETTINGS_MODULE is not set, so Django has no settings. Above mount() in asgi.py, write "
            'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myproject.settings").'
        )
    options = getattr(settings, SETTING, {})
    if not isinstance(options, dict):
        raise ConfigurationError(f"settings.{SETTING} is {options!r}. Make it a dict of options.")
    for key in options:
        if key not in OPTIONS:
            remedy = did_you_mean(key, OPTIONS, f"The options are {', '.join(sorted(OPTIONS))}.")
            raise ConfigurationError(f"settings.{SETTING} has the key {key!r}, which is no option. {remedy}")
        _check(key, options[key], f"settings.{SETTING}[{key!r}] is {options[key]!r}")
    return options


def _check(key: str, value: object, met: str) -> None:
    if (words := wrong_value(key, value)) is not None:
        raise ConfigurationError(f"{met}. Give {words}.")
