"""Containers as an engine starts them: the image's user, environment and command, as PID 1, the root read-only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from container.image import PATH
from harness import free_port

# The first process of a new PID namespace sets up its view of the files, and then becomes the container's own.
SET_UP = """
mount --bind {root} {root}
mount -o remount,bind,ro {root}
mount -t tmpfs tmpfs {root}/tmp
mount -t proc proc {root}/proc
mount --bind /dev {root}/dev
exec setpriv --no-new-privs {command}
"""


class Container:
    """One container of an image that lies, mounted, at `root`. `log` is what it has written to stdout and stderr."""

    def __init__(self, root: Path, config: dict[str, Any], folder: Path, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._root, self._config = root, config
        self._env = {**env, "UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": str(self.port)}
        self._outputs = [folder / f"{self.port}.{name}" for name in ("stdout", "stderr")]
        script = SET_UP.format(root=root, command=shlex.join(self._command(config["Entrypoint"] + config["Cmd"])))
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with self._outputs[0].open("w") as out, self._outputs[1].open("w") as err:
            self.process = subprocess.Popen(
                [*namespaces, "sh", "-ec", script], env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def _command(self, arguments: list[str]) -> list[str]:
        user = self._config["User"]
        env = {**dict(line.split("=", 1) for line in self._config["Env"]), **self._env}
        inside = ["env", "-i", f"--chdir={self._config['WorkingDir']}", *(f"{name}={env[name]}" for name in env)]
        return ["chroot", f"--userspec={user}:{user}", str(self._root), *inside, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command beside the first one, with its user and environment, as `docker exec` runs it."""
        return subprocess.run(
            self._command(list(arguments)), env={"PATH": PATH}, capture_output=True, text=True, check=False, timeout=60
        )

    def is_healthy(self) -> bool:
        kind, *command = self._config["Healthcheck"]["Test"]
        if kind != "CMD":
            raise ValueError(f"HEALTHCHECK is {kind!r}, which wants a shell.")
        return self.run(*command).returncode == 0

    @property
    def stdout(self) -> str:
        return self._outputs[0].read_text()

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in self._outputs)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def pid(self) -> int:
        """Of the container's first process, as the machine sees it."""
        parent = self.process.pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])

    @property
    def child(self) -> int:
        """Of what the first process started: the shell of the entry point, and later the server in its place."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def command(self) -> str:
        """What `child` runs; empty before there is one."""
        with contextlib.suppress(OSError, IndexError):
            return Path(f"/proc/{self.child}/cmdline").read_text().replace("\0", " ")
        return ""

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 120
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come to be:\n{self.log}")
            time.sleep(0.1)

    def until_healthy(self) -> None:
        self.until(self.is_healthy, "health")

    def status(self, path: str) -> int:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.url + path, timeout=30).status_code
        return 0

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def __enter__(self) -> Container:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                self.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)


@contextlib.contextmanager
def over_tcp(url: str) -> Iterator[str]:
    """The URL of a PostgreSQL that listens on a socket in the file system, by a port: a container sees no such file."""
    parts = urlsplit(url)
    socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
    loop = asyncio.new_event_loop()
    port = free_port()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = loop.run_until_complete(asyncio.start_server(forward, "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"postgres://postgres@127.0.0.1:{port}{parts.path}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
