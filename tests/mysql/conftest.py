"""A MariaDB of the tests' own, on a socket in a temporary folder: the database of all that is run with this folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_stack = contextlib.ExitStack()
# As root, mariadbd wants the name of the user that it is to become.
_USER = "mysql" if getpass.getuser() == "root" else getpass.getuser()


class MariaDB:
    """The server, as long as it is entered. `stop` and `start` are for tests of outages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mysql://root@localhost/project?unix_socket={self.socket}"

    def install(self) -> None:
        shutil.chown(self._folder, _USER)
        options = [f"--user={_USER}", f"--datadir={self._folder / 'data'}", "--skip-test-db"]
        self._run("mariadb-install-db", *options, "--auth-root-authentication-method=normal")

    def start(self) -> None:
        options = [f"--user={_USER}", f"--datadir={self._folder / 'data'}", f"--socket={self.socket}"]
        # The texts of many an old database are of three bytes at most.
        more = ["--skip-networking", "--innodb-lock-wait-timeout=1", "--character-set-server=utf8mb3"]
        command = [_path("mariadbd"), "--no-defaults", *options, *more, f"--pid-file={self._folder / 'pid'}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.sql("SELECT 1", check=False):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mariadbd does not answer:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.1)

    def sql(self, text: str, *, check: bool = True) -> bool:
        """Runs SQL as root. Returns whether it ran. Raises CalledProcessError, where it is checked."""
        options = ["--no-defaults", "--user=root", f"--socket={self.socket}", f"--execute={text}"]
        found = subprocess.run([_path("mariadb"), *options], capture_output=True, check=check)
        return found.returncode == 0

    def add_zone(self, name: str) -> None:
        """Has the server know a time zone: without its table, parts of moments are null there."""
        found = subprocess.run(
            [_path("mariadb-tzinfo-to-sql"), f"/usr/share/zoneinfo/{name}", name], capture_output=True, check=True
        )
        self.sql(f"USE mysql; {found.stdout.decode()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _run(self, program: str, *options: str) -> None:
        found = subprocess.run([_path(program), "--no-defaults", *options], capture_output=True, text=True, check=False)
        if found.returncode:
            raise RuntimeError(f"{program} failed:\n{found.stdout}{found.stderr}")


def _path(program: str) -> str:
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise pytest.UsageError(
            f"tests/mysql needs {program}, which is not installed. On Debian or Ubuntu: apt-get install mariadb-server."
        )
    return path


server: MariaDB


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    # Before the settings are read: see ../conftest.py.
    global server  # noqa: PLW0603
    folder = Path(tempfile.mkdtemp(prefix="djfast-mount-mysql-"))
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    server = MariaDB(folder)
    server.install()
    _stack.callback(server.stop)
    server.start()
    server.sql("CREATE DATABASE project")
    for zone in ("UTC", "America/Chicago"):  # the settings' own
        server.add_zone(zone)
    os.environ["DATABASE_URL"] = server.url


def pytest_unconfigure() -> None:
    _stack.close()


@pytest.fixture
def mariadb() -> Iterator[MariaDB]:
    """The server, which runs again when the test is over."""
    yield server
    if not server.sql("SELECT 1", check=False):
        server.stop()
        server.start()
