"""examples/tasks: each task that was enqueued by a committed call runs, though workers die; none of a rollback does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from harness import TESTS, Server, free_port, postgres

EXAMPLE = TESTS.parent / "examples" / "tasks"
TASKS = 1000
AT_ONCE = 10  # orders of a call
VISIBILITY = 5  # seconds after which redis gives another worker what a dead one had
WORKERS = {
    "django": [sys.executable, "manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay"],
    "celery": [sys.executable, "-m", "celery", "--app", "shop", "worker", "--concurrency", "2", "--loglevel", "INFO"],
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.fail("apt-get install -y redis-server", pytrace=False)
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(30)


@pytest.fixture
def env(redis: str) -> Iterator[dict[str, str]]:
    with postgres() as url:
        path = os.pathsep.join(map(str, (EXAMPLE, TESTS.parent / "src")))
        given = {
            "DATABASE_URL": url,
            "REDIS_URL": redis,
            "FORGOTTEN_AFTER": "10",
            "VISIBILITY_TIMEOUT": str(VISIBILITY),
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": path,
        }
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=EXAMPLE, env={**os.environ, **given}, check=True)
        yield given


def served(env: dict[str, str]) -> Server:
    return Server("shop.asgi:app", "--log-level", "warning", env=env, folder=EXAMPLE)


@contextlib.contextmanager
def worker(queue: str, env: dict[str, str], log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*WORKERS[queue], *options],
            cwd=EXAMPLE,
            env={**os.environ, **env},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def until(is_so: Callable[[], bool], log: Path, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text()[-3000:])
        time.sleep(0.1)


def count(env: dict[str, str], where: str) -> int:
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        [(rows,)] = connection.execute(f"select count(*) from orders_order where {where}".encode()).fetchall()
        return int(rows)


def order(server: Server, queue: str) -> None:
    """Half of the calls are refused when they have written everything."""
    with server.client() as client:
        for number in range(TASKS // AT_ONCE):
            items = [f"tea {number}-{place}" for place in range(AT_ONCE)]
            assert client.post(f"/api/orders/{queue}", json=items).status_code == 201
            assert client.post(f"/api/orders/{queue}", json=[*items, "unicorn"]).status_code == 409


def pool_processes(worker: subprocess.Popen[bytes]) -> list[int]:
    """Those that run Celery's tasks."""
    return [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def test_every_task_of_django_runs(env: dict[str, str], tmp_path: Path) -> None:
    """1,000 tasks, and the worker is ended in between: each has run, by the one that came after it."""
    log = tmp_path / "worker"
    with served(env) as server, worker("django", env, log) as first:
        order(server, "django")
        until(lambda: count(env, "delivered is not null") > TASKS // 20, log)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    with worker("django", env, log):
        until(lambda: count(env, "delivered is null") == 0, log)
    assert count(env, "true") == TASKS
    assert "DoesNotExist" not in log.read_text()


def tasks_that_are(env: dict[str, str], status: str) -> int:
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        query = "select count(*) from django_tasks_database_dbtaskresult where status = %s"
        [(rows,)] = connection.execute(query, [status]).fetchall()
        return int(rows)


def kill_in_a_task(worker: subprocess.Popen[bytes], env: dict[str, str], left: int) -> None:
    """Kill the worker while it runs a task. Others have left so many that still say so."""
    while True:
        os.killpg(worker.pid, signal.SIGSTOP)
        if tasks_that_are(env, "RUNNING") > left:
            os.killpg(worker.pid, signal.SIGKILL)
            return
        os.killpg(worker.pid, signal.SIGCONT)
        time.sleep(0.003)


def test_what_a_killed_worker_of_django_leaves_is_run(env: dict[str, str], tmp_path: Path) -> None:
    """1,000 tasks, and two workers are killed in a task: each task has run, those two by the command of the example."""
    log = tmp_path / "worker"
    with served(env) as server:
        order(server, "django")
    for left, part in enumerate((20, 10)):
        with worker("django", env, log) as killed:
            until(lambda part=part: count(env, "delivered is not null") > TASKS // part, log)  # type: ignore[misc]
            kill_in_a_task(killed, env, left)
    with worker("django", env, log):
        until(lambda: tasks_that_are(env, "READY") == 0 and tasks_that_are(env, "RUNNING") == 2, log)
        command = [sys.executable, "manage.py", "deliver_forgotten"]
        subprocess.run(command, cwd=EXAMPLE, env={**os.environ, **env, "FORGOTTEN_AFTER": "0"}, check=True)
        until(lambda: count(env, "delivered is null") == 0, log)
    assert count(env, "true") == TASKS


def test_every_task_of_celery_runs(env: dict[str, str], tmp_path: Path) -> None:
    """1,000 tasks, and a process that runs them is killed, twice: each has run, by the one in its place."""
    log = tmp_path / "worker"
    with served(env) as server, worker("celery", env, log) as first:
        order(server, "celery")
        for part in (20, 10):
            until(lambda part=part: count(env, "delivered is not null") > TASKS // part, log)  # type: ignore[misc]
            os.kill(pool_processes(first)[0], signal.SIGKILL)
        until(lambda: count(env, "delivered is null") == 0, log)
    assert count(env, "true") == TASKS
    assert "DoesNotExist" not in log.read_text()


def test_what_celery_forgets_is_sent_again(env: dict[str, str], tmp_path: Path) -> None:
    """A whole worker is killed, as with its machine: what redis had just handed out is sent again by the schedule."""
    log = tmp_path / "worker"
    beat = ("--beat", "--schedule", str(tmp_path / "schedule"))
    with served(env) as server, worker("celery", env, log) as first:
        order(server, "celery")
        until(lambda: count(env, "delivered is not null") > TASKS // 20, log)
        os.killpg(first.pid, signal.SIGKILL)
    with worker("celery", env, log, *beat):
        until(lambda: count(env, "delivered is null") == 0, log)
    assert count(env, "true") == TASKS


def test_a_refused_call_enqueues_nothing(env: dict[str, str], redis: str, tmp_path: Path) -> None:
    """Without a worker a refused call leaves no row and no message, and an accepted one leaves one for each order."""
    with (
        served(env) as server,
        server.client() as client,
    ):
        for queue in ("django", "celery"):
            assert client.post(f"/api/orders/{queue}", json=["unicorn"]).status_code == 409
        assert stored(env, redis) == (0, 0)
        for queue in ("django", "celery"):
            assert client.post(f"/api/orders/{queue}", json=["tea", "milk"]).status_code == 201
        assert stored(env, redis) == (2, 2)


def stored(env: dict[str, str], redis: str) -> tuple[int, int]:
    """How many tasks are in the database, and how many in redis."""
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        [(rows,)] = connection.execute("select count(*) from django_tasks_database_dbtaskresult").fetchall()
    port = httpx.URL(redis).port
    said = subprocess.run(["redis-cli", "-p", str(port), "llen", "celery"], capture_output=True, text=True, check=True)
    return int(rows), int(said.stdout)


def test_a_workers_connections_are_few(env: dict[str, str], tmp_path: Path) -> None:
    """Celery's workers keep one connection for each of their processes, and none in a transaction."""
    log = tmp_path / "worker"
    with (
        served(env) as server,
        worker("celery", env, log),
        server.client() as client,
    ):
        assert client.post("/api/orders/celery", json=["tea"] * 50).status_code == 201
        until(lambda: count(env, "delivered is null") == 0, log)
        with psycopg.connect(env["DATABASE_URL"]) as looker:
            rows = looker.execute(
                "select state from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
            ).fetchall()
        assert len(rows) <= 2 + 1
        assert {state for (state,) in rows} == {"idle"}


@pytest.mark.parametrize("queue", ["django", "celery"])
def test_the_admin_is_served_beside(queue: str, env: dict[str, str]) -> None:
    """The example is a whole site: its admin answers, and its API has both ways."""
    with (
        served(env) as server,
        server.client() as client,
    ):
        assert client.get("/admin/login/").status_code == 200
        assert f"/orders/{queue}" in client.get("/api/openapi.json").text
