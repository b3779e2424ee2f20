"""What an endpoint or a view raised before a response was made of it, noted for the test client to raise."""

from __future__ import annotations

import sys
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.signals import got_request_exception
from starlette.requests import HTTPConnection
from starlette.types import Scope

from djfast_mount.django_for_api.csrf import ENFORCE_CSRF_CHECKS
from djfast_mount.django_for_api.request_layer import call_of
from djfast_mount.testing.requests import KEY

__all__ = ["note_answered_errors"]


class _Request(ASGIRequest):
    """Django's request, which heeds `enforce_csrf_checks` as that of Django's test client does."""

    def __init__(self, scope: Scope, body_file: Any) -> None:
        super().__init__(scope, body_file)
        # The name that CsrfViewMiddleware asks for; a server's scope has no such key.
        self._dont_enforce_csrf_checks = scope.get(ENFORCE_CSRF_CHECKS) is False


def _note_answered_error(request: Any = None, **_: object) -> None:
    scope = getattr(request, "scope", {})
    test_request = scope.get(KEY)
    if test_request is not None:
        call = call_of(HTTPConnection(scope))
        # Of a view it is what is being handled; of an endpoint the call knows it.
        test_request.answered_error = sys.exc_info()[1] if call is None else call.reported


def note_answered_errors() -> None:
    """Has Django tell of them. A second call changes nothing; both are inert where no test client asks."""
    # `request_class` is a public attribute of Django's handler. On the class, as projects make their handlers before
    # any test client is there.
    ASGIHandler.request_class = _Request
    got_request_exception.connect(_note_answered_error, dispatch_uid="djfast_mount.testing")
