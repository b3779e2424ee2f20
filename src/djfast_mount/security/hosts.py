"""ALLOWED_HOSTS for what Django's own half does not see: the API, static files and websockets.

The rule is Django's (`django.http.request.HttpRequest.get_host`), with one difference: a request must carry exactly one
Host header. Django falls back on the server's name when there is none, and joins several.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from io import BytesIO

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import setting_changed
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.utils.log import log_response
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from djfast_mount.security.djangos_middleware import with_security_headers

__all__ = ["HostCheck", "bad_request", "hosts_of", "refusal", "refused_call"]

# Django logs what it refuses itself under this name.
logger = logging.getLogger("django.security.DisallowedHost")

# What Django allows when DEBUG is on and ALLOWED_HOSTS is empty.
_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
_NO_HOSTS: list[str] = []
_REMEMBERED = 64
_NO_NAME = "The domain name provided is not valid according to RFC 1034/1035."


def hosts_of(scope: Scope) -> list[bytes]:
    """Returns what names the host of a request: X-Forwarded-Host where that is believed, else Host."""
    headers = scope["headers"]
    forwarded = [value for name, value in headers if name == b"x-forwarded-host"]
    return (settings.USE_X_FORWARDED_HOST and forwarded) or [value for name, value in headers if name == b"host"]


def refusal(hosts: Sequence[bytes]) -> str:
    """Returns what Django says of a host that it does not allow: which it was, and which name to allow."""
    texts = [host.decode("latin-1") for host in hosts]
    if len(texts) != 1:
        return f"Invalid Host header: {texts!r}. A request has exactly one."
    domain, _ = split_domain_port(texts[0])
    advice = f"You may need to add {domain!r} to ALLOWED_HOSTS." if domain else _NO_NAME
    return f"Invalid Host header: {texts[0]!r}. {advice}"


def _shown(scope: Scope) -> ASGIRequest | None:
    """The request for the log, and for the mail to ADMINS."""
    try:
        return ASGIRequest({"method": "GET", **scope}, BytesIO())
    except UnicodeDecodeError:
        return None


class HostCheck:
    """Whether a request's Host may be served. For the event loop's thread; it keeps the last hosts it let through."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        """Hosts that were let through, so that the next request need not ask the settings: they are slow to read."""
        setting_changed.connect(self._forget)

    def allows(self, scope: Scope) -> bool:
        """Whether the headers carry one Host that ALLOWED_HOSTS names. Logs a refusal, as Django does."""
        headers = scope["headers"]
        last = dict(headers)
        # As many headers as names: no second Host among them.
        if last.get(b"host") in self.known and len(last) == len(headers):
            return True
        hosts = hosts_of(scope)
        if len(hosts) == 1 and self.allows_host(hosts[0]):
            return True
        error = DisallowedHost(refusal(hosts))
        response = HttpResponse(status=400)
        log_response(
            "%s", error, response=response, request=_shown(scope), logger=logger, level="error", exception=error
        )
        return False

    def allows_host(self, host: bytes) -> bool:
        """Whether ALLOWED_HOSTS names `host`, a raw header value with or without a port."""
        domain, _ = split_domain_port(host.decode("latin-1"))
        rules = settings.ALLOWED_HOSTS or (_DEBUG_HOSTS if settings.DEBUG else [])
        allowed = bool(domain) and validate_host(domain, rules)
        if allowed and not settings.USE_X_FORWARDED_HOST and len(self.known) < _REMEMBERED:
            self.known.add(host)
        return allowed

    def _forget(self, **_: object) -> None:
        self.known.clear()


async def bad_request(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: answers 400, with the headers of Django's security middleware."""
    response = PlainTextResponse("Bad Request", status_code=400)
    await response(scope, receive, with_security_headers(scope, send))


async def refused_call(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: answers 400 to a call of an API whose Host is not allowed. In DEBUG it says why, as Django's page does."""
    detail = refusal(hosts_of(scope)) if settings.DEBUG else "Bad Request"
    response = JSONResponse({"detail": detail}, status_code=400)
    await response(scope, receive, with_security_headers(scope, send))
