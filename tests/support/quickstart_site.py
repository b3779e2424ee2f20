"""The quickstart as its readers run it: the code in examples/, with a database and a static root of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg

from harness import TESTS, Server

REPOSITORY = TESTS.parent
QUICKSTART = REPOSITORY / "examples" / "quickstart"
APP = "mysite.asgi:app"
PASSWORD = "correct horse battery staple"


@contextlib.contextmanager
def fresh_database(folder: Path) -> Iterator[str]:
    """The URL of an empty database: in a file, or on the PostgreSQL that `--db postgres` has started."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    name = f"quickstart_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@dataclass(frozen=True)
class Site:
    """One installation of the quickstart: `env` is all that tells it from another."""

    env: dict[str, str]

    def manage(self, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=QUICKSTART,
            env={**os.environ, **self.env, **env},
            capture_output=True,
            text=True,
            check=check,
        )

    def serve(self, *options: str, **env: str) -> Server:
        return Server(APP, *options, env={**self.env, **env}, folder=QUICKSTART)


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Site]:
    """Migrated, with the demo admin and collected static files; DEBUG is off."""
    # One for all the tests of a run: to hash and compress the admin's files takes longer than most of them.
    static_root = Path(os.environ["TEST_SCRATCH"]) / "quickstart-static"
    with fresh_database(folder) as database_url:
        site = Site(
            {
                "ALLOWED_HOSTS": "127.0.0.1",
                "DATABASE_URL": database_url,
                "DEBUG": "",
                "DJANGO_SETTINGS_MODULE": "mysite.settings",
                "SECRET_KEY": "not a secret: this installation serves tests alone",
                "STATIC_ROOT": str(static_root),
            }
        )
        site.manage("migrate", "--verbosity=0")
        site.manage("demo_admin", f"--password={PASSWORD}")
        if not static_root.exists():
            site.manage("collectstatic", "--verbosity=0", "--no-input")
        yield site


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    """What a browser sends back with a form, besides what its user fills in."""
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    if "csrfmiddlewaretoken" not in fields:
        raise LookupError(f"no form in {page.request.url} ({page.status_code}): {page.text[:200]!r}")
    return fields


def log_in(client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    """The answer to the admin's login form."""
    fields = hidden_fields(client.get("/admin/login/"))
    return client.post("/admin/login/", data={**fields, "username": "demo", "password": password})


def add_note(client: httpx.Client, title: str) -> httpx.Response:
    """The answer to the admin's form for a new note."""
    fields = hidden_fields(client.get("/admin/notes/note/add/"))
    return client.post("/admin/notes/note/add/", data={**fields, "title": title, "text": ""})


def create(client: httpx.Client, *titles: str) -> httpx.Response:
    """The API's answer to new notes. Only users who are logged in may write: see log_in()."""
    token = client.cookies.get("csrftoken", default="")
    return client.post("/api/notes", json=[{"title": title} for title in titles], headers={"x-csrftoken": token})


def logged_in(client: httpx.Client) -> dict[str, str]:
    """Logs in. Returns the headers of a write by any other client."""
    log_in(client)
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return {"cookie": cookies, "x-csrftoken": client.cookies["csrftoken"]}
