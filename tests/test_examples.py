"""The examples, in processes of their own: their tests under both runners, and what their READMEs say."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from example_site import EXAMPLES, Example, commands_of, copied, started
from harness import Server

pytestmark = pytest.mark.long

POSTGRES = os.environ.get("DATABASE_URL", "")
CLIENTS = 200
THREADS = 8  # mount()'s default
# An idle connection that the server closes while a slow client sends on it would look like an error of the app's.
KEPT_ALIVE = ("--timeout-keep-alive", "120")


@pytest.fixture(scope="module", params=EXAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def example(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with started(name, tmp_path_factory.mktemp(name)) as example:
        yield example


@pytest.fixture(scope="module")
def servers(example: Example) -> Iterator[dict[str, Server]]:
    """One server at the root of its host, one behind a proxy that strips /pre."""
    with example.serve() as bare, example.serve("--root-path", "/pre") as prefixed:
        yield {"": bare, "/pre": prefixed}


@pytest.fixture
def server(servers: dict[str, Server], root_path: str) -> Server:
    return servers[root_path]


def ask(query: str, *values: str) -> list[tuple[Any, ...]]:
    """What PostgreSQL answers, of all its databases; nothing on SQLite."""
    if not POSTGRES:
        return []
    with psycopg.connect(POSTGRES) as connection:
        return connection.execute(query.encode(), values).fetchall()


def database_of(example: Example) -> str:
    return urlsplit(example.env["DATABASE_URL"]).path.lstrip("/")


def backends(example: Example) -> list[str]:
    """What each open connection to the example's database is doing."""
    return [state for (state,) in ask("SELECT state FROM pg_stat_activity WHERE datname = %s", database_of(example))]


@pytest.mark.parametrize("number", [0, 1], ids=["django", "pytest"])
def test_the_tests_of_an_example(name: str, number: int, tmp_path: Path) -> None:
    """They pass under Django's own runner and under pytest, by the README's commands, and leave no test database.

    PostgreSQL drops none that a connection is left to.
    """
    *settings, djangos, pytests = commands_of(name, "Test")
    command = [f"{djangos.replace('./manage.py', 'python -W error manage.py')}", f"{pytests} -p no:asyncio"][number]
    with copied(name, tmp_path) as example:
        written = example.run(" && ".join([*settings, command]))
        assert ("\nOK" if number == 0 else " passed") in written
        assert backends(example) == []
        assert ask("SELECT datname FROM pg_database WHERE datname = %s", f"test_{database_of(example)}") == []


def test_the_admin_and_the_api(example: Example, server: Server, root_path: str) -> None:
    """What `seed` has printed logs in to the admin, whose stylesheets are there; the docs are beside it."""
    with server.client() as client:
        assert example.log_in(client).headers["location"] == f"{root_path}/admin/"
        assert "Site administration" in client.get("/admin/").text
        assert client.get("/static/admin/css/base.css").headers["content-type"] == 'text/css; charset="utf-8"'
        prefix = "/v0" if "bookshop" in example.app else "/api"
        assert f"{root_path}{prefix}/openapi.json" in client.get(f"{prefix}/docs").text


def rows_of(table: str) -> list[list[str]]:
    """The routes of the example's own half, and not of the admin: its are another in each release of Django."""
    return [line.split() for line in table.splitlines() if line.startswith("/") and not line.startswith("/admin/")]


def test_the_readme_ends_with_the_table_of_routes(example: Example) -> None:
    """Which library serves which URL is what `manage.py mount_routes` says."""
    [*_, table] = (example.folder / "README.md").read_text().split("```text")
    assert table.endswith("```\n")
    assert len(rows_of(table)) > 5
    assert rows_of(table) == rows_of(example.run("./manage.py mount_routes"))


Calls = Callable[[httpx.AsyncClient, Example, int], Awaitable[list[httpx.Response]]]


async def simulations(client: httpx.AsyncClient, example: Example, number: int) -> list[httpx.Response]:
    path = ["/api/v1/simulations", "/api/v1/async/simulations"][number % 2]
    headers = {"X-API-Key": example.said("API key")}
    sent = {"name": f"{client.base_url} {number}", "start_date": "2026-01-01", "end_date": "2026-01-02"}
    created = await client.post(path, json=sent, headers=headers)
    return [created, await client.get(f"{path}/{created.json()['id']}", headers=headers)]


async def votes(client: httpx.AsyncClient, example: Example, number: int) -> list[httpx.Response]:
    return [await client.post("/api/choices/1/votes"), await client.get("/polls/1/results/")]


async def shelves(client: httpx.AsyncClient, example: Example, number: int) -> list[httpx.Response]:
    created = await client.post("/v0/books", json={"title": f"Book {number}", "author_id": 1})
    return [created, await client.get(f"/v0/books/{created.json()['id']}")]


async def firms(client: httpx.AsyncClient, example: Example, number: int) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {example.said('North')}"}
    created = await client.post("/api/v1/companies", json={"name": f"Company {number}"}, headers=headers)
    path = f"/api/v1/companies/{created.json()['id']}/departments"
    return [created, await client.post(path, json={"name": "Engines", "teams": []}, headers=headers)]


CALLS: dict[str, Calls] = {"goatfish": simulations, "polls": votes, "books": shelves, "companies": firms}


def test_two_hundred_clients_at_once(name: str, example: Example, root_path: str) -> None:
    """Each of 200 clients is answered without an error, over no more connections than there are threads.

    None of these is left in a transaction, and all are gone with the server.
    """

    async def all_of_them(url: str) -> list[list[httpx.Response]]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(CALLS[name](client, example, number) for number in range(CLIENTS)))

    before = len(backends(example))
    with example.serve(*KEPT_ALIVE, *(("--root-path", root_path) if root_path else ())) as server:
        answers = asyncio.run(all_of_them(server.url))
        opened = backends(example)
        assert {answer.status_code for pair in answers for answer in pair} <= {200, 201}
        assert len(answers) == CLIENTS
        assert "Traceback" not in server.log
    if POSTGRES:
        assert 1 < len(opened) - before <= THREADS
        assert set(opened) == {"idle"}
    assert len(backends(example)) == before


def test_without_debug(example: Example, root_path: str) -> None:
    """Collected files are sent compressed, for ever under the names that hold a hash; the docs are for the staff."""
    # One for all: none has files of its own, and to compress the admin's takes long.
    static_root = Path(os.environ["TEST_SCRATCH"]) / "examples-static"
    env = {"DEBUG": "", "SECRET_KEY": "not a secret: it serves tests alone", "STATIC_ROOT": str(static_root)}
    deployed = replace(example, env={**example.env, **env})
    if not static_root.exists():
        deployed.run("./manage.py collectstatic --no-input")
    with deployed.serve(*(("--root-path", root_path) if root_path else ())) as server, server.client() as client:
        [name] = re.findall(rf'"{root_path}(/static/admin/css/base\.\w+\.css)"', client.get("/admin/login/").text)
        sheet = client.get(name, headers={"Accept-Encoding": "br"})
        assert (sheet.headers["Content-Encoding"], "immutable" in sheet.headers["Cache-Control"]) == ("br", True)
        docs = "/v0/docs" if "bookshop" in example.app else "/api/docs"
        assert client.get(docs).status_code != 200
        deployed.log_in(client)
        assert client.get(docs).status_code == 200


def test_the_api_of_the_polls_alone(tmp_path: Path, root_path: str) -> None:
    """With API_ONLY=1 the server has the API and its models, and neither pages nor admin."""
    with started("polls", tmp_path) as example:
        alone = replace(example, env={**example.env, "API_ONLY": "1"})
        with alone.serve(*(("--root-path", root_path) if root_path else ())) as server, server.client() as client:
            assert [client.get(path).status_code for path in ("/", "/polls/", "/admin/")] == [404] * 3
            assert len(client.get("/api/questions").json()) == 2
            assert client.post("/api/choices/1/votes").json()["votes"] == 1
