"""Django's half, through the front door, compared with what Django's own ASGI handler answers.

Each case is put to three apps: `mount()`, `mount(django_handler="django")` and Django's own application. What they
send, what they leave in the database, and which views, hooks and receivers they call where, is the same.

Holds `django_half/fresh_templates.py`, `django_half/serving.py` and `django_half/view_guess.py`.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django import urls
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import clear_url_caches
from fastapi import FastAPI
from starlette.types import ASGIApp, Message

import handler_site
from api_client import committed_rows
from calls import Answer, call, http_scope
from djfast_mount import mount
from djfast_mount.offload import iterator_items
from djfast_mount.threads.lease import Lease
from handler_site import events
from project.shop.models import Item

# Django's own handler warns of a sync iterator, which it collects.
pytestmark = [
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning"),
    pytest.mark.long,
]

SITE = "handler_site"
FORM = {"content-type": "application/x-www-form-urlencoded"}
BOUNDARY = {"content-type": "multipart/form-data; boundary=B"}

DEFAULTS = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
HOOKS = [f"{SITE}.OuterHooks", f"{SITE}.Hooks"]
MIDDLEWARE = {
    "none": [],
    "defaults and hooks": [*DEFAULTS, *HOOKS],
    "sync only": [f"{SITE}.sync_only", *HOOKS],
    "async only": [f"{SITE}.AsyncOnly", *HOOKS],
    "mixed": [f"{SITE}.either", f"{SITE}.AsyncOnly", f"{SITE}.sync_only", *HOOKS, f"{SITE}.either"],
}


_made: dict[str, ASGIApp] = {}


def apps() -> dict[str, ASGIApp]:
    """Made once in a test, of the settings as it has set them by then."""
    if not _made:
        _made["Django's own"] = ASGIHandler()  # type: ignore[assignment]
        _made["one hop"] = mount("/api", FastAPI(), static=False)
        _made["Django's own, mounted"] = mount("/api", FastAPI(), static=False, django_handler="django")
    return _made


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = handler_site.URLs
    settings.MIDDLEWARE = DEFAULTS
    with committed_rows(django_db_blocker):
        yield
    _made.clear()
    clear_url_caches()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def told(message: Message) -> Any:
    """A message without what differs by chance: times and tokens."""
    if message["type"] == "http.response.start":
        pairs = [f"{name.decode().lower()}: {value.decode('latin-1')}" for name, value in message["headers"]]
        headers = sorted(re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "<time>", pair) for pair in pairs)
        return message["status"], [re.sub(r"=\w{32,}", "=<token>", pair) for pair in headers]
    return None


class Signals:
    """How often each signal of Django's was sent."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("started", "finished", "exception"), 0)
        self._receivers = {
            request_started: self._counting("started"),
            request_finished: self._counting("finished"),
            got_request_exception: self._counting("exception"),
        }

    def _counting(self, name: str) -> Callable[..., None]:
        def count(**_: object) -> None:
            self.counts[name] += 1

        return count

    def __enter__(self) -> Signals:
        for signal, receiver in self._receivers.items():
            signal.connect(receiver)
        return self

    def __exit__(self, *exc: object) -> None:
        for signal, receiver in self._receivers.items():
            signal.disconnect(receiver)


def outcome(app: ASGIApp, path: str, root_path: str, case: dict[str, Any]) -> dict[str, Any]:
    """All that can be told of one call."""
    events.clear()
    Item.objects.all().delete()
    Item.objects.create(name="there")
    headers = [(b"host", b"testserver")]
    headers += [(name.lower().encode(), value.encode()) for name, value in case.get("headers", {}).items()]
    bare, _, query = path.partition("?")
    scope = http_scope(
        root_path + bare,
        root_path=root_path,
        method=case.get("method", "GET"),
        headers=headers,
        query_string=case.get("query", query.encode()),
    )
    with Signals() as signals:
        try:
            answer: Answer = asyncio.run(call(app, scope, *case.get("body", ())))
        except Exception as error:
            return {"raised": repr(error), "events": list(events), "exceptions": signals.counts["exception"]}
    [start, *rest] = answer.messages
    bodies = [len(message.get("body", b"")) for message in rest] if case.get("parts") else None
    text = re.sub(r"value=\"\w{32,}\"|[\"']\w{32,}[\"']", "<token>", answer.body.decode("latin-1"))
    return {
        "start": told(start),
        "body": text,
        "parts": bodies,
        "events": list(events),
        "items": sorted(Item.objects.values_list("name", flat=True)),
        "signals": signals.counts,
    }


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """`found`, but how often the signals came: a response that is sent in parts may be more than one spell."""
    if "signals" not in found:
        return found
    signals = found["signals"]
    assert signals["started"] > 0
    assert signals["finished"] == signals["started"]
    return found | {"signals": signals["exception"]}


def same(path: str, root_path: str, **case: Any) -> dict[str, Any]:
    """What Django's own application makes of a call, once the others have been found to make the same of it."""
    outcomes = {name: outcome(app, path, root_path, case) for name, app in apps().items()}
    expected = outcomes.pop("Django's own")
    if not case.get("parts"):
        assert outcomes["one hop"] == expected
    for name, found in outcomes.items():
        assert comparable(found) == comparable(expected), name
    return expected


CASES: dict[str, dict[str, Any]] = {
    "sync/": {},
    "async/": {},
    "sync/?a=1&a=%C3%A4": {},
    "sync": {},
    "async": {},
    "nowhere/": {},
    "nowhere": {},
    "%2e%2e/": {},
    "cookies/": {"headers": {"cookie": "three=3; bad"}},
    "sync/user/": {},
    "async/user/": {},
    "sync/class/": {},
    "async/class/": {},
    "sync/cached/": {},
    "async/cached/": {},
    "sync/gzip/": {},
    "sync/condition/": {},
    "async/condition/": {},
    "redirect/": {},
    "links/": {},
    "old/sync/": {},
    "module/echo/": {},
    "included/sync/7/": {},
    "included/async/seven/": {},
    "included/sync/seven/": {},
    "sync/file/": {"parts": True},
    "async/file/": {"parts": True},
    "sync/large/": {"parts": True},
    "sync/template/": {},
    "async/template/": {},
    "sync/nothing/": {},
    "async/nothing/": {},
    "sync/async-stream/": {"parts": True},
    "async/stream/": {"parts": True},
    **{f"{kind}/error/{name}/": {} for kind in ("sync", "async") for name in handler_site.ERRORS},
    **{f"sync/write/{status}/": {} for status in (200, 400, 500)},
    "sync/write/fail/": {},
    "async/write/200/": {},
}


@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_it_answers_as_djangos_own_handler(middleware: str, root_path: str, settings: Any) -> None:
    """Whatever the view and the middleware, answer, writes, hooks and signals are those of Django's own handler."""
    settings.MIDDLEWARE = MIDDLEWARE[middleware]
    if not any("Auth" in path for path in settings.MIDDLEWARE):
        cases = {path: case for path, case in CASES.items() if "user" not in path}
    else:
        cases = CASES
    for path, case in cases.items():
        same(f"/{path}", root_path, **case)


HEADERS: dict[str, dict[str, Any]] = {
    "HEAD of a sync view": {"url": "sync/", "method": "HEAD"},
    "HEAD of an async view": {"url": "async/", "method": "HEAD"},
    "HEAD of a file": {"url": "sync/file/", "method": "HEAD"},
    "OPTIONS of a sync class": {"url": "sync/class/", "method": "OPTIONS"},
    "OPTIONS of an async class": {"url": "async/class/", "method": "OPTIONS"},
    "PUT to a sync class": {"url": "sync/class/", "method": "PUT"},
    "PUT to an async class": {"url": "async/class/", "method": "PUT"},
    "GET where POST is wanted, sync": {"url": "sync/post/"},
    "GET where POST is wanted, async": {"url": "async/post/"},
    "POST where POST is wanted, sync": {"url": "sync/post/", "method": "POST"},
    "POST where POST is wanted, async": {"url": "async/post/", "method": "POST"},
    "an odd method": {"url": "sync/", "method": "BREW"},
    "gzip": {"url": "sync/gzip/", "headers": {"accept-encoding": "gzip"}, "length": True},
    "not modified, sync": {"url": "sync/condition/", "headers": {"if-none-match": '"abc"'}},
    "not modified, async": {"url": "async/condition/", "headers": {"if-none-match": '"abc"'}},
    "an unknown host": {"url": "sync/", "headers": {"x-forwarded-host": "evil.example"}},
    "a token that is missing": {"url": "sync/", "method": "POST"},
    "a token that is missing, async": {"url": "async/", "method": "POST"},
    "a token": {
        "url": "sync/class/",
        "method": "POST",
        "headers": {"cookie": "csrftoken=" + "a" * 32, "x-csrftoken": "a" * 32},
    },
    "a token, async": {
        "url": "async/class/",
        "method": "POST",
        "headers": {"cookie": "csrftoken=" + "a" * 32, "x-csrftoken": "a" * 32},
    },
    "a query that is no text": {"url": "sync/", "query": b"a=\xff"},
    "a query that is no text, async": {"url": "async/", "query": b"a=\xff"},
    **{
        f"stopped in {where}, {kind}": {"url": f"{kind}/", "headers": {"x-stop": where}}
        for where in ("request", "view")
        for kind in ("sync", "async")
    },
    **{
        f"a middleware that fails, {name}, {kind}": {"url": f"{kind}/", "headers": {"x-raise": name}}
        for name in ("hooks", "outer")
        for kind in ("sync", "async")
    },
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in HEADERS.items() if "length" not in case]
)
def test_methods_and_headers(case: dict[str, Any], root_path: str, settings: Any) -> None:
    """Methods, conditions, tokens and middleware that answers early or fails are as with Django's own handler."""
    settings.MIDDLEWARE = MIDDLEWARE["defaults and hooks"]
    same("/" + case["url"], root_path, **case)


def test_a_page_in_gzip(root_path: str) -> None:
    """A view's own compression comes through: the length is by chance, for gzip_page pads it against BREACH."""
    answer = asyncio.run(
        call(
            apps()["one hop"],
            http_scope(
                f"{root_path}/sync/gzip/",
                root_path=root_path,
                headers=[(b"host", b"testserver"), (b"accept-encoding", b"gzip")],
            ),
        )
    )
    assert answer.header("content-encoding") == "gzip"
    assert len(answer.body) == int(answer.header("content-length") or 0) < 10_000


@pytest.mark.parametrize("path", ["/sync/large/", "/sync/gzip/"])
def test_a_large_page_is_one_spell(path: str, root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is sent in parts, and is no stream, has each signal once, however long its parts take."""

    def rest_for_long(self: Lease) -> None:
        rest(self)
        time.sleep(0.02)  # The worker does meanwhile whatever it was asked for.

    rest = Lease.let_go_between_calls
    monkeypatch.setattr(Lease, "let_go_between_calls", rest_for_long)
    found = outcome(apps()["one hop"], path, root_path, {})
    assert len(found["body"]) == 200_000
    assert found["signals"] == {"started": 1, "finished": 1, "exception": 0}


# Sessions and users -----------------------------------------------------------------------------------------------


def test_the_user(kind: str, root_path: str) -> None:
    """request.user in a sync view and request.auser() in an async one are the session's user."""
    django = Client()
    django.force_login(User.objects.create_user("ada"))
    cookie = {"cookie": f"sessionid={django.cookies['sessionid'].value}"}
    found = same(f"/{kind}/user/", root_path, headers=cookie)
    assert '"user": "ada"' in found["body"]
    assert '"user": "AnonymousUser"' in same(f"/{kind}/user/", root_path)["body"]


def test_the_lazy_user_in_an_async_view(root_path: str) -> None:
    """request.user, touched in an async view when the session has to be read, is an error, as with Django."""
    django = Client()
    django.force_login(User.objects.create_user("ada"))
    cookie = {"cookie": f"sessionid={django.cookies['sessionid'].value}"}
    assert same("/async/user-in-async/", root_path, headers=cookie)["start"][0] == 500


def test_the_session(kind: str, root_path: str) -> None:
    """What a view puts into the session is saved, and the cookie set."""
    start, headers = same(f"/{kind}/session/", root_path)["start"]
    assert start == 200
    assert any(header.startswith("set-cookie: sessionid=<token>") for header in headers)


# Transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kept", "committed"),
    [
        ("sync/write/200/", ["there", "written True"], True),
        ("sync/write/500/", ["there", "written True"], True),
        ("sync/write/fail/", ["there"], False),
        ("sync/write-outside/fail/", ["there", "written False"], True),
        ("async/write/200/", ["there"], False),
        ("async/write-outside/200/", ["there", "written by an async view"], False),
    ],
)
@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_atomic_requests(
    path: str,
    kept: list[str],
    committed: bool,
    middleware: str,
    root_path: str,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    """ATOMIC_REQUESTS commits and rolls back, spares who is exempt, and refuses async views, as Django's own does."""
    settings.MIDDLEWARE = MIDDLEWARE[middleware]
    # A connection takes its settings when it is made, and Django's handler reads them from it.
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    connections.close_all()
    found = same("/" + path, root_path)
    assert found["items"] == kept
    assert ("committed" in found["events"]) is committed
    assert (found["start"][0] == 500) is (
        path in ("async/write/200/", "sync/write/fail/") or "/500/" in path or path == "sync/write-outside/fail/"
    )


# What was guessed wrongly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["other_urlconf", "other_path"])
@pytest.mark.parametrize("others", [[], ["sync_only"], ["AsyncOnly"], ["Hooks", "sync_only"]], ids=str)
def test_a_wrong_guess_costs_time_alone(kind: str, by: str, others: list[str], root_path: str, settings: Any) -> None:
    """A middleware that leads a sync path to an async view, or the other way round, is followed, as with Django."""
    settings.MIDDLEWARE = [f"{SITE}.{name}" for name in (*others, by, *others)]
    other = {"sync": "async", "async": "sync"}[kind]
    headers = {"x-urlconf": "1"} if by == "other_urlconf" else {"x-path": f"/{other}/"}
    found = same(f"/{kind}/", root_path, headers=headers)
    assert f'"on": "{"thread" if other == "sync" else "loop"}"' in found["body"]


def test_a_path_of_another_urlconf_alone(root_path: str, settings: Any) -> None:
    """What only the request's own URLconf has is found, and what only the root's has is not."""
    settings.MIDDLEWARE = [f"{SITE}.other_urlconf"]
    assert same("/only-here/", root_path, headers={"x-urlconf": "1"})["start"][0] == 200
    assert same("/only-here/", root_path)["start"][0] == 404
    assert same("/links/", root_path, headers={"x-urlconf": "1"})["start"][0] == 404


@pytest.mark.parametrize("language", ["de", "en", "fr"])
@pytest.mark.parametrize("path", ["here", "de/{kind}/here", "en/{kind}/here", "{kind}/here"])
def test_languages(kind: str, path: str, language: str, root_path: str, settings: Any) -> None:
    """i18n_patterns go with the language that LocaleMiddleware finds, in the path or in the header."""
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", "django.middleware.common.CommonMiddleware"]
    settings.LANGUAGES = [("de", "Deutsch"), ("en", "English")]
    found = same(f"/{path.format(kind=kind)}/", root_path, headers={"accept-language": language})
    if path == "de/{kind}/here":
        assert '"language": "de"' in found["body"]
    if path == "{kind}/here":
        assert found["start"][0] == 302
    # A second time, when the resolvers of both languages are there.
    same(f"/{path.format(kind=kind)}/", root_path, headers={"accept-language": language})


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("path", ["{kind}/there", "de/{kind}/there", "fr/{kind}/there"])
def test_a_path_of_another_meaning(kind: str, path: str, language: str, root_path: str, settings: Any) -> None:
    """A path that leads elsewhere in the language that LocaleMiddleware finds, leads there."""
    settings.ROOT_URLCONF = handler_site.Unprefixed
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    settings.LANGUAGES = [("de", "Deutsch"), ("en", "English")]
    settings.LANGUAGE_CODE = "en"
    found = same(f"/{path.format(kind=kind)}/", root_path, headers={"accept-language": language})
    if path.startswith("de"):
        assert '"kwargs": {}' in found["body"]


def test_a_converter_of_the_projects_own(kind: str, root_path: str, settings: Any) -> None:
    """A path converter that looks at what middleware has set gives the view what it gives it under Django."""
    settings.ROOT_URLCONF = handler_site.OwnConverters
    settings.MIDDLEWARE = [f"{SITE}.sync_only"]
    found = same(f"/{kind}/tenant/book/", root_path, headers={"x-tenant": "acme"})
    assert "book of acme" in found["body"]


def test_a_resolver_that_asks_the_database(kind: str, root_path: str, settings: Any) -> None:
    """A path converter may use the ORM, before a view of either kind, as under WSGI.

    Django's own ASGI handler resolves on the event loop, where that is an error.
    """
    settings.ROOT_URLCONF = handler_site.OwnConverters
    app = apps()["one hop"]
    found = outcome(app, f"/{kind}/item/there/", root_path, {})
    assert (found["start"][0], '"name": "there"' in found["body"]) == (200, True)
    assert found["events"] == [f"view on the {'loop' if kind == 'async' else 'thread'}"]
    assert outcome(app, f"/{kind}/item/elsewhere/", root_path, {})["start"][0] == 404


# Bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts", [(b"a=1&b=2",), (b"a=1", b"&b", b"=2"), (b"", b"a=1&b=2", b"")], ids=["whole", "parts", "empty parts"]
)
def test_a_body(kind: str, parts: tuple[bytes, ...], root_path: str) -> None:
    """A body is read as a form or as bytes, however it comes."""
    found = same(f"/{kind}/body/", root_path, method="POST", headers=FORM, body=parts)
    assert '"post": {"a": "1", "b": "2"}' in found["body"]
    same(f"/{kind}/body/", root_path, method="POST", headers={"content-type": "text/plain"}, body=parts)


@pytest.mark.parametrize(
    ("setting", "limit"), [("DATA_UPLOAD_MAX_MEMORY_SIZE", 5), ("DATA_UPLOAD_MAX_NUMBER_FIELDS", 1)]
)
def test_limits_of_django(kind: str, setting: str, limit: int, root_path: str, settings: Any) -> None:
    """DATA_UPLOAD_MAX_MEMORY_SIZE and DATA_UPLOAD_MAX_NUMBER_FIELDS refuse what they refuse under Django's handler."""
    setattr(settings, setting, limit)
    found = same(f"/{kind}/body/", root_path, method="POST", headers=FORM, body=(b"a=1&b=2",))
    assert found["start"][0] in (400, 413)


def multipart(size: int) -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="t"\r\n\r\nv\r\n'
    head += b'--B\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n'
    return head + b"z" * size + b"\r\n--B--\r\n"


@pytest.mark.parametrize("handlers", ["MemoryFileUploadHandler", "TemporaryFileUploadHandler"])
@pytest.mark.parametrize("quota", [False, True])
@pytest.mark.parametrize("size", [5, 5000])
def test_upload_handlers(kind: str, handlers: str, quota: bool, size: int, root_path: str, settings: Any) -> None:
    """FILE_UPLOAD_HANDLERS, and handlers that a view adds for itself, take the files of a form."""
    settings.FILE_UPLOAD_HANDLERS = [f"django.core.files.uploadhandler.{handlers}"]
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = multipart(size)
    headers = BOUNDARY | {"content-length": str(len(body))} | ({"x-quota": "1"} if quota else {})
    found = same(f"/{kind}/upload/", root_path, method="POST", headers=headers, body=(body[:60], body[60:]))
    assert ("over quota" in found["events"]) is (quota and size > 10)
    assert ('"f"' in found["body"]) is not ((quota and size > 10) or (handlers[0] == "M" and size > 1000))


def test_a_client_that_leaves_while_it_sends(kind: str, root_path: str) -> None:
    """A client that goes away in the middle of its body gets nothing, and no view is called."""
    for app in apps().values():
        events.clear()
        messages: list[Message] = [
            {"type": "http.request", "body": b"a=1", "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Message] = []

        async def receive(messages: list[Message] = messages) -> Message:
            return messages.pop(0)

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        scope = http_scope(f"{root_path}/{kind}/body/", root_path=root_path, method="POST")
        with Signals() as signals:
            asyncio.run(app(scope, receive, send))
        assert (sent, events, signals.counts["exception"]) == ([], [], 0)
        assert signals.counts["started"] == signals.counts["finished"]


# Streams ----------------------------------------------------------------------------------------------------------


def test_a_sync_stream(root_path: str) -> None:
    """A sync iterator is drawn on a thread, in the context that middleware has set, and closed; Django collects it."""
    found = outcome(apps()["one hop"], "/sync/stream/", root_path, {"parts": True})
    assert found["body"] == "0 1 public\n1 1 public\n2 1 public\n"
    assert found["events"] == ["part on the thread"] * 3 + ["stream closed"]
    assert found["parts"] == [11, 11, 11, 0]


def test_an_async_stream(root_path: str) -> None:
    """An async iterator is drawn on the event loop, part by part."""
    for app in apps().values():
        found = outcome(app, "/async/stream/", root_path, {"parts": True})
        assert found["body"] == "0 1\n1 1\n2 1\n"
        assert found["events"] == ["part on the loop"] * 3 + ["stream closed"]
        assert found["parts"] == [4, 4, 4, 0]


def test_a_sync_stream_waits_for_its_client(root_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hop has made is taken before another hop; a client that leaves ends the iterator."""
    monkeypatch.setattr(iterator_items, "_SECONDS", 0.0)  # One part with each hop.
    app = apps()["one hop"]
    seen: list[tuple[int, int]] = []

    async def exchange() -> None:
        gone = asyncio.Event()
        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if not requests:
                await gone.wait()
                return {"type": "http.disconnect"}
            return requests.pop()

        async def send(message: Message) -> None:
            if message.get("body"):
                for _ in range(20):
                    await asyncio.sleep(0)
                seen.append((len(seen) + 1, events.count("part on the thread")))
                if len(seen) == 2:
                    gone.set()
                    await asyncio.Event().wait()

        await app(http_scope(f"{root_path}/sync/stream/", root_path=root_path), receive, send)

    events.clear()
    asyncio.run(asyncio.wait_for(exchange(), 20))
    assert seen == [(1, 1), (2, 2)]
    assert events == ["part on the thread", "part on the thread", "stream closed"]


# A response that is kept ------------------------------------------------------------------------------------------

kept: list[Any] = []


def notes_its_close(request: HttpRequest) -> Any:
    request.close = lambda: events.append("request closed")  # type: ignore[method-assign]
    return kept[0]


async def async_notes_its_close(request: HttpRequest) -> Any:
    return notes_its_close(request)


class Keeping:
    urlpatterns = [urls.path("sync/", notes_its_close), urls.path("async/", async_notes_its_close)]


@pytest.mark.parametrize("make", [HttpResponse, StreamingHttpResponse])
@pytest.mark.parametrize("middleware", ["none", "defaults and hooks", "async only"])
def test_a_response_that_is_kept(kind: str, middleware: str, make: Any, root_path: str, settings: Any) -> None:
    """One response object, returned to request after request, closes each of them once and goes on to hold none."""
    settings.ROOT_URLCONF = Keeping
    settings.MIDDLEWARE = MIDDLEWARE[middleware]
    for name, app in apps().items():
        kept[:] = [make([b"kept"])]
        for _ in range(3):
            events.clear()
            assert asyncio.run(call(app, http_scope(f"{root_path}/{kind}/", root_path=root_path))).status == 200
            assert (events.count("request closed"), kept[0]._resource_closers) == (1, []), name


# What comes after the answer ---------------------------------------------------------------------------------------


class Noting(HttpResponse):
    """Content that is gone once the response has been closed."""

    error: Exception | None = None

    def close(self) -> None:
        super().close()
        self.content = b""
        events.append("response closed")
        if self.error is not None:
            raise self.error


class Freeing(HttpResponse):
    """The same by what Django lets a response close."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._resource_closers.append(self.free)  # type: ignore[attr-defined]

    def free(self) -> None:
        self.content = b""
        events.append("content freed")


class Failing(Noting):
    error = ValueError("close() failed")


def closing(request: HttpRequest, kind: str) -> HttpResponse:
    return {"plain": HttpResponse, "noting": Noting, "freeing": Freeing, "failing": Failing}[kind](b"content")


async def async_closing(request: HttpRequest, kind: str) -> HttpResponse:
    return closing(request, kind)


class Closing:
    urlpatterns = [urls.path("sync/<kind>/", closing), urls.path("async/<kind>/", async_closing)]


def note_sent(message: Message) -> None:
    events.append(f"sent {message.get('status', message.get('body'))}")


@pytest.mark.parametrize("receiver", ["none", "noting", "failing"])
@pytest.mark.parametrize("name", ["plain", "noting", "freeing", "failing"])
def test_an_answer_is_sent_before_it_is_closed(
    kind: str, name: str, receiver: str, root_path: str, settings: Any
) -> None:
    """What a response's close() and the receivers of request_finished do, they do after the client has its answer."""

    def hear(**_: object) -> None:
        events.append("request finished")
        if receiver == "failing":
            raise ValueError("a receiver failed")

    settings.ROOT_URLCONF = Closing
    settings.MIDDLEWARE = DEFAULTS
    seen = {}
    for app_name, app in apps().items():
        events.clear()
        if receiver != "none":
            request_finished.connect(hear)
        try:
            scope = http_scope(f"{root_path}/{kind}/{name}/", root_path=root_path)
            asyncio.run(call(app, scope, note=note_sent))
        except ValueError as error:
            events.append(repr(error))
        finally:
            request_finished.disconnect(hear)
        seen[app_name] = list(events)
    assert seen["Django's own"][:2] == ["sent 200", "sent b'content'"]
    assert seen["one hop"] == seen["Django's own, mounted"] == seen["Django's own"]


class Asking:
    """Middleware that asks the database when it is made."""

    sync_capable = async_capable = True
    made: ClassVar[list[bool]] = []
    fails_async = False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async and self.fails_async:
            raise ValueError("made for sync views alone")
        if self.is_async:
            markcoroutinefunction(self)
        self.made.append(self.is_async)
        User.objects.exists()

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


def test_middleware_that_asks_the_database_when_it_is_made(
    root_path: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made once for sync views, once for async ones with the first of them, and on a thread: it may ask."""
    monkeypatch.setattr(Asking, "made", [])
    settings.ROOT_URLCONF = Closing
    settings.MIDDLEWARE = [f"{__name__}.Asking"]
    app = mount("/api", FastAPI(), static=False)
    assert Asking.made == [False]
    for path in ("sync", "async", "async", "sync"):
        answer = asyncio.run(call(app, http_scope(f"{root_path}/{path}/plain/", root_path=root_path)))
        assert (answer.status, answer.body) == (200, b"content")
    assert Asking.made == [False, True]


def test_middleware_that_cannot_be_made_for_async_views(
    root_path: str, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each view is answered 500, logged and told to receivers as any error of Django's: all would have that chain."""
    monkeypatch.setattr(Asking, "fails_async", True)
    settings.ROOT_URLCONF = Closing
    settings.MIDDLEWARE = [f"{__name__}.Asking"]
    app = mount("/api", FastAPI(), static=False)
    with Signals() as signals:
        for path in ("sync", "async", "async"):
            assert asyncio.run(call(app, http_scope(f"{root_path}/{path}/plain/", root_path=root_path))).status == 500
    assert signals.counts == {"started": 3, "finished": 3, "exception": 3}
    errors = [record for record in caplog.records if record.name == "django.request"]
    assert [str(record.exc_info and record.exc_info[1]) for record in errors] == ["made for sync views alone"] * 3


# Pages of errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("urlconf", ["OwnPages", "FailingPages"])
@pytest.mark.parametrize("name", ["404", "403", "400", "suspicious", "500"])
@pytest.mark.parametrize("middleware", ["none", "mixed"])
def test_own_pages(kind: str, urlconf: str, name: str, middleware: str, root_path: str, settings: Any) -> None:
    """handler404 and handler500 of the URLconf answer; what such a page raises itself goes on to the server."""
    settings.ROOT_URLCONF = getattr(handler_site, urlconf)
    settings.MIDDLEWARE = MIDDLEWARE[middleware]
    found = same(f"/{kind}/error/{name}/", root_path)
    if urlconf == "OwnPages":
        assert ("handler500" in found["events"]) is (name == "500")
        assert ("handler404" in found["events"]) is (name == "404")
    if (urlconf, name) == ("FailingPages", "500"):
        assert "the page of the error fails too" in found["raised"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("{kind}/error/500/", 500, "LookupError"),
        ("{kind}/error/404/", 404, "no such thing"),
        ("{kind}/error/suspicious/", 400, "SuspiciousOperation"),
        ("nowhere/", 404, "Using the URLconf defined in"),
    ],
)
def test_debug_pages(kind: str, path: str, status: int, words: str, root_path: str, settings: Any) -> None:
    """In DEBUG a failing view of either kind has Django's technical page, with all three handlers."""
    settings.DEBUG = True
    for name, app in apps().items():
        scope = http_scope(f"{root_path}/{path.format(kind=kind)}", root_path=root_path)
        answer = asyncio.run(call(app, scope))
        assert (answer.status, words in answer.text) == (status, True), name
        assert (answer.header("content-type") or "").startswith("text/html")


def test_propagated_errors(kind: str, root_path: str, settings: Any) -> None:
    """With DEBUG_PROPAGATE_EXCEPTIONS the error leaves the root, from a view of either kind."""
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    for app in apps().values():
        with pytest.raises(LookupError, match="a view that fails"):
            asyncio.run(call(app, http_scope(f"{root_path}/{kind}/error/500/", root_path=root_path)))


def test_no_thread_is_left_behind(root_path: str) -> None:
    """After calls of each kind no more threads live than the pool has, and none holds a request."""
    app = mount("/api", FastAPI(), static=False, threads=2)
    before = threading.active_count()
    for path in ("/sync/", "/async/", "/sync/stream/", "/sync/error/500/", "/async/file/"):
        outcome(app, path, root_path, {})
    assert threading.active_count() <= before + 2
