"""Middleware around async views: joined to their neighbours, and nothing of it to be seen but the time.

Chains of all kinds of middleware, each of whose methods can be told what to do, are put to `mount()`, to
`mount(django_handler="django")` and to Django's own application. What they answer, log and signal is the same, and so
are the order of the methods and what each of them sees.

Holds `django_half/middleware_methods.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import SyncToAsync, iscoroutinefunction, markcoroutinefunction
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.exceptions import BadRequest, MiddlewareNotUsed, PermissionDenied, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connection, connections
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import clear_url_caches, path
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from api_client import committed_rows
from calls import HOST, Answer, call, http_scope
from djfast_mount import mount
from djfast_mount.threads.lease import Lease
from project.shop.models import Item

DEFAULTS = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

events: list[Any] = []
trail: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("trail", default=())
local = Local()
local.names = ()
# What a method of the middleware at a place does, by place and name.
plan: dict[tuple[int, str], str] = {}

ERRORS: dict[str, Callable[[], BaseException]] = {
    "404": lambda: Http404("no such thing"),
    "403": lambda: PermissionDenied("not you"),
    "400": lambda: BadRequest("odd"),
    "suspicious": lambda: SuspiciousOperation("suspicious"),
    "500": lambda: LookupError("it fails"),
}


class Falsy(HttpResponse):
    """A response that is not true."""

    def __bool__(self) -> bool:
        return False


def act(place: int, method: str, request: HttpRequest, otherwise: Any = None) -> Any:
    """Does what is planned for a method; else returns `otherwise`."""
    name = f"{place} {method}"
    events.append((name, trail.get(), getattr(local, "names", ())))
    trail.set((*trail.get(), name))
    local.names = (*getattr(local, "names", ()), name)
    action = plan.get((place, method))
    if action is None:
        return otherwise
    if action in ERRORS:
        raise ERRORS[action]()
    return ANSWERS[action](request, f"{name} answers")


def page(request: HttpRequest, text: str) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string("a page: {{ text }}"), {"text": text})  # type: ignore[arg-type]


ANSWERS: dict[str, Callable[[HttpRequest, str], Any]] = {
    "answer": lambda _, text: HttpResponse(text, status=418, headers={"X-Answer": text}),
    "fine": lambda _, text: HttpResponse(text),
    "falsy": lambda _, text: Falsy(text),
    "nothing": lambda *_: None,
    "empty": lambda *_: "",
    "page": page,
}


# Kinds of middleware ----------------------------------------------------------------------------------------------


def noted(response: Any, name: str) -> Any:
    if isinstance(response, HttpResponse):
        response.headers["X-Seen"] = f"{response.headers.get('X-Seen', '')} {name}"
    return response


class Placed(MiddlewareMixin):
    """With methods, each of which does what is planned for its place."""

    place = 0


def process_request(self: Any, request: HttpRequest) -> Any:
    return act(self.place, "request", request)


def process_view(self: Any, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
    return act(self.place, "view", request)


def process_exception(self: Any, request: HttpRequest, exception: Exception) -> Any:
    return act(self.place, f"exception {type(exception).__name__}", request)


def process_template_response(self: Any, request: HttpRequest, response: Any) -> Any:
    return act(self.place, "template", request, response)


def process_response(self: Any, request: HttpRequest, response: Any) -> Any:
    return act(self.place, "response", request, noted(response, str(self.place)))


async def async_process_request(self: Any, request: HttpRequest) -> Any:
    return act(self.place, "request", request)


async def async_process_view(self: Any, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
    return act(self.place, "view", request)


def own_call(self: Any, request: HttpRequest) -> Any:
    events.append(f"{self.place} call")
    return MiddlewareMixin.__call__(self, request)


async def own_acall(self: Any, request: HttpRequest) -> Any:
    events.append(f"{self.place} acall")
    return await MiddlewareMixin.__acall__(self, request)  # type: ignore[attr-defined]


def own_acall_of_the_instance(self: Any, get_response: Any) -> None:
    MiddlewareMixin.__init__(self, get_response)
    self.__acall__ = functools.partial(own_acall, self)


def own_get_response(self: Any, get_response: Any) -> None:
    MiddlewareMixin.__init__(self, get_response)

    async def around(request: HttpRequest) -> Any:
        events.append(f"{self.place} get_response")
        return await get_response(request)

    if iscoroutinefunction(get_response):
        self.get_response = around


def not_used(self: Any, get_response: Any) -> None:
    raise MiddlewareNotUsed


METHODS: dict[str, Any] = {
    "process_request": process_request,
    "process_view": process_view,
    "process_response": process_response,
}
WITH_METHODS: dict[str, dict[str, Any]] = {
    "methods": METHODS,
    "request": {"process_request": process_request},
    "view": {"process_view": process_view},
    "response": {"process_response": process_response},
    "exception": {**METHODS, "process_exception": process_exception},
    "template": {**METHODS, "process_template_response": process_template_response},
    "none": {},
    "async request": {**METHODS, "process_request": async_process_request},
    "async view": {**METHODS, "process_view": async_process_view},
    "no function": {**METHODS, "process_request": None},
    "own call": {**METHODS, "__call__": own_call},
    "own acall": {**METHODS, "__acall__": own_acall},
    "own acall of the instance": {**METHODS, "__init__": own_acall_of_the_instance},
    "own get_response": {**METHODS, "__init__": own_get_response},
    "not used": {**METHODS, "__init__": not_used},
    "sync alone": {**METHODS, "async_capable": False},
}


def sync_only(place: int) -> Any:
    def factory(get_response: Callable[[HttpRequest], Any]) -> Any:
        def middleware(request: HttpRequest) -> Any:
            return act(place, "request", request) or act(place, "response", request, get_response(request))

        return middleware

    return factory


def async_only(place: int) -> Any:
    class AsyncOnly:
        sync_capable = False
        async_capable = True

        def __init__(self, get_response: Callable[[HttpRequest], Awaitable[Any]]) -> None:
            self.get_response = get_response
            markcoroutinefunction(self)

        async def __call__(self, request: HttpRequest) -> Any:
            return act(place, "request", request) or act(place, "response", request, await self.get_response(request))

    return AsyncOnly


def either(place: int) -> Any:
    @sync_and_async_middleware
    def factory(get_response: Any) -> Any:
        return (async_only if iscoroutinefunction(get_response) else sync_only)(place)(get_response)

    return factory


KINDS = {"sync only": sync_only, "async only": async_only, "either": either}


def chain(*kinds: str) -> list[str]:
    """Makes middleware of these kinds, outermost first. Returns them as settings.MIDDLEWARE has them."""
    module = sys.modules[__name__]
    names = [f"middleware_{place}" for place in range(len(kinds))]
    for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        if kind in KINDS:
            made = KINDS[kind](place)
        else:
            made = type(f"Placed{place}", (Placed,), {"place": place, **WITH_METHODS[kind]})
        setattr(module, name, made)
    return [f"{__name__}.{name}" for name in names]


# Views ------------------------------------------------------------------------------------------------------------


def where() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "thread"
    return "loop"


@csrf_exempt
async def view(request: HttpRequest) -> Any:
    events.append(("view", trail.get(), getattr(local, "names", ()), get_language(), where()))
    trail.set((*trail.get(), "view"))
    action = plan.get((-1, "view"))
    if action in ERRORS:
        raise ERRORS[action]()
    return ANSWERS[action or "fine"](request, "the view answers")


async def protected(request: HttpRequest) -> HttpResponse:
    events.append("protected view")
    return HttpResponse("let in")


async def orm(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await Item.objects.acount()))


def sync_view(request: HttpRequest) -> HttpResponse:
    events.append(("sync view", trail.get(), where()))
    return HttpResponse(str(Item.objects.count()))


async def remember(request: HttpRequest) -> JsonResponse:
    await request.session.aset("n", await request.session.aget("n", 0) + 1)
    seen = [str(message) for message in get_messages(request)]
    messages.info(request, f"told {len(seen)}")
    return JsonResponse({"n": await request.session.aget("n"), "messages": seen, "user": str(await request.auser())})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            for number in range(3):
                events.append(f"response closed: {response.closed}")
                yield f"{number} {await Item.objects.acount()} {trail.get()}\n"
        finally:
            events.append("stream closed")

    response = StreamingHttpResponse(parts(), content_type="text/plain")
    return response


async def write(request: HttpRequest) -> HttpResponse:
    await Item.objects.acreate(name="written")
    return HttpResponse("written")


async def refused(request: HttpRequest) -> HttpResponse:
    request.close = lambda: events.append("request closed")  # type: ignore[method-assign]
    return HttpResponse("refused", status=409)


async def closing(request: HttpRequest) -> HttpResponse:
    response: Any = HttpResponse("closing")
    response._resource_closers.append(lambda: events.append("closed"))
    return response  # type: ignore[no-any-return]


async def unending(request: HttpRequest) -> HttpResponse:
    _began[-1].set()
    try:
        await asyncio.Event().wait()
    finally:
        events.append(f"view left with {sys.exc_info()[0]}")
    return HttpResponse("never")


def holding(request: HttpRequest) -> HttpResponse:
    _held.set()
    _release.wait(20)
    return HttpResponse("held")


_held, _release = threading.Event(), threading.Event()
_began = [asyncio.Event()]  # the last is set when the unending view has been entered


def failing_500(request: HttpRequest) -> HttpResponse:
    events.append("page of the error")
    raise RuntimeError("the page of the error fails too")


class URLs:
    urlpatterns: list[Any] = [
        path("view/", view),
        path("protected/", protected),
        path("orm/", orm),
        path("sync/", sync_view),
        path("remember/", remember),
        path("stream/", stream),
        path("write/", write),
        path("unending/", unending),
        path("refused/", refused),
        path("closing/", closing),
        path("holding/", holding),
    ]


class FailingPages(URLs):
    handler500 = failing_500


class Elsewhere:
    urlpatterns = [path("protected/", view)]


# What is compared -------------------------------------------------------------------------------------------------

_made: dict[str, ASGIApp] = {}


def apps() -> Mapping[str, ASGIApp]:
    """Made once in a test, of the settings as it has set them by then."""
    if not _made:
        _made["Django's own"] = ASGIHandler()  # type: ignore[assignment]
        _made["joined"] = mount("/api", FastAPI(), static=False)
        _made["Django's own, mounted"] = mount("/api", FastAPI(), static=False, django_handler="django")
    return _made


@pytest.fixture(autouse=True)
def bodies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the bodies that Django's own handler leaves open where an error goes on to the server."""
    read_body = ASGIHandler.read_body
    found: list[Any] = []

    async def reading(handler: Any, receive: Any) -> Any:
        found.append(await read_body(handler, receive))
        return found[-1]

    monkeypatch.setattr(ASGIHandler, "read_body", reading)
    yield
    for body in found:
        body.close()


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = URLs
    settings.MIDDLEWARE = []
    with committed_rows(django_db_blocker):
        yield
    _made.clear()
    plan.clear()
    clear_url_caches()


class Told(logging.Handler):
    """What Django logs and signals meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.exceptions = 0

    def emit(self, record: logging.LogRecord) -> None:
        events.append("logged")
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append(f"{record.name} {record.levelname} {record.getMessage()} {error!r}")

    def count(self, **_: object) -> None:
        self.exceptions += 1

    def __enter__(self) -> Told:
        for name in ("django.request", "django.security"):
            logging.getLogger(name).addHandler(self)
        got_request_exception.connect(self.count)
        return self

    def __exit__(self, *exc: object) -> None:
        for name in ("django.request", "django.security"):
            logging.getLogger(name).removeHandler(self)
        got_request_exception.disconnect(self.count)


def outcome(app: ASGIApp, path: str, root_path: str, headers: Sequence[tuple[bytes, bytes]], method: str) -> Any:
    """All that can be told of one call."""
    events.clear()
    scope = http_scope(root_path + path, root_path=root_path, headers=[*HOST, *headers], method=method)
    answer: Answer | None = None
    raised = None
    with Told() as told:
        try:
            answer = asyncio.run(call(app, scope))
        except Exception as error:
            raised = repr(error)
    return {
        "raised": raised,
        "status": answer and answer.status,
        "headers": answer and sorted(answer.messages[0]["headers"]),
        "body": answer and answer.body,
        "events": list(events),
        "log": told.lines,
        "exceptions": told.exceptions,
    }


def same(path: str, root_path: str, *headers: tuple[bytes, bytes], method: str = "GET") -> dict[str, Any]:
    """What Django's own application makes of a call, once the others have been found to make the same of it."""
    outcomes = {name: outcome(app, path, root_path, headers, method) for name, app in apps().items()}
    expected: dict[str, Any] = outcomes.pop("Django's own")
    for name, found in outcomes.items():
        assert found == expected, name
    return expected


def names(found: dict[str, Any]) -> list[str]:
    return [event if isinstance(event, str) else event[0] for event in found["events"]]


# The same as Django -----------------------------------------------------------------------------------------------

# An async process_request is called and not awaited where the chain is sync, by Django too.
_KINDS = [*["methods"] * 5, *KINDS, *sorted({*WITH_METHODS} - {"async request"})]
_ACTIONS = st.sampled_from([*ERRORS, *ANSWERS])


@given(
    kinds=st.lists(st.sampled_from(_KINDS), max_size=6),
    actions=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["request", "view", "response", "template"]), _ACTIONS),
        max_size=3,
    ),
    of_view=st.sampled_from([None, None, None, "answer", "falsy", "nothing", "page", *ERRORS]),
    of_page=st.sampled_from([URLs, URLs, FailingPages]),
)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_chain_does_what_it_does_under_django(
    kinds: list[str],
    actions: list[tuple[int, str, str]],
    of_view: str | None,
    of_page: type,
    root_path: str,
    settings: Any,
) -> None:
    """Answer, order, contexts, log and signals of any chain are those of Django, whatever its methods and view do."""
    settings.MIDDLEWARE = chain(*kinds)
    settings.ROOT_URLCONF = of_page
    plan.clear()
    plan.update({(place, method): action for place, method, action in actions})
    if of_view is not None:
        plan[-1, "view"] = of_view
    _made.clear()
    same("/view/", root_path)


@pytest.mark.parametrize("kinds", [["methods"] * 2, ["methods", "view", "async only", "methods"]], ids=str)
def test_sync_views(kinds: list[str], root_path: str, settings: Any) -> None:
    """A sync view, and a path without a view, see of their middleware what they see under Django."""
    settings.MIDDLEWARE = chain(*kinds)
    for action in (None, "500", "answer"):
        plan.clear()
        if action:
            plan[1, "view"] = action
        same("/sync/", root_path)
        same("/nowhere/", root_path)


@pytest.mark.parametrize("action", [*ERRORS, *ANSWERS])
@pytest.mark.parametrize("method", ["request", "view", "response"])
def test_what_any_method_does(method: str, action: str, root_path: str, settings: Any) -> None:
    """A method of any of three neighbours that fails, answers or returns something odd has Django's consequences."""
    settings.MIDDLEWARE = chain("methods", "methods", "methods")
    for place in range(3):
        plan.clear()
        plan[place, method] = action
        found = same("/view/", root_path)
        called = [name for name in names(found) if name != "logged"]
        within = [name for name in called if name.endswith("request")]
        if method == "request" and action in (*ERRORS, "answer"):
            assert within == [f"{each} request" for each in range(place + 1)]
            assert called[place + 1 :] == [f"{each} response" for each in reversed(range(place + (action == "answer")))]
        if action == "500":
            assert (found["status"], found["exceptions"]) == (500, 1)
            assert "LookupError" in found["log"][0]


@pytest.mark.parametrize("propagate", [False, True])
@pytest.mark.parametrize("place", [-1, 0, 1, 2])
@pytest.mark.parametrize("method", ["request", "view", "response"])
def test_errors_of_errors(method: str, place: int, propagate: bool, root_path: str, settings: Any) -> None:
    """An error whose page fails is one for the middleware around it, each time with its signal, as under Django."""
    settings.MIDDLEWARE = chain("methods", "methods", "methods")
    settings.ROOT_URLCONF = FailingPages
    settings.DEBUG_PROPAGATE_EXCEPTIONS = propagate
    plan[place, method] = "500"
    found = same("/view/", root_path)
    if place >= 0 or method == "view":
        assert "it fails" in found["raised"] if propagate else "fails too" in found["raised"]


@pytest.mark.parametrize("kind", sorted({*WITH_METHODS, *KINDS} - {"methods", "none"}))
def test_each_kind_among_neighbours(kind: str, root_path: str, settings: Any) -> None:
    """One of any kind between others, outermost or innermost, has its say where Django gives it one."""
    for kinds in (("methods", kind, "methods"), (kind, "methods", "methods"), ("methods", "methods", kind)):
        settings.MIDDLEWARE = chain(*kinds)
        _made.clear()
        found = same("/view/", root_path)
        assert ("view" in names(found)) is (kind not in ("async request", "no function"))


def test_debug_pages(root_path: str, settings: Any) -> None:
    """In DEBUG, too, an error in a method has Django's technical page, told by the error that it is."""
    settings.DEBUG = True
    settings.MIDDLEWARE = chain("methods", "methods")
    for method in ("request", "view", "response"):
        plan.clear()
        plan[1, method] = "500"
        for app in apps().values():
            answer = asyncio.run(call(app, http_scope(f"{root_path}/view/", root_path=root_path)))
            assert (answer.status, b"LookupError" in answer.body, b"it fails" in answer.body) == (500, True, True)


class ElsewhereMiddleware(MiddlewareMixin):
    """Changes what the path leads to: before it is resolved, or too late."""

    def process_request(self, request: HttpRequest) -> None:
        if request.headers.get("X-To") == "urlconf":
            request.urlconf = Elsewhere  # type: ignore[attr-defined]
        if request.headers.get("X-To") == "path":
            request.path_info = "/view/"
        if request.headers.get("X-To") == "nowhere":
            request.path_info = "/nowhere/"

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        events.append((view.__name__, request.resolver_match and request.resolver_match.route))
        if request.headers.get("X-To") == "late":
            request.path_info = "/view/"


@pytest.mark.parametrize(("to", "name"), [("urlconf", "view"), ("path", "view"), ("late", "protected")])
def test_what_a_method_makes_of_the_path(to: str, name: str, root_path: str, settings: Any) -> None:
    """The view is looked for when all process_request methods have run, and before the first process_view method."""
    settings.MIDDLEWARE = [*chain("methods"), f"{__name__}.ElsewhereMiddleware"]
    found = same("/protected/", root_path, (b"x-to", to.encode()))
    assert name in names(found)[2]


def test_a_path_that_a_method_leads_to_nowhere(root_path: str, settings: Any) -> None:
    """A path of a view that process_request makes one of none is answered 404, and no process_view is asked."""
    settings.MIDDLEWARE = [*chain("methods"), f"{__name__}.ElsewhereMiddleware"]
    found = same("/protected/", root_path, (b"x-to", b"nowhere"))
    assert (found["status"], names(found)) == (404, ["0 request", "0 response", "logged"])


class Retrying:
    """Async, and asks for the response twice."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[Any]]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        await self.get_response(request)
        return await self.get_response(request)


class Bare(Retrying):
    """Async, and has its response made without the context of its request."""

    async def __call__(self, request: HttpRequest) -> Any:
        loop = asyncio.get_running_loop()
        return await contextvars.Context().run(loop.create_task, self.get_response(request))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["Retrying", "Bare"])
def test_odd_middleware_around(kind: str, root_path: str, settings: Any) -> None:
    """A middleware may ask for the response again, or from outside of its request's context."""
    settings.MIDDLEWARE = [*chain("methods"), f"{__name__}.{kind}", *chain("methods", "view")[1:], *chain("methods")]
    same("/view/", root_path)


# What middleware sets ---------------------------------------------------------------------------------------------


def test_the_language(root_path: str, settings: Any) -> None:
    """The language that LocaleMiddleware finds is the async view's."""
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", *chain("methods")]
    settings.LANGUAGES = [("de", "Deutsch"), ("en", "English")]
    for language in ("de", "en"):
        found = same("/view/", root_path, (b"accept-language", language.encode()))
        assert [event[3] for event in found["events"] if event[0] == "view"] == [language]
        assert (b"Content-Language", language.encode()) in found["headers"]


token_var: contextvars.ContextVar[str] = contextvars.ContextVar("token_var", default="unset")


class Tokens(MiddlewareMixin):
    """Sets a variable before and puts it back after, by its token; notes its thread."""

    def process_request(self, request: HttpRequest) -> None:
        self.token = token_var.set("set")
        events.append(threading.get_ident())

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        token_var.reset(self.token)
        response["X-Token"] = token_var.get()
        events.append(threading.get_ident())
        return response


def test_a_token_is_good_after_the_view(root_path: str, settings: Any) -> None:
    """What process_request sets, process_response can put back by its token, on the same thread, off the loop's."""
    settings.MIDDLEWARE = [f"{__name__}.Tokens"]
    events.clear()
    answer = asyncio.run(call(apps()["joined"], http_scope(f"{root_path}/orm/", root_path=root_path)))
    assert (answer.status, answer.header("x-token")) == (200, "unset")
    assert len(set(events)) == 1
    assert threading.main_thread().ident not in events


def cookies_of(answer: Answer) -> bytes:
    raw = [value for name, value in answer.messages[0]["headers"] if name.lower() == b"set-cookie"]
    return b"; ".join(value.split(b";")[0] for value in raw)


def test_sessions_messages_and_users(root_path: str, settings: Any) -> None:
    """What an async view puts into the session and into messages is there in the next call; the user is its user."""
    settings.MIDDLEWARE = DEFAULTS
    django = Client()
    django.force_login(User.objects.create_user("ada"))
    for app in apps().values():
        cookie = f"sessionid={django.cookies['sessionid'].value}".encode()
        found = []
        for _ in range(2):
            scope = http_scope(f"{root_path}/remember/", root_path=root_path, headers=[*HOST, (b"cookie", cookie)])
            answer = asyncio.run(call(app, scope))
            found.append(answer.json())
            cookie = b"; ".join([cookies_of(answer), cookie])
        assert [each["n"] for each in found][1] == found[0]["n"] + 1
        assert [each["messages"] for each in found] == [[], ["told 0"]]
        assert {each["user"] for each in found} == {"ada"}


@pytest.mark.parametrize(("token", "status"), [(b"a" * 32, 200), (b"b" * 32, 403), (b"", 403)])
def test_tokens_against_forgery(token: bytes, status: int, root_path: str, settings: Any) -> None:
    """CsrfViewMiddleware refuses a call without its token before the async view is entered, and lets one with it in."""
    settings.MIDDLEWARE = DEFAULTS
    headers = [(b"cookie", b"csrftoken=" + b"a" * 32), (b"x-csrftoken", token)]
    found = same("/protected/", root_path, *headers, method="POST")
    assert found["status"] == status
    assert ("protected view" in found["events"]) is (status == 200)


def test_atomic_requests(root_path: str, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """With ATOMIC_REQUESTS an async view is refused as by Django, and nothing is written."""
    settings.MIDDLEWARE = [*DEFAULTS, *chain("methods", "exception")]
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    connections.close_all()
    found = same("/write/", root_path)
    assert (found["status"], found["exceptions"]) == (500, 1)
    assert not Item.objects.exists()


class LeavesOpen(MiddlewareMixin):
    """Leaves a transaction open before the view, and commits after it."""

    def process_request(self, request: HttpRequest) -> None:
        self.before = connection.get_autocommit()
        connection.set_autocommit(False)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        connection.commit()
        connection.set_autocommit(self.before)
        return response


def test_a_transaction_around_the_view(root_path: str, settings: Any) -> None:
    """A transaction that process_request begins is the view's, and process_response commits it."""
    settings.MIDDLEWARE = [f"{__name__}.LeavesOpen", *chain("methods")]
    for number, app in enumerate(apps().values()):
        asyncio.run(call(app, http_scope(f"{root_path}/write/", root_path=root_path)))
        assert Item.objects.count() == number + 1


# Streams, and clients that leave ----------------------------------------------------------------------------------


def test_a_stream_of_an_async_view(root_path: str, settings: Any) -> None:
    """A streamed response passes through the methods before its first part is drawn, and is closed after its last."""
    settings.MIDDLEWARE = [*DEFAULTS, *chain("methods", "methods")]
    found = same("/stream/", root_path)
    assert (found["body"][:4], names(found)[-1]) == (b"0 0 ", "stream closed")


def test_a_response_that_is_logged(root_path: str, settings: Any) -> None:
    """What is logged of a request is read before the request is closed."""
    settings.MIDDLEWARE = chain("methods", "methods")
    assert names(same("/refused/", root_path))[-2:] == ["logged", "request closed"]


def test_a_client_that_leaves(root_path: str, settings: Any) -> None:
    """The view of a client that leaves is cancelled; no method hears of it, and both signals have been sent."""
    settings.MIDDLEWARE = [*DEFAULTS, *chain("methods", "exception")]
    for name, app in apps().items():
        events.clear()
        signals: list[str] = []
        _began.append(asyncio.Event())
        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[Message] = []

        async def receive(requests: list[Message] = requests) -> Message:
            if requests:
                return requests.pop()
            await _began[-1].wait()
            return {"type": "http.disconnect"}

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        def started(signals: list[str] = signals, **_: object) -> None:
            signals.append("started")

        def finished(signals: list[str] = signals, **_: object) -> None:
            signals.append("finished")

        request_started.connect(started)
        request_finished.connect(finished)
        try:
            asyncio.run(asyncio.wait_for(app_call(app, f"{root_path}/unending/", root_path, receive, send), 20))
        finally:
            request_started.disconnect(started)
            request_finished.disconnect(finished)
        assert sent == []
        assert [event for event in events if "response" in event[0] or isinstance(event, str)] == [
            f"view left with {asyncio.CancelledError}"
        ], name
        if name != "Django's own":  # Which sends no request_finished then.
            assert signals == ["started", "finished"], name


async def app_call(app: ASGIApp, path: str, root_path: str, receive: Any, send: Any) -> None:
    await app(http_scope(path, root_path=root_path), receive, send)


@pytest.mark.parametrize("kinds", [["methods"] * 2, ["async only", "methods"], ["view"], []], ids=str)
def test_no_thread_comes_free(kinds: list[str], root_path: str, settings: Any) -> None:
    """An async view that gets no thread in time is answered 503, whatever its middleware, and that is no error."""
    settings.MIDDLEWARE = chain(*kinds)
    app = mount("/api", FastAPI(), static=False, threads=1, wait_timeout=0.05)
    _held.clear()
    _release.clear()

    async def exchange() -> tuple[Answer, list[Any]]:
        held = asyncio.create_task(call(app, http_scope(f"{root_path}/holding/", root_path=root_path)))
        try:
            await asyncio.to_thread(_held.wait, 20)
            events.clear()
            answer = await call(app, http_scope(f"{root_path}/protected/", root_path=root_path))
            return answer, list(events)
        finally:
            _release.set()
            await held

    with Told() as told:
        refused, seen = asyncio.run(exchange())
    assert (refused.status, refused.header("retry-after") is not None) == (503, True)
    assert (seen, told.exceptions, told.lines) == ([], 0, [])


# How many calls ---------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that go to a request thread."""
    found: list[Any] = []
    submit = Lease.submit

    def counting(lease: Lease, made: Any) -> None:
        found.append(made)
        submit(lease, made)

    monkeypatch.setattr(Lease, "submit", counting)
    return found


@pytest.mark.parametrize(
    ("kinds", "path", "count"),
    [
        ([], "/protected/", 2),  # the begin of the spell, and its end
        (["none", "none"], "/protected/", 2),
        (["methods"] * 6, "/protected/", 2),
        (["request"] * 3, "/protected/", 2),
        (["response"] * 3, "/protected/", 2),
        (["view"] * 3, "/protected/", 3),
        (["request", "async only", "request"], "/protected/", 3),
        (["methods", "not used", "methods"], "/protected/", 2),
        (["not used", "methods", "methods"], "/protected/", 2),
        (["methods", "methods", "not used"], "/protected/", 2),
        (["methods", "not used", "methods", "not used", "methods"], "/protected/", 2),
        (["methods", "async only", "methods"], "/protected/", 4),
        (["async only", "methods", "methods"], "/protected/", 4),
        (["methods"] * 3, "/orm/", 3),
        (["methods"] * 3, "/sync/", 1),
    ],
    ids=str,
)
def test_how_many_calls(
    kinds: list[str], path: str, count: int, root_path: str, calls: list[Any], settings: Any
) -> None:
    """Neighbours make one call of the request thread before the view and one after it, however many they are."""
    settings.MIDDLEWARE = chain(*kinds)
    outcome(apps()["joined"], path, root_path, (), "GET")  # The first makes the chain, in a call of its own.
    calls.clear()
    found = outcome(apps()["joined"], path, root_path, (), "GET")
    assert (found["status"], len(calls)) == (200, count)


def test_the_calls_of_djangos_defaults(root_path: str, calls: list[Any], settings: Any) -> None:
    """With the middleware of Django's project template an async view costs two calls of the request thread."""
    settings.MIDDLEWARE = DEFAULTS
    outcome(apps()["joined"], "/protected/", root_path, (), "GET")  # The first makes the chain, in a call of its own.
    for url, count in (("/protected/", 2), ("/orm/", 3)):
        calls.clear()
        assert outcome(apps()["joined"], url, root_path, (), "GET")["status"] == 200
        assert len(calls) == count


async def noting_what_is_sent(app: ASGIApp, path: str, root_path: str) -> None:
    scope = http_scope(root_path + path, root_path=root_path)
    await call(app, scope, note=lambda message: events.append("sent"))


def test_a_receiver_of_request_finished_comes_after_the_response(root_path: str, settings: Any) -> None:
    """Where a project listens to request_finished, it hears it when the response has been sent, as with Django."""
    settings.MIDDLEWARE = chain("methods")

    def receive_signal(**_: object) -> None:
        events.append("finished")

    request_finished.connect(receive_signal)
    try:
        for app in apps().values():
            events.clear()
            asyncio.run(noting_what_is_sent(app, "/protected/", root_path))
            assert events[-3:] == ["sent", "sent", "finished"]
    finally:
        request_finished.disconnect(receive_signal)


def test_what_a_response_closes(root_path: str, settings: Any) -> None:
    """What a response has of its own to be closed is closed when it has been sent, as with Django."""
    settings.MIDDLEWARE = chain("methods")
    for app in apps().values():
        events.clear()
        asyncio.run(noting_what_is_sent(app, "/closing/", root_path))
        assert events[-3:] == ["sent", "sent", "closed"]


# Names that are not public ----------------------------------------------------------------------------------------


def loaded(*kinds: str, settings: Any) -> BaseHandler:
    settings.MIDDLEWARE = chain(*kinds)
    handler = BaseHandler()
    handler.load_middleware(is_async=True)
    return handler


def test_what_a_middleware_is_given_is_named_as_djangos() -> None:
    """A middleware finds on its get_response what Django's converter puts there: the one within, and its attributes."""

    async def inner(request: HttpRequest) -> Any:
        return None

    middleware = Placed(inner)
    link: Any = convert_exception_to_response(middleware)  # type: ignore[arg-type]
    assert (link.__wrapped__, link.get_response, link.async_mode) == (middleware, inner, True)


def test_get_response_is_as_djangos(root_path: str, settings: Any) -> None:
    """get_response of a joined middleware leads to the one within it, as in Django's chain."""
    found = []

    class Looking(Placed):
        def __init__(self, get_response: Any) -> None:
            super().__init__(get_response)
            attributes = {name for name in vars(get_response) if not name.startswith("_")}
            if iscoroutinefunction(get_response):
                found.append((type(get_response.__wrapped__).__name__, attributes))

    settings.MIDDLEWARE = chain("methods", "methods")
    globals()["middleware_0"] = Looking
    for app in apps().values():
        asyncio.run(call(app, http_scope(f"{root_path}/protected/", root_path=root_path)))
    assert found == [("Placed1", {"get_response", "async_mode"})] * 3


def test_djangos_links_are_known(settings: Any) -> None:
    """Django's converter makes one function of all that is async, around what __wrapped__ says."""

    async def one(request: HttpRequest) -> Any:
        return None

    class Two:
        def __init__(self) -> None:
            markcoroutinefunction(self)

    links: list[Any] = [convert_exception_to_response(each) for each in (one, Two())]  # type: ignore[arg-type]
    assert links[0].__code__ is links[1].__code__
    assert links[0].__wrapped__ is one


def test_the_names_of_a_chain(settings: Any) -> None:
    """BaseHandler has its chain in _middleware_chain, around _get_response_async, and its hooks in _view_middleware."""
    handler: Any = loaded("methods", "async view", settings=settings)
    assert handler._middleware_chain.__wrapped__.place == 0
    inner = handler._middleware_chain.__wrapped__.get_response.__wrapped__.get_response
    assert inner.__wrapped__ == handler._get_response_async
    kinds = [type(hook) for hook in handler._view_middleware]
    assert kinds[0] is SyncToAsync
    assert kinds[1] is not SyncToAsync
    assert handler._view_middleware[0].func.__self__ is handler._middleware_chain.__wrapped__


def test_the_view_is_looked_for_before_the_hooks(settings: Any) -> None:
    """_get_response_async calls resolve_request() once, and then what is in _view_middleware, in its order."""
    handler: Any = loaded(settings=settings)
    seen: list[str] = []
    resolve = handler.resolve_request

    def resolving(request: HttpRequest) -> Any:
        seen.append("resolve")
        return resolve(request)

    async def hook(request: HttpRequest, *args: Any) -> HttpResponse:
        seen.append("hook")
        return HttpResponse("stopped")

    handler.resolve_request = resolving
    handler._view_middleware = [hook]
    request = HttpRequest()
    request.path_info = "/view/"
    asyncio.run(handler._get_response_async(request))
    assert seen == ["resolve", "hook"]


def test_the_names_of_a_middleware_with_methods() -> None:
    """MiddlewareMixin notes its mode in async_mode, and does its async work in __acall__."""

    async def inner(request: HttpRequest) -> Any:
        return "response"

    middleware: Any = Placed(inner)
    assert vars(middleware)["async_mode"] is True
    assert asyncio.run(middleware.__acall__(HttpRequest())) == "response"
