"""What changes with the second instance: each line of docs/replicas.md, tried with two."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from websockets.sync.client import connect

from harness import PYTHONPATH, TESTS, Server, free_port

ACCOUNT = """
import fleet.shared_site
from django.contrib.auth.models import User
from django.core.management import call_command
from djfast_mount.tokens.models import APIToken
call_command("migrate", verbosity=0)
ann = User.objects.create_user("ann", password="correct horse")
print(APIToken.objects.issue(ann, name="test", as_owner=True).text)
"""
LOGIN = {"username": "ann", "password": "correct horse"}


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
    )
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


@pytest.fixture
def database() -> Iterator[str]:
    """A database of the server that the tests have, gone at the end."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS replicas WITH (FORCE)")
        connection.execute("CREATE DATABASE replicas")
        yield url.replace("/postgres?", "/replicas?")
        connection.execute("DROP DATABASE replicas WITH (FORCE)")


class Instances:
    """Two instances on one database, and the text of a token of its user."""

    def __init__(self, stack: contextlib.ExitStack, env: dict[str, str], *others: dict[str, str]) -> None:
        env = {**env, "DJANGO_SETTINGS_MODULE": "", "PYTHONPATH": PYTHONPATH}
        made = subprocess.run(
            [sys.executable, "-c", ACCOUNT], env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        self.token = made.stdout.strip()
        self.first, self.second = (
            stack.enter_context(Server("fleet.shared_site:app", env={**env, **other})) for other in others
        )


@pytest.fixture
def instances(database: str, redis: str, request: pytest.FixtureRequest) -> Iterator[Instances]:
    """By its parameter: what is set for both, and what for the second alone."""
    both, second = request.param if isinstance(request.param, tuple) else (request.param, {})
    with contextlib.ExitStack() as stack:
        yield Instances(stack, {"DATABASE_URL": database, "REDIS_URL": redis, **both}, {}, second)


SESSIONS = [
    ({"SESSIONS": "db"}, 200),
    ({"SESSIONS": "cached_db", "SHARED": "redis"}, 200),
    ({"SESSIONS": "cache", "SHARED": "redis"}, 200),
    ({"SESSIONS": "cache", "SHARED": "memory"}, 401),
    ({"SESSIONS": "signed_cookies"}, 200),
    (({"SESSIONS": "signed_cookies"}, {"SITE_SECRET": "another one, which is as long as it has to be too"}), 401),
]


@pytest.mark.parametrize(("instances", "status"), SESSIONS, indirect=["instances"])
def test_sessions(instances: Instances, status: int) -> None:
    """A user who logs in at one instance is known to the other, but for sessions in memory and another SECRET_KEY."""
    with instances.first.client() as client:
        assert client.post("/api/auth/login", json=LOGIN).status_code == 200
        assert client.get("/api/me").json() == "ann"
        cookies = dict(client.cookies)
    with instances.second.client(cookies=cookies) as client:
        assert client.get("/api/me").status_code == status


@pytest.mark.parametrize("instances", [{}], indirect=True)
def test_tokens_and_lifespans(instances: Instances, database: str) -> None:
    """A token holds at both, until it is revoked; each instance runs its lifespan, and is a process of its own."""
    bearer = {"authorization": f"Bearer {instances.token}"}
    with instances.first.client(headers=bearer) as first, instances.second.client(headers=bearer) as second:
        assert (first.get("/api/me").json(), second.get("/api/me").json()) == ("ann", "ann")
        assert first.get("/api/process").json() != second.get("/api/process").json()
        with psycopg.connect(database, autocommit=True) as connection:
            started = connection.execute("SELECT count(*) FROM auth_group WHERE name LIKE 'started by %'").fetchone()
            connection.execute("UPDATE djfast_mount_tokens_apitoken SET revoked = now()")
        assert started == (2,)
        assert (first.get("/api/me").status_code, second.get("/api/me").status_code) == (401, 401)


@pytest.mark.parametrize(
    ("instances", "let_through"), [({"SHARED": "memory"}, 8), ({"SHARED": "redis"}, 4)], indirect=["instances"]
)
def test_counts_in_the_cache(instances: Instances, let_through: int) -> None:
    """A limit of four calls that is counted in memory lets twice as many through; in redis it is one limit."""
    with instances.first.client() as first, instances.second.client() as second:
        answers = [client.get("/api/limited").status_code for _ in range(6) for client in (first, second)]
    assert answers.count(200) == let_through
    assert answers.count(429) == len(answers) - let_through


@pytest.mark.parametrize(
    ("instances", "heard"), [({"SHARED": "memory"}, False), ({"SHARED": "redis"}, True)], indirect=["instances"]
)
def test_groups_of_websockets(instances: Instances, heard: bool) -> None:
    """What is said at one instance is heard by a websocket of the other, where the channel layer is redis."""
    with connect(instances.second.url.replace("http", "ws") + "/api/listen") as socket:
        assert socket.recv(timeout=20) == '"listening"'
        with instances.first.client() as client:
            assert client.post("/api/say", params={"text": "hello"}).status_code == 200
        if heard:
            assert socket.recv(timeout=20) == '"hello"'
        else:
            with pytest.raises(TimeoutError):
                socket.recv(timeout=1)


def test_the_page_names_each() -> None:
    """docs/replicas.md has a line for each thing that is tried here."""
    said = (TESTS.parent / "docs" / "replicas.md").read_text()
    for word in ("signed_cookies", "SECRET_KEY", "RedisCache", "channels_redis", "lifespan", "API tokens"):
        assert word in said
