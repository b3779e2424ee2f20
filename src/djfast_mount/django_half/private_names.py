"""The names of Django and FastAPI that are not public and that cost something, though no safety, where they are gone.

    django.http             HttpResponse._resource_closers, ._handler_class
    django.urls             RoutePattern._route, RegexPattern._regex; base._urlconfs
    django.db, .core.cache  connections._connections, caches._connections: Locals of asgiref, with _storage and _data
    django.dispatch         Signal._live_receivers
    django.db.transaction   _non_atomic_requests, by which a function is exempt from ATOMIC_REQUESTS
    fastapi.routing         APIRouter._match_low_priority

What uses one looks it up when it needs it and goes without. `mount()` says at the start what that costs. Each has a
canary test.

The methods by which `DjangoHandler` serves are Django's, and few of them are documented. Where one is gone, or takes
other arguments, `differing_method()` names it, and Django's own handler serves.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import django
from django.core.cache import caches
from django.core.handlers import asgi, exception
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.db.transaction import non_atomic_requests
from django.dispatch import Signal
from django.http import HttpResponse
from django.urls import base
from django.urls.resolvers import RegexPattern, RoutePattern
from fastapi import APIRouter

__all__ = ["differing_method", "names", "tell_what_is_gone"]

logger = logging.getLogger("djfast_mount")


class Name(NamedTuple):
    """A name that is not public: where it is, and what it costs to be without it."""

    owner: Any
    name: str
    cost: str


def _exempt() -> None:
    """A function that is exempt from ATOMIC_REQUESTS."""


_TIME = "each request takes longer"


def names() -> tuple[Name, ...]:
    """Returns all of them. Django must have its settings."""
    return (Name(HttpResponse(), "_resource_closers", _TIME), *_NAMES)


_NAMES = (
    Name(RoutePattern("a"), "_route", "each view costs several hops to its thread"),
    Name(RegexPattern("a"), "_regex", "each view costs several hops to its thread"),
    Name(base, "_urlconfs", _TIME),
    Name(connections, "_connections", _TIME),
    Name(caches, "_connections", _TIME),
    Name(Signal, "_live_receivers", _TIME),
    Name(non_atomic_requests(_exempt), "_non_atomic_requests", "non_atomic_requests exempts no endpoint"),
    Name(APIRouter, "_match_low_priority", "with fallthrough, a front end of FastAPI's is not asked"),
)


def tell_what_is_gone() -> None:
    """Logs each name that is gone, with what that costs. Called by `mount()`."""
    for name in _gone():
        kind = name.owner if isinstance(name.owner, type) else type(name.owner)
        logger.warning(
            "%s.%s, which is not public, is gone from Django %s, or from FastAPI: %s. Install a newer djfast_mount.",
            kind.__qualname__,
            name.name,
            django.__version__,
            name.cost,
        )


def _gone() -> Iterator[Name]:
    return (name for name in names() if not hasattr(name.owner, name.name))


# How DjangoHandler calls each: how many arguments, the object included, and by which names.
_CALLED: tuple[tuple[Any, str, int, tuple[str, ...]], ...] = (
    (ASGIHandler, "load_middleware", 1, ("is_async",)),
    (ASGIHandler, "resolve_request", 2, ()),
    (ASGIHandler, "create_request", 3, ()),
    (ASGIHandler, "read_body", 2, ()),
    (ASGIHandler, "send_response", 3, ()),
    (ASGIHandler, "get_response", 2, ()),
    (ASGIHandler, "get_response_async", 2, ()),
    (asgi, "get_script_prefix", 1, ()),
    (exception, "convert_exception_to_response", 1, ()),
    (exception, "response_for_exception", 2, ()),
)


def differing_method() -> str | None:
    """Returns the first name that `DjangoHandler` cannot call as it does. None: it can call all of them."""
    for owner, name, count, keywords in _CALLED:
        try:
            inspect.signature(getattr(owner, name)).bind(*[None] * count, **dict.fromkeys(keywords))
        except (AttributeError, TypeError):
            return name
    return None
