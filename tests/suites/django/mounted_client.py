"""Django's test client, live server and get_asgi_application(), led through a mounted root.

`python mounted_client.py runtests.py LABEL...` patches Django, then runs Django's tests as runtests.py does. A test's
client is called in the thread of the test, through asgiref, so that its transactions hold. FOREIGN_MODE says what
answers: Django's test client as it is ("plain"), the root ("mounted"), or Django's own ASGI handler in the place of the
root ("own"), which tells what of Django's tests ASGI itself does not pass. FOREIGN_HANDLER is the root's
`django_handler`.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import socket
import sys
import threading
import unittest
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import django.core.asgi
import django.core.handlers.asgi
import django.test.client
import django.test.runner
import django.test.testcases
import uvicorn
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test.client import AsyncClientHandler, ClientHandler, conditional_content_removal
from django.test.testcases import LiveServerThread
from django.urls import set_script_prefix

MODE = os.environ["FOREIGN_MODE"]
MOUNTED = MODE in ("mounted", "own")
HANDLER: Any = os.environ.get("FOREIGN_HANDLER", "one_hop")
# What a test's client puts beside the headers, as Apache puts it into WSGI's environ: over ASGI it is a header.
OF_THE_SERVER = ("REMOTE_USER",)

Scope = dict[str, Any]
Message = dict[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

counts: Counter[str] = Counter()
outcomes: dict[str, str] = {}

_CHUNK = 2**16


async def api(scope: Scope, receive: Any, send: Any) -> None:
    """The app beside Django, which no test of Django's asks for anything."""
    raise AssertionError(f"{scope['path']} was led to the API.")


def mounted(sender: type[ASGIHandler] = ASGIHandler) -> App:
    """Returns a root over Django as the settings are now, which counts what goes through it.

    Args:
        sender: The class of Django's handler in whose place it stands, which is the sender of the signals.
    """
    root = cast(App, _DjangosOwn()) if MODE == "own" else made(sender)

    async def counted(scope: Scope, receive: Any, send: Any) -> None:
        counts["through the root"] += scope["type"] == "http"
        await root(scope, receive, send)

    return counted


def made(sender: type[ASGIHandler]) -> App:
    from djfast_mount import mount  # noqa: PLC0415  (it imports what the patches below replace)
    from djfast_mount.django_half import handler, serving  # noqa: PLC0415

    for module in (handler, serving):
        vars(module)["ASGIHandler"] = sender
    # Django's test clients send no Host. Its own half checks the one that there is.
    return mount("/__api", api, django_handler=HANDLER, host_check=False)


class _DjangosOwn(ASGIHandler):
    """Django's handler, which makes requests of the class that a test's own ASGIHandler names."""

    def create_request(self, scope: Any, body_file: Any) -> Any:
        self.request_class = scope.get("foreign.request_class", ASGIRequest)
        return super().create_request(scope, body_file)


class Exchange:
    """One request of a test client: what the root is given, and what came back."""

    def __init__(self, scope: Scope, body: bytes, *, check_csrf: bool) -> None:
        self.scope = {**scope, "foreign.exchange": self}
        self.check_csrf = check_csrf
        self.request: ASGIRequest | None = None
        self.response: Any = None
        self.start: Message = {}
        self.parts: list[bytes] = []
        self._pieces = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)] or [b""]
        self._pieces.reverse()

    async def run(self, root: App) -> None:
        await root(self.scope, self.receive, self.send)

    async def receive(self) -> Message:
        if self._pieces:
            piece = self._pieces.pop()
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.parts.append(message.get("body", b""))

    def result(self) -> Any:
        """Returns the response that Django's handler made, after holding it against what was sent."""
        body = b"".join(self.parts)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.start["headers"]]
        response = self.response
        if response is None:
            return HttpResponse(body, status=self.start["status"], headers=dict(headers))
        said = [*response.items(), *(("Set-Cookie", c.output(header="").strip()) for c in response.cookies.values())]
        if self.start["status"] != response.status_code or headers != [(n, str(v)) for n, v in said]:
            raise AssertionError(f"The root sent {self.start!r} for {response!r} with {said!r}.")
        if response.streaming:
            response.streaming_content = replayed(self.parts) if response.is_async else iter(self.parts)
        elif response.content != body:
            raise AssertionError(f"The root sent {body!r} for {response.content!r}.")
        return conditional_content_removal(self.request, response)


async def replayed(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def scope_of(environ: dict[str, Any]) -> Scope:
    """Returns what an ASGI server would make of the request that a WSGI server made `environ` of."""

    def text(key: str) -> str:
        return str(environ.get(key, "")).encode("latin-1").decode(errors="replace")

    headers = [
        (key.removeprefix("HTTP_").replace("_", "-").lower().encode(), encoded(value))
        for key, value in environ.items()
        if key.startswith("HTTP_")
        or key in OF_THE_SERVER
        or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value != "")
    ]
    root_path = text("SCRIPT_NAME").rstrip("/")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root_path": root_path,
        "path": root_path + text("PATH_INFO"),
        "query_string": str(environ.get("QUERY_STRING", "")).encode("latin-1"),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", "127.0.0.1"), 0),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }


def encoded(value: object) -> bytes:
    try:
        return str(value).encode("latin-1")
    except UnicodeEncodeError:
        return str(value).encode()


class RootClientHandler(ClientHandler):
    """Django's, with the root in the place of its own middleware and views."""

    _root: App | None = None

    def __call__(self, environ: dict[str, Any]) -> Any:
        counts["requests"] += 1
        if not MOUNTED:
            return super().__call__(environ)
        self._root = self._root or mounted()
        exchange = Exchange(scope_of(environ), body_of(environ), check_csrf=self.enforce_csrf_checks)
        async_to_sync(exchange.run)(self._root)
        # A request under a script name leaves it on its thread, as ASGIHandler's do; Django's client has no handler.
        set_script_prefix("/")
        response = exchange.result()
        response.wsgi_request = exchange.request
        return response


def body_of(environ: dict[str, Any]) -> bytes:
    length = str(environ.get("CONTENT_LENGTH") or 0)
    body = bytes(environ["wsgi.input"].read())
    return body[: int(length)] if length.isdigit() else b""


class RootAsyncClientHandler(AsyncClientHandler):
    """Django's, with the root in the place of its own middleware and views."""

    _root: App | None = None

    async def __call__(self, scope: Scope) -> Any:
        counts["requests"] += 1
        if not MOUNTED:
            return await super().__call__(scope)
        self._root = self._root or mounted()
        file = scope.pop("_body_file", None)
        exchange = Exchange(scope, file.read() if file else b"", check_csrf=self.enforce_csrf_checks)
        await exchange.run(self._root)
        response = exchange.result()
        response.asgi_request = exchange.request
        return response


class RootASGIHandler(ASGIHandler):
    """What get_asgi_application() returns: the root, which makes requests of this class's `request_class`."""

    # ASGIStaticFilesHandler, a subclass with another application inside of it, makes none.
    _root: App | None = None
    # While a root is made, which has a handler of this class inside with `django_handler="django"`.
    _making = False
    _is_inside = False

    def __init__(self) -> None:
        self._is_inside = RootASGIHandler._making
        if MODE != "mounted" or self._is_inside:
            super().__init__()
            return
        RootASGIHandler._making = True
        try:
            self._root = mounted(type(self))
        finally:
            RootASGIHandler._making = False

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:  # type: ignore[override]
        counts["requests"] += scope["type"] == "http" and not self._is_inside
        if self._root is None:
            await super().__call__(cast(Any, scope), receive, send)
        else:
            await self._root({**scope, "foreign.request_class": self.request_class}, receive, send)


class RootLiveServerThread(LiveServerThread):
    """Django's, with uvicorn and the root in the place of its WSGI server."""

    def run(self) -> None:
        if not MOUNTED:
            super().run()
            return
        try:
            # A test's own kind of WSGI server is made too, for it may fail; uvicorn serves in its place.
            server = self._create_server()
            if server is not None:
                server.server_close()
            self._serve()
        except Exception as error:  # As Django's: the thread of the test raises it.
            self.error = error
        finally:
            self.is_ready.set()

    def _create_server(self, connections_override: Any = None) -> Any:
        return None if MOUNTED else super()._create_server(connections_override)

    def _serve(self) -> None:
        with socket.create_server((self.host, self.port)) as listening:
            self.port = listening.getsockname()[1]
            self._server = Server(self.is_ready, uvicorn.Config(mounted_server(), log_config=None, access_log=False))
            asyncio.run(self._server.serve(sockets=[listening]))

    def terminate(self) -> None:
        if not MOUNTED:
            super().terminate()
            return
        if hasattr(self, "_server"):
            self._server.should_exit = True
        self.join()


def mounted_server() -> App:
    root = mounted()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        counts["requests"] += scope["type"] == "http"
        await root(scope, receive, send)

    return app


class Server(uvicorn.Server):
    """uvicorn, telling when it listens."""

    def __init__(self, ready: threading.Event, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._ready.set()


def let_requests_report() -> None:
    """Makes every request, and the response that closes it, known to the exchange that it belongs to."""
    made, closed = ASGIRequest.__init__, HttpResponseBase.close

    def init(self: Any, scope: Scope, body_file: Any) -> None:
        made(self, scope, body_file)
        exchange = scope.get("foreign.exchange")
        if exchange is not None:
            exchange.request = self
            self._dont_enforce_csrf_checks = not exchange.check_csrf

    def close(self: Any) -> None:
        for closer in self._resource_closers:
            request = getattr(closer, "__self__", None)
            if isinstance(request, ASGIRequest) and "foreign.exchange" in request.scope:
                request.scope["foreign.exchange"].response = self
        closed(self)

    ASGIRequest.__init__ = init  # type: ignore[method-assign]
    HttpResponseBase.close = close  # type: ignore[method-assign]


def make_foreign_requests() -> None:
    """Lets the root's handler make requests of the class that a test's own ASGIHandler names."""
    from djfast_mount.django_half.handler import DjangoHandler  # noqa: PLC0415

    def create(scope: Scope, body_file: Any) -> Any:
        return scope.get("foreign.request_class", ASGIRequest)(scope, body_file)

    DjangoHandler.request_class = staticmethod(create)  # type: ignore[assignment]


class Outcomes(unittest.TextTestResult):
    """A result that remembers every test."""

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        super().addSuccess(test)
        outcomes.setdefault(test.id(), "passed")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        outcomes[test.id()] = "failed"

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        outcomes[test.id()] = "failed"

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            outcomes[test.id()] = "failed"

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        outcomes[test.id()] = "skipped"

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        outcomes[test.id()] = "xfailed"

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        outcomes[test.id()] = "failed"


def patch() -> None:
    if MODE == "mounted":
        make_foreign_requests()
    if MOUNTED:
        let_requests_report()
    django.core.handlers.asgi.ASGIHandler = RootASGIHandler  # type: ignore[misc]
    django.core.asgi.ASGIHandler = RootASGIHandler  # type: ignore[attr-defined]
    django.test.client.ClientHandler = RootClientHandler  # type: ignore[misc]
    django.test.client.AsyncClientHandler = RootAsyncClientHandler  # type: ignore[misc]
    django.test.testcases.LiveServerThread = RootLiveServerThread  # type: ignore[misc]
    django.test.testcases.LiveServerTestCase.server_thread_class = RootLiveServerThread
    django.test.runner.DiscoverRunner.get_resultclass = lambda self: Outcomes  # type: ignore[assignment,method-assign]


def main() -> None:
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(script).resolve().parent))
    patch()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        results = {"outcomes": outcomes, "counts": dict(counts)}
        Path(os.environ["FOREIGN_RESULTS"]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
