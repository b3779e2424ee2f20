"""PgBouncer in transaction mode before a PostgreSQL: this machine's, or a newer one in a folder with its Debian."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from container.image import PATH
from harness import free_port

# Whom it runs as: it refuses to be root.
USER = "nobody"
INI = """
[databases]
* = host=127.0.0.1 port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
{more}
"""


class Bouncer:
    """One PgBouncer. Enter it to start it.

    Args:
        server: The URL of PostgreSQL, over TCP.
        folder: For its configuration and log.
        root: The folder with the Debian that it is of. None: this machine's.
        more: Lines of its configuration.
    """

    def __init__(self, server: str, folder: Path, root: Path | None = None, more: str = "") -> None:
        self._parts = urlsplit(server)
        self._root = root
        self.port = free_port()
        self._inside = f"/tmp/{folder.name}-{self.port}"
        self._folder = Path(f"{root or ''}{self._inside}")
        self._folder.mkdir(mode=0o755)
        text = INI.format(server=self._parts.port, port=self.port, more=more)
        (self._folder / "pgbouncer.ini").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str | None = None) -> str:
        path = self._parts.path if database is None else f"/{database}"
        return f"postgres://postgres@127.0.0.1:{self.port}{path}"

    @property
    def version(self) -> tuple[int, int]:
        said = subprocess.run([*self._command(), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.match(r"PgBouncer (\d+)\.(\d+)", said)
        assert found is not None
        return int(found[1]), int(found[2])

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [*self._command(), f"{self._inside}/pgbouncer.ini"]
            self._process = subprocess.Popen(command, env={"PATH": PATH}, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError((self._folder / "log").read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        """At once, with every connection: as when its machine goes."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)

    def _command(self) -> list[str]:
        if self._root is None:
            return ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "pgbouncer"]
        return ["chroot", f"--userspec={USER}:nogroup", str(self._root), "/usr/sbin/pgbouncer"]

    def __enter__(self) -> Bouncer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


def what_is_missing() -> str:
    if shutil.which("pgbouncer", path=PATH) is None:
        return "apt-get install -y pgbouncer"
    return "" if os.geteuid() == 0 else "PgBouncer is started as another user, which wants root."
