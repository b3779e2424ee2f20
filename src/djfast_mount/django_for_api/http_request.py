"""The HttpRequest of an API call: its class, how it is made, and what its changes make of the response."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.messages import get_messages
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django.utils.translation import get_language_from_request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Message, Scope

from djfast_mount.django_for_api import csrf
from djfast_mount.django_for_api.body import RequestBody, has_no_body
from djfast_mount.django_for_api.session import CookieUse, Rule, guard, peek
from djfast_mount.security.settings_cache import cached_until_settings_change

__all__ = ["APIRequest", "is_taken", "made", "varied", "with_changes"]

# Where a call is asked for its request, a websocket's handshake is a GET. Without a scheme it is "http" (ASGI).
_SCHEMES = {"ws": "http", "wss": "https", None: "http"}
_CSRF_MIDDLEWARE = "django.middleware.csrf.CsrfViewMiddleware"
_TAKEN_FROM_MIDDLEWARE = {
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    _CSRF_MIDDLEWARE,
}
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110, section 9.2.1


class APIRequest(ASGIRequest):
    """The HttpRequest of an API call.

    It is what Django's half would have been handed: the prefix of the API belongs to `path_info`. Its body is the
    endpoint's, so `POST` is empty.

    Args:
        rule: What is to pass before the session of a cookie is used. None: no rule.
    """

    whole_body: RequestBody | None = None
    unsafe_method: str | None = None  # the first, of those that the call had on its way to the endpoint
    _chose: tuple[str, ...] = ()  # the headers by which something of it was chosen
    _whole_guard = False  # whether the session on it cannot be guarded in its parts

    def __init__(self, scope: Scope, body_file: Any, rule: Rule | None = None) -> None:
        super().__init__(scope, body_file)
        self.cookie_use = CookieUse(self, rule)
        self.is_asked_as(self.method)

    def is_asked_as(self, method: str | None) -> None:
        """Notes a method of the call: the CSRF check is due if one of them is unsafe.

        A middleware may put another one in the place of the client's, for all within it, or on this request.

        Raises: CSRFRefused, where the session has been used already.
        """
        if self.unsafe_method is None and method not in (None, *_SAFE):
            self.unsafe_method = method
            self.cookie_use.permit_anew(vars(self).get("session", {}))

    @property
    def session(self) -> Any:
        """The session. What a cookie brought of it is held to the CSRF check (djfast_mount.django_for_api.session)."""
        try:
            session = vars(self)["session"]
        except KeyError:
            raise AttributeError("This request has no session: settings.MIDDLEWARE has no SessionMiddleware.") from None
        if self._whole_guard:
            self.cookie_use.permit(session)
        return session

    @session.setter
    def session(self, session: Any) -> None:
        vars(self)["session"] = session
        self._whole_guard = not (guard(session, self.cookie_use) or self._cookies_bring_no_session())

    @property
    def body(self) -> bytes:
        """The body, where Django middleware is around the call or there is none. Else it is the endpoint's alone.

        Raises: RawPostDataException; RequestDataTooBig, where it is over settings.DATA_UPLOAD_MAX_MEMORY_SIZE.
        """
        if self.whole_body is not None:
            return self.whole_body.content()
        return b"" if has_no_body(self.scope) else super().body

    @property
    def vary(self) -> tuple[str, ...]:
        """The headers by which something of it was chosen, or by which the call was refused."""
        return self._chose or (("Cookie",) if self.cookie_use.refused else ())

    def _cookies_bring_no_session(self) -> bool:
        # A session of the project's own may be in a cookie of another name.
        return self.COOKIES.keys() <= {settings.CSRF_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME}

    @cached_property
    def LANGUAGE_CODE(self) -> str:  # type: ignore[override]  # noqa: N802  (Django's name)
        """The language that the client asks for, as LocaleMiddleware finds it. It is not activated."""
        self._chose = ("Accept-Language", "Cookie")
        return get_language_from_request(self)


# The making -------------------------------------------------------------------------------------------------------


def made(scope: Scope, root_path: str, origin: str | None = None) -> APIRequest:
    """Returns the request that Django's half would have been handed of `scope`, with `root_path` in front of it.

    Args:
        origin: The Origin header that the client has sent, whatever has become of it.

    Raises: HTTPException, 400, where Django cannot read the query.
    """
    scheme = scope.get("scheme")
    shown = {**scope, "root_path": root_path, "scheme": _SCHEMES.get(scheme, scheme)}
    shown.setdefault("method", "GET")
    enforced = scope.get(csrf.ENFORCE_CSRF_CHECKS) is not False  # No server sets the key; a test client does.
    rule = csrf.check_origin if scope["type"] == "websocket" else _csrf_rule if enforced else None
    try:
        request = APIRequest(shown, BytesIO(), rule)
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The query is no UTF-8.") from error
    if origin is not None:
        request.META["HTTP_ORIGIN"] = origin
    # By what it was handed, not by FORCE_SCRIPT_NAME: an API is not below the prefix that Django may have.
    request.path_info = shown["path"].removeprefix(root_path)
    if not _is_key(request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")):
        del request.COOKIES[settings.SESSION_COOKIE_NAME]
    request.read()  # Django's own way to say that the body is gone.
    for middleware in _middleware():
        if (process := getattr(middleware, "process_request", None)) is not None:
            process(_for_the_secret(request) if isinstance(middleware, CsrfViewMiddleware) else request)
    return request


def _csrf_rule(request: Any, session: Any) -> None:
    csrf.check(request, session, request.unsafe_method)


def _is_key(value: str) -> bool:
    # No store makes a key of other characters (RFC 6265, section 4.1.1), and PostgreSQL refuses a NUL in a query. A
    # quoted cookie can hold one: "\\000".
    return value.isascii() and value.isprintable()


def _for_the_secret(request: APIRequest) -> APIRequest:
    """`request`, for CsrfViewMiddleware to look for its secret: that is no use of the session that it stands in."""
    if not settings.CSRF_USE_SESSIONS or "session" not in vars(request):
        return request
    seen = copy(request)  # META, into which the secret is put, is the same object.
    vars(seen)["session"] = peek(vars(request)["session"])
    return seen


@cached_until_settings_change
def _middleware() -> tuple[Any, ...]:
    found = [import_string(path) for path in settings.MIDDLEWARE]
    chosen = [item for item in found if is_taken(item)]
    if not any(_CSRF_MIDDLEWARE in _names(item) for item in chosen):
        chosen.append(import_string(_CSRF_MIDDLEWARE))  # The check is due without it too, and its cookie must be set.
    return tuple(item(_no_response) for item in chosen)


def is_taken(middleware: Any) -> bool:
    """Whether `middleware` is one of those, or made of it, whose part every call's request has done already."""
    return not _TAKEN_FROM_MIDDLEWARE.isdisjoint(_names(middleware))


def _names(middleware: Any) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in getattr(middleware, "__mro__", ())}


def _no_response(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("This middleware is asked for its part of an API call alone.")


# The response -----------------------------------------------------------------------------------------------------


async def with_changes(request: APIRequest, message: Message) -> Message:
    """Returns the start of the response with the cookies, and the Vary header, of what the call changed, once that is
    saved on the request thread.

    Raises: SessionInterrupted; CSRFRefused, where saving is the first use of the session.
    """
    session: Any = vars(request).get("session")
    messages: Any = get_messages(request)
    renews_token = request.META.get("CSRF_COOKIE_NEEDS_UPDATE", False)
    stores = getattr(messages, "used", False) or getattr(messages, "added_new", False)
    message = varied(message, request.vary)
    uses = session is not None and _is_used(request, session)
    saves = uses and (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)
    if saves or stores or (renews_token and settings.CSRF_USE_SESSIONS):
        return await run_in_threadpool(_with_cookies, request, message)
    if renews_token or (uses and session.accessed):
        return _with_cookies(request, message)
    return message


def varied(message: Message, names: tuple[str, ...]) -> Message:
    """Returns the start of a response with `names` in its Vary header (RFC 9110, section 12.5.5)."""
    if not names:
        return message
    headers = list(message.get("headers", ()))
    kept = [(name, value) for name, value in headers if name.lower() != b"vary"]
    response = HttpResponse(headers={"Vary": _joined(headers, b"vary")} if len(kept) != len(headers) else None)
    patch_vary_headers(response, names)
    return {**message, "headers": [*kept, (b"vary", response.headers["Vary"].encode("latin-1"))]}


def _joined(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str:
    return ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == wanted)


def _is_used(request: APIRequest, session: Any) -> bool:
    """Whether the response has to do with the session. To save it by SESSION_SAVE_EVERY_REQUEST alone is a use as well,
    but not one for which a call is refused that has used no cookie.
    """
    use = request.cookie_use
    touched = session.accessed or session.modified or request.unsafe_method is None
    return use.permitted or (touched and not use.refused)


def _with_cookies(request: APIRequest, message: Message) -> Message:
    headers = list(message.get("headers", []))
    response = HttpResponse(status=message["status"])
    if vary := _joined(headers, b"vary"):
        response.headers["Vary"] = vary
    session: Any = vars(request).get("session")
    for middleware in reversed(_middleware()):
        if isinstance(middleware, SessionMiddleware) and session is not None and not _is_used(request, session):
            continue
        if (process := getattr(middleware, "process_response", None)) is not None:
            response = process(request, response)
    kept = [(name, value) for name, value in headers if name.lower() != b"vary"]
    if response.has_header("Vary"):
        kept.append((b"vary", response.headers["Vary"].encode("latin-1")))
    kept += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
    return {**message, "headers": kept}
