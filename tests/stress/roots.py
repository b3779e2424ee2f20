"""The two roots that every program here takes: the combination people write by hand, and the library's.

Both are made on first use, so that the one can be served where the other does not exist or cannot start.
"""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application
from django.utils.module_loading import import_string
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

import djfast_mount

API = "stress.project_under_load:api"


def make_hand_made() -> ASGIApp:
    """What the documentation of both frameworks leads to. Django's setup comes first: the API imports models."""
    django: Any = get_asgi_application()
    return Starlette(routes=[Mount("/api", import_string(API.replace(":", "."))), Mount("/", django)])


def make_mounted() -> ASGIApp:
    """`mount()`, with `STRESS_THREADS`, `STRESS_WAIT_TIMEOUT` and `STRESS_GRACE` (unset: none) from the environment."""
    grace = os.environ.get("STRESS_GRACE")
    return djfast_mount.mount(
        "/api",
        API,
        threads=int(os.environ.get("STRESS_THREADS", "8")),
        wait_timeout=float(os.environ.get("STRESS_WAIT_TIMEOUT", "10")),
        grace=float(grace) if grace else None,
    )


def __getattr__(name: str) -> ASGIApp:
    makers = {"hand_made": make_hand_made, "mounted": make_mounted}
    if name not in makers:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: its roots are {', '.join(makers)}")
    return makers[name]()
