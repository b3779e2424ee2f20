"""Django's settings of security and of proxies, for the API and for static files as for Django's half.

The headers are those of the middleware that ``MIDDLEWARE`` lists, made by that middleware itself: SecurityMiddleware,
XFrameOptionsMiddleware and ContentSecurityPolicyMiddleware (Django 6). A header that an app sets itself stays.

``settings.DJFAST_MOUNT["django_settings_for_api"]`` is True, False, or a list of what is to hold for the API.

Static files are served as if WhiteNoise stood in its usual place, right below SecurityMiddleware: they have that one's
headers and its redirect, where ``MIDDLEWARE`` lists it, and those of no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache, partial
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.conf import SETTING, option
from djfast_mount.django_for_api.request import call_of
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.headers import missing_headers
from djfast_mount.offload.current import KEY
from djfast_mount.routing.placement import outer_of
from djfast_mount.routing.prefixes import child_scope, split_root_path
from djfast_mount.spelling import did_you_mean

__all__ = [
    "DjangoSettings",
    "chosen_settings",
    "file_headers",
    "secured_files",
    "security_headers",
    "with_security_headers",
]

RawHeaders = list[tuple[bytes, bytes]]

_KEY = "django_settings_for_api"
_CHOICES = (
    "FORCE_SCRIPT_NAME",
    "SECURE_PROXY_SSL_HEADER",
    "SECURE_SSL_REDIRECT",
    "USE_X_FORWARDED_HOST",
    "USE_X_FORWARDED_PORT",
    "security_headers",
)
_ALL = frozenset(_CHOICES)
_SECURITY = "django.middleware.security.SecurityMiddleware"
_FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
_POLICY = "django.middleware.csp.ContentSecurityPolicyMiddleware"
# With or without TLS: the scheme as the header of a proxy tells it.
_SECURE = {"http": "https", "https": "https", "ws": "wss", "wss": "wss"}
_PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}
_LONGEST_PORT = 5  # digits


def chosen_settings() -> frozenset[str]:
    """Returns what of `_CHOICES` holds for the API. Raises ConfigurationError for a name that is none of them."""
    value = option(_KEY)
    if isinstance(value, bool):
        return frozenset(_CHOICES if value else ())
    for name in value:
        if name not in _CHOICES:
            remedy = did_you_mean(name, _CHOICES, f"The names are {', '.join(_CHOICES)}.")
            raise ConfigurationError(f"settings.{SETTING}[{_KEY!r}] lists {name!r}. {remedy}")
    return frozenset(value)


class DjangoSettings:
    """ASGI: has Django's settings hold for `app`, in an http or websocket scope that may be changed.

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
        """Sees whether any setting but those of headers has a say in a call: a lookup of each would cost its time."""
        self._adds_headers = "security_headers" in self._chosen
        self._changes_calls = any(getattr(settings, name) for name in self._chosen if name != "security_headers")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine function: each costs its time, and most calls only pass.
        app = self.app
        if self._changes_calls:
            self._take_script_name(scope)
            self._believe_proxy(scope)
            if scope["type"] == "http" and scope.get("scheme") != "https":
                app = self._redirect(scope) or app
        if self._adds_headers and (source := scope.get(KEY)) is not None:
            source.headers = _by_name(scope.get("scheme") == "https")
        return app(scope, receive, send)

    def _take_script_name(self, scope: Scope) -> None:
        """Django's half has FORCE_SCRIPT_NAME in its links, whatever the server's root_path is."""
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
        scope["scheme"] = _scheme(scope, self._chosen)
        if "USE_X_FORWARDED_HOST" in self._chosen and settings.USE_X_FORWARDED_HOST:
            hosts = _header(scope, b"x-forwarded-host")
            if len(hosts) == 1:
                others = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope["headers"] = [(b"host", hosts[0]), *others]
        if "USE_X_FORWARDED_PORT" in self._chosen and settings.USE_X_FORWARDED_PORT:
            ports = _header(scope, b"x-forwarded-port")
            if len(ports) == 1 and ports[0].isdigit() and len(ports[0]) <= _LONGEST_PORT:
                server = scope.get("server") or (None, None)
                scope["server"] = (server[0], int(ports[0]))

    def _redirect(self, scope: Scope) -> ASGIApp | None:
        if "SECURE_SSL_REDIRECT" not in self._chosen or not settings.SECURE_SSL_REDIRECT or not _listed(_SECURITY):
            return None
        return _redirect({**scope, "root_path": scope["root_path"].removesuffix(self._prefix)})


def _redirect(scope: Scope) -> ASGIApp | None:
    """What SecurityMiddleware answers instead of what was asked for, if it does. Django is to see `scope` as it is."""
    try:
        response = _middleware(_SECURITY).process_request(ASGIRequest(scope, BytesIO()))
    except (DisallowedHost, UnicodeDecodeError):
        return PlainTextResponse("Bad Request", status_code=400)
    return None if response is None else RedirectResponse(response["Location"], status_code=301)


def secured_files(django_prefix: str = "") -> Callable[[ASGIApp], ASGIApp] | None:
    """Returns what does, around the app that sends a static file, that work of SecurityMiddleware which differs from
    request to request: the redirect and HSTS. None where the settings ask for neither.

    Args:
        django_prefix: The prefix of Django's half.
    """
    redirects = _listed(_SECURITY) and settings.SECURE_SSL_REDIRECT
    plain = file_headers(is_secure=False)
    more = dict(missing_headers(plain, file_headers(is_secure=True)))
    return partial(_secured_file, more, redirects, django_prefix) if more or redirects else None


def _secured_file(more: Mapping[bytes, bytes], redirects: bool, django_prefix: str, file: ASGIApp) -> ASGIApp:
    def secured(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if _scheme(scope, _ALL) == "https":
            return file(scope, receive, partial(_send_file_with, send, more) if more else send)
        answer = _redirect(_as_django_sees(scope, django_prefix)) if redirects else None
        if answer is None:
            return file(scope, receive, send)
        return answer(scope, receive, partial(_send_with, send, file_headers(is_secure=False)))

    return secured


def _as_django_sees(scope: Scope, django_prefix: str) -> Scope:
    forced = outer_of(settings.FORCE_SCRIPT_NAME or "", django_prefix)
    outer, path = split_root_path(scope.get("root_path") or forced, scope["path"])
    return child_scope(scope, forced or outer, path)


def _scheme(scope: Scope, chosen: frozenset[str]) -> str:
    """The scheme of a call, as the header of a proxy tells it where that is to be believed."""
    # A server may leave it out (ASGI, "HTTP & WebSocket").
    scheme: str = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
    if "SECURE_PROXY_SSL_HEADER" not in chosen or not settings.SECURE_PROXY_SSL_HEADER:
        return scheme
    wanted, secure = _proxy_header()
    for name, value in scope["headers"]:
        if name == wanted:
            # Django reads the first of several (HttpRequest.scheme).
            is_secure = value == secure or value.split(b",")[0].decode("latin-1").strip().encode("latin-1") == secure
            return (_SECURE if is_secure else _PLAIN).get(scheme, scheme)
    return scheme


@cache
def _proxy_header() -> tuple[bytes, bytes]:
    name, secure = settings.SECURE_PROXY_SSL_HEADER
    return name.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"), secure.encode("latin-1")


def with_security_headers(scope: Scope, send: Send) -> Send:
    """Returns a `send` that adds the headers, where they are chosen, to what the root itself answers to `scope`."""
    chosen = chosen_settings()
    if "security_headers" not in chosen:
        return send
    return partial(_send_with, send, _by_name(_scheme(scope, chosen) == "https"))


def _header(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]


def _send_with(send: Send, headers: Mapping[bytes, bytes], message: Message) -> Awaitable[None]:
    if message["type"] == "http.response.start":
        own = list(message.get("headers", ()))
        message = {**message, "headers": [*own, *missing_headers(dict(own), headers)]}
    return send(message)


def _send_file_with(send: Send, headers: Mapping[bytes, bytes], message: Message) -> Awaitable[None]:
    # Quicker than the above: a file's headers are in lower case, and in a list that is this answer's own.
    if message["type"] == "http.response.start" and headers.keys().isdisjoint(dict(message["headers"])):
        message["headers"] += headers.items()
    return send(message)


@cache
def security_headers(is_secure: bool, *, whatever_is_listed: bool = False) -> RawHeaders:
    """Returns the headers that Django's half sets on every response.

    Args:
        is_secure: Whether the request came by https.
        whatever_is_listed: Also those of SecurityMiddleware and XFrameOptionsMiddleware where MIDDLEWARE lacks them.
    """
    if whatever_is_listed:
        return _headers_of([_SECURITY, _FRAMES], is_secure)
    return _headers_of([path for path in (_SECURITY, _FRAMES, _POLICY) if _listed(path)], is_secure)


def _headers_of(paths: Iterable[str], is_secure: bool) -> RawHeaders:
    response = HttpResponse()
    before = set(response.headers)
    for path in paths:
        response = _middleware(path).process_response(_Asked(is_secure), response)
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
        if name not in before
    ]


@cache
def _by_name(is_secure: bool) -> Mapping[bytes, bytes]:
    return dict(security_headers(is_secure))


@cache
def file_headers(is_secure: bool) -> Mapping[bytes, bytes]:
    """Returns the headers that SecurityMiddleware sets on a static file, where MIDDLEWARE lists it."""
    return dict(_headers_of([_SECURITY] if _listed(_SECURITY) else [], is_secure))


class _Asked(HttpRequest):
    """As much of a request as these middleware classes look at."""

    def __init__(self, is_secure: bool) -> None:
        super().__init__()
        self._is_secure = is_secure

    def is_secure(self) -> bool:
        return self._is_secure


@cache
def _listed(path: str) -> bool:
    """Whether MIDDLEWARE lists the class at `path`, or one made of it."""
    return any(path in _names(import_string(listed)) for listed in settings.MIDDLEWARE)


def _names(middleware: Any) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in getattr(middleware, "__mro__", ())}


@cache
def _middleware(path: str) -> Any:
    # It reads its settings when it is made.
    return import_string(path)(_no_response)


def _no_response(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This middleware is asked for its headers alone.")


def _forget(**_: object) -> None:
    for function in (_by_name, _proxy_header, file_headers, security_headers, _listed, _middleware):
        function.cache_clear()


setting_changed.connect(_forget, dispatch_uid="djfast_mount.security.djangos_middleware")
