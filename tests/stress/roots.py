"""The two roots that every program here takes: the combination people write by hand, and the library's.

And, for what the hand-made one does not show, the library's with one rule of its pool switched off. Each is made on
first use, so that the one can be served where the other cannot start.
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
from djfast_mount.request_thread import request as request_thread

API = "stress.project_under_load:api"


def make_hand_made() -> ASGIApp:
    """What the documentation of both frameworks leads to. Django's setup comes first: the API imports models."""
    django: Any = get_asgi_application()
    return Starlette(routes=[Mount("/api", import_string(API.replace(":", "."))), Mount("/", django)])


def make_mounted(**options: Any) -> Any:
    """`mount()`, with `STRESS_THREADS`, `STRESS_WAIT_TIMEOUT` and `STRESS_GRACE` (unset: none) from the environment."""
    grace = os.environ.get("STRESS_GRACE")
    given = {
        "threads": int(os.environ.get("STRESS_THREADS", "8")),
        "wait_timeout": float(os.environ.get("STRESS_WAIT_TIMEOUT", "10")),
        "grace": float(grace) if grace else None,
    }
    return djfast_mount.mount("/api", API, **{**given, **options})


def make_endless_wait() -> ASGIApp:
    """Whoever waits for a thread waits for ever."""
    app: ASGIApp = make_mounted(wait_timeout=10**6)
    return app


def make_unlimited_streams() -> ASGIApp:
    """Streams may hold every thread."""
    app = make_mounted()
    app._threads.pool.streams.limit = 10**6
    ready: ASGIApp = app
    return ready


def make_restless_streams() -> ASGIApp:
    """Streams whose parts come from the loop keep their thread all the same."""

    def become_stream(thread: Any) -> None:
        thread._streams = True

    vars(request_thread)["RequestThread"]._become_stream = become_stream
    app: ASGIApp = make_mounted()
    return app


def __getattr__(name: str) -> ASGIApp:
    maker = globals().get(f"make_{name}")
    if maker is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    root: ASGIApp = maker()
    return root
