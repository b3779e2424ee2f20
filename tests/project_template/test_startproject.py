"""python -m djfast_mount startproject: what it writes runs at once, tested, and passes the doctor.

Holds `__main__.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import djfast_mount
from dev_site import dedent
from harness import TESTS, Server
from quickstart_site import QUICKSTART, fresh_database

pytestmark = pytest.mark.long

TEMPLATE = Path(djfast_mount.__file__).parent / "project_template"
OWN = ("DJANGO_SETTINGS_MODULE", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "PYTHONPATH", "TEST_SCRATCH")
KEY = "".join(chr(ord("!") + number) for number in range(80))
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "shop.settings.production",
    "SECRET_KEY": KEY,
    "ALLOWED_HOSTS": "127.0.0.1",
    "HTTPS": "0",
}


def run(folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OWN}
    # The package of this very folder, and nothing of the tests.
    inherited["PYTHONPATH"] = str(TESTS.parent / "src")
    # What the test run itself is given must not reach the project: its database, if it is to be PostgreSQL.
    if url := os.environ.get("DATABASE_URL"):
        inherited["DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def own_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The project's tests make a database named after its own, which must not be that of these tests."""
    if "DATABASE_URL" not in os.environ:
        yield
        return
    with fresh_database(tmp_path_factory.mktemp("database")) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, own_database: None) -> Path:
    folder = tmp_path_factory.mktemp("new")
    done = run(folder, "-m", "djfast_mount", "startproject", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(folder / "shop", "manage.py", "migrate", "--verbosity=0").returncode == 0
    return folder / "shop"


def test_nothing_of_the_template_is_left_in_it(project: Path) -> None:
    """Every name has been put in, every file bears its own name, and only what is Django's to render is left."""
    files = [path for path in project.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".sqlite3")]
    assert {path.name for path in files} >= {
        "Dockerfile",
        "pyproject.toml",
        "README.md",
        "asgi.py",
        "api.py",
        "manage.py",
    }
    assert not [path for path in files if path.name.endswith("-tpl")]
    assert [path.name for path in files if "project_name" in path.read_text(errors="ignore")] == []


def test_its_tests_pass(project: Path) -> None:
    """Django's runner and pytest both find the project's own tests, which pass as they are."""
    done = run(project, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    done = run(project, "manage.py", "test")
    assert (done.returncode, "Ran 3 tests" in done.stderr) == (0, True), done.stderr


def test_tests_do_not_ask_for_collected_files(project: Path) -> None:
    """Nothing is said of static files that were not collected, be the tests Django's or pytest's."""
    test = """
        from django.test import TestCase
        from djfast_mount.testing import Client
        class Tests(TestCase):
            def test_all(self):
                assert Client().get("/api/notes/").json() == []
        """
    (project / "notes" / "tests.py").write_text(dedent(test))
    done = run(project, "manage.py", "test", "notes")
    (project / "notes" / "tests.py").unlink()
    assert (done.returncode, "Ran 1 test" in done.stderr) == (0, True), done.stderr
    assert "static" not in (done.stdout + done.stderr).lower()


def test_its_checks_and_migrations_are_complete(project: Path) -> None:
    """Neither Django nor we have anything to say of it, and its migrations are its models'."""
    assert "no issues" in run(project, "manage.py", "check", "--fail-level=WARNING").stdout
    assert "No changes detected" in run(project, "manage.py", "makemigrations", "--check", "--dry-run").stdout


def test_it_is_healthy_in_production(project: Path) -> None:
    """With a key, hosts and collected files the doctor finds nothing in the settings of production."""
    assert run(project, "manage.py", "collectstatic", "--no-input", **PRODUCTION).returncode == 0
    done = run(project, "manage.py", "mount_doctor", "--requests", **{**PRODUCTION, "HTTPS": "1"})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Nothing to mend."), done.stdout
    told = re.findall(r"^(\w+) djfast_mount[.](\w+)", done.stdout, re.MULTILINE)
    assert told == [("DEBUG", "D141")]  # By which way the schemas read: it is told, and nothing is to be done.


def test_a_key_is_asked_for_in_production(project: Path) -> None:
    """The settings of production name the key that is missing."""
    done = run(project, "manage.py", "check", **{**PRODUCTION, "SECRET_KEY": ""})
    assert "SECRET_KEY is not set" in done.stderr


def test_it_is_served(project: Path, root_path: str) -> None:
    """uvicorn serves site, style, admin, API and readiness from it, at the root of its host and under a prefix."""
    run(project, "manage.py", "collectstatic", "--no-input", **PRODUCTION)
    options = ("--root-path", root_path) if root_path else ()
    env = {**PRODUCTION, "PYTHONPATH": os.pathsep.join(map(str, (project, TESTS.parent / "src")))}
    with Server("shop.asgi:app", *options, env=env, folder=project) as server, server.client() as client:
        page = client.get("/").text
        assert "<h1>Notes</h1>" in page
        [style] = re.findall(r'href="([^"]+[.]css)"', page)
        assert "system-ui" in client.get(style.removeprefix(root_path)).text
        assert client.get("/admin/login/").status_code == 200
        assert client.get("/api/notes/").json() == []
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.post("/api/notes/", json=[{"title": "no"}]).status_code == 401


def test_a_database_that_is_away_is_503_in_both_halves(project: Path, root_path: str) -> None:
    """Pages and API say that they will be back, and each has its traceback in the log."""
    run(project, "manage.py", "collectstatic", "--no-input", **PRODUCTION)
    options = ("--root-path", root_path) if root_path else ()
    path = os.pathsep.join(map(str, (project, TESTS.parent / "src")))
    env = {**PRODUCTION, "PYTHONPATH": path, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    with Server("shop.asgi:app", *options, env=env, folder=project) as server, server.client() as client:
        for asked in ("/", "/api/notes/"):
            answer = client.get(asked)
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True), asked
        assert client.get("/nothing").status_code == 404
        assert "OperationalError" in server.log


CONTAINER = (".dockerignore", "Dockerfile", "compose.yaml", "entrypoint.sh", "requirements.lock")


@pytest.mark.parametrize("name", CONTAINER)
def test_its_container_is_the_quickstarts(project: Path, name: str) -> None:
    """The files of the container are the same in both, but for the project's name and where its settings are."""
    ours = (QUICKSTART / name).read_text().replace("requirements.txt -o", "pyproject.toml -o")
    ours = ours.replace("mysite.settings", "shop.settings.production").replace("mysite", "shop")
    assert (project / name).read_text() == ours


def test_the_lock_meets_what_is_asked_for(project: Path) -> None:
    """Each direct dependency but djfast_mount, and what the extras name, is locked with hashes."""
    lock = (project / "requirements.lock").read_text()
    for name in ("django", "fastapi", "starlette", "whitenoise", "brotli", "psycopg", "uvicorn", "dj-database-url"):
        assert re.search(rf"^{name}==\S+ .*\\\n +--hash=sha256:", lock, re.MULTILINE), name
    assert "djfast-mount==" not in lock


def test_django_admin_takes_the_template_too(tmp_path: Path) -> None:
    """`django-admin startproject --template` makes the same project."""
    options = ("--extension", "py,toml,md", "--name", "Dockerfile,.dockerignore")
    done = run(tmp_path, "-m", "django", "startproject", "--template", str(TEMPLATE), *options, "shop")
    assert done.returncode == 0, done.stderr
    assert 'name = "shop"' in (tmp_path / "shop" / "pyproject.toml").read_text()


@pytest.mark.parametrize("arguments", [(), ("migrate",), ("startproject",)])
def test_other_commands_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The module knows startproject, and shows how it is called."""
    done = run(tmp_path, "-m", "djfast_mount", *arguments)
    assert (done.returncode, done.stderr.startswith("usage: python -m djfast_mount")) == (2, True)


@pytest.mark.parametrize("arguments", [("--help",), ("startproject", "--help")])
def test_help_is_no_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """--help is answered on stdout, with status 0."""
    done = run(tmp_path, "-m", "djfast_mount", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m djfast_mount")


def test_the_next_commands_are_printed(tmp_path: Path) -> None:
    """They begin in the folder in which the command ran, and name an interpreter that has the package."""
    done = run(tmp_path, "-m", "djfast_mount", "startproject", "shop", PATH=f"{Path(sys.executable).parent}")
    assert "\n    cd shop\n    python -m pip install --editable" in done.stdout
    (tmp_path / "two words").mkdir()
    done = run(tmp_path, "-m", "djfast_mount", "startproject", "till", "two words", PATH="/usr/bin")
    assert f"\n    cd 'two words'\n    {sys.executable} -m pip install" in done.stdout
    (tmp_path / "here").mkdir()
    done = run(tmp_path / "here", "-m", "djfast_mount", "startproject", "till", ".")
    assert "cd " not in done.stdout


def test_a_name_that_cannot_be_is_told(tmp_path: Path) -> None:
    """Django's own error ends the command, and no next step is printed."""
    done = run(tmp_path, "-m", "djfast_mount", "startproject", "not-a-name")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: 'not-a-name'")


def test_the_template_is_in_the_package() -> None:
    """The files lie below the package, so that a wheel has them."""
    assert TEMPLATE.is_relative_to(TESTS.parent / "src" / "djfast_mount")
    assert (TEMPLATE / "project_name" / "asgi.py-tpl").is_file()
