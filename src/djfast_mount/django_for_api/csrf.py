"""Django's CSRF check for an API call that the session cookie authenticates.

Bearer tokens and API keys are no ambient credentials: a foreign page cannot make a browser send them, so calls that
they authenticate are not checked.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import REASON_BAD_ORIGIN, CsrfViewMiddleware
from django.utils.log import log_response
from starlette.exceptions import HTTPException

__all__ = ["check", "check_origin"]

logger = logging.getLogger("django.security.csrf")


class _Refusal(HttpResponseForbidden):
    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class _Check(CsrfViewMiddleware):
    """Django's check, whose refusal is a reason and no page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return _Refusal(reason)

    def foreign_origin(self, request: HttpRequest) -> HttpResponseForbidden | None:
        middleware: Any = self  # The stubs leave the method out.
        origin = request.META.get("HTTP_ORIGIN")
        if origin is None or middleware._origin_verified(request):
            return None
        return _Refusal(REASON_BAD_ORIGIN % origin)


def _no_response(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This middleware is asked for its check alone.")


@cache
def _middleware() -> _Check:
    # Once: it reads CSRF_TRUSTED_ORIGINS into tables of its own.
    return _Check(_no_response)


def check(request: HttpRequest) -> None:
    """Does what Django's CsrfViewMiddleware does before a view: token, Origin and Referer, safe methods exempt.

    Runs on the request thread where ``CSRF_USE_SESSIONS`` is on and the session has not been read, anywhere otherwise.
    A refusal is logged by ``django.security.csrf``, as Django does.

    Raises: HTTPException, 403; its detail names the reason in DEBUG only, as Django's page does.
    """
    refusal = _middleware().process_view(request, _no_response, (), {})
    if isinstance(refusal, _Refusal):
        _refuse(request, refusal)


def check_origin(request: HttpRequest) -> None:
    """Refuses a request whose Origin header names a site that is neither this one nor in ``CSRF_TRUSTED_ORIGINS``.

    For what no token can guard: the handshake of a websocket, and a login, whose client has no token yet.

    Raises: HTTPException, as `check()` does.
    """
    refusal = _middleware().foreign_origin(request)
    if isinstance(refusal, _Refusal):
        _refuse(request, refusal)


def _refuse(request: HttpRequest, refusal: _Refusal) -> None:
    log_response("Forbidden (%s): %s", refusal.reason, request.path, response=refusal, request=request, logger=logger)
    reason = f" {refusal.reason}" if settings.DEBUG else ""
    raise HTTPException(403, f"CSRF verification failed.{reason}")


def _forget(**_: object) -> None:
    _middleware.cache_clear()


setting_changed.connect(_forget, dispatch_uid="djfast_mount.django_for_api.csrf")
