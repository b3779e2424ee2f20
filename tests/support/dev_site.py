"""A small project in a folder of its own, whose files a test may change; and the servers of a developer's day."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import httpx

from harness import free_port

FILES = {
    "manage.py": """
        import os, sys
        from django.core.management import execute_from_command_line
        if __name__ == "__main__":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
            execute_from_command_line(sys.argv)
        """,
    "mysite/__init__.py": "",
    "mysite/settings.py": """
        import os
        from pathlib import Path
        import dj_database_url
        BASE_DIR = Path(__file__).resolve().parent.parent
        SECRET_KEY = "not a secret: this project serves tests alone"
        DEBUG = os.environ.get("TEST_DEBUG", "1") == "1"
        ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
        FORCE_SCRIPT_NAME = os.environ.get("TEST_FORCE_SCRIPT_NAME") or None
        INSTALLED_APPS = [
            "djfast_mount",
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "pages",
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ]
        TEMPLATES = [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ]
        ROOT_URLCONF = "mysite.urls"
        DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        STATIC_URL = "static/"
        USE_TZ = True
        DJFAST_MOUNT = {}
        """,
    "mysite/urls.py": """
        from django.contrib import admin
        from django.urls import path
        from pages.views import home
        urlpatterns = [path("", home, name="home"), path("admin/", admin.site.urls)]
        """,
    "mysite/asgi.py": """
        import os
        from djfast_mount import mount
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
        app = mount("/api", "pages.api:api")
        """,
    "pages/__init__.py": "",
    "pages/models.py": "",
    "pages/views.py": """
        from django.http import HttpRequest, HttpResponse
        from django.shortcuts import render
        def home(request: HttpRequest) -> HttpResponse:
            return render(request, "pages/home.html")
        """,
    "pages/api.py": """
        import asyncio
        from contextlib import asynccontextmanager
        from pathlib import Path
        from fastapi import FastAPI, WebSocket
        HERE = Path(__file__).parent
        @asynccontextmanager
        async def lifespan(app):
            yield
            with (HERE / "ended").open("a") as ended:
                ended.write("ended\\n")
        api = FastAPI(title="Pages", lifespan=lifespan)
        @api.get("/word")
        def word() -> str:
            return "first"
        @api.get("/slow")
        async def slow() -> str:
            (HERE / "begun").write_text("begun")
            await asyncio.sleep(1)
            return "done"
        @api.websocket("/ws")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close()
        """,
    "pages/templates/pages/home.html": "home, first",
    "pages/static/pages/style.css": "/* first */",
}


def dedent(text: str) -> str:
    """As textwrap's, for what begins with a new line; all else stays as it is."""
    if not text.startswith("\n"):
        return text
    lines = text.lstrip("\n").splitlines()
    margin = len(text.lstrip("\n")) - len(text.lstrip())
    return "\n".join(line[margin:] for line in lines).rstrip() + "\n"


class Folder:
    """The project's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes = 0
        for name, text in FILES.items():
            self.write(name, dedent(text))

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        # Python takes its compiled file for the source of the same second and size.
        self._changes += 2
        later = time.time() + self._changes
        os.utime(file, (later, later))

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        if old not in text:
            raise LookupError(f"{old!r} is not in {name}")
        self.write(name, text.replace(old, new))

    def manage(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=self.path, env=environment(env), capture_output=True, text=True, check=False, timeout=120
        )


def environment(more: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "RUN_MAIN"}
    return {**inherited, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONUNBUFFERED": "1", **more}


class Running:
    """A command that serves on `port`. `log` is all it has written so far."""

    def __init__(self, folder: Folder, *command: str, port: int, host: str = "127.0.0.1", **env: str) -> None:
        self.url = f"http://{host}:{port}"
        self.log = ""
        # A terminal, for colours are for terminals alone.
        self._terminal, end = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder.path,
            env=environment({"TERM": "xterm", **env}),
            stdin=subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the last process that wrote to it has ended.
            while data := os.read(self._terminal, 65536):
                self.log += data.decode(errors="replace").replace("\r\n", "\n")

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Waits until something is so. It may take as long as a slow machine needs."""
        deadline = time.monotonic() + 60
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come to be:\n{self.log}")
            time.sleep(0.05)

    def until_said(self, text: str, times: int = 1) -> None:
        self.until(lambda: self.log.count(text) >= times, repr(text))

    def until_answered(self, path: str, text: str) -> None:
        self.until(lambda: self.get(path) == text, f"{text!r} at {path}")

    def until_ended(self) -> int:
        self.until(lambda: self.process.poll() is not None, "the end of the process")
        self._reader.join(10)
        return self.process.wait()

    def get(self, path: str) -> str | None:
        try:
            return httpx.get(self.url + path, timeout=30).text
        except httpx.TransportError:
            return None

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to all of its processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        self._reader.join(10)
        os.close(self._terminal)


@contextlib.contextmanager
def runserver(folder: Folder, *options: str, port: int | None = None, **env: str) -> Iterator[Running]:
    """`manage.py runserver`, not waited for."""
    port = port or free_port()
    with Running(folder, "manage.py", "runserver", *options, str(port), port=port, **env) as running:
        yield running
