"""The settings of djfast_mount: one dict, ``DJFAST_MOUNT``, keys named as `mount()`'s arguments. Arguments win.

DJFAST_MOUNT = {"max_body_size": 10 * 2**20}
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.conf import settings

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.option_kinds import wrong_value
from djfast_mount.spelling import did_you_mean

__all__ = ["SETTING", "option", "with_settings"]

SETTING = "DJFAST_MOUNT"

_DEFAULTS: dict[str, Any] = {
    "static_memory": 32 * 2**20,
    "send_timeout": 30.0,
    "warn_after": 30.0,
    "lend_idle": True,
    "authentication": ("djfast_mount.auth.session",),
    "problem_details": False,
    "error_responses": True,
    "django_settings_for_api": True,
    "health_path": "/healthz",
    "ready_path": "/readyz",
    "ready_timeout": 2.0,
    "drain": 0.0,
    "tune_gc": True,
}

# Of these djfast_mount.loading can tell more.
_LOADED = {"prefix", "app", "websocket_app"}

P = ParamSpec("P")
R = TypeVar("R")


def with_settings(function: Callable[P, R]) -> Callable[P, R]:
    """Fills the arguments that a call leaves out from ``settings.DJFAST_MOUNT``.

    The decorated function raises ConfigurationError when Django has no settings, when the dict has a key that is no
    argument, and for a value, there or in the call, that its option cannot have (djfast_mount.option_kinds).
    """
    signature = inspect.signature(function)
    parameters = signature.parameters

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for key in kwargs.keys() - parameters.keys():
            remedy = did_you_mean(key, parameters, f"The arguments are {', '.join(sorted(parameters))}.")
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {key!r}. {remedy}")
        given = signature.bind(*args, **kwargs).arguments
        named = {key: value for key, value in _read(set(parameters)).items() if key not in _DEFAULTS}
        for key in given.keys() - _LOADED:
            _check(key, given[key], f"{function.__name__}() got {key}={given[key]!r}")
        return function(**{**named, **given})  # type: ignore[call-arg]

    return call


def option(key: str) -> Any:
    """Returns the setting `key`, which is no argument of `mount()`, or its default."""
    return getattr(settings, SETTING, {}).get(key, _DEFAULTS[key])


def _read(arguments: set[str]) -> dict[str, Any]:
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ConfigurationError(
            "DJANGO_SETTINGS_MODULE is not set, so Django has no settings. Above mount() in asgi.py, write "
            'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myproject.settings").'
        )
    options = getattr(settings, SETTING, {})
    if not isinstance(options, dict):
        raise ConfigurationError(f"settings.{SETTING} is {options!r}. Make it a dict of options.")
    known = arguments | _DEFAULTS.keys()
    for key in options:
        if key not in known:
            remedy = did_you_mean(key, known, f"The options are {', '.join(sorted(known))}.")
            raise ConfigurationError(f"settings.{SETTING} has the key {key!r}, which is no option. {remedy}")
        _check(key, options[key], f"settings.{SETTING}[{key!r}] is {options[key]!r}")
    return options


def _check(key: str, value: object, met: str) -> None:
    if (words := wrong_value(key, value)) is not None:
        raise ConfigurationError(f"{met}. Give {words}.")
