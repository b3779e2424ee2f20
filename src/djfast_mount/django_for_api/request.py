"""The Django HttpRequest of an API call.

1. A call that does not ask for it pays nothing. What is made reads nothing from the database before it is touched.
2. Session, user and messages are those of the classes in ``MIDDLEWARE``, a project's own subclasses included.
3. What a call changes in them is saved on the request thread, and the cookies are set, when its response starts:
   whoever made the response, an exception handler or the endpoint.
4. The user that the session cookie names is there for an unsafe request only when that passes Django's CSRF check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, cached_property, partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import set_script_prefix
from django.utils.functional import SimpleLazyObject
from django.utils.log import log_response
from django.utils.module_loading import import_string
from django.utils.translation import get_language_from_request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.django_for_api import csrf
from djfast_mount.exceptions import MountError
from djfast_mount.offload.run import current_source
from djfast_mount.threads.lease import Source

__all__ = [
    "ENFORCE_CSRF_CHECKS",
    "APICall",
    "APIRequest",
    "DjangoRequests",
    "call_of",
    "get_request",
    "http_request",
    "is_taken",
]

ENFORCE_CSRF_CHECKS = "djfast_mount.enforce_csrf_checks"
"""The key in a scope by which a test client says, with False, that CSRF tokens are not to be checked."""

_KEY = "djfast_mount.call"
# Where a call is asked for its request, a websocket's handshake is a GET.
_SCHEMES = {"ws": "http", "wss": "https"}
_CSRF_MIDDLEWARE = "django.middleware.csrf.CsrfViewMiddleware"
_TAKEN_FROM_MIDDLEWARE = {
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    _CSRF_MIDDLEWARE,
}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_PARSES_FORMS = find_spec("python_multipart") is not None
_TOKEN = "csrfmiddlewaretoken"


class APIRequest(ASGIRequest):
    """The HttpRequest of an API call.

    It is what Django's half would have been handed: the prefix of the API belongs to `path_info`. Its body is the
    endpoint's, so `body` raises RawPostDataException and `POST` is empty.
    """

    @cached_property
    def LANGUAGE_CODE(self) -> str:  # type: ignore[override]  # noqa: N802  (Django's name)
        """The language that the client asks for, as LocaleMiddleware finds it. It is not activated."""
        return get_language_from_request(self)


class APICall:
    """What is known of one call: its HttpRequest once that was asked for, and what became of an error."""

    # Most calls change none of these.
    request: APIRequest | None = None
    user: Any = None  # whom a credential other than the session cookie names
    form: FormData | None = None  # read for its CSRF token; to be closed
    reported: BaseException | None = None  # the error that has been logged
    answered: BaseException | None = None  # the error that has been logged, and answered by a whole response
    _refused = False

    def __init__(self, scope: Scope, prefix: str, source: Source | None) -> None:
        self.scope: Scope | None = scope  # as it came, whatever middleware within makes of it; None: it has ended
        self.outer = scope["root_path"].removesuffix(prefix)
        # None once the call has ended, while a task that outlives it may still ask for the request.
        self._source = source if scope["type"] == "http" else None

    def begin(self, request: APIRequest) -> None:
        """Has the response carry the cookies that the call sets."""
        self.request = request
        source = self._source  # Read once: the call may end meanwhile, on its loop.
        if source is not None:
            source.change = self._change

    def end(self) -> None:
        """Lets go of what leads back here: a call that has asked for no request need not wait for the collector."""
        self.scope = None
        if self._source is not None and self.request is not None:
            self._source.change = None
        self._source = None
        if self.reported is not None:
            self.reported = self.answered = None

    def _change(self, message: Message) -> Awaitable[None]:
        source = self._source
        if source is None or self.request is None or self._refused:
            return _nothing()
        if message["type"] == "http.response.start":
            return self._start(source, self.request, message)
        return source.send(message, changed=True)

    async def _start(self, source: Source, request: APIRequest, message: Message) -> None:
        try:
            message = await _finished(request, message)
        except SessionInterrupted as error:
            # As Django answers it. What the app goes on to send belongs to a response that is not to be.
            self._refused = True
            response = HttpResponse(status=400)
            log_response("%s: %s", str(error), request.path, response=response, request=request, exception=error)
            refusal = JSONResponse({"detail": "Bad Request"}, 400)
            await refusal({"type": "http"}, _nothing_to_receive, partial(source.send, changed=True))
        else:
            await source.send(message, changed=True)


class DjangoRequests:
    """ASGI, http and websocket: lets `get_request` make the HttpRequest of each call of `app`, and puts what it changes
    on the response.

    An error that has been logged and answered ends here, so that the server neither logs it again nor closes the
    connection.

    Args:
        app: Served with the request's thread entered.
        prefix: Under which `app` is mounted.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = scope[_KEY] = APICall(scope, self.prefix, current_source())
        if call.outer:
            # As for a view: reverse() puts it in front of a path.
            set_script_prefix(settings.FORCE_SCRIPT_NAME or call.outer)
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if call.answered is not error:
                raise
        finally:
            if call.form is not None:
                await call.form.close()
            call.end()


async def get_request(connection: HTTPConnection) -> HttpRequest:
    """Dependency: the Django HttpRequest of this call, with `session`, `user`, `auser`, messages, META and COOKIES.

    Each is read when it is touched. `session` and `user` want the request thread then: a `def` endpoint or dependency
    is there; an `async def` one uses `auser()` and the session's async methods.

    Raises:
        MountError: The app is not served by `mount()`.
    """
    if settings.CSRF_USE_SESSIONS and settings.SESSION_COOKIE_NAME in connection.cookies:
        # The secret is in the session, and must be known before get_token() would make a new one.
        request = await run_in_threadpool(http_request, connection)
    else:
        request = http_request(connection)
    await take_form_token(connection, request)
    return request


def http_request(connection: HTTPConnection) -> APIRequest:
    """Returns what `get_request` does, to sync code. A second call returns the same one."""
    call = call_of(connection)
    if call is None:
        raise MountError(
            "This call has no Django request: its app is not served by mount(). Test through the application that "
            "mount() returns, or override the dependency by dependency_overrides."
        )
    request = call.request
    if request is None:
        request = _made(call, call.scope or connection.scope)  # A task that outlives its call has the latter.
        call.begin(request)
        if call.user is not None:
            set_user(call, call.user)
    return request


def call_of(connection: HTTPConnection) -> APICall | None:
    """Returns what is known of the call; None when the app is not served by `mount()`."""
    call: APICall | None = connection.scope.get(_KEY)
    return call


async def take_form_token(connection: HTTPConnection, request: HttpRequest) -> None:
    """Puts the CSRF token of a form into `request.POST`, where Django looks for it.

    The body is parsed for it only when the session cookie came with a form and without the token's header. FastAPI has
    parsed the form already where the endpoint has a parameter for it; both parse it once.
    """
    call = call_of(connection)
    if call is None or call.form is not None or not isinstance(connection, Request) or not _wants_form(request):
        return
    call.form = await connection.form()
    token = call.form.get(_TOKEN)
    if isinstance(token, str):
        post = QueryDict(mutable=True)
        post[_TOKEN] = token
        request.POST = post  # type: ignore[assignment]


def _wants_form(request: HttpRequest) -> bool:
    return (
        request.method == "POST"
        and request.content_type in _FORMS
        and settings.SESSION_COOKIE_NAME in request.COOKIES
        and settings.CSRF_HEADER_NAME not in request.META
        and _PARSES_FORMS
    )


# The making -------------------------------------------------------------------------------------------------------


def _made(call: APICall, scope: Scope) -> APIRequest:
    shown = {**scope, "root_path": call.outer, "scheme": _SCHEMES.get(scope["scheme"], scope["scheme"])}
    shown.setdefault("method", "GET")
    del shown[_KEY]  # It leads back to the request.
    try:
        request = APIRequest(shown, BytesIO())
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The query is no UTF-8.") from error
    # As Django's test client does it; no server sets the key.
    request._dont_enforce_csrf_checks = scope.get(ENFORCE_CSRF_CHECKS) is False  # type: ignore[attr-defined]
    request.read()  # Django's own way to say that the body is gone.
    for middleware in _middleware():
        if (process := getattr(middleware, "process_request", None)) is not None:
            process(request)
    if hasattr(request, "auser"):
        _guard(request, csrf.check_origin if scope["type"] == "websocket" else csrf.check)
    return request


def set_user(call: APICall, user: Any) -> None:
    """Makes `user` the user of the call, whatever the session says. No CSRF check is due."""
    call.user = user
    request: Any = call.request
    if request is not None:

        async def auser() -> Any:
            return user

        request.user = user
        request.auser = auser


def _guard(request: Any, check: Callable[[Any], None]) -> None:
    """Has the CSRF check run when the user of the session is asked for."""
    user, auser = request.user, request.auser

    def checked(user: Any) -> Any:
        if user.is_authenticated:
            check(request)
        return user

    async def checked_auser() -> Any:
        return checked(await auser())

    request.user = SimpleLazyObject(lambda: checked(user))
    request.auser = checked_auser


@cache
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


async def _finished(request: APIRequest, message: Message) -> Message:
    session: Any = getattr(request, "session", None)
    messages: Any = getattr(request, "_messages", None)
    renews_token = request.META.get("CSRF_COOKIE_NEEDS_UPDATE", False)
    stores = messages is not None and (messages.used or messages.added_new)
    saves = session is not None and (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)
    if saves or stores or (renews_token and settings.CSRF_USE_SESSIONS):
        return await run_in_threadpool(_with_cookies, request, message)
    if renews_token or (session is not None and session.accessed):
        return _with_cookies(request, message)
    return message


def _with_cookies(request: APIRequest, message: Message) -> Message:
    headers = list(message.get("headers", []))
    response = HttpResponse(status=message["status"])
    if vary := ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == b"vary"):
        response.headers["Vary"] = vary
    for middleware in reversed(_middleware()):
        if (process := getattr(middleware, "process_response", None)) is not None:
            response = process(request, response)
    kept = [(name, value) for name, value in headers if name.lower() != b"vary"]
    if response.has_header("Vary"):
        kept.append((b"vary", response.headers["Vary"].encode("latin-1")))
    kept += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
    return {**message, "headers": kept}


async def _nothing() -> None:
    pass


async def _nothing_to_receive() -> Message:
    raise RuntimeError("A whole response asks for nothing.")


def _forget(**_: object) -> None:
    _middleware.cache_clear()


setting_changed.connect(_forget, dispatch_uid="djfast_mount.django_for_api.request")
