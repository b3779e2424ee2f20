"""Django's settings of security and of proxies, for the API and for static files as for Django's half.

The headers are those of the middleware that ``MIDDLEWARE`` lists, made by that middleware itself: SecurityMiddleware,
XFrameOptionsMiddleware and ContentSecurityPolicyMiddleware (Django 6). A header that an app sets itself stays.

``settings.DJFAST_MOUNT["django_settings_for_api"]`` is True, False, or a list of what is to hold for the API.

Static files are served as if WhiteNoise stood in its usual place, right below SecurityMiddleware: they have that one's
headers and its redirect, where ``MIDDLEWARE`` lists it, and those of no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.conf import SETTING, option
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.headers import missing_headers
from djfast_mount.routing.placement import outer_of
from djfast_mount.routing.prefixes import child_scope, split_root_path
from djfast_mount.security.settings_cache import cached_until_settings_change
from djfast_mount.spelling import did_you_mean

__all__ = [
    "SECURITY",
    "chosen_settings",
    "file_headers",
    "headers_by_name",
    "is_listed",
    "redirect_of",
    "scheme_of",
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
SECURITY = "django.middleware.security.SecurityMiddleware"
_FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
_POLICY = "django.middleware.csp.ContentSecurityPolicyMiddleware"
# With or without TLS: the scheme as the header of a proxy tells it.
_SECURE = {"http": "https", "https": "https", "ws": "wss", "wss": "wss"}
_PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


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


def redirect_of(scope: Scope) -> ASGIApp | None:
    """What SecurityMiddleware answers instead of what was asked for, if it does. Django is to see `scope` as it is."""
    try:
        response = _middleware(SECURITY).process_request(ASGIRequest(scope, BytesIO()))
    except (DisallowedHost, UnicodeDecodeError):
        return PlainTextResponse("Bad Request", status_code=400)
    return None if response is None else RedirectResponse(response["Location"], status_code=301)


def secured_files(django_prefix: str = "") -> Callable[[ASGIApp], ASGIApp] | None:
    """Returns what does, around the app that sends a static file, that work of SecurityMiddleware which differs from
    request to request: the redirect and HSTS. None where the settings ask for neither.

    Args:
        django_prefix: The prefix of Django's half.
    """
    redirects = is_listed(SECURITY) and settings.SECURE_SSL_REDIRECT
    plain = file_headers(is_secure=False)
    more = dict(missing_headers(plain, file_headers(is_secure=True)))
    return partial(_secured_file, more, redirects, django_prefix) if more or redirects else None


def _secured_file(more: Mapping[bytes, bytes], redirects: bool, django_prefix: str, file: ASGIApp) -> ASGIApp:
    def secured(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scheme_of(scope, _ALL) == "https":
            return file(scope, receive, partial(_send_file_with, send, more) if more else send)
        answer = redirect_of(_as_django_sees(scope, django_prefix)) if redirects else None
        if answer is None:
            return file(scope, receive, send)
        return answer(scope, receive, partial(_send_with, send, file_headers(is_secure=False)))

    return secured


def _as_django_sees(scope: Scope, django_prefix: str) -> Scope:
    forced = outer_of(settings.FORCE_SCRIPT_NAME or "", django_prefix)
    outer, path = split_root_path(scope.get("root_path") or forced, scope["path"])
    return child_scope(scope, forced or outer, path)


def scheme_of(scope: Scope, chosen: frozenset[str]) -> str:
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


@cached_until_settings_change
def _proxy_header() -> tuple[bytes, bytes]:
    name, secure = settings.SECURE_PROXY_SSL_HEADER
    return name.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"), secure.encode("latin-1")


def with_security_headers(scope: Scope, send: Send) -> Send:
    """Returns a `send` that adds the headers, where they are chosen, to what the root itself answers to `scope`."""
    chosen = chosen_settings()
    if "security_headers" not in chosen:
        return send
    return partial(_send_with, send, headers_by_name(scheme_of(scope, chosen) == "https"))


def _send_with(send: Send, headers: Mapping[bytes, bytes], message: Message) -> Awaitable[None]:
    if message["type"] == "http.response.start":
        own = list(message.get("headers", ()))
        message = {**message, "headers": [*own, *missing_headers(dict(own), headers)]}
    return send(message)


def _send_file_with(send: Send, headers: Mapping[bytes, bytes], message: Message) -> Awaitable[None]:
    # A file's headers are in lower case, and their list belongs to this answer alone. So this is quicker than the
    # function above.
    if message["type"] == "http.response.start" and headers.keys().isdisjoint(dict(message["headers"])):
        message["headers"] += headers.items()
    return send(message)


@cached_until_settings_change
def security_headers(is_secure: bool, *, whatever_is_listed: bool = False) -> RawHeaders:
    """Returns the headers that Django's half sets on every response.

    Args:
        is_secure: Whether the request came by https.
        whatever_is_listed: Also those of SecurityMiddleware and XFrameOptionsMiddleware where MIDDLEWARE lacks them.
    """
    if whatever_is_listed:
        return _headers_of([SECURITY, _FRAMES], is_secure)
    return _headers_of([path for path in (SECURITY, _FRAMES, _POLICY) if is_listed(path)], is_secure)


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


@cached_until_settings_change
def headers_by_name(is_secure: bool) -> Mapping[bytes, bytes]:
    return dict(security_headers(is_secure))


@cached_until_settings_change
def file_headers(is_secure: bool) -> Mapping[bytes, bytes]:
    """Returns the headers that SecurityMiddleware sets on a static file, where MIDDLEWARE lists it."""
    return dict(_headers_of([SECURITY] if is_listed(SECURITY) else [], is_secure))


class _Asked(HttpRequest):
    """As much of a request as these middleware classes look at."""

    def __init__(self, is_secure: bool) -> None:
        super().__init__()
        self._is_secure = is_secure

    def is_secure(self) -> bool:
        return self._is_secure


@cached_until_settings_change
def is_listed(path: str) -> bool:
    """Whether MIDDLEWARE lists the class at `path`, or one made of it."""
    return any(path in _names(import_string(listed)) for listed in settings.MIDDLEWARE)


def _names(middleware: Any) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in getattr(middleware, "__mro__", ())}


@cached_until_settings_change
def _middleware(path: str) -> Any:
    # It reads its settings when it is made.
    return import_string(path)(_no_response)


def _no_response(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This middleware is asked for its headers alone.")
