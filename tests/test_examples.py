"""The examples, in processes of their own: their tests under both runners, and what their READMEs say."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from example_site import EXAMPLES, Example, commands_of, copied, started
from harness import Server

POSTGRES = os.environ.get("DATABASE_URL", "")
CLIENTS = 200
THREADS = 8  # mount()'s default


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
    # An idle connection that the server closes while a slow test sends on it would look like an error of the app's.
    options = ("--timeout-keep-alive", "120")
    with example.serve(*options) as bare, example.serve(*options, "--root-path", "/pre") as prefixed:
        yield {"": bare, "/pre": prefixed}


@pytest.fixture
def server(servers: dict[str, Server], root_path: str) -> Server:
    return servers[root_path]


def backends(example: Example) -> int:
    """How many connections to the example's database are open."""
    if not POSTGRES:
        return 0
    name = urlsplit(example.env["DATABASE_URL"]).path.lstrip("/")
    with psycopg.connect(POSTGRES) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname IN (%s, %s)"
        [count] = connection.execute(query, [name, f"test_{name}"]).fetchone() or [0]
    return int(count)


@pytest.mark.parametrize("number", [0, 1], ids=["django", "pytest"])
def test_the_tests_of_an_example(name: str, number: int, tmp_path: Path) -> None:
    """They pass under Django's own runner and under pytest, by the README's commands, and leave no connection."""
    *settings, djangos, pytests = commands_of(name, "Test")
    command = [f"{djangos.replace('./manage.py', 'python -W error manage.py')}", f"{pytests} -p no:asyncio"][number]
    with copied(name, tmp_path) as example:
        written = example.run(" && ".join([*settings, command]))
        assert ("\nOK" if number == 0 else " passed") in written
        assert backends(example) == 0


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


CALLS: dict[str, Calls] = {"goatfish": simulations, "polls": votes, "books": shelves}


def test_two_hundred_clients_at_once(name: str, example: Example, server: Server) -> None:
    """Each of 200 clients is answered without an error, over no more connections than there are threads."""

    async def all_of_them() -> list[list[httpx.Response]]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(CALLS[name](client, example, number) for number in range(CLIENTS)))

    answers = asyncio.run(all_of_them())
    assert {answer.status_code for pair in answers for answer in pair} <= {200, 201}
    assert len(answers) == CLIENTS
    # Of each of the two servers.
    assert backends(example) <= 2 * THREADS


def test_nothing_is_left_of_a_server(example: Example) -> None:
    """A server that has ended leaves no connection to the database."""
    before = backends(example)
    with example.serve() as server:
        with server.client() as client:
            assert example.log_in(client).status_code == 302
        assert not POSTGRES or backends(example) > before
    assert backends(example) == before
