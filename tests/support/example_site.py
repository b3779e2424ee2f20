"""The examples as their readers run them: a copy of the folder, started by the commands of its README."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness import Server
from quickstart_site import REPOSITORY, fresh_database, hidden_fields

EXAMPLES = ["goatfish", "polls", "books", "companies"]


@dataclass(frozen=True)
class Example:
    """One copy: `env` is all that tells it from another. `printed` is what its commands have written."""

    folder: Path
    env: dict[str, str]
    app: str
    printed: str = ""

    def run(self, command: str) -> str:
        """Runs a line of shell in the folder. Returns what it writes; raises when it fails."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command!r} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def serve(self, *options: str) -> Server:
        return Server(self.app, *options, env=self.env, folder=self.folder)

    def said(self, word: str) -> str:
        """What `seed` has printed behind a word, say the password."""
        found = re.search(rf"^{word}: +(\S+)$", self.printed, re.MULTILINE)
        if found is None:
            raise LookupError(f"no {word!r} in {self.printed!r}")
        return found[1]

    def log_in(self, client: httpx.Client) -> httpx.Response:
        """The answer to the admin's login form."""
        fields = hidden_fields(client.get("/admin/login/"))
        sent = {**fields, "username": self.said("Admin user"), "password": self.said("Password")}
        return client.post("/admin/login/", data=sent)


def commands_of(name: str, word: str) -> list[str]:
    """The commands of a line of the README, without those that install."""
    readme = (REPOSITORY / "examples" / name / "README.md").read_text()
    line = re.search(rf"^{word}: `([^`]+)`", readme, re.MULTILINE)
    if line is None:
        raise LookupError(f"the README of {name} has no line {word!r}")
    return [command for command in line[1].split(" && ") if not command.startswith("pip install")]


@contextlib.contextmanager
def copied(name: str, folder: Path) -> Iterator[Example]:
    """The example in a folder of its own, with a database of its own, and nothing done yet."""
    copy = folder / name
    ignored = shutil.ignore_patterns("__pycache__", "db.sqlite3*", "staticfiles", ".*")
    shutil.copytree(REPOSITORY / "examples" / name, copy, ignore=ignored)
    app = commands_of(name, "Run")[-1].removeprefix("uvicorn ")
    # `python` of the commands is the one that runs the tests.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"DJANGO_SETTINGS_MODULE": f"{app.partition('.')[0]}.settings", "PATH": path, "DEBUG": "1"}
    with fresh_database(copy) as database_url:
        yield Example(copy, {**env, "DATABASE_URL": database_url}, app)


@contextlib.contextmanager
def started(name: str, folder: Path) -> Iterator[Example]:
    """Migrated and seeded by the README's commands."""
    with copied(name, folder) as example:
        printed = example.run(" && ".join(commands_of(name, "Run")[:-1]))
        yield Example(example.folder, example.env, example.app, printed)
