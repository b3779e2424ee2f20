"""What WhiteNoise's tests import as `tests.utils`, and a pytest plugin that counts: their server is ours.

A WhiteNoise object that a test makes is served by `StaticFiles` with the same settings, a Django application by
`mount()`. Both are served by uvicorn, under a path of their own, as WhiteNoise's own test server does.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import django
import pytest
import requests
import uvicorn
import whitenoise
from asgiref.wsgi import WsgiToAsgi
from django.conf import settings
from django.test.utils import override_settings
from starlette.types import ASGIApp, Receive, Scope, Send

django.setup()

from djfast_mount import mount  # noqa: E402  (needs Django's settings)
from djfast_mount.staticfiles import app as staticfiles  # noqa: E402  (needs Django's settings)

counts: Counter[str] = Counter()


class RecordingWhiteNoise(whitenoise.WhiteNoise):  # type: ignore[misc]
    """Remembers the folders that were added, which WhiteNoise itself does with autorefresh alone."""

    def add_files(self, root: str, prefix: str | None = None) -> None:
        self.__dict__.setdefault("added", []).append((root, prefix))
        super().add_files(root, prefix)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that make the same of Django's."""
        roots = {prefix: root for root, prefix in self.added}
        static_prefix, static_root = next(((prefix, root) for prefix, root in roots.items() if prefix), (None, None))
        return {
            "WHITENOISE_ROOT": roots.get(None),
            "STATIC_ROOT": static_root,
            "WHITENOISE_STATIC_PREFIX": static_prefix or "/static/",
            "WHITENOISE_AUTOREFRESH": self.autorefresh,
            "WHITENOISE_MAX_AGE": self.max_age,
            "WHITENOISE_ALLOW_ALL_ORIGINS": self.allow_all_origins,
            "WHITENOISE_CHARSET": self.charset,
            "WHITENOISE_MIMETYPES": self.media_types.types_map,
            "WHITENOISE_ADD_HEADERS_FUNCTION": self.add_headers_function,
            "WHITENOISE_INDEX_FILE": self.index_file,
        }


whitenoise.WhiteNoise = RecordingWhiteNoise


class CountedStaticFiles(staticfiles.StaticFiles):
    """Counts those requests off that are not answered from the file table."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            counts["static"] -= scope["type"] == "http"
            await app(scope, receive, send)

        super().__init__(behind, **options)


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("No test asks for the API.")


def mounted() -> ASGIApp:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("djfast_mount.asgi.StaticFiles", CountedStaticFiles)
        return mount("/api", nothing)


class AppServer:
    """Serves what a test gives it under `/subdir`, until it is closed."""

    PREFIX = "subdir"

    def __init__(self, application: Any) -> None:
        self.application = application
        self._served: tuple[int, ASGIApp] | None = None
        if not isinstance(application, RecordingWhiteNoise):
            self._served = (0, mounted())
        config = uvicorn.Config(self._root, port=0, log_level="error", lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"

    async def _root(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app()
        if scope["path"].startswith(f"/{self.PREFIX}/"):
            counts["requests"] += 1
            counts["static"] += 1
            # As a server started with --root-path does behind a proxy that has stripped the prefix.
            await app({**scope, "root_path": f"/{self.PREFIX}"}, receive, send)
        else:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    def _app(self) -> ASGIApp:
        app = self.application
        if isinstance(app, RecordingWhiteNoise) and (self._served is None or self._served[0] != len(app.added)):
            with override_settings(**app.settings):
                self._served = (len(app.added), CountedStaticFiles(WsgiToAsgi(app.application)))
        assert self._served is not None
        return self._served[1]

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("get", path, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self._url + path, timeout=10, **options)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class Files:
    """The files of a folder by names of the test's choice: `js="app.js"` gives `js_path`, `js_url` and `js_content`."""

    def __init__(self, directory: str, **files: str) -> None:
        self.directory = str(Path(os.environ["FOREIGN_FILES"], directory))
        for name, path in files.items():
            setattr(self, f"{name}_path", path)
            setattr(self, f"{name}_url", f"/{AppServer.PREFIX}/{path}")
            setattr(self, f"{name}_content", Path(self.directory, path).read_bytes())
        with contextlib.suppress(FileNotFoundError):
            self.gzipped_content = Path(self.directory, "compressed.css.gz").read_bytes()


def pytest_deselected(items: list[pytest.Item]) -> None:
    counts["deselected"] += len({item.nodeid.partition("[")[0] for item in items})


def pytest_sessionfinish() -> None:
    names = ("requests", "static", "deselected")
    Path(os.environ["FOREIGN_RESULTS"]).write_text(json.dumps({name: counts[name] for name in names}))


assert settings.configured
