"""The scopes by which an app hears of a test client's requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from starlette.types import Scope

from djfast_mount.django_for_api.csrf import ENFORCE_CSRF_CHECKS
from djfast_mount.testing.requests import KEY, TestRequest

__all__ = ["ASGI", "http_scope", "of_test", "websocket_scope"]

ASGI = {"version": "3.0", "spec_version": "2.3"}
"""What uvicorn speaks."""

_CLIENT = ("127.0.0.1", 50000)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def http_scope(request: httpx.Request, root_path: str, **more: Any) -> Scope:
    """Returns the scope of an HTTP request as uvicorn makes it behind a proxy that takes `root_path` off."""
    return {**_scope(request, root_path), "type": "http", "method": request.method, **more}


def websocket_scope(request: httpx.Request, root_path: str, **more: Any) -> Scope:
    """The same for the opening request of a websocket."""
    scheme = {"http": "ws", "https": "wss"}.get(request.url.scheme, request.url.scheme)
    offered = request.headers.get("sec-websocket-protocol", "")
    return {
        **_scope(request, root_path),
        "type": "websocket",
        "scheme": scheme,
        "subprotocols": [name.strip() for name in offered.split(",") if name.strip()],
        "extensions": {"websocket.http.response": {}},
        **more,
    }


def of_test(request: TestRequest, *, enforce_csrf_checks: bool) -> Mapping[str, Any]:
    """Returns what a scope holds of a test client's request beside what a server would put there."""
    return {KEY: request, ENFORCE_CSRF_CHECKS: enforce_csrf_checks}


def _scope(request: httpx.Request, root_path: str) -> Scope:
    url = request.url
    raw_path, _, query = url.raw_path.partition(b"?")
    return {
        "asgi": ASGI,
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": root_path + unquote(raw_path.decode("ascii")),
        # uvicorn leaves the query out of it, httpx does not.
        "raw_path": root_path.encode() + raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": _CLIENT,
        # ASGI asks for a number, and httpx has None for a default port.
        "server": (url.host, url.port or _PORTS[url.scheme]),
    }
