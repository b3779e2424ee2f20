"""The variables of the environment, as an operator gives them: empty, with blanks, wrong, for another database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import PYTHONPATH, TESTS

pytestmark = pytest.mark.once

# Prints for each environment what the settings are then, or the error.
READ = """
import importlib, json, os, sys
module, *cases = sys.argv[1:]
names = ["ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASES", "DJFAST_MOUNT", "LOGGING", "STATIC_ROOT"]
names += ["SECURE_SSL_REDIRECT"]
given = dict(os.environ)
for case in cases:
    os.environ.clear()
    os.environ.update(given, **json.loads(case))
    for name in [name for name in sys.modules if name.startswith(module.partition(".")[0])]:
        del sys.modules[name]
    try:
        found = vars(importlib.import_module(module))
        print(json.dumps({name: found.get(name) for name in names}, default=str))
    except Exception as error:
        print(json.dumps({"error": str(error), "has a cause": not error.__suppress_context__}))
"""
GIVEN = {"SECRET_KEY": "k" * 60, "ALLOWED_HOSTS": "a.example"}
OPTIONAL = ["CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "DRAIN", "HTTPS", "LOG_FORMAT", "STATIC_ROOT"]
MODULES = {"project": "shop.settings.production", "quickstart": "mysite.settings"}


class Project:
    def __init__(self, folder: Path, module: str) -> None:
        self.folder = folder
        self._module = module

    def read(self, *cases: dict[str, str]) -> list[dict[str, Any]]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, **GIVEN}
        command = [sys.executable, "-c", READ, self._module, *map(json.dumps, cases)]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module", params=list(MODULES))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    if request.param == "quickstart":
        return Project(TESTS.parent / "examples" / "quickstart", MODULES[request.param])
    folder = tmp_path_factory.mktemp("new")
    command = [sys.executable, "-m", "djfast_mount", "startproject", "shop"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": PYTHONPATH}, check=True, capture_output=True)
    return Project(folder / "shop", MODULES[request.param])


def test_an_empty_variable_is_as_good_as_none(project: Project) -> None:
    """What compose makes of a name that it does not know changes no setting."""
    unset, *emptied = project.read({}, *({name: ""} for name in OPTIONAL))
    assert "error" not in unset
    for name, found in zip(OPTIONAL, emptied, strict=True):
        assert found == unset, name


def test_blanks_around_a_word_are_nobodys(project: Project) -> None:
    """Lists are written with a blank behind the comma, and end with one."""
    given = {
        "ALLOWED_HOSTS": " a.example , b.example,",
        "CSRF_TRUSTED_ORIGINS": "https://a.example, https://b.example ,",
    }
    (found,) = project.read(given)
    assert found["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://a.example", "https://b.example"]


WRONG = [
    *({"DRAIN": value} for value in ("soon", "10s", "1,5")),
    *(
        {"DATABASE_URL": url}
        for url in (
            " ",
            "s3cret",
            "oracle9://u:s3cret@db/x",
            "postgres://u:s3cret@db:port/x",
            '"postgres://u:s3cret@db/x"',
            "postgres://u:s3#cret@db/x",
            "postgres://u:s3/cret@db/x",
        )
    ),
]


def test_a_wrong_variable_is_told_by_its_name(project: Project) -> None:
    """The error names the variable and the remedy, and shows nothing of a URL, which may hold a password."""
    for given, found in zip(WRONG, project.read(*WRONG), strict=True):
        (name,) = given
        assert found.get("error", "").startswith(f"{name} is "), (given, found)
        assert not found["has a cause"], given
        assert "s3" not in found["error"]


def test_a_database_of_another_kind_has_no_options_of_postgresqls(project: Project) -> None:
    """A URL of MySQL is handed on as it is, and one of PostgreSQL has limits of time."""
    mysql, postgres = project.read({"DATABASE_URL": "mysql://u@db/x"}, {"DATABASE_URL": "postgres://u@db/x"})
    assert mysql["DATABASES"]["default"].get("OPTIONS", {}) == {}
    assert postgres["DATABASES"]["default"]["OPTIONS"]["connect_timeout"] == 5


def test_an_empty_number_of_workers_is_none(project: Project) -> None:
    """The entry point takes an empty WEB_CONCURRENCY out, which uvicorn could not read, and leaves a number in."""
    for given, seen in (("", False), ("2", True)):
        env = {"PATH": os.environ["PATH"], "WEB_CONCURRENCY": given}
        command = ["sh", "entrypoint.sh", "env"]
        done = subprocess.run(command, cwd=project.folder, env=env, capture_output=True, text=True, check=True)
        assert ("WEB_CONCURRENCY" in done.stdout) is seen
