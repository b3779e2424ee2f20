"""A cache of what is made of the settings: a test that changes one empties it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.core.signals import setting_changed

__all__ = ["cached_until_settings_change"]

Function = TypeVar("Function", bound=Callable[..., Any])

_caches: list[Any] = []


def cached_until_settings_change(function: Function) -> Function:
    """Decorates a function of a module: what it returns is kept, as by `functools.cache`, until a setting changes.

    Settings change in tests alone. Of another's setting a function may be made as well: a middleware reads any.
    """
    cached: Any = cache(function)
    _caches.append(cached)
    return cached  # type: ignore[no-any-return]


def _forget(**_: object) -> None:
    for cached in _caches:
        cached.cache_clear()


setting_changed.connect(_forget, dispatch_uid="djfast_mount.security.settings_cache")
