"""Static files at the ASGI level, before Django: WhiteNoise's table of files, settings and headers, served over ASGI.

In production every file is known from the start: a request costs one look into a dict, and a path that is none of
theirs touches no file system. With autorefresh (WhiteNoise's default in DEBUG) the disk is asked each time, on a worker
thread.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping

from django.conf import settings
from django.utils.module_loading import import_string
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from djfast_mount.security.djangos_middleware import secured_files
from djfast_mount.staticfiles.contents import FileMemory, StaleFile, in_thread
from djfast_mount.staticfiles.table import FileTable, urls_left_open

__all__ = ["StaleFile", "StaticFiles"]

logger = logging.getLogger("djfast_mount")

_ATTEMPTS = 3


class StaticFiles:
    """ASGI: answers a request for a static file, hands everything else to `app`.

    Construct it after `django.setup()`. It reads STATIC_URL, STATIC_ROOT, DEBUG and WhiteNoise's settings then, once;
    and, where MIDDLEWARE lists SecurityMiddleware, that one's, for files are served as if they lay right below it.

    Args:
        app: Where everything goes that is no static file, and also a file that has vanished since the start.
        guard: Put around the ASGI app that sends a file, so that it sees requests for files that exist and no others.
        memory: The most bytes of file contents that are kept in memory. A file of more than a 16th of it is streamed.
        packaged: A folder that is served below STATIC_URL, under its own name. A project's own files win.
        alone: Whether nothing but `packaged` is served.
        django_prefix: The prefix of Django's half, which a relative STATIC_URL follows.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Callable[[ASGIApp], ASGIApp] | None = None,
        memory: int = 32 * 2**20,
        packaged: str | None = None,
        alone: bool = False,
        django_prefix: str = "",
    ) -> None:
        self.app = app
        self._guard = guard or _unguarded
        secured = secured_files(django_prefix)
        self._secured = secured or _unguarded
        with urls_left_open(), _nothing_collected():
            self._table = FileTable(FileMemory(memory), packaged, alone=alone, django_prefix=django_prefix)
        files: Mapping[str, ASGIApp] = self._table.files
        self.files = files if secured is None else {path: secured(file) for path, file in files.items()}
        """What answers each path that was known at the start. It raises StaleFile, sending nothing, for a file that is
        no longer the one described.
        """
        self.knows_all = not self._table.autorefresh
        """Whether no other path can be a file's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A coroutine function, for by that uvicorn knows an ASGI 3 app.
        await (self.serve if scope["type"] == "http" else self.app)(scope, receive, send)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI, for http. A plain function: a coroutine of its own would slow every request of Django."""
        path = scope["path"]
        root_path = scope.get("root_path")
        inside = path[len(root_path) :] if root_path else path
        response = self.files.get(inside)
        if response is None and root_path:
            # An absolute STATIC_URL holds the outer prefix itself, though the proxy takes it off.
            response = self.files.get(path)
        if response is not None:
            # Guarded here: a guard for each file would be kept for all of a large project that are never asked for.
            return self._answer(self._guard(response), (inside, path), scope, receive, send)
        if self._table.autorefresh and (self._table.could_find(inside) or self._table.could_find(path)):
            return self._ask_disk((inside, path), scope, receive, send)
        return self.app(scope, receive, send)

    def could_answer(self, outer: str, path: str) -> bool:
        """Whether `path`, inside of the prefix `outer`, may be a file's; with autorefresh the disk is to be asked."""
        paths = (path, outer + path) if outer else (path,)
        if any(candidate in self.files for candidate in paths):
            return True
        return self._table.autorefresh and any(map(self._table.could_find, paths))

    def paths(self) -> Iterator[str]:
        """Yields the paths of static files, as a route table shows them: ``/static/{path:path}``."""
        return self._table.paths()

    async def _answer(
        self, response: ASGIApp, paths: tuple[str, ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await response(scope, receive, send)
        except StaleFile:
            await self._ask_disk(paths, scope, receive, send, known=True)

    async def _ask_disk(
        self, paths: tuple[str, ...], scope: Scope, receive: Receive, send: Send, *, known: bool = False
    ) -> None:
        for _ in range(_ATTEMPTS):
            file = await in_thread(self._table.find, *paths)
            if file is None:
                break
            try:
                await self._guard(self._secured(file))(scope, receive, send)
            except StaleFile as error:
                # It was changed, or removed, between two looks at it; or it may not be read.
                reason = error.__cause__
            else:
                return
        else:
            logger.warning("The static file at %r could not be read: %s.", paths[0], reason or "it keeps changing")
        # WhiteNoiseMiddleware knows the file from the start, too, and would open it without asking whether it is there.
        is_gone = known and file is None and _has_whitenoise()
        await (_gone if is_gone else self.app)(scope, receive, send)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Pauses the garbage collector: with a hundred thousand files it takes a fifth of the time, and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_gone = PlainTextResponse("Not Found", status_code=404)


def _has_whitenoise() -> bool:
    classes = (import_string(name) for name in settings.MIDDLEWARE)
    return any(isinstance(cls, type) and issubclass(cls, WhiteNoiseMiddleware) for cls in classes)


def _unguarded(app: ASGIApp) -> ASGIApp:
    return app
