"""What a test client knows of a request, and the scope by which the app hears of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.signals import got_request_exception
from starlette.requests import HTTPConnection
from starlette.types import Scope

from djfast_mount.django_for_api.request import ENFORCE_CSRF_CHECKS, call_of

__all__ = ["ASGI", "TestRequest", "http_scope", "of_test", "websocket_scope"]

ASGI = {"version": "3.0", "spec_version": "2.3"}
"""What uvicorn speaks."""

_KEY = "djfast_mount.testing"
_CLIENT = ("127.0.0.1", 50000)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class TestRequest:
    """One request of a test client. It is in the scope, and so in every copy of it.

    Args:
        name: Method and path, for messages.
        thread: The one that does the test's sync work, where that is known.
    """

    __test__ = False

    def __init__(self, name: str, thread: threading.Thread | None) -> None:
        self.name = name
        self.thread = thread
        self.answered_error: BaseException | None = None
        """What an endpoint or a view raised before a response was made of it: what Django logs as an error."""


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
    return {_KEY: request, ENFORCE_CSRF_CHECKS: enforce_csrf_checks}


def _scope(request: httpx.Request, root_path: str) -> Scope:
    url = request.url
    raw_path, _, query = url.raw_path.partition(b"?")
    return {
        "asgi": ASGI,
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": root_path + unquote(raw_path.decode("ascii")),
        "raw_path": root_path.encode() + raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": _CLIENT,
        "server": (url.host, url.port or _PORTS[url.scheme]),
    }


class _Request(ASGIRequest):
    """Django's request, which heeds `enforce_csrf_checks` as that of Django's test client does."""

    def __init__(self, scope: Scope, body_file: Any) -> None:
        super().__init__(scope, body_file)
        # The name that CsrfViewMiddleware asks for; a server's scope has no such key.
        self._dont_enforce_csrf_checks = scope.get(ENFORCE_CSRF_CHECKS) is False


def _note_answered_error(request: Any = None, **_: object) -> None:
    scope = getattr(request, "scope", {})
    test_request = scope.get(_KEY)
    if test_request is not None:
        call = call_of(HTTPConnection(scope))
        # Of a view it is what is being handled; of an endpoint the call knows it.
        test_request.answered_error = sys.exc_info()[1] if call is None else call.reported


# Both are inert where no test client has made the request.
ASGIHandler.request_class = _Request
got_request_exception.connect(_note_answered_error, dispatch_uid="djfast_mount.testing")
