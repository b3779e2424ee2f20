"""ALLOWED_HOSTS for what Django's own half does not see: the API, static files and websockets.

The rule is Django's (`django.http.request.HttpRequest.get_host`), with one difference: a request must carry exactly one
Host header. Django falls back on the server's name when there is none, and joins several.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.core.signals import setting_changed
from django.http.request import split_domain_port, validate_host

__all__ = ["HostCheck"]

# Django logs what it refuses itself under this name.
logger = logging.getLogger("django.security.DisallowedHost")

# What Django allows when DEBUG is on and ALLOWED_HOSTS is empty.
_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
_NO_HOSTS: list[str] = []
_REMEMBERED = 64


class HostCheck:
    """Whether a request's Host may be served. For the event loop's thread; it keeps the last hosts it let through."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        """Hosts that were let through, so that the next request need not ask the settings: they are slow to read."""
        setting_changed.connect(self._forget)

    def allows(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether these raw ASGI headers carry one Host that ALLOWED_HOSTS names. Logs a refusal, as Django does."""
        last = dict(headers)
        # As many headers as names: no second Host among them.
        if last.get(b"host") in self.known and len(last) == len(headers):
            return True
        hosts = [value for name, value in headers if name == b"host"]
        if settings.USE_X_FORWARDED_HOST:
            hosts = [value for name, value in headers if name == b"x-forwarded-host"] or hosts
        if len(hosts) == 1 and self.allows_host(hosts[0]):
            return True
        logger.error(
            "Invalid Host header: %r. You may need to add it to ALLOWED_HOSTS.",
            hosts[0].decode("latin-1") if len(hosts) == 1 else [host.decode("latin-1") for host in hosts],
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
