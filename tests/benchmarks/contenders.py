"""What is measured, and what a user would run instead: each an app of its own, made on first use."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from djfast_mount import mount

STATIC = Path(os.environ.get("BENCH_STATIC_ROOT", "."))
THREADS = int(os.environ.get("BENCH_THREADS", "8"))


def _api() -> Any:
    django.setup()
    return import_module("benchmarks.apis").make_api()  # imports models


def _wide(areas: int = 10, things: int = 30) -> Any:
    django.setup()
    return import_module("benchmarks.apis").make_wide_api(areas, things)


def _hand_made() -> Any:
    api = _api()
    site: Any = get_asgi_application()
    return Starlette(routes=[Mount("/api", api), Mount("/", site)])


def _memory() -> Any:
    files = {f"/static/{path.name}": path for path in STATIC.iterdir()}
    answers = {url: (_headers(path), path.read_bytes()) for url, path in files.items()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        headers, body = answers[scope["path"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _headers(path: Path) -> list[tuple[bytes, bytes]]:
    """As many as the mounted app and WhiteNoise send, and as long: the server's work for them is no small part."""
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return [
        (b"content-type", kind.encode()),
        (b"cache-control", b"max-age=60, public"),
        (b"access-control-allow-origin", b"*"),
        (b"last-modified", b"Sat, 01 Nov 2025 00:00:00 GMT"),
        (b"etag", b'"69054b80-2710"'),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"content-length", b"%d" % path.stat().st_size),
    ]


def _servestatic() -> Any:
    return import_module("servestatic").ServeStaticASGI(get_asgi_application(), root=str(STATIC), prefix="static/")


def _blacknoise() -> Any:
    app = import_module("blacknoise").BlackNoise(get_asgi_application())
    app.add(STATIC, "/static")
    return app


def _unchecked() -> Any:
    """With nothing on that FastAPI alone has not."""
    settings.DJFAST_MOUNT = {"django_settings_for_api": False}
    return mount("/api", _api(), host_check=False, max_body_size=None)


def _starlette_api() -> Any:
    return import_module("benchmarks.frameworks").starlette_api()


def _litestar_api() -> Any:
    return import_module("benchmarks.litestar_api").app


def _orm_alone(is_async: bool) -> Any:
    """The query of the API on as many threads, and nothing else: no framework, no signals, no look at connections."""
    django.setup()
    group = import_module("django.contrib.auth.models").Group
    threads, context = ThreadPoolExecutor(THREADS), ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = threads

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        if is_async:
            SyncToAsync.thread_sensitive_context.set(context)
            count = await group.objects.acount()
        else:
            count = await asyncio.get_running_loop().run_in_executor(threads, group.objects.count)
        body = b'{"groups":%d}' % count
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


MAKERS: dict[str, Callable[[], Any]] = {
    "mounted": lambda: mount("/api", _api()),
    "mounted_threads": lambda: mount("/api", _api(), threads=THREADS),
    "mounted_unchecked": _unchecked,
    "mounted_wide": lambda: mount({"/api": _wide(), "/one": _wide(1, 1)}),
    "hand_made": _hand_made,
    "fastapi_alone": _api,
    "fastapi_wide": _wide,
    "django_asgi": get_asgi_application,
    "django_wsgi": get_wsgi_application,
    "starlette_api": _starlette_api,
    "litestar_api": _litestar_api,
    "starlette_static": lambda: Starlette(routes=[Mount("/static", StaticFiles(directory=STATIC))]),
    "servestatic": _servestatic,
    "blacknoise": _blacknoise,
    "memory": _memory,
    "orm_alone": lambda: _orm_alone(False),
    "async_orm_alone": lambda: _orm_alone(True),
}


def __getattr__(name: str) -> Any:
    if name not in MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: its contenders are {', '.join(MAKERS)}")
    return MAKERS[name]()
