"""The tutorial, chapter after chapter: its files are written, its commands run, and what they print is compared.

A block of Python that begins with the path of a file is that file. `(add)` behind the path means the end of the file.
In a block of the kind `console`, a line that begins with `$` is a command. `...` stands for any text.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import PYTHONPATH, TESTS, Server

pytestmark = [pytest.mark.long, pytest.mark.once]

FOLDER = TESTS.parent / "docs" / "tutorial"
CHAPTERS = sorted(FOLDER.glob("[0-9]*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# ([\w/]+\.\w+)( \(add\))?\n")
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
# What needs the network, or goes on until it is interrupted.
NOT_RUN = ("python -m pip", "python manage.py runserver", "uvicorn", "docker", "celery")


class Project:
    """The reader's project, as far as they have read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: Server | None = None
        self._env = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TEST_SCRATCH")},
            "DJANGO_SETTINGS_MODULE": "bookshop.settings",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
            "PYTHONPATH": PYTHONPATH,
        }

    def follow(self, chapter: Path) -> None:
        for language, text in BLOCK.findall(chapter.read_text()):
            named = NAMED.match(text)
            if language == "python" and named is not None:
                self._write(self.folder / named[1], text, adds=bool(named[2]))
            if language == "console":
                for command, expected in COMMAND.findall(text):
                    self._run(command, expected)

    def _write(self, path: Path, text: str, *, adds: bool) -> None:
        self.stop()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.read_text() + text if adds else text)

    def _run(self, command: str, expected: str) -> None:
        if command.startswith(NOT_RUN):
            return
        if "http://127.0.0.1:8000" in command:
            command = command.replace("http://127.0.0.1:8000", self._url())
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        printed = done.stdout
        wanted, got = expected.rstrip("\n"), printed.rstrip("\n").replace(self._url_or_none(), "http://127.0.0.1:8000")
        assert doctest.OutputChecker().check_output(f"{wanted}\n", f"{got}\n", doctest.ELLIPSIS), (
            f"$ {command}\n{printed}\nThe page says:\n{expected}"
        )

    def _url(self) -> str:
        if self.server is None:
            self.server = Server("bookshop.asgi:app", env=self._env, folder=self.folder).wait_until_ready()
        return self.server.url

    def _url_or_none(self) -> str:
        return self.server.url if self.server else "\0"

    def stop(self) -> None:
        if self.server is not None:
            self.server.__exit__()
            self.server = None


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("bookshop"))
    yield project
    project.stop()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_the_chapter_is_true(chapter: Path, project: Project) -> None:
    """A reader who follows the chapters in their order sees what each of them says."""
    project.follow(chapter)
    project.stop()
