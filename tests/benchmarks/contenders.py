"""What is measured, and what a user would run instead: each an app of its own, made on first use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

import django
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from djfast_mount import mount

STATIC = Path(os.environ.get("BENCH_STATIC_ROOT", "."))


def _apis() -> tuple[Any, Any]:
    django.setup()
    from benchmarks.apis import make_api, make_wide_api  # noqa: PLC0415  (imports models)

    return make_api(), make_wide_api()


def _mounted() -> Any:
    api, wide = _apis()
    return mount({"/api": api, "/wide": wide})


def _hand_made() -> Any:
    api, _ = _apis()
    site: Any = get_asgi_application()
    return Starlette(routes=[Mount("/api", api), Mount("/", site)])


def _memory() -> Any:
    body = (STATIC / "ten.css").read_bytes()
    headers = [(b"content-type", b"text/css"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


MAKERS = {
    "mounted": _mounted,
    "hand_made": _hand_made,
    "fastapi_alone": lambda: _apis()[0],
    "fastapi_wide": lambda: _apis()[1],
    "django_asgi": get_asgi_application,
    "django_wsgi": get_wsgi_application,
    "starlette_static": lambda: Starlette(routes=[Mount("/static", StaticFiles(directory=STATIC))]),
    "memory": _memory,
}


def __getattr__(name: str) -> Any:
    if name not in MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: its contenders are {', '.join(MAKERS)}")
    return MAKERS[name]()
