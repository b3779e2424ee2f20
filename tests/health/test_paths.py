"""/healthz and /readyz: who watches the process is told the truth, and nobody else is troubled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import override_settings
from fastapi import FastAPI

import djfast_mount.health.paths
from calls import HOST, call, http_scope, request
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.testing import Client
from harness import PYTHONPATH, TESTS, Server, free_port

pytestmark = pytest.mark.long

STRANGER = [(b"host", b"stranger.example")]
READY = {
    "status": "ready",
    "threads": {"pool": "free"},
    "databases": {"default": "answers"},
    "migrations": {"default": "applied"},
}


def manage(database: str, *arguments: str) -> None:
    env = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "health_settings"}
    command = [sys.executable, "-m", "django", *arguments]
    subprocess.run(command, cwd=TESTS, env={**env, "PYTHONPATH": PYTHONPATH}, check=True, capture_output=True)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated database: the run's own, or a file."""
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{tmp_path_factory.mktemp('health')}/db.sqlite3"
    manage(url, "migrate")
    return url


@contextmanager
def served(database: str, *options: str, **env: str) -> Iterator[Server]:
    env = {"DJANGO_SETTINGS_MODULE": "health_settings", "DATABASE_URL": database, **env}
    with Server("health_site:app", *options, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def servers(database: str) -> Iterator[dict[str, Server]]:
    with served(database) as bare, served(database, "--root-path", "/pre") as prefixed:
        yield {"": bare, "/pre": prefixed}


@pytest.fixture
def client(servers: dict[str, Server], root_path: str) -> Iterator[httpx.Client]:
    with servers[root_path].client() as client:
        yield client


def test_a_process_is_alive_and_ready(client: httpx.Client) -> None:
    """A server whose databases answer and are migrated says so in JSON that nobody may keep."""
    alive, ready = client.get("/healthz"), client.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, READY)
    assert {answer.headers["content-type"] for answer in (alive, ready)} == {"application/json"}
    assert {answer.headers["cache-control"] for answer in (alive, ready)} == {"no-store"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_any_host_may_ask(client: httpx.Client, path: str) -> None:
    """The paths are exempt from ALLOWED_HOSTS and from the redirect to https, which hold elsewhere."""
    assert client.get(path, headers={"host": "10.0.0.7:8000"}).status_code == 200
    assert client.get("/api/release", headers={"host": "10.0.0.7:8000"}).status_code == 400
    assert client.get("/").status_code == 301


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_get_and_head_are_answered(client: httpx.Client, path: str) -> None:
    """HEAD has the head of GET, and every other method is 405."""
    get, head, post = client.get(path), client.head(path), client.post(path, content=b"x" * 1000)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


def test_paths_below_are_not_ours(client: httpx.Client) -> None:
    """What only begins like a health path is Django's."""
    assert {client.get(path).status_code for path in ("/healthz/", "/healthz/x", "/readyz2")} == {301}


def test_no_schema_shows_them(client: httpx.Client) -> None:
    """The paths are not in the API's schema."""
    assert not [
        path for path in client.get("/api/openapi.json").json()["paths"] if "healthz" in path or "ready" in path
    ]


def test_nothing_is_logged(database: str, root_path: str) -> None:
    """The access log shows other requests, and none for health."""
    with served(database, *(("--root-path", root_path) if root_path else ())) as server, server.client() as client:
        for path in ("/healthz", "/readyz?verbose=1", "/api/openapi.json"):
            assert client.get(path).status_code == 200
        assert "/api/openapi.json" in server.log
        assert "healthz" not in server.log
        assert "readyz" not in server.log


def hold(client: httpx.Client, pool: ThreadPoolExecutor, threads: int) -> None:
    """Returns when so many threads of the server are held."""
    for _ in range(threads):
        pool.submit(client.get, "/api/hold")
    assert client.get("/api/holding", params={"threads": threads}).json() == "holding"


def test_an_exhausted_pool_is_not_ready(database: str) -> None:
    """While requests hold every thread the process is alive and not ready; when they end it is ready."""
    with (
        served(database, TEST_THREADS="2", TEST_READY_TIMEOUT="0.5") as server,
        server.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        hold(client, pool, 2)
        try:
            answers = [client.get("/readyz") for _ in range(3)]
            assert client.get("/healthz").status_code == 200
        finally:
            client.post("/api/release")
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].json()["threads"] == {"pool": "exhausted"}
        assert answers[0].json()["databases"] == {"default": "not asked"}
        pool.shutdown()
        assert client.get("/readyz").json() == READY


@contextmanager
def silent_port() -> Iterator[socket.socket]:
    """Takes connections, as far as its backlog goes, and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener


def accepted(listener: socket.socket) -> int:
    listener.setblocking(False)
    taken = []
    try:
        while True:
            taken.append(listener.accept()[0])
    except BlockingIOError:
        return len(taken)
    finally:
        for connection in taken:
            connection.close()


def test_a_silent_database_is_asked_once(database: str) -> None:
    """A database that takes a connection and never answers is told within the limit, and holds one thread."""
    with silent_port() as listener:
        port = str(listener.getsockname()[1])
        env = {"TEST_SILENT_PORT": port, "TEST_THREADS": "3", "TEST_READY_TIMEOUT": "0.3"}
        with served(database, **env) as server, server.client() as client:
            answers = [client.get("/readyz") for _ in range(5)]
            assert {answer.status_code for answer in answers} == {503}
            assert [answer.json()["databases"]["silent"] for answer in answers] == ["no answer"] * 5
            assert answers[-1].json()["databases"]["default"] == "answers"
            assert answers[-1].json()["threads"] == {"pool": "free"}
            # One for the question whether it answers, one for its migrations.
            assert accepted(listener) == 2


def test_a_database_that_is_down_is_told_without_details(database: str) -> None:
    """A refused connection is a 503 with the kind of the error; host, port and user stay in the log."""
    env = {"TEST_SILENT_PORT": str(free_port())}
    with served(database, **env) as server, server.client() as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["databases"]["silent"]) == (503, "OperationalError")
        assert "127.0.0.1" not in answer.text


def test_unapplied_migrations_are_not_ready(tmp_path: Path) -> None:
    """An empty database keeps the process from being ready, and the log names what is missing."""
    with served(f"sqlite:///{tmp_path}/empty.sqlite3") as server, server.client() as client:
        answers = [client.get("/readyz") for _ in range(3)]
        assert {answer.status_code for answer in answers} == {503}
        assert "unapplied" in answers[0].json()["migrations"]["default"]
        assert server.log.count("shop.0001_initial") == 1


def test_migrations_are_looked_up_again_until_they_are_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `migrate` the process becomes ready without a restart, when the time to look again has come."""
    url = f"sqlite:///{tmp_path}/later.sqlite3"
    code = (
        "import json, os, sys, djfast_mount.health.paths as health; health.RECHECK = float(sys.argv[1]);"
        "from health_site import app; from calls import request; from django.core.management import call_command;"
        "told = [request(app, '/readyz').status]; call_command('migrate', verbosity=0);"
        "told += [request(app, '/readyz').status for _ in range(2)]; print(json.dumps(told))"
    )
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "health_settings", "PYTHONPATH": PYTHONPATH}

    def told(recheck: str) -> Any:
        command = [sys.executable, "-c", code, recheck]
        done = subprocess.run(command, cwd=TESTS, env=env, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    assert told("0") == [503, 200, 200]
    (tmp_path / "later.sqlite3").unlink()
    assert told("3600") == [503, 503, 503]


def test_draining_answers_503_first(database: str) -> None:
    """From SIGTERM on new connections are told 503 by /readyz and served elsewhere, until the server hears of it."""
    with served(database, TEST_DRAIN="1.5") as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        with server.client() as fresh:
            while fresh.get("/readyz").status_code == 200:
                pass
            answer = fresh.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
            assert fresh.get("/healthz").status_code == 200
            assert fresh.get("/api/openapi.json").status_code == 200
        assert server.process.wait(15) == -signal.SIGTERM


def test_a_second_signal_ends_the_drain(database: str) -> None:
    """Who sends SIGTERM twice does not wait for the drain to end."""
    with served(database, TEST_DRAIN="600") as server, server.client() as client:
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
            with server.client() as fresh:
                try:
                    while fresh.get("/readyz").status_code == 200:
                        pass
                except httpx.TransportError:
                    break
        assert server.process.wait(15) == -signal.SIGTERM
        del client


def test_a_start_that_has_not_ended_is_not_ready(root_path: str) -> None:
    """Between the begin of the lifespan and its end /readyz is 503, before and after it is not."""
    root = mount("/api", FastAPI())
    ready = lambda: request(root, f"{root_path}/readyz", root_path=root_path).json()["status"]  # noqa: E731
    assert ready() != "down"
    root.health.expect_lifespan()
    assert ready() == "down"


@override_settings(DJFAST_MOUNT={"health_path": "/-/up", "ready_path": None})
def test_paths_are_settable(root_path: str) -> None:
    """A path of the settings takes the default's place, and None leaves the path to the site."""
    root = mount("/api", "project.api:api")
    status = lambda path: request(root, root_path + path, root_path=root_path, headers=STRANGER).status  # noqa: E731
    assert [status(path) for path in ("/-/up", "/healthz", "/readyz")] == [200, 400, 400]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"health_path": "up"}, "settings.DJFAST_MOUNT['health_path'] is 'up'. Give a path"),
        ({"ready_path": "/"}, "settings.DJFAST_MOUNT['ready_path'] is '/'. Give a path"),
        ({"ready_path": "/healthz"}, "settings.DJFAST_MOUNT['ready_path'] is '/healthz', which is mounted or named"),
        ({"health_path": "/api"}, "settings.DJFAST_MOUNT['health_path'] is '/api', which is mounted or named"),
    ],
)
def test_a_wrong_path_is_told(options: dict[str, Any], told: str) -> None:
    """A path that cannot be served is an error at start-up that names the setting."""
    with override_settings(DJFAST_MOUNT=options), pytest.raises(ConfigurationError) as caught:
        mount("/api", "project.api:api")
    assert str(caught.value).startswith(told)


@pytest.mark.django_db
def test_a_client_of_the_tests_may_ask(django_assert_num_queries: Any) -> None:
    """In a test the databases are asked on the test's own thread and connection, later with one query each."""
    client = Client(mount("/api", "project.api:api"))
    assert client.get("/readyz").json() == READY
    with django_assert_num_queries(1):
        assert client.get("/readyz").json() == READY


def test_health_takes_no_thread() -> None:
    """/healthz starts no worker."""
    root = mount("/api", FastAPI())
    assert asyncio.run(_health_then_workers(root)) == 0


async def _health_then_workers(root: Any) -> int:
    await call(root, http_scope("/healthz", headers=HOST))
    return len(root.health._threads.pool.workers)


def test_the_time_between_lookups_is_told() -> None:
    """Unapplied migrations are looked up every 30 seconds, as the docs say."""
    assert djfast_mount.health.paths.RECHECK == 30.0
