"""The projects of this folder, served: each join on a database of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import PYTHONPATH, TESTS, Server
from quickstart_site import PASSWORD, fresh_database

PROJECTS = {"polls_at_root": "/django", "spa_at_root": "/d", "rewritten": "/server"}
"""Each with the prefix of Django's half."""


@contextlib.contextmanager
def served(project: str, join: str, folder: Path, *options: str) -> Iterator[Server]:
    """The project by one of its joins, migrated, with the superuser "demo" and with collected files."""
    folder.mkdir(parents=True, exist_ok=True)
    with fresh_database(folder) as database_url:
        env = {
            "DJANGO_SETTINGS_MODULE": f"moving.{project}.settings",
            "DATABASE_URL": database_url,
            "STATIC_ROOT": str(folder / "static"),
            "PYTHONPATH": PYTHONPATH,
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        for command in (
            ("migrate", "--verbosity=0"),
            ("createsuperuser", "--no-input", "--username=demo", "--email=demo@example.com"),
            ("collectstatic", "--no-input", "--verbosity=0"),
        ):
            django = [sys.executable, "-m", "django", *command]
            subprocess.run(django, cwd=TESTS, env={**os.environ, **env}, check=True, capture_output=True)
        with Server(f"moving.{project}.{join}:app", *options, env=env) as server:
            yield server
