"""The README's code and commands, held against the files they speak of and run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks import readme
from harness import free_port
from quickstart_site import QUICKSTART, REPOSITORY, add_note, log_in

pytestmark = pytest.mark.once

README = (REPOSITORY / "README.md").read_text()
INSTALLATION = 3  # lines: make the environment, enter it, install
OWN_ENVIRONMENT = ("ALLOWED_HOSTS", "DATABASE_URL", "DEBUG", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "STATIC_ROOT")


def block(heading: str, language: str, skipped: int = 0) -> str:
    """The first code block in `language` after a heading, or one that comes after it."""
    before = rf"(?:.*?^```{language}\n.*?^```$){{{skipped}}}"
    found = re.search(
        rf"^#+ {re.escape(heading)}${before}.*?^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
    )
    if found is None:
        raise LookupError(f"README.md has no {language} block under {heading!r}.")
    return found[1]


DEMO = block("Try it", "sh")
TESTS = block("Run the tests", "sh")


def test_the_code_is_a_file_of_the_quickstart() -> None:
    """The README's Python is mysite/asgi.py of the quickstart, to the letter."""
    assert block("djfast_mount", "python") == (QUICKSTART / "mysite" / "asgi.py").read_text()


def test_the_first_screen_shows_the_whole_program() -> None:
    """The code, the command that runs it and what answers where are in the first 25 lines."""
    screen = "\n".join(README.splitlines()[:25])
    for part in (
        block("djfast_mount", "python"),
        "`uvicorn mysite.asgi:app`",
        "`/api/docs`",
        "`/admin/`",
        "`/static/...`",
    ):
        assert part in screen


def test_what_you_get_is_told_in_eight_lines() -> None:
    """What the README promises takes at most eight lines, and what it does not do follows at once."""
    promises, following = README.split("## What you get\n")[1].split("\n## ", 1)
    assert len(promises.strip().splitlines()) <= 8
    assert following.startswith("What it does not do")


def test_links_lead_to_files() -> None:
    """Every relative link of the README names something in the repository."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (REPOSITORY / link.split("#")[0]).exists()] == []


def test_ci_runs_the_tests_command() -> None:
    """.ci/run takes the command for the tests from the README, and runs all of it as its last act."""
    script = (REPOSITORY / ".ci" / "run").read_text()
    [extraction] = re.findall(r"^tests=.*$", script, re.MULTILINE)
    shell = ["bash", "-c", f'{extraction}; printf "%s\\n" "$tests"']
    done = subprocess.run(shell, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == TESTS
    assert script.endswith('\nbash -euo pipefail -c "$tests"\n')


@pytest.mark.parametrize("commands", [DEMO, TESTS], ids=["demo", "tests"])
def test_commands_install_what_there_is(commands: str) -> None:
    """Both commands start with an environment of their own, and install extras and files that exist."""
    make, enter, install = commands.splitlines()[:INSTALLATION]
    assert (make, enter) == ("python3 -m venv .venv", ". .venv/bin/activate")
    found = re.fullmatch(r'python -m pip install --editable "\.\[([a-z,]+)\]"(?: --requirement (\S+))?', install)
    assert found is not None
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(found[1].split(",")) <= set(extras)
    assert found[2] is None or (REPOSITORY / found[2]).is_file()


def test_the_tests_command_takes_both_databases() -> None:
    """After the installation the whole fast suite runs twice, and nothing else happens."""
    assert TESTS.splitlines()[INSTALLATION:] == ["python -m pytest -n 2", "python -m pytest -n 2 --db postgres"]


@dataclass(frozen=True)
class Demo:
    url: str
    printed: Path

    def password(self) -> str:
        found = re.search(r"^Admin user: demo\nPassword: +(\S+)$", self.printed.read_text(), re.MULTILINE)
        if found is None:
            raise LookupError(f"no name and password in what the demo printed:\n{self.printed.read_text()}")
        return found[1]


def copy_of_the_quickstart(folder: Path) -> Path:
    """As in a fresh clone, with a `python` that stands for the one of the installation. Returns its directory."""
    leavings = shutil.ignore_patterns("db.sqlite3*", "staticfiles", "__pycache__")
    shutil.copytree(QUICKSTART, folder / "examples" / "quickstart", ignore=leavings)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python.parent


@contextlib.contextmanager
def running(commands: str, folder: Path, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The commands in a shell of their own, and the file that takes what they print."""
    printed = folder / "printed"
    with printed.open("wb") as output:
        shell = ["bash", "-euo", "pipefail", "-c", commands]
        process = subprocess.Popen(
            shell, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process, printed
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)


def wait_for(process: subprocess.Popen[bytes], port: int, printed: Path) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the demo does not serve:\n{printed.read_text()}")


def test_the_readmes_api_answers(tmp_path: Path) -> None:
    """The README's API, in the place of the quickstart's own, answers with the titles of the notes."""
    copy_of_the_quickstart(tmp_path)
    project = tmp_path / "examples" / "quickstart"
    (project / "notes" / "api.py").write_text(block("djfast_mount", "python", skipped=1))
    code = """
from mysite.asgi import app
from django.core.management import call_command
from djfast_mount.testing import Client
from notes.models import Note
call_command("migrate", verbosity=0)
Note.objects.create(title="first")
print(Client(app).get("http://localhost/api/notes").json())
"""
    env = {name: value for name, value in os.environ.items() if name not in OWN_ENVIRONMENT} | {"DEBUG": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=project, env=env, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines()[-1] == "['first']"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo command in a copy of the quickstart: all of it but the installation, on a port that is free."""
    folder, port = tmp_path_factory.mktemp("clone"), free_port()
    lines = DEMO.splitlines()[INSTALLATION:]
    assert lines[-1].endswith(" --host 127.0.0.1 --port 8000")
    commands = "\n".join(lines).removesuffix("8000") + str(port)
    env = {name: value for name, value in os.environ.items() if name not in OWN_ENVIRONMENT}
    env["PATH"] = f"{copy_of_the_quickstart(folder)}:{env['PATH']}"
    with running(commands, folder, env) as (process, printed):
        wait_for(process, port, printed)
        yield Demo(f"http://127.0.0.1:{port}", printed)


def test_the_demo_serves_admin_and_api(demo: Demo) -> None:
    """With the printed name and password a note is added in the admin, and the API answers it."""
    with httpx.Client(base_url=demo.url, timeout=30) as client:
        assert log_in(client, demo.password()).status_code == 302
        assert add_note(client, "from the demo").status_code == 302
        assert [note["title"] for note in client.get("/api/notes").json()] == ["from the demo"]
        assert client.get("/api/docs").status_code == 200


def test_the_demo_serves_collected_files(demo: Demo) -> None:
    """The admin's stylesheet has a hash in its name and is served for ever."""
    with httpx.Client(base_url=demo.url, timeout=30) as client:
        found = re.search(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', client.get("/admin/login/").text)
        assert found is not None
        assert "immutable" in client.get(found[1]).headers["cache-control"]


def test_the_readmes_figures_are_those_of_the_last_run() -> None:
    """The table of the README is made of docs/benchmarks.md, to the letter, and beside it stands the run's command."""
    page = (REPOSITORY / "docs" / "benchmarks.md").read_text()
    assert readme.table(page) in README
    assert readme.table(page).count("\n") > 10
    assert page.split("`")[1] in README
