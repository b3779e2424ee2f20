"""Django's CSRF check for an API call that uses the session which a cookie brought.

Bearer tokens and API keys are not ambient credentials: a foreign page cannot make a browser send them. A call that uses
no session by cookie is therefore not checked.

1. Whatever CsrfViewMiddleware.process_view() returns that is not None refuses the call. No other name decides, so none
   can move and open the check.
2. The Origin of a websocket or of a login is checked by the same method, with a token that is always right.

Name used here that is not public, with a canary test: CsrfViewMiddleware._reject. It is overridden so that a refusal is
a reason in the log and not an HTML page. Where the name is gone, Django makes its page, and the call is refused too.
"""

from __future__ import annotations

import copy
import logging
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, QueryDict
from django.middleware.csrf import CSRF_SESSION_KEY, CsrfViewMiddleware
from django.utils.log import log_response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from djfast_mount.security.settings_cache import cached_until_settings_change

__all__ = ["ENFORCE_CSRF_CHECKS", "CSRFRefused", "check", "check_origin", "take_form_token"]

logger = logging.getLogger("django.security.csrf")

ENFORCE_CSRF_CHECKS = "djfast_mount.enforce_csrf_checks"
"""The key in a scope by which a test client says, with False, that CSRF tokens are not to be checked."""

# Of the length and of the letters that Django asks of a secret.
_SECRET = "a" * 32
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_PARSES_FORMS = find_spec("python_multipart") is not None
_TOKEN = "csrfmiddlewaretoken"


class CSRFRefused(HTTPException, PermissionDenied):
    """A call failed the CSRF check: 403 for FastAPI's handlers, and for Django's."""

    def __init__(self, reason: str) -> None:
        # As on Django's own page, only DEBUG shows the reason.
        told = f" {reason}" if settings.DEBUG and reason else ""
        HTTPException.__init__(self, 403, f"CSRF verification failed.{told}")


class _Refusal(HttpResponseForbidden):
    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class _Check(CsrfViewMiddleware):
    """Django's check. Its refusal is a reason in place of a page."""

    def _reject(self, request: HttpRequest, reason: str, *_: object, **__: object) -> HttpResponseForbidden:
        refusal = _Refusal(reason)
        log_response("Forbidden (%s): %s", reason, request.path, response=refusal, request=request, logger=logger)
        return refusal


def _no_response(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This middleware is asked for its check alone.")


@cached_until_settings_change
def _middleware() -> _Check:
    # Made once: it reads CSRF_TRUSTED_ORIGINS into tables of its own.
    return _Check(_no_response)


def check(request: HttpRequest, session: Any, method: str | None = None) -> None:
    """Does what Django's CsrfViewMiddleware does before a view: token, Origin and Referer, safe methods exempt.

    Runs on any thread. A refusal is logged by ``django.security.csrf``, as Django does.

    Args:
        session: The data of the session, which holds the secret with ``CSRF_USE_SESSIONS``.
        method: The method to be asked about, whatever the request's own is by now.

    Raises: CSRFRefused. Its detail names the reason in DEBUG only.
    """
    asked: Any = _with_session(request, session) if settings.CSRF_USE_SESSIONS else request
    if method not in (None, request.method):
        # A copy: the endpoint's own request keeps its method, and what the check notes on it belongs to this question.
        asked = copy.copy(asked)
        asked.method = method
        # Django has noted that a safe method needs no check. The method is another one now.
        asked.csrf_processing_done = False
    _ask(asked)


def check_origin(request: HttpRequest, session: Any = None) -> None:
    """Refuses a request whose Origin header names a site that is neither this one nor in ``CSRF_TRUSTED_ORIGINS``.

    For what no token can guard: the handshake of a websocket (RFC 6455, section 10.2), and a login, whose client has no
    token yet. A client that sends no Origin is no browser, and passes.

    Raises: CSRFRefused.
    """
    # Browsers send Origin with every websocket and every unsafe request. Programs need not.
    if "HTTP_ORIGIN" not in request.META:
        return
    asked = _with_session(request, {CSRF_SESSION_KEY: _SECRET})
    asked.method = "POST"
    asked.POST = QueryDict()
    asked.META = {**request.META, settings.CSRF_HEADER_NAME: _SECRET}
    asked.COOKIES = {**request.COOKIES, settings.CSRF_COOKIE_NAME: _SECRET}
    asked.csrf_processing_done = False
    _ask(asked)


def _ask(request: HttpRequest) -> None:
    refusal = _middleware().process_view(request, _no_response, (), {})
    if refusal is not None:
        raise CSRFRefused(getattr(refusal, "reason", ""))


def _with_session(request: HttpRequest, session: Any) -> Any:
    # To ask the guarded session for its secret would ask for this very check.
    seen = copy.copy(request)
    vars(seen).update(session=session, _whole_guard=False)
    return seen


async def take_form_token(connection: HTTPConnection, request: HttpRequest) -> FormData | None:
    """Puts the CSRF token of a form into `request.POST`, where Django looks for it. Returns the form if it was parsed.

    The body is parsed for it only when the session cookie came with a form and without the token's header. FastAPI has
    parsed the form already where the endpoint has a parameter for it; both parse it once.
    """
    if not isinstance(connection, Request) or not _wants_form(request):
        return None
    try:
        form = await connection.form()
    except (HTTPException, ClientDisconnect):
        raise
    except Exception as error:
        # As FastAPI answers where an endpoint has the form for a parameter. It may be the parser's error, a codec's, or
        # the disk's.
        raise HTTPException(400, "There was an error parsing the body") from error
    token = form.get(_TOKEN)
    if isinstance(token, str):
        post = QueryDict(mutable=True)
        post[_TOKEN] = token
        request.POST = post  # type: ignore[assignment]
    return form


def _wants_form(request: HttpRequest) -> bool:
    return (
        request.method == "POST"
        and request.content_type in _FORMS
        and settings.SESSION_COOKIE_NAME in request.COOKIES
        and settings.CSRF_HEADER_NAME not in request.META
        and _PARSES_FORMS
    )
