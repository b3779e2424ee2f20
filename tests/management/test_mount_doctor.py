"""manage.py mount_doctor: it finds each fault of a project that has it, and none in one that has none.

Holds `management/commands/mount_doctor.py`, `doctor/databases.py`, `doctor/probes.py`,
`doctor/requests.py`, `doctor/server.py`, `doctor/static.py` and
`doctor/target.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev_site import Folder
from harness import free_port, postgres

pytestmark = pytest.mark.long

GOOD = """
from mysite.settings import *
DEBUG = False
SECRET_KEY = "".join(chr(ord("!") + n) for n in range(80))
ALLOWED_HOSTS = ["shop.example", ".example.org"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    *MIDDLEWARE,
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 3600
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
STATIC_ROOT = BASE_DIR / "collected"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    HERE = DATABASES["default"].get("OPTIONS", {})
    DATABASES["default"]["OPTIONS"] = {**HERE, "options": "-c statement_timeout=30s", "connect_timeout": 5}
"""


class Ward:
    """A project whose settings a test may spoil."""

    def __init__(self, path: Path, **env: str) -> None:
        self.folder = Folder(path)
        self.env = {"DJANGO_SETTINGS_MODULE": "mysite.production", **env}
        self.settings()
        for command in ("migrate", "collectstatic"):
            done = self.folder.manage(command, "--no-input", "--verbosity=0", **self.env)
            assert done.returncode == 0, done.stderr

    def settings(self, more: str = "") -> None:
        self.folder.write("mysite/production.py", GOOD + more)

    def doctor(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.folder.manage("mount_doctor", *options, **{**self.env, **env})

    def found(self, *options: str, **env: str) -> dict[str, dict[str, Any]]:
        """What the doctor finds, by id. Its status has to say whether there is anything."""
        done = self.doctor("--json", *options, **env)
        assert done.returncode in (0, 1), done.stderr
        found = {finding["id"]: finding for finding in json.loads(done.stdout)}
        assert bool(done.returncode) == any(finding["level"] in ("WARNING", "ERROR") for finding in found.values())
        assert all(finding["hint"] for id_, finding in found.items() if id_.startswith("djfast_mount"))
        return found


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    folder = tmp_path_factory.mktemp("ward")
    return Ward(folder, DATABASE_URL=f"sqlite:///{folder}/db.sqlite3")


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> Iterator[None]:
    """The project of the module is well again after each test."""
    yield
    for name in {"ward", "postgres_ward"} & set(request.fixturenames):
        request.getfixturevalue(name).settings()


def test_a_healthy_project_has_nothing_to_mend(ward: Ward) -> None:
    """Good settings get status 0 and are told so, with every endpoint called."""
    done = ward.doctor("--requests")
    assert (done.returncode, done.stdout) == (0, "Nothing to mend.\n"), done.stdout


def test_what_is_wrong_is_told_with_its_remedy(ward: Ward) -> None:
    """A finding is its level, id, what was met and, below it, what to do; the status is 1."""
    done = ward.doctor(FORWARDED_ALLOW_IPS="10.0.0.2, *")
    assert done.returncode == 1
    assert "WARNING djfast_mount.W112  FORWARDED_ALLOW_IPS is '*'" in done.stdout
    assert "\n    Name the proxy's address, FORWARDED_ALLOW_IPS=10.0.0.2." in done.stdout
    assert "\n1 finding.\n" in done.stdout


def test_the_fail_level_decides_the_status(ward: Ward) -> None:
    """Warnings fail by default, and not where errors alone are to."""
    assert ward.doctor("--fail-level", "ERROR", FORWARDED_ALLOW_IPS="*").returncode == 0


def test_silenced_findings_are_silent(ward: Ward) -> None:
    """SILENCED_SYSTEM_CHECKS holds for what the doctor finds too."""
    ward.settings("SILENCED_SYSTEM_CHECKS += ['djfast_mount.W112']\n")
    assert ward.found(FORWARDED_ALLOW_IPS="*") == {}


def test_many_faults_of_the_settings_are_found(ward: Ward) -> None:
    """Leftovers, cookies, hosts, docs and Django's own deployment checks are told in one go."""
    ward.settings(
        "MIDDLEWARE.append('whitenoise.middleware.WhiteNoiseMiddleware')\n"
        "SESSION_COOKIE_SECURE = False\nSESSION_COOKIE_SAMESITE = 'None'\n"
        "SECURE_HSTS_SECONDS = 0\n"
        "FORCE_SCRIPT_NAME = '/pre'\n"
        "DJFAST_MOUNT = {'docs_access': 'public', 'host_check': False}\n"
    )
    assert set(ward.found(UVICORN_ROOT_PATH="/pre")) == {
        "djfast_mount.W001",
        "djfast_mount.W113",
        "djfast_mount.W114",
        "djfast_mount.W131",
        "djfast_mount.W133",
        "security.W004",
        "security.W012",
    }


def test_static_files_that_were_not_collected_are_found(ward: Ward) -> None:
    """A new file is missing from the manifest, a changed one is stale, and no folder at all is told as that."""
    new, old = ("pages/static/pages/new.css", "pages/static/pages/style.css")
    try:
        ward.folder.write(new, "/* new */")
        assert "'pages/new.css'" in ward.found()["djfast_mount.W121"]["message"]
    finally:
        (ward.folder.path / new).unlink()
    ward.folder.change(old, "first", "second")
    try:
        assert "'pages/style.css'" in ward.found()["djfast_mount.W122"]["message"]
    finally:
        ward.folder.change(old, "second", "first")
    ward.settings("STATIC_ROOT = BASE_DIR / 'nowhere'\n")
    assert "djfast_mount.W020" in ward.found()


def test_hosts_that_differ_are_found(ward: Ward) -> None:
    """An API with a list of hosts of its own refuses one that Django allows."""
    middleware = "from starlette.middleware.trustedhost import TrustedHostMiddleware\n"
    ward.folder.change("pages/api.py", "import asyncio\n", f"import asyncio\n{middleware}")
    added = "api.add_middleware(TrustedHostMiddleware, allowed_hosts=['shop.example'])\n"
    api = (ward.folder.path / "pages" / "api.py").read_text()
    ward.folder.write("pages/api.py", api + added)
    try:
        assert "'example.org'" in ward.found()["djfast_mount.W132"]["message"]
    finally:
        ward.folder.write("pages/api.py", api.replace(middleware, ""))


def test_the_orm_off_the_request_thread_is_found(ward: Ward) -> None:
    """With --requests an endpoint that uses the ORM on a foreign thread is named by file and line."""
    good = (ward.folder.path / "pages" / "api.py").read_text()
    leak = (
        "\n@api.get('/leak')\nasync def leak() -> int:\n"
        "    from django.contrib.auth.models import User\n"
        "    return await asyncio.to_thread(User.objects.count)\n"
        "@api.get('/leak2')\nasync def leak2() -> int:\n"
        "    from django.contrib.auth.models import User\n"
        "    def count():\n"
        "        return User.objects.count()\n"
        "    return await asyncio.to_thread(count)\n"
    )
    ward.folder.write("pages/api.py", good + leak)
    line = (good + leak).splitlines().index("        return User.objects.count()") + 1
    try:
        assert ward.found() == {}
        messages = [finding["message"] for finding in json.loads(ward.doctor("--json", "--requests").stdout)]
        assert any(f"{ward.folder.path}/pages/api.py:{line} uses the ORM off" in message for message in messages)
    finally:
        ward.folder.write("pages/api.py", good)


def test_an_endpoint_that_fails_is_found(ward: Ward) -> None:
    """With --requests every endpoint that answers 500 is named, and no other."""
    good = (ward.folder.path / "pages" / "api.py").read_text()
    broken = "\n@api.get('/broken')\ndef broken() -> int:\n    return 1 // 0\n"
    ward.folder.write("pages/api.py", good + broken + broken.replace("broken", "broken_too"))
    try:
        assert ward.found() == {}
        told = [finding["message"] for finding in json.loads(ward.doctor("--json", "--requests").stdout)]
        assert told == ["/api/broken answers 500.", "/api/broken_too answers 500."]
    finally:
        ward.folder.write("pages/api.py", good)


def test_a_lifespan_that_fails_is_found(ward: Ward) -> None:
    """With --requests a lifespan that does not start is an error with what it said."""
    ward.folder.change("pages/api.py", "    yield\n", '    raise RuntimeError("no cache today")\n    yield\n')
    try:
        finding = ward.found("--requests")["djfast_mount.E131"]
        assert finding["level"] == "ERROR"
        assert "no cache today" in finding["message"]
    finally:
        ward.folder.change("pages/api.py", '    raise RuntimeError("no cache today")\n    yield\n', "    yield\n")


@pytest.mark.parametrize(("package", "id_"), [("httptools", "djfast_mount.W111"), ("uvloop", "djfast_mount.I111")])
def test_a_server_without_its_parsers_is_found(ward: Ward, tmp_path: Path, package: str, id_: str) -> None:
    """uvicorn without httptools is a warning, without uvloop a note that fails no build."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    assert set(ward.found(PYTHONPATH=str(tmp_path))) == {id_}


def test_unapplied_migrations_and_a_missing_database_are_found(ward: Ward, tmp_path: Path) -> None:
    """An empty database has unapplied migrations; one that does not answer is an error."""
    assert "18 unapplied" in ward.found(DATABASE_URL=f"sqlite:///{tmp_path}/empty")["djfast_mount.W104"]["message"]
    down = ward.found(DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/none")
    assert down["djfast_mount.E101"]["level"] == "ERROR"


def test_development_is_not_asked_for_what_production_needs(ward: Ward) -> None:
    """With DEBUG the deployment checks are left out, and the output says so; --deploy brings them."""
    development = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    assert ward.found(**development) == {}
    assert "DEBUG is on: what matters in production alone" in ward.doctor(**development).stdout
    assert "security.W018" in ward.found("--deploy", **development)


@pytest.fixture(scope="module")
def postgres_ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with contextlib.ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or stack.enter_context(postgres())
        yield Ward(tmp_path_factory.mktemp("postgres-ward"), DATABASE_URL=url)


def test_a_healthy_database_has_nothing_to_mend(postgres_ward: Ward) -> None:
    """PostgreSQL with timeouts, kept connections and health checks is let pass."""
    assert postgres_ward.found() == {}


def test_the_budget_of_connections_is_held(postgres_ward: Ward) -> None:
    """Instances x workers x threads beyond max_connections is told with the number of threads that fits."""
    finding = postgres_ward.found("--workers", "4", "--instances", "4")["djfast_mount.W101"]
    assert "4 instances x 4 workers x 8 threads may want 128" in finding["message"]
    assert finding["hint"].startswith("Set threads to 6 or less")
    assert "djfast_mount.W101" in postgres_ward.found("--instances", "4", WEB_CONCURRENCY="4")


def test_faults_of_the_database_are_found(postgres_ward: Ward) -> None:
    """Kept connections without checks, and no timeouts, are told; a new connection a request is a note."""
    postgres_ward.settings("DATABASES['default'] |= {'CONN_HEALTH_CHECKS': False, 'OPTIONS': HERE}\n")
    assert set(postgres_ward.found()) == {"djfast_mount.W003", "djfast_mount.W023", "djfast_mount.W103"}
    postgres_ward.settings("DATABASES['default'] |= {'CONN_MAX_AGE': 0}\n")
    assert set(postgres_ward.found()) == {"djfast_mount.I101"}


SCHEMAS = """
from django.contrib.auth.models import Group, User
from djfast_mount.schemas import ModelSchema


class GroupSchema(ModelSchema[Group]):
    class Meta:
        fields = ["id", "name"]


class UserSchema(ModelSchema[User]):
    groups: list[GroupSchema]

    class Meta:
        fields = ["id", "username"]


class NamedUser(ModelSchema[User]):
    class Meta:
        fields = ["id", "get_full_name"]


class JSONUser(UserSchema):
    class Meta(UserSchema.Meta):
        way = "database"
"""
CIRCLE = """

class Owner(ModelSchema[Group]):
    user_set: list["Owned"]


class Owned(ModelSchema[User]):
    groups: list[Owner]
"""


def test_the_way_of_each_schema_is_told(ward: Ward) -> None:
    """Each schema is told with its way, the reason and its queries; that is no finding. One that holds itself is."""
    file = ward.folder.path / "pages" / "schemas.py"
    try:
        file.write_text(SCHEMAS)
        told = ward.doctor().stdout
        file.write_text(SCHEMAS + CIRCLE)
        broken = ward.found()
    finally:
        file.unlink()
    assert "DEBUG djfast_mount.D141  pages.schemas: UserSchema reads User by the plan.\n" in told
    assert "\n    User: id, username\n      Group: id, name\n" in told
    assert "NamedUser reads User by instances: User.get_full_name is computed in Python.\n    1 query," in told
    assert "JSONUser reads User by the plan, and not by the database's JSON: the database 'default' is sqlite" in told
    assert told.endswith("Nothing to mend.\n")
    assert "holds itself" in broken["djfast_mount.E141"]["message"]
