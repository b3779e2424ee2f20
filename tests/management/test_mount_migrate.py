"""manage.py mount_migrate: of processes that start together one migrates, and the others wait for it.

Holds `management/commands/mount_migrate.py` and `management/migration_lock.py`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev_site import Folder, environment
from harness import postgres

pytestmark = pytest.mark.long

# Each migration notes that it ran, and the first of them waits until the test says so.
MODELS = """
from django.db import models
class Page(models.Model):
    title = models.TextField()
"""
# Without the admin and its migrations a process takes a third of the time.
SMALL = """
from mysite.settings import *
INSTALLED_APPS = ["djfast_mount", "django.contrib.contenttypes", "pages"]
MIDDLEWARE = []
ROOT_URLCONF = "mysite.nothing"
"""
FIRST = """
import time
from pathlib import Path
from django.db import migrations, models
def wait(apps, schema_editor):
    here = Path(__file__).parent
    with (here / "runs").open("a") as runs:
        runs.write("ran\\n")
    while not (here / "go").exists():
        time.sleep(0.01)
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Page", [("id", models.BigAutoField(primary_key=True)), ("title", models.TextField())]),
        migrations.RunPython(wait),
    ]
"""
SECOND = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("pages", "0001_initial")]
    operations = [
        AddIndexConcurrently("Page", models.Index(fields=["title"], name="titles"))
    ]
"""


class Site:
    def __init__(self, path: Path, **env: str) -> None:
        self.folder = Folder(path)
        self.env = {"DJANGO_SETTINGS_MODULE": "mysite.small", **env}
        self.folder.write("mysite/small.py", SMALL)
        self.folder.write("mysite/nothing.py", "urlpatterns = []\n")
        self.migrations = path / "pages" / "migrations"
        self.folder.write("pages/models.py", MODELS)
        self.folder.write("pages/migrations/__init__.py", "")
        self.folder.write("pages/migrations/0001_initial.py", FIRST)

    def start(self, *options: str) -> subprocess.Popen[str]:
        with (self.folder.path / f"log{time.monotonic_ns()}").open("w") as log:
            command = [sys.executable, "manage.py", "mount_migrate", *options]
            return subprocess.Popen(
                command, cwd=self.folder.path, env=environment(self.env), stdout=log, stderr=log, text=True
            )

    @property
    def logs(self) -> list[str]:
        return [path.read_text() for path in sorted(self.folder.path.glob("log*"))]

    @property
    def runs(self) -> int:
        path = self.migrations / "runs"
        return path.read_text().count("ran") if path.exists() else 0

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline, self.logs
            time.sleep(0.05)

    def go(self) -> None:
        (self.migrations / "go").touch()

    @contextlib.contextmanager
    def started(self, count: int, *options: str) -> Iterator[list[subprocess.Popen[str]]]:
        """All of them ended at the end, whatever the test has found."""
        processes = [self.start(*options) for _ in range(count)]
        try:
            yield processes
        finally:
            self.go()
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                process.kill()
                process.wait()


@pytest.fixture(params=["sqlite", "postgres"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "sqlite":
        # Of the project's own folder, not of the run.
        yield Site(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}")
        return
    with postgres() as url:
        yield Site(tmp_path, DATABASE_URL=url)


def test_one_of_three_migrates(site: Site) -> None:
    """Of three at once one runs the migrations, the others say that they wait; all of them end well."""
    with site.started(3) as processes:
        site.until(lambda: site.runs == 1 and "".join(site.logs).count("Another process migrates 'default'.") == 2)
        site.go()
        assert [process.wait(60) for process in processes] == [0, 0, 0], site.logs
    assert site.runs == 1
    assert sum("Applying pages.0001_initial" in log for log in site.logs) == 1
    assert sum("No migrations to apply" in log for log in site.logs) == 2


def test_who_has_waited_long_enough_says_so(site: Site) -> None:
    """--wait bounds the time for another process: then it is status 1, and what to do about it."""
    with site.started(1) as [first]:
        site.until(lambda: site.runs == 1)
        with site.started(1, "--wait", "0.1") as [second]:
            assert second.wait(60) == 1
        assert "another process has been migrating for 0.1 seconds" in site.logs[-1]
        site.go()
        assert first.wait(60) == 0


def test_the_lock_of_a_dead_process_is_free(site: Site) -> None:
    """A process that is killed while it migrates leaves the lock to the next."""
    with site.started(1) as [first]:
        site.until(lambda: site.runs == 1)
        first.kill()
        first.wait()
        site.go()
        with site.started(1) as [second]:
            assert second.wait(60) == 0
    assert site.runs == 2


@pytest.fixture
def on_postgres(tmp_path: Path) -> Iterator[Site]:
    with postgres() as url:
        yield Site(tmp_path, DATABASE_URL=url)


def test_indexes_are_made_concurrently_while_others_wait(on_postgres: Site) -> None:
    """CREATE INDEX CONCURRENTLY waits for every open snapshot: those that wait for the lock have none."""
    site = on_postgres
    site.folder.write("pages/migrations/0002_index.py", SECOND)
    with site.started(3) as processes:
        site.until(lambda: site.runs == 1 and "".join(site.logs).count("Another process") == 2)
        site.go()
        assert [process.wait(60) for process in processes] == [0, 0, 0], site.logs


def test_a_migration_may_last_longer_than_a_query(on_postgres: Site) -> None:
    """statement_timeout, which ends the queries of requests, ends no migration."""
    site = on_postgres
    slow = FIRST.replace("migrations.RunPython(wait)", 'migrations.RunSQL("SELECT pg_sleep(0.2)")')
    site.folder.write("pages/migrations/0001_initial.py", slow)
    site.folder.write(
        "mysite/local.py",
        'from mysite.small import *\nDATABASES["default"]["OPTIONS"] = '
        '{**DATABASES["default"].get("OPTIONS", {}), "options": "-c statement_timeout=100ms"}\n',
    )
    site.env["DJANGO_SETTINGS_MODULE"] = "mysite.local"
    assert site.folder.manage("migrate", **site.env).returncode == 1
    done = site.folder.manage("mount_migrate", **site.env)
    assert done.returncode == 0, done.stderr


def test_it_takes_what_migrate_takes(site: Site) -> None:
    """--plan, an app and a migration are Django's own."""
    site.go()
    assert "pages.0001_initial" in site.folder.manage("mount_migrate", "--plan", **site.env).stdout
    assert site.folder.manage("mount_migrate", "contenttypes", **site.env).returncode == 0
    assert site.runs == 0


NOWHERE = "postgres://nobody@127.0.0.1:1/none"


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A server that does not answer is status 1 and one line, which names the setting to look at."""
    site = Site(tmp_path, DATABASE_URL=NOWHERE)
    done = site.folder.manage("mount_migrate", **site.env)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("CommandError: The database 'default' was not migrated: it does not answer (")
    assert line.endswith("Look at DATABASES['default'], and start it.")


@pytest.mark.parametrize("url", [NOWHERE, "sqlite:////nowhere/db.sqlite3"])
def test_logs_are_told_of_it_in_one_record(tmp_path: Path, url: str) -> None:
    """With --verbosity 0 and logs in JSON the only line is a record, of level ERROR."""
    site = Site(tmp_path, DATABASE_URL=url, DJANGO_SETTINGS_MODULE="mysite.local")
    logging = 'from djfast_mount.logs import log_to_stdout\nLOGGING = log_to_stdout("json")\n'
    site.folder.write("mysite/local.py", "from mysite.small import *\n" + logging)
    done = site.folder.manage("mount_migrate", "--verbosity", "0", **site.env)
    [line] = done.stdout.splitlines()
    record = json.loads(line)
    assert (done.returncode, done.stderr, record["level"]) == (1, "", "ERROR")
    assert "The database 'default' was not migrated" in record["message"]


def test_a_statement_that_is_wrong_is_told_as_ever(site: Site) -> None:
    """An error of a migration itself has its traceback."""
    broken = FIRST.replace("migrations.RunPython(wait)", 'migrations.RunSQL("SELECT * FROM nowhere")')
    site.folder.write("pages/migrations/0001_initial.py", broken)
    done = site.folder.manage("mount_migrate", **site.env)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "nowhere" in done.stderr
