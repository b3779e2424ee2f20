"""Whether a project's middleware behaves differently by the mode in which it runs.

Under ASGI Django runs the async code of a middleware that has some, for sync views as well, as far as only middleware
that can be async is within it. A project may rely on it: RemoteUserMiddleware looks at another header in that mode.
Middleware with methods (MiddlewareMixin) has one code for both.
"""

from __future__ import annotations

import inspect
from typing import Any

from django.conf import settings
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

__all__ = ["any_has_async_code"]


def any_has_async_code() -> bool:
    """Whether a middleware of settings.MIDDLEWARE has async code of its own beside its sync code."""
    return any(_has_async_code(import_string(path)) for path in settings.MIDDLEWARE)


def _has_async_code(middleware: Any) -> bool:
    has_both = getattr(middleware, "async_capable", False) and getattr(middleware, "sync_capable", True)
    return has_both and not _has_one_code(middleware)


def _has_one_code(middleware: Any) -> bool:
    return (
        inspect.isclass(middleware)
        and issubclass(middleware, MiddlewareMixin)
        and middleware.__call__ is MiddlewareMixin.__call__
        and getattr(middleware, "__acall__", None) is getattr(MiddlewareMixin, "__acall__", None)
    )
