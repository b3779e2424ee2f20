"""The app behind a real server, for browsers: both halves, websockets, static and media files. Needs uvicorn.

As with Django's live server, the server has connections of its own: it sees what is committed, so its tests are
`TransactionTestCase`s. A database in memory has one connection, which the test and the server share.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio.to_thread
import uvicorn
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import LiveServerTestCase
from django.utils.functional import classproperty
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from djfast_mount.offload.waiting import offer
from djfast_mount.testing.cases import ApiMixin
from djfast_mount.testing.lent_connections import lent
from djfast_mount.testing.server import load_application

__all__ = ["ApiLiveServerTestCase", "LiveServer", "LiveServerThread", "serve"]

# Seconds that the end of the server waits for what its clients have left open.
_LAST_WAIT = 1


class LiveServerThread(threading.Thread):
    """uvicorn in a thread: what Django's class of this name is for WSGI, with the same arguments.

    Args:
        static_handler: Taken for Django's sake, and not used.
        connections_override: Connections that the server is to share.
        app: The app.
    """

    def __init__(
        self,
        host: str,
        static_handler: object = None,
        connections_override: Mapping[str, BaseDatabaseWrapper] | None = None,
        port: int = 0,
        *,
        app: ASGIApp,
    ) -> None:
        super().__init__(name="djfast_mount.testing's live server", daemon=True)
        self.host = host
        self.port = port
        self.connections_override = connections_override or {}
        self.is_ready = threading.Event()
        self.error: BaseException | None = None
        self._app = app
        self._server: _Server | None = None

    def run(self) -> None:
        try:
            with socket.create_server((self.host, self.port)) as listener, _shared(self.connections_override) as share:
                self.port = listener.getsockname()[1]
                config = uvicorn.Config(
                    share(FoundFiles(self._app)),
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=_LAST_WAIT,
                )
                self._server = _Server(config, self.is_ready)
                self._server.run([listener])
        except SystemExit:
            self.error = RuntimeError("The app's startup failed; the logger 'uvicorn.error' has said why.")
        except Exception as error:
            self.error = error
        finally:
            self.is_ready.set()

    def terminate(self) -> None:
        """Ends the server, with the app's lifespan, and returns when it has ended."""
        if self._server is not None:
            self._server.should_exit = True
        self.join()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, is_ready: threading.Event) -> None:
        super().__init__(config)
        self._is_ready = is_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_ready.set()


@contextlib.contextmanager
def _shared(override: Mapping[str, BaseDatabaseWrapper]) -> Iterator[Any]:
    """Yields what makes an app use these connections: all of its sync work is then done by one thread."""
    if not override:
        yield lambda app: app
        return
    with ThreadPoolExecutor(1, "djfast_mount.testing") as executor:
        try:
            with lent(override, executor):
                yield partial(_OnOneThread, executor)
        finally:
            executor.submit(connections.close_all).result()


class _OnOneThread:
    def __init__(self, executor: ThreadPoolExecutor, app: ASGIApp) -> None:
        self._executor = executor
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        offer(self._executor)
        await self._app(scope, receive, send)


class FoundFiles:
    """ASGI: answers with static files from where `collectstatic` would find them, and with media files.

    Everything else, collected files among it, is for `app`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._static_url = _path_of(settings.STATIC_URL)
        self._media_url = _path_of(settings.MEDIA_URL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            found = await anyio.to_thread.run_sync(self._find, scope["path"])
            if found:
                app = FileResponse(found)
        await app(scope, receive, send)

    def _find(self, path: str) -> str | None:
        with contextlib.suppress(SuspiciousFileOperation):
            if self._static_url and path.startswith(self._static_url):
                return finders.find(unquote(path[len(self._static_url) :]))
            if self._media_url and settings.MEDIA_ROOT and path.startswith(self._media_url):
                root = Path(settings.MEDIA_ROOT).resolve()
                file = (root / path[len(self._media_url) :]).resolve()
                return str(file) if file.is_relative_to(root) and file.is_file() else None
        return None


def _path_of(url: str | None) -> str:
    """The path under which files are served here; the empty string where another host serves them."""
    parts = urlsplit(url or "")
    return "" if parts.netloc else parts.path


class ApiLiveServerTestCase(ApiMixin, LiveServerTestCase):
    """Django's `LiveServerTestCase` with a live ASGI server at `self.live_server_url`, and with `self.api`."""

    @classproperty
    def server_thread_class(cls) -> Any:  # noqa: N805
        return partial(LiveServerThread, app=load_application(cls.asgi_application))


class LiveServer:
    """A server that runs: its URL, which paths can be added to."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    def __add__(self, path: str) -> str:
        return self.url + path


@contextlib.contextmanager
def serve(app: ASGIApp | str | None = None, *, host: str = "localhost", port: int = 0) -> Iterator[LiveServer]:
    """Runs a live server. It shares the calling thread's connections to databases in memory.

    Args:
        app: The app, or its import string. None: what ``settings.ASGI_APPLICATION`` names.
        port: 0: a free one.

    Raises: what keeps the server from starting.
    """
    every: Sequence[Any] = connections.all()
    override = {each.alias: each for each in every if each.vendor == "sqlite" and each.is_in_memory_db()}
    thread = LiveServerThread(host, None, override, port, app=load_application(app))
    thread.start()
    thread.is_ready.wait()
    try:
        if thread.error is not None:
            raise thread.error
        yield LiveServer(f"http://{thread.host}:{thread.port}")
    finally:
        thread.terminate()
