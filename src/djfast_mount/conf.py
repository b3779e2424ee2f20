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

__all__ = ["OPTIONS", "SETTING", "Option", "option", "with_settings", "wrong_value"]

SETTING = "DJFAST_MOUNT"

# The version in which the table was begun.
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
    "prefix": Option(kinds.PATHS, "/api", "where the app is, or a mapping of paths to apps"),
    "app": Option(kinds.APP, None, "the app, or its import string; None: made of every installed app's `api.py`"),
    "django": Option(kinds.FLAG, True, "whether Django answers what is under no prefix"),
    "django_prefix": Option(kinds.PREFIX, "", "where Django is, its script name: see [moving.md](moving.md)"),
    "static": Option(kinds.FLAG, True, "whether static files are served: see [static-files.md](static-files.md)"),
    "websocket_app": Option(kinds.APP, None, "the app for websockets under no prefix; None: they are refused"),
    "middleware": Option(kinds.MIDDLEWARE, (), "Starlette middleware around both halves"),
    "lifespan": Option(kinds.LIFESPAN, None, "the root's own lifespan context"),
    "debug": Option(kinds.FLAG_OR_NONE, None, "whether errors show a traceback; None: `settings.DEBUG`"),
    "host_check": Option(kinds.FLAG, True, "whether `ALLOWED_HOSTS` holds for the API, static files and websockets"),
    "max_body_size": Option(
        kinds.or_none(kinds.BYTES),
        100 * 2**20,
        "the largest body of a request, in both halves; None: no limit",
        "bytes",
    ),
    "threads": Option(
        kinds.or_none(kinds.whole_number(1, "a whole number from 1 up")),
        None,
        "the most threads, and so the most connections for each database; None: 8",
    ),
    "wait_timeout": Option(kinds.SECONDS, 10.0, "how long a request waits for a thread before it gets 503", "seconds"),
    "grace": Option(
        kinds.or_none(kinds.SECONDS),
        None,
        "from SIGTERM to the end of the process: see [deployment.md](deployment.md); None: the server's own",
        "seconds",
    ),
    "docs_access": Option(
        kinds.one_of("auto", "public", "staff", None), "auto", "who sees the docs pages: see [api-docs.md](api-docs.md)"
    ),
    "fallthrough": Option(
        kinds.FLAG, False, "whether a path that no route has goes on: see [fallthrough.md](fallthrough.md)"
    ),
    "django_handler": Option(
        kinds.one_of("one_hop", "django"),
        "one_hop",
        "whose ASGI handler serves views: see [request-thread.md](request-thread.md)",
    ),
    "fast_path": Option(kinds.FLAG, True, "whether plain routes are served by plans; False: by FastAPI's own handler"),
    "django_middleware_for_api": Option(
        kinds.CHOICES_OF_MIDDLEWARE, None, "Django middleware around API calls: see [middleware.md](middleware.md)"
    ),
    "authentication": _setting(
        kinds.IMPORT_STRINGS,
        ("djfast_mount.auth.session",),
        "import strings of the schemes by which callers are known: see [auth.md](auth.md)",
    ),
    "problem_details": _setting(
        kinds.FLAG, False, "whether errors are `application/problem+json`: see [errors.md](errors.md)"
    ),
    "error_responses": _setting(
        kinds.FLAG, True, "whether the schema names 400, 401, 403, 413 and 503: see [errors.md](errors.md)"
    ),
    "django_settings_for_api": _setting(
        kinds.FLAG_OR_NAMES, True, "which of Django's settings hold for the API: see [middleware.md](middleware.md)"
    ),
    "telemetry": _setting(
        kinds.FLAG,
        False,
        "whether each request is measured, for listeners and exporters: see [telemetry.md](telemetry.md)",
    ),
    "request_id": _setting(
        kinds.HEADER_OR_NONE,
        "X-Request-ID",
        "the header of the request's id, with telemetry; None: requests have none",
    ),
    "server_timing": _setting(
        kinds.FLAG_OR_NONE, None, "whether responses have Server-Timing, with telemetry; None: in DEBUG"
    ),
    "access_log": _setting(
        kinds.one_of("text", "json", None),
        None,
        "the form of the access log that takes the place of the server's, with telemetry; None: there is none",
    ),
    "metrics_path": _setting(kinds.PATH_OR_NONE, None, "where Prometheus finds metrics, with telemetry; None: nowhere"),
    "metrics_token": _setting(
        kinds.SECRET_OR_NONE, None, "what has to be sent as `Authorization: Bearer` to read the metrics"
    ),
    "metrics_access": _setting(
        kinds.one_of("token", "public"),
        "token",
        "who may read the metrics without `DEBUG`: those who send the token, or everybody",
    ),
    "opentelemetry": _setting(kinds.FLAG, False, "whether each request is a span of OpenTelemetry, with telemetry"),
    "sentry": _setting(kinds.FLAG, False, "whether each request is a transaction of Sentry, with telemetry"),
    "error_event_id": _setting(
        kinds.FLAG, False, "whether the body of an error of the API has the id of its event, with `sentry`"
    ),
    "repeated_after": _setting(
        kinds.whole_number(1, "a whole number from 1 up"),
        10,
        "how often one request may send the same statement before telemetry tells of it",
    ),
    "static_memory": _setting(kinds.BYTES, 32 * 2**20, "the most of static files that is kept in memory", "bytes"),
    "send_timeout": _setting(
        kinds.SECONDS, 30.0, "how long a client may take for one part of a stream that holds a thread", "seconds"
    ),
    "warn_after": _setting(
        kinds.SECONDS,
        30.0,
        "how long a request may hold a thread before the log names it, with the stack of the thread",
        "seconds",
    ),
    "lend_idle": _setting(
        kinds.FLAG,
        True,
        "whether a request that waits for something else lends its place and its connections to requests that wait for "
        "a thread: see [request-thread.md](request-thread.md)",
    ),
    "health_path": _setting(
        kinds.PATH_OR_NONE,
        "/healthz",
        "where the process says that it lives: see [health.md](health.md); None: nowhere",
    ),
    "ready_path": _setting(
        kinds.PATH_OR_NONE, "/readyz", "where it says that it is ready: see [health.md](health.md); None: nowhere"
    ),
    "ready_timeout": _setting(
        kinds.SECONDS,
        2.0,
        "how long the databases, and `health_checks`, may take to answer when readiness is asked",
        "seconds",
    ),
    "health_checks": _setting(
        kinds.CHECKS,
        (),
        "the checks of django-health-check that `/readyz` asks too: see [health.md](health.md#checks-of-your-own)",
    ),
    "drain": _setting(
        kinds.SECONDS_FROM_0,
        0.0,
        "how long after SIGTERM the server gets the signal; until then it serves requests, and is not ready: see "
        "[health.md](health.md)",
        "seconds",
    ),
    "dashboard_permission": _setting(
        kinds.PERMISSION_OR_NONE,
        None,
        "the permission that staff users need to see `/admin/mount/`: see [dashboard.md](dashboard.md); None: every "
        "staff user sees it",
    ),
    "tune_gc": _setting(
        kinds.FLAG,
        True,
        "whether Python's garbage collector skips the objects made at start-up (`gc.freeze`) and runs only after "
        "10,000 new ones: see [deployment.md](deployment.md#a-parent-that-has-loaded-the-project)",
    ),
}
"""Every option. `mount()`'s checks, the system checks, the doctor and docs/settings.md read it."""

# Of these djfast_mount.loading can tell more.
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
    # Read with each question, not kept: override_settings must hold, and no request asks here.
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
