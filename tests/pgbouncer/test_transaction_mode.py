"""What holds through PgBouncer in transaction mode and what does not: docs/pgbouncer.md, line by line.

`elsewhere` takes the connection that PgBouncer would give again, so that the next transaction is on another one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness import PYTHONPATH
from pgbouncer.bouncer import Bouncer
from pgbouncer.conftest import VERSIONS, root_of

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def client(bouncer: Bouncer) -> Iterator[Connection]:
    with psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) as connection:
        yield connection


@contextlib.contextmanager
def elsewhere(bouncer: Bouncer, client: Connection) -> Iterator[None]:
    """While another client's transaction has the connection that `client` has just used."""
    [(before,)] = client.execute("select pg_backend_pid()").fetchall()
    with psycopg.connect(bouncer.url(), prepare_threshold=None) as other:
        [(taken,)] = other.execute("select pg_backend_pid()").fetchall()
        assert taken == before
        yield
        other.rollback()


def test_transactions_hold(bouncer: Bouncer, client: Connection) -> None:
    """A transaction, its savepoints and SET LOCAL are on one connection, and gone with it."""
    client.execute("create table kept (word text)")
    with client.transaction():
        client.execute("set local work_mem = '8MB'")
        client.execute("insert into kept values ('one')")
        with contextlib.suppress(psycopg.Error), client.transaction():
            client.execute("insert into nowhere values (1)")
        assert client.execute("show work_mem").fetchone() == ("8MB",)
    assert client.execute("show work_mem").fetchone() != ("8MB",)
    assert client.execute("select word from kept").fetchall() == [("one",)]


def test_settings_do_not_hold(bouncer: Bouncer, client: Connection) -> None:
    """SET without LOCAL stays behind on a connection that another client has next."""
    assert not follows(bouncer, client, "work_mem", "9MB")


def follows(bouncer: Bouncer, client: Connection, name: str, value: str) -> bool:
    """Whether what `client` sets stays its own, and goes with it to another connection. If neither, another has it."""
    client.execute(f"set {name} = '{value}'".encode())
    with psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) as other:
        is_others = other.execute(f"show {name}".encode()).fetchone() == (value,)
    with elsewhere(bouncer, client):
        is_its_own = client.execute(f"show {name}".encode()).fetchone() == (value,)
    assert is_its_own != is_others
    return is_its_own


def test_settings_that_postgresql_reports(bouncer: Bouncer, client: Connection) -> None:
    """From 1.26 on PgBouncer sets them again for each client. PostgreSQL reports search_path from 18 on."""
    reported = bouncer.version >= (1, 26)
    assert follows(bouncer, client, "default_transaction_read_only", "on") == reported
    assert follows(bouncer, client, "search_path", "tenant") == (reported and client.info.server_version >= 180000)


def test_advisory_locks_of_sessions_do_not_hold(bouncer: Bouncer, client: Connection) -> None:
    """A second client gets a lock that the first one has, and the first cannot give it back; a transaction's holds."""
    assert client.execute("select pg_try_advisory_lock(1)").fetchone() == (True,)
    with psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) as other:
        assert other.execute("select pg_try_advisory_lock(1)").fetchone() == (True,)
        with client.transaction():
            assert client.execute("select pg_try_advisory_xact_lock(2)").fetchone() == (True,)
            assert other.execute("select pg_try_advisory_xact_lock(2)").fetchone() == (False,)


def test_server_side_cursors_do_not_hold(bouncer: Bouncer, client: Connection) -> None:
    """A cursor that is used outside of a transaction is missed on the other connection."""
    client.execute("declare rows cursor with hold for select generate_series(1, 10)")
    with elsewhere(bouncer, client), pytest.raises(psycopg.errors.InvalidCursorName):
        client.execute("fetch 5 from rows")


def test_notifications_do_not_come(bouncer: Bouncer, client: Connection) -> None:
    """LISTEN is of a connection that is somebody else's in the next moment: nothing is heard."""
    client.execute("listen news")
    with elsewhere(bouncer, client):
        pass
    with psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) as other:
        other.execute("notify news")
    assert list(client.notifies(timeout=0.5)) == []


def test_prepared_statements(database: str, tmp_path: Path) -> None:
    """psycopg's prepared statements hold from PgBouncer 1.21 on with max_prepared_statements, and not before."""
    for which, more, held in (
        ("old", "", False),
        ("new", "max_prepared_statements = 0", False),
        ("new", "max_prepared_statements = 100", True),
        ("newest", "", True),
    ):
        with (
            Bouncer(database, tmp_path, root_of(which), more) as bouncer,
            psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=0) as client,
        ):
            client.execute("select 1 + %s", [1])
            with elsewhere(bouncer, client):
                if held:
                    assert client.execute("select 1 + %s", [1]).fetchone() == (2,)
                else:
                    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
                        client.execute("select 1 + %s", [1])


def test_startup_options(database: str, tmp_path: Path) -> None:
    """OPTIONS["options"] is refused, unless PgBouncer is told to ignore it; then it has no effect."""
    asked = "-c statement_timeout=30s"
    for which in VERSIONS:
        root = root_of(which)
        refused = pytest.raises(psycopg.OperationalError, match="unsupported startup parameter")
        with Bouncer(database, tmp_path, root) as bouncer, refused:
            psycopg.connect(bouncer.url(), options=asked).close()
        with (
            Bouncer(database, tmp_path, root, "ignore_startup_parameters = options") as bouncer,
            psycopg.connect(bouncer.url(), options=asked, autocommit=True) as client,
        ):
            assert client.execute("show statement_timeout").fetchone() == ("0",)


def test_a_role_has_the_timeout(bouncer: Bouncer, database: str) -> None:
    """ALTER ROLE ... SET is the database's own, and holds on every connection."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter role postgres set statement_timeout = '31s'")
        try:
            with psycopg.connect(bouncer.url(), autocommit=True, prepare_threshold=None) as client:
                assert client.execute("show statement_timeout").fetchone() == ("31s",)
        finally:
            connection.execute("alter role postgres reset statement_timeout")


def django(*arguments: str, url: str) -> subprocess.Popen[str]:
    env = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-m", "django", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_one_migrates_at_a_time(bouncer: Bouncer, database: str) -> None:
    """mount_migrate's lock is a transaction's, so that it holds here too: of three that start together two wait."""
    with psycopg.connect(database) as holder:
        # As the first of them, so that the others have somebody to wait for.
        holder.execute(f"select pg_advisory_xact_lock({0x646A666173746D})")
        processes = [django("mount_migrate", url=bouncer.url()) for _ in range(2)]
        time.sleep(8)
        with psycopg.connect(database) as looker:
            assert looker.execute("select to_regclass('django_migrations')").fetchone() == (None,)
        holder.rollback()
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sum("Applying shop.0001_initial" in text for text in said) == 1


def test_the_doctor_tells_a_pooler(bouncer: Bouncer, database: str) -> None:
    """W107 is told of a database behind PgBouncer, and of none that is reached directly."""
    for url, told in ((bouncer.url(), True), (database, False)):
        said = django("mount_doctor", url=url).communicate(timeout=120)[0]
        assert ("djfast_mount.W107" in said) == told, said
