"""Django's settings of security and of proxies, in force for the calls of an API.

Which of them are, ``settings.DJFAST_MOUNT["django_settings_for_api"]`` says. What they mean stands in
djfast_mount.security.djangos_middleware.
"""

from __future__ import annotations

from collections.abc import Awaitable

from django.conf import settings
from django.core.signals import setting_changed
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.django_for_api.request_layer import call_of
from djfast_mount.offload.current import KEY
from djfast_mount.routing.placement import outer_of
from djfast_mount.security.djangos_middleware import (
    SECURITY,
    chosen_settings,
    headers_by_name,
    is_listed,
    redirect_of,
    scheme_of,
)

__all__ = ["DjangoSettings", "with_django_settings"]

_LONGEST_PORT = 5  # digits


def with_django_settings(app: ASGIApp, prefix: str) -> DjangoSettings | None:
    """Returns what has Django's settings hold for `app`, mounted under `prefix`; None if none is to.

    Raises: ConfigurationError, as `chosen_settings()` does.
    """
    chosen = chosen_settings()
    return DjangoSettings(app, prefix, chosen) if chosen else None


class DjangoSettings:
    """ASGI: has Django's settings hold for `app`, in an http or websocket scope that may be changed.

    Where `changes_calls` is False, a call may go to `app` itself, with the headers alone.

    Args:
        app: What is mounted.
        prefix: Under which it is mounted.
        chosen: As `chosen_settings()` returns them.
    """

    def __init__(self, app: ASGIApp, prefix: str, chosen: frozenset[str]) -> None:
        self.app = app
        self._prefix = prefix
        self._chosen = chosen
        self._read()
        setting_changed.connect(self._read)

    def _read(self, **_: object) -> None:
        """Notes whether a setting other than those of headers changes calls."""
        # Once, as the reading of each setting would slow every call.
        self.adds_headers = "security_headers" in self._chosen
        self.changes_calls = any(getattr(settings, name) for name in self._chosen if name != "security_headers")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self.app
        if self.changes_calls:
            self._take_script_name(scope)
            self._believe_proxy(scope)
            if scope["type"] == "http" and scope.get("scheme") != "https":
                app = self._redirect(scope) or app
        if self.adds_headers and (source := scope.get(KEY)) is not None:
            source.headers = headers_by_name(scope.get("scheme") == "https")
        return app(scope, receive, send)

    def _take_script_name(self, scope: Scope) -> None:
        # Django's half has FORCE_SCRIPT_NAME in its links, whatever the server's root_path is.
        if "FORCE_SCRIPT_NAME" not in self._chosen or not settings.FORCE_SCRIPT_NAME:
            return
        call = call_of(HTTPConnection(scope))
        outer = outer_of(settings.FORCE_SCRIPT_NAME, "" if call is None else call.django_prefix)
        inside = scope["path"][len(scope["root_path"]) :]
        scope["root_path"] = outer + self._prefix
        scope["path"] = scope["root_path"] + inside
        if call is not None:
            call.outer = outer

    def _believe_proxy(self, scope: Scope) -> None:
        scope["scheme"] = scheme_of(scope, self._chosen)
        if "USE_X_FORWARDED_HOST" in self._chosen and settings.USE_X_FORWARDED_HOST:
            hosts = _header(scope, b"x-forwarded-host")
            # Several are a client's own beside the proxy's: none of them is believed.
            if len(hosts) == 1:
                # Replaced in the scope, so that Starlette's `request.url` and the Host check of a middleware see what
                # Django sees.
                others = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope["headers"] = [(b"host", hosts[0]), *others]
        if "USE_X_FORWARDED_PORT" in self._chosen and settings.USE_X_FORWARDED_PORT:
            ports = _header(scope, b"x-forwarded-port")
            # `int()` would take signs, spaces and underscores, too.
            if len(ports) == 1 and ports[0].isdigit() and len(ports[0]) <= _LONGEST_PORT:
                server = scope.get("server") or (None, None)
                scope["server"] = (server[0], int(ports[0]))

    def _redirect(self, scope: Scope) -> ASGIApp | None:
        if "SECURE_SSL_REDIRECT" not in self._chosen or not settings.SECURE_SSL_REDIRECT or not is_listed(SECURITY):
            return None
        return redirect_of({**scope, "root_path": scope["root_path"].removesuffix(self._prefix)})


def _header(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]
