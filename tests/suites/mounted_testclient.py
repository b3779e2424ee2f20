"""pytest plugin: Starlette's TestClient and httpx's ASGITransport call a mounted root in the place of their app.

The app is mounted under a prefix beside Django. A request's path gets the prefix on its way in, and the prefix is taken
out of what the app answers on its way out, so that the foreign suite goes on to see its own URLs. With FOREIGN_PLACE
"root" the app has the root of the host, and what none of its routes matches is Django's: see `not_found`. With
FOREIGN_SETTINGS "defaults" `mount()` has its defaults: hosts are checked, docs are the staff's, schemas name errors.

foreign.py says how a run is told what to do, by environment variables.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from defaults import ForStaff
from django.conf import settings
from foreign import Exclusions
from starlette.testclient import TestClient

# Distinct from every word in the suites, so that taking it out of an answer takes out nothing else.
DEFAULTS = os.environ.get("FOREIGN_SETTINGS") == "defaults"
AT_ROOT = os.environ.get("FOREIGN_PLACE") == "root"
PREFIX = "" if AT_ROOT else "/djfast-mounted"
MOUNTED = os.environ.get("FOREIGN_MODE", "plain") == "mounted"

# By which the clients of the suites call their apps. A project lists its own likewise.
HOSTS = [
    *(".testserver", "test", "testapp", "localhost", "127.0.0.1", "internal", "listener"),
    *("[::1]", ".example", ".example.com", ".example.org", "[2001:db8::1]"),
]

urlpatterns: list[Any] = []
handler404 = "mounted_testclient.not_found"

Scope = dict[str, Any]
Message = dict[str, Any]
App = Callable[..., Any]

counts: Counter[str] = Counter()


def not_found(request: Any, exception: Exception) -> Any:
    """Django's page where neither half has a route: in the words of the framework whose suite is run."""
    responses = importlib.import_module("django.http")
    if os.environ["FOREIGN_SUITE"] == "fastapi":
        return responses.JsonResponse({"detail": "Not Found"}, status=404)
    return responses.HttpResponse("Not Found", status=404, content_type="text/plain; charset=utf-8")


def configure_django() -> None:
    """The least of a Django project: a database in a file, no app, no URL."""
    scratch = Path(os.environ["FOREIGN_SCRATCH"])
    (scratch / "static").mkdir(exist_ok=True)
    settings.configure(
        ALLOWED_HOSTS=HOSTS if DEFAULTS else ["*"],
        # Their tests compare whole schemas.
        DJFAST_MOUNT={} if DEFAULTS else {"error_responses": False},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": scratch / "db.sqlite3"}},
        LOGGING_CONFIG=None,
        ROOT_URLCONF=__name__,
        SECRET_KEY="foreign",
        STATIC_ROOT=scratch / "static",
        STATIC_URL="/djfast-static/",
        USE_TZ=True,
    )


class Position:
    """Where the test that is running wants its apps: `prefixed`, `unprefixed` or `plain`. None between tests."""

    current: str | None = None


class Unprefixed:
    """The app mounted as ever, but handed the scope that it would have had at the root of the host."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: App, send: App) -> None:
        if scope["type"] != "lifespan":
            root_path = scope["root_path"].removesuffix(PREFIX)
            path = root_path + scope["path"].removeprefix(scope["root_path"])
            raw_path = scope["raw_path"].replace(PREFIX.encode(), b"", 1) if scope.get("raw_path") else None
            scope = {**scope, "root_path": root_path, "path": path, "raw_path": raw_path}
        await self.app(scope, receive, send)


PUBLIC = {"docs_access": "public"}
OPTIONS: dict[str, Any] = {"fast_path": os.environ.get("FOREIGN_FAST_PATH", "1") == "1"} | ({} if DEFAULTS else PUBLIC)


def count_plans() -> None:
    """Counts the requests that plans serve, in `counts`."""
    plans: Any = importlib.import_module("djfast_mount.fastpath.plan")
    make = plans.Plan.__init__

    def made(plan: Any, facts: Any) -> None:
        make(plan, facts)
        serve = plan.serve

        def counted(*args: Any) -> Any:
            counts["by a plan"] += 1
            return serve(*args)

        plan.serve = counted

    plans.Plan.__init__ = made


class Front:
    """What the client calls: the root for `app`.

    Args:
        raises: Whether the client is to meet the app's errors. Django's setting for that is DEBUG_PROPAGATE_EXCEPTIONS.
    """

    def __init__(self, app: App, *, raises: bool) -> None:
        self.app = app
        self._raises = raises
        self._roots: dict[str, App] = {}
        if MOUNTED and Position.current is not None:
            # mount() reads files, which a test may forbid while the loop runs.
            self._root(Position.current)

    async def __call__(self, scope: Scope, receive: App, send: App) -> None:
        if scope["type"] != "lifespan":
            counts["requests"] += 1
        if not MOUNTED or Position.current == "plain":
            counts["of plain tests"] += scope["type"] != "lifespan"
            await self.app(scope, receive, send)
            return
        root = self._root(Position.current or "prefixed")
        if scope["type"] == "lifespan":
            await root(scope, receive, send)
            return
        counts["through the root"] += 1
        settings.DEBUG_PROPAGATE_EXCEPTIONS = self._raises
        answer = Answer(send)
        try:
            await root(prefixed(scope), receive, answer.send if PREFIX else send)
        finally:
            await answer.flush()

    def _root(self, position: str) -> App:
        if position == "plain":
            return self.app
        if position not in self._roots:
            app = Unprefixed(self.app) if position == "unprefixed" else self.app
            root = mounted(app, OPTIONS)
            if DEFAULTS:
                root = ForStaff(root, mounted(app, OPTIONS | PUBLIC), self.app, counts)
            self._roots[position] = root
        return self._roots[position]


def mounted(app: App, options: dict[str, Any]) -> App:
    """At the root of the host with Django behind the routes; an app without any leaves nothing to fall through."""
    if not AT_ROOT:
        return djfast_mount.mount(PREFIX, app, **options)
    if hasattr(app, "routes") and hasattr(app, "router"):
        return djfast_mount.mount("/", app, fallthrough=True, **options)
    return djfast_mount.mount("/", app, django_prefix="/djfast-django", **options)


def prefixed(scope: Scope) -> Scope:
    """Returns the scope of the same request for the app under the prefix."""
    root_path, path, raw_path = scope.get("root_path", "").rstrip("/"), scope["path"], scope.get("raw_path")
    outer = root_path if root_path and path.startswith(root_path + "/") else ""
    headers = scope["headers"]
    if not any(name == b"host" for name, _ in headers):
        # No server would take a request of HTTP/1.1 without it; some tests leave it out.
        headers = [*headers, (b"host", b"testserver")]
    child = {**scope, "path": outer + PREFIX + path[len(outer) :], "headers": headers}
    if raw_path is not None:
        child["raw_path"] = outer.encode() + PREFIX.encode() + raw_path[len(outer) :]
    return child


class Answer:
    """Takes the prefix out of what the app sends."""

    # First, what FastAPI adds to its schema where there is a root_path.
    without = (
        (f',"servers":[{{"url":"{PREFIX}"}}]'.encode(), b""),
        (f'"servers":[{{"url":"{PREFIX}"}}],'.encode(), b""),
        (f'{{"url":"{PREFIX}"}},'.encode(), b""),
        (PREFIX.encode(), b""),
    )

    def __init__(self, send: App) -> None:
        self._send = send
        self._held: Message | None = None

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind.endswith((".response.start", "websocket.accept")):
            headers = [(name, self._header(name, value)) for name, value in message.get("headers", [])]
            message = {**message, "headers": headers}
            if any(name.lower() == b"content-length" for name, _ in headers):
                self._held = message
                return
        elif kind.endswith(".response.body"):
            message = await self._body(message)
        elif kind == "websocket.send" and PREFIX in str(message.get("text")):
            message = {**message, "text": self._without(message["text"].encode()).decode()}
        await self._send(message)

    async def _body(self, message: Message) -> Message:
        body = message.get("body", b"")
        found = PREFIX.encode() in bytes(body)
        if found:
            message = {**message, "body": self._without(bytes(body))}
        if self._held is not None:
            if found and not message.get("more_body", False):
                length = str(len(message["body"])).encode()
                headers = [(n, length if n.lower() == b"content-length" else v) for n, v in self._held["headers"]]
                self._held = {**self._held, "headers": headers}
            await self.flush()
        return message

    async def flush(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._send(held)

    def _without(self, text: bytes) -> bytes:
        for what, instead in self.without:
            text = text.replace(what, instead)
        return text

    @staticmethod
    def _header(name: bytes, value: bytes) -> bytes:
        if name.lower() == b"set-cookie":
            value = value.replace(b"path=" + PREFIX.encode() + b";", b"path=/;")
        return value.replace(PREFIX.encode(), b"")


def replace_clients() -> None:
    """Puts a Front before the app of every TestClient and ASGITransport made from now on."""
    made = TestClient.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self._transport.app = Front(self.app, raises=self._transport.raise_server_exceptions)

    async def lifespan(self: Any) -> None:
        scope = {"type": "lifespan", "state": self.app_state}
        try:
            await self._transport.app(scope, self.stream_receive.receive, self.stream_send.send)
        finally:
            await self.stream_send.send(None)

    TestClient.__init__ = init  # type: ignore[method-assign]
    TestClient.lifespan = lifespan  # type: ignore[method-assign]
    for name in ("httpx", "httpx2"):
        if importlib.util.find_spec(name):
            replace_transport(importlib.import_module(name).ASGITransport)


def replace_transport(transport: Any) -> None:
    made = transport.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.app = Front(self.app, raises=self.raise_app_exceptions)

    transport.__init__ = init


exclusions = Exclusions(*map(Path, os.environ["FOREIGN_EXCLUSIONS"].split(os.pathsep)))
outcomes: dict[str, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    found = exclusions.find(item.nodeid)
    Position.current = found[0] if found and found[0] in ("plain", "unprefixed") else "prefixed"
    try:
        return (yield)
    finally:
        Position.current = None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of a test's three phases counts; an expected failure is no failure."""
    if hasattr(report, "wasxfail") and report.skipped:
        outcomes[report.nodeid] = "xfailed"
    elif report.failed or (report.skipped and report.nodeid not in outcomes):
        outcomes[report.nodeid] = report.outcome
    elif report.when == "call":
        outcomes.setdefault(report.nodeid, report.outcome)


def pytest_testnodedown(node: Any) -> None:
    # A worker that crashed has left nothing.
    counts.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    worker = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["counts"] = dict(counts)
    elif "FOREIGN_RESULTS" in os.environ:
        Path(os.environ["FOREIGN_RESULTS"]).write_text(json.dumps({"outcomes": outcomes, "counts": dict(counts)}))


configure_django()
if MOUNTED:
    # Here, with all that it imports: a test may forbid what imports do, such as reading files.
    django.setup()
    djfast_mount = importlib.import_module("djfast_mount")
    djfast_mount.mount  # noqa: B018
    count_plans()
replace_clients()
