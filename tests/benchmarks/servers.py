"""How each contender is served, and what its processes use."""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from harness import PYTHONPATH, free_port

TESTS = Path(__file__).resolve().parent.parent
THREADS = 8  # what mount() gives itself, and each gunicorn here

PYTHON = [sys.executable, "-m"]
UVICORN = [*PYTHON, "uvicorn", "--no-access-log", "--log-level", "warning"]
GUNICORN = [*PYTHON, "gunicorn", "--log-level", "warning", "--worker-class", "gthread", "--threads", str(THREADS)]


class LeftOut(Exception):
    """The contender is not installed, does not start or does not answer here."""


@dataclass(frozen=True)
class Server:
    """An app of contenders.py and what serves it. `needs` is the distribution of the peer, `module` what it brings."""

    app: str = ""
    kind: Literal["uvicorn", "gunicorn", "bolt"] = "uvicorn"
    needs: str = ""
    module: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, port: int) -> list[str]:
        app = f"benchmarks.contenders:{self.app}"
        if self.kind == "gunicorn":
            return [*GUNICORN, "--bind", f"127.0.0.1:{port}", app]
        if self.kind == "bolt":
            return [*PYTHON, "django", "runbolt", "--host", "127.0.0.1", "--port", str(port), "--no-admin"]
        return [*UVICORN, "--port", str(port), app]


# Django's documentation on databases, "Persistent connections": to be disabled under ASGI.
CLOSING = {"BENCH_CONN_MAX_AGE": "0"}
NINJA = {"BENCH_URLCONF": "benchmarks.urls_ninja", "BENCH_APP": "ninja"}
BARE_NINJA = {**NINJA, "BENCH_MIDDLEWARE": "none"}
DRF = {"BENCH_URLCONF": "benchmarks.urls_drf", "BENCH_APP": "rest_framework"}

SERVERS = {
    "mounted": Server("mounted"),
    "mounted, threads=8": Server("mounted_threads"),
    "mounted, unchecked": Server("mounted_unchecked"),
    "mounted, 300 routes": Server("mounted_wide"),
    "hand-made Mount": Server("hand_made", env=CLOSING),
    "FastAPI alone": Server("fastapi_alone"),
    "FastAPI alone, 300 routes": Server("fastapi_wide"),
    "Starlette": Server("starlette_api"),
    "Litestar": Server("litestar_api", needs="litestar", module="litestar"),
    "Django ASGI": Server("django_asgi", env=CLOSING),
    "gunicorn gthread": Server("django_wsgi", "gunicorn", "gunicorn", "gunicorn"),
    "django-ninja, gunicorn": Server("django_wsgi", "gunicorn", "django-ninja", "ninja", NINJA),
    "django-ninja without middleware, gunicorn": Server("django_wsgi", "gunicorn", "django-ninja", "ninja", BARE_NINJA),
    "DRF, gunicorn": Server("django_wsgi", "gunicorn", "djangorestframework", "rest_framework", DRF),
    "django-bolt": Server("", "bolt", "django-bolt", "django_bolt", {"BENCH_APP": "django_bolt"}),
    "WhiteNoise, Django ASGI": Server("django_asgi", env={"BENCH_WHITENOISE": "1"}),
    "WhiteNoise, gunicorn": Server("django_wsgi", "gunicorn", "gunicorn", "gunicorn", {"BENCH_WHITENOISE": "1"}),
    "Starlette StaticFiles": Server("starlette_static"),
    "ServeStatic": Server("servestatic", needs="servestatic", module="servestatic"),
    "blacknoise": Server("blacknoise", needs="blacknoise", module="blacknoise"),
    "bytes from memory": Server("memory"),
    "the query alone": Server("orm_alone"),
    "the async query alone": Server("async_orm_alone"),
}


class Running:
    """The processes of a server that has started. `role` is what it is called in PostgreSQL."""

    def __init__(self, port: int, pid: int, role: str) -> None:
        self.port = port
        self.role = role
        self._root = psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds that all threads of all processes have run so far."""
        times = [process.cpu_times() for process in self.processes()]
        return float(sum(time.user + time.system for time in times))

    def resident(self) -> float:
        """Megabytes in memory; what processes share counts for each of them."""
        return float(sum(process.memory_info().rss for process in self.processes())) / 2**20

    def proportional(self) -> float:
        """Megabytes in memory; what processes share is divided among them."""
        return float(sum(process.memory_full_info().pss for process in self.processes())) / 2**20

    def check(self, path: str, headers: Mapping[str, str], body: bytes = b"", expected: int = 200) -> None:
        """Asks once. Raises LeftOut where the answer is not the `expected`: wrk takes a redirect for a success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST" if body else "GET", path, body or None, headers=dict(headers))
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise LeftOut(f"{path} was not answered: {error!r}") from error
        finally:
            connection.close()
        if status != expected:
            raise LeftOut(f"{path} was answered {status}")


@contextmanager
def serving(name: str, env: Mapping[str, str], role: str) -> Iterator[Running]:
    """Starts a contender on core 0 and waits until it listens. Raises LeftOut where it does not."""
    server = SERVERS[name]
    if server.module and importlib.util.find_spec(server.module) is None:
        raise LeftOut(f"{server.needs} is not installed")
    port = free_port()
    with tempfile.TemporaryFile("w+b") as output:
        command = ["taskset", "-c", "0", *server.command(port)]
        whole = {**env, **server.env}
        child = subprocess.Popen(command, cwd=TESTS, env=whole, stdout=output, stderr=subprocess.STDOUT)
        try:
            if not listens(port, child):
                output.seek(0)
                lines = output.read().decode(errors="replace").split("\n")
                raise LeftOut("it did not start: " + next((line for line in reversed(lines) if line.strip()), ""))
            yield Running(port, child.pid, role)
        finally:
            stop(child)


def listens(port: int, child: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for whatever is left of the processes."""
    processes = []
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(child.pid)
        processes = [root, *root.children(recursive=True)]
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def environment(database: str, static: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": PYTHONPATH,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DATABASE_URL": database,
        "BENCH_STATIC_ROOT": str(static),
        "BENCH_THREADS": str(THREADS),
    }
