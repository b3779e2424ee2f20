"""The app within what is wrapped around it, as Starlette's middleware wraps it."""

from __future__ import annotations

import functools
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router

__all__ = ["is_known", "is_of", "unwrapped"]

# How many layers are taken off one app: an end, if one of them leads back to itself.
_DEEPEST = 50


def unwrapped(app: Any) -> Any:
    """Returns the app or router whose routes answer for `app`, below the middleware that is wrapped around it, if any.

    Only what is wrapped as Starlette's middleware does it, in an attribute `app`, or bound by a partial is taken off.
    """
    inner = app
    for _ in range(_DEEPEST):
        if inner is None or is_known(inner):
            return app if inner is None else inner
        bound = inner.args[0] if isinstance(inner, functools.partial) and inner.args else None
        inner = getattr(inner, "app", bound)
    return app


def is_known(app: object) -> bool:
    """Whether `app` is an app or a router of Starlette's, so one of FastAPI's too, whose routes can be read."""
    return is_of(app, Starlette, Router)


def is_of(value: object, *kinds: type) -> bool:
    # Not by isinstance(), which asks a proxy for its class, and so for what it stands for.
    return issubclass(type(value), kinds)
