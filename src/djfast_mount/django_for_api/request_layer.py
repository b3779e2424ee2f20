"""The Django HttpRequest of an API call.

1. A call that does not ask for it pays nothing. What is made reads nothing from the database before it is touched.
2. Session, user and messages are those of the classes in ``MIDDLEWARE``, a project's own subclasses included.
3. What a call changes in them is saved on the request thread, and the cookies are set, when its response starts:
   whether an exception handler made the response or the endpoint.
4. What the session cookie brought is there for an unsafe request, or for a websocket, only when that passes Django's
   CSRF check (djfast_mount.django_for_api.session). A request is unsafe if its method was, on its way from the client
   to who asks; the Origin is the client's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.http import HttpRequest, HttpResponse
from django.urls import set_script_prefix
from django.utils.log import log_response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from djfast_mount.django_for_api import csrf
from djfast_mount.django_for_api.http_request import (
    APIRequest,
    is_taken,
    made,
    varied,
    with_changes,
)
from djfast_mount.django_for_api.sent_by_client import SENT, Sent, sent_in
from djfast_mount.exceptions import MountError, original_of
from djfast_mount.offload.current import KEY, Response, current_response
from djfast_mount.security.djangos_middleware import headers_by_name

__all__ = [
    "APICall",
    "APIRequest",
    "DjangoRequests",
    "call_of",
    "current_call",
    "get_request",
    "http_request",
    "is_taken",
    "names_a_user",
    "site_user",
]

_KEY = "djfast_mount.calls"
_LATE = "djfast_mount.call"  # what a task that outlives the call has instead
_OURS = (KEY, _KEY, _LATE, SENT)
_OF_THE_BODY = (b"content-type", b"content-length")


class APICall:
    """What is known of one call: its HttpRequest once that was asked for, and what became of an error."""

    # Most calls change none of these.
    request: APIRequest | None = None
    user: Any = None  # whom a credential other than the session cookie names
    lazy_user: Any = None  # whom the session names, as AuthenticationMiddleware has put it on the request
    site_user: Any = None  # who was on the request before `user` was
    form: FormData | None = None  # read for its CSRF token; to be closed
    reported: BaseException | None = None  # the error that has been logged
    answered: BaseException | None = None  # the error that has been logged, and answered by a whole response
    returned: tuple[Any, Callable[..., Awaitable[None]]] | None = None  # a Django response, and what sends it
    vary: tuple[str, ...] = ()  # the headers by which it was decided who calls
    _watched = False
    _refused = False

    def __init__(self, source: Response | None, outer: str, django_prefix: str, sent: Sent) -> None:
        # None once the call has ended, while a task that outlives it may still ask for the request.
        source = None if source is None or source.over else source
        scope = None if source is None else source.scope
        self.scope: Scope | None = scope  # as it came, whatever middleware within makes of it; None: it has ended
        self.sent = sent
        self.outer = outer
        self.django_prefix = django_prefix
        self._source = source if scope is not None and scope["type"] == "http" else None

    @property
    def script_name(self) -> str:
        """Django's: what its own half would be handed."""
        return settings.FORCE_SCRIPT_NAME or self.outer + self.django_prefix

    def begin(self, request: APIRequest) -> None:
        """Has the response carry the cookies that the call sets."""
        self.request = request
        self._watch()

    def vary_on(self, names: tuple[str, ...]) -> None:
        """Has the response say in its Vary header that it was chosen by the headers `names`."""
        if names != self.vary:
            self.vary = tuple(dict.fromkeys(self.vary + names))
            self._watch()

    def answer_with(self, response: Any, sends: Callable[..., Awaitable[None]]) -> None:
        """Has `response`, which Django code made, sent by `sends` in the place of the app's. Runs on any thread."""
        self.returned = response, sends
        self._watch()

    def take_returned(self) -> Any:
        """Returns the Django response that is to be sent instead of the app's, if there is one: to one caller."""
        returned, self.returned = self.returned, None
        return None if returned is None else returned[0]

    def _watch(self) -> None:
        source = self._source  # Read once: the call may end meanwhile, on its loop.
        if source is not None:
            self._watched = True
            source.change = self._change

    def has_settled(self, error: Exception) -> bool:
        """Whether `error` has been logged, and the client has a whole response: its answer, or what it came after."""
        return self.answered is error or (self.has_whole_response and self.reported is original_of(error))

    @property
    def has_begun_response(self) -> bool:
        """Whether the server has been handed the start of a response."""
        return self._source is not None and self._source.started

    @property
    def has_whole_response(self) -> bool:
        """Whether the server has been handed all of the response."""
        return bool(getattr(self._source, "complete", False))

    async def end(self) -> None:
        """Lets go of what leads back here: a call that has asked for no request need not wait for the collector."""
        if self.form is not None:
            await self.form.close()
        if self.scope is not None:
            self.scope[_LATE] = self
        self.scope = None
        if self._source is not None and self._watched:
            self._source.change = None
        self._source = None
        if self.reported is not None:
            self.reported = self.answered = None

    def _change(self, message: Message) -> Awaitable[None]:
        source = self._source
        if source is None or self._refused:
            return _nothing()
        if message["type"] != "http.response.start":
            return source.send(message, changed=True)
        if self.returned is not None:
            return self._send_returned(self.returned, source, message)
        return self._begin_response(source, message)

    def _begin_response(self, source: Response, message: Message) -> Awaitable[None]:
        if self.request is not None:
            return self._start(source, self.request, message)
        return source.send(varied(message, self.vary), changed=True)

    async def _send_returned(
        self, returned: tuple[Any, Callable[..., Awaitable[None]]], source: Response, start: Message
    ) -> None:
        response, sends = returned
        self.returned = None
        # What the endpoint has set on FastAPI's Response: its cookies, say.
        more = [(name, value) for name, value in start.get("headers", ()) if name.lower() not in _OF_THE_BODY]

        async def send(message: Message) -> None:
            if self._refused:
                return
            if message["type"] == "http.response.start":
                own = [name.lower() for name, _ in message["headers"]]
                missing = [pair for pair in more if pair[0].lower() == b"set-cookie" or pair[0].lower() not in own]
                await self._begin_response(source, {**message, "headers": [*message["headers"], *missing]})
            else:
                await source.send(message, changed=True)

        await sends(response, send)
        self._refused = True

    async def _start(self, source: Response, request: APIRequest, message: Message) -> None:
        try:
            message = await with_changes(request, message)
        except SessionInterrupted as error:
            # Django's own middleware answers 400 here.
            response = HttpResponse(status=400)
            log_response("%s: %s", str(error), request.path, response=response, request=request, exception=error)
            await self._refuse(source, JSONResponse({"detail": "Bad Request"}, 400))
        except csrf.CSRFRefused as error:  # Saving the session was its first use, and so the first CSRF check.
            await self._refuse(source, JSONResponse({"detail": error.detail}, error.status_code))
        else:
            await source.send(varied(message, self.vary), changed=True)

    async def _refuse(self, source: Response, answer: JSONResponse) -> None:
        self._refused = True  # What the app goes on to send belongs to a response that is not to be.
        await answer({"type": "http"}, _nothing_to_receive, partial(source.send, changed=True))


class DjangoSettings(Protocol):
    """What has Django's settings hold for an app: a djfast_mount.django_for_api.settings.DjangoSettings."""

    adds_headers: bool
    changes_calls: bool

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...


class DjangoRequests:
    """ASGI, http and websocket: lets `get_request` make the HttpRequest of each call of `app`, and puts what it changes
    on the response.

    An error that has been logged and answered, or that came after the whole response, ends with the request, so that
    the server neither logs it again nor closes the connection: see `APICall.has_settled`.

    Args:
        app: Served with the request's thread entered.
        prefix: Under which `app` is mounted.
        django_prefix: Under which Django's half is.
        held_to: What has Django's settings hold for `app`. None: no setting does.
    """

    headers = staticmethod(headers_by_name)
    """Makes the headers that the settings add, told whether the call is secure."""

    def __init__(
        self, app: ASGIApp, prefix: str, django_prefix: str = "", held_to: DjangoSettings | None = None
    ) -> None:
        self.app = app
        self.prefix = prefix
        self.django_prefix = django_prefix
        self.held_to = held_to

    @property
    def usual_scope(self) -> Mapping[str, Any]:
        """What the scope of a call has on the shortest way (djfast_mount.routing.mounted.Usual). Its `root_path` is
        `prefix`, and Django's half has no prefix.
        """
        return {_KEY: self}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # A plain function that returns the awaitable: a coroutine of its own would slow every call.
        scope[_KEY] = self
        scope[SENT] = scope.get("method"), tuple(scope["headers"])
        if scope["root_path"] != self.prefix or self.django_prefix:
            outer = scope["root_path"].removesuffix(self.prefix)
            call = scope[KEY].call = APICall(scope[KEY], outer, self.django_prefix, sent_in(scope))
            # As for a view: reverse() puts it in front of a path.
            set_script_prefix(call.script_name)
        return self.usual(scope, receive, send)

    def usual(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI: serves a call whose scope is as `usual_scope` says."""
        held_to = self.held_to
        if held_to is None:
            return self.app(scope, receive, send)
        if held_to.changes_calls:
            return held_to(scope, receive, send)
        # The usual case is decided here: a layer that has nothing but headers to add would slow every call.
        if held_to.adds_headers and (source := scope.get(KEY)) is not None:
            source.headers = self.headers(scope.get("scheme") == "https")
        return self.app(scope, receive, send)

    def call_of(self, scope: Scope) -> APICall:
        """Returns what is known of the call of `scope`. Most calls never ask, so it is made when one does."""
        source: Response | None = scope.get(KEY)
        # On any thread, and at one step: the request must not have two.
        holds = scope if source is None else vars(source)
        name = _LATE if source is None else "call"
        call: APICall | None = holds.get(name)
        if call is None:
            call = holds.setdefault(name, APICall(source, "", self.django_prefix, sent_in(scope)))
        return call


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
    call = call_of(connection)
    if call is not None and call.form is None:
        call.form = await csrf.take_form_token(connection, request)
    if connection.scope["type"] == "websocket" and call is not None and call.user is None:
        _check_handshake(request)
    return request


def _check_handshake(request: HttpRequest) -> None:
    """Refuses a foreign Origin while the answer can still be 403, whatever is read of the session afterwards."""
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        csrf.check_origin(request)


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
        scope = call.scope or connection.scope  # If a task outlives its call, only the connection still has a scope.
        shown = {key: value for key, value in scope.items() if key not in _OURS}
        request = made(shown, call.outer, call.sent.header("origin"))
        request.is_asked_as(call.sent.method)
        call.begin(request)
        call.lazy_user = vars(request).get("user")
        if call.user is not None:
            set_user(call, call.user)
    request.is_asked_as(connection.scope.get("method"))
    return request


def names_a_user(connection: HTTPConnection) -> bool:
    """Whether a middleware or a dependency has put a user of its own on the Django request of the call."""
    call = call_of(connection)
    if call is None or call.request is None:
        return False
    return _site_user(call, call.request) is not call.lazy_user


def site_user(connection: HTTPConnection) -> Any:
    """Returns the user of the Django request, whatever key or token the call has: the session's, or the one that a
    middleware has put in its place.

    Runs on the request thread, where the user is looked up once it is touched. None where settings.MIDDLEWARE has no
    class that sets one.
    """
    call = call_of(connection)
    request = http_request(connection)
    return None if call is None else _site_user(call, request)


def _site_user(call: APICall, request: Any) -> Any:
    user = getattr(request, "user", None)
    return call.site_user if call.user is not None and user is call.user else user


def call_of(connection: HTTPConnection) -> APICall | None:
    """Returns what is known of the call; None when the app is not served by `mount()`."""
    return _call_in(connection.scope)


def current_call() -> APICall | None:
    """Returns what is known of the call that the caller belongs to; None outside of one. Runs on any thread."""
    return _call_in(getattr(current_response(), "scope", {}))


def _call_in(scope: Scope) -> APICall | None:
    calls: DjangoRequests | None = scope.get(_KEY)
    return None if calls is None else calls.call_of(scope)


def set_user(call: APICall, user: Any) -> None:
    """Makes `user` the user of the call, whatever the session says. No CSRF check is due."""
    request: Any = call.request
    if request is not None:

        async def auser() -> Any:
            return user

        if hasattr(request, "user") and request.user is not call.user:
            call.site_user = request.user
        request.user = user
        request.auser = auser
    call.user = user


async def _nothing() -> None:
    pass


async def _nothing_to_receive() -> Message:
    raise RuntimeError("A whole response asks for nothing.")
