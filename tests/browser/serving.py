"""Servers where a browser finds them, and the test project's library as one of the sites that they serve."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness import PYTHONPATH, TESTS, Server
from nginx import nginx
from quickstart_site import PASSWORD, fresh_database


@contextlib.contextmanager
def served(serve: Callable[..., Server], folder: Path, prefix: str) -> Iterator[str]:
    """The URL of what `serve` starts: by itself, or behind nginx, which strips `prefix`."""
    if prefix:
        with (
            serve("--root-path", prefix) as server,
            nginx(folder / "nginx", server.url, prefix, strip=True) as url,
        ):
            yield url
    else:
        with serve() as server:
            yield server.url


MIGRATE = ("migrate", "--verbosity=0")
CREATE_DEMO = ("createsuperuser", "--no-input", "--username=demo", "--email=demo@example.com")


@contextlib.contextmanager
def library(folder: Path, prefix: str, *commands: tuple[str, ...], **env: str) -> Iterator[str]:
    """The URL of the library: migrated, with the superuser "demo", and what the management `commands` have done."""
    with fresh_database(folder) as database_url:
        env = {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": PYTHONPATH, **env}
        env["DATABASE_URL"] = database_url
        for command in (MIGRATE, CREATE_DEMO, *commands):
            manage({**env, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, *command)
        with served(partial(Server, "project.library.asgi:app", env=env), folder, prefix) as url:
            yield url


def manage(env: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=TESTS,
        env={**os.environ, **env},
        check=True,
        capture_output=True,
    )
