"""Clients who race for rows, over HTTP, at a server in a process of its own: nothing is lost, and nothing is half."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from harness import PYTHONPATH, Server

CLIENTS = 200
PAIRS = 20

pytestmark = pytest.mark.long

Race = Callable[[httpx.AsyncClient], Awaitable[Any]]


def database_in(folder: Path) -> str:
    """The URL of an empty database: a file, or one of its own beside that of the run."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return url or f"sqlite:///{folder}/races.sqlite3"
    import psycopg  # noqa: PLC0415  (which a run on SQLite need not have)

    name = f"races_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"DATABASE_URL": database_in(tmp_path_factory.mktemp("races")), "DJANGO_SETTINGS_MODULE": "project.settings"}
    command = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(command, env={**os.environ, **env, "PYTHONPATH": PYTHONPATH}, check=True)
    with Server("clients.site:app", env=env) as server:
        yield server


def run(server: Server, race: Race) -> Any:
    async def raced() -> Any:
        limits = httpx.Limits(max_connections=CLIENTS)
        options: dict[str, Any] = {"headers": {"X-Token": "1"}, "timeout": 300, "limits": limits}
        async with httpx.AsyncClient(base_url=f"{server.url}/api", **options) as client:
            return await race(client)

    return asyncio.run(raced())


async def company(client: httpx.AsyncClient, slug: str) -> str:
    made = await client.post("/companies", json={"name": slug, "slug": slug, "size": 0})
    assert made.status_code == 201, made.text
    return f"/companies/{made.json()['id']}"


async def department(client: httpx.AsyncClient, owner: str, name: str) -> str:
    made = await client.post(f"{owner}/departments", json={"name": name, "size": 0})
    assert made.status_code == 201, made.text
    return f"{owner}/departments/{made.json()['id']}"


def test_no_change_is_lost(server: Server) -> None:
    """Of 200 PATCHes with If-Match each is applied once, or is 412: the number counts those that were applied."""

    async def race(client: httpx.AsyncClient) -> None:
        path = await company(client, "counted")

        async def add_one() -> int:
            read = await client.get(path)
            sent = {"size": read.json()["size"] + 1}
            return (await client.patch(path, json=sent, headers={"If-Match": read.headers["etag"]})).status_code

        told = Counter(await asyncio.gather(*(add_one() for _ in range(CLIENTS))))
        assert told.keys() <= {200, 412}
        assert told.total() == CLIENTS
        assert (await client.get(path)).json()["size"] == told[200] > 0

    run(server, race)


def test_one_of_those_who_know_the_same(server: Server) -> None:
    """Of 200 PATCHes with one ETag one is applied, and the others are 412."""

    async def race(client: httpx.AsyncClient) -> None:
        path = await company(client, "known")
        tag = {"If-Match": (await client.get(path)).headers["etag"]}
        sent = (client.patch(path, json={"size": number + 1}, headers=tag) for number in range(CLIENTS))
        answers = await asyncio.gather(*sent)
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: CLIENTS - 1}
        [applied] = [answer.json() for answer in answers if answer.status_code == 200]
        assert (await client.get(path)).json() == applied

    run(server, race)


def test_each_change_stays_whole(server: Server) -> None:
    """Without If-Match 200 changes follow each other: each answer, and the row at the end, is as one of them wrote."""

    async def race(client: httpx.AsyncClient) -> None:
        path = await company(client, "whole")
        sent = (client.patch(path, json={"size": each, "rating": str(each)}) for each in range(CLIENTS))
        answers = await asyncio.gather(*sent)
        assert {answer.status_code for answer in answers} == {200}
        rows = [answer.json() for answer in (*answers, await client.get(path))]
        assert all(float(row["rating"]) == row["size"] for row in rows)
        assert sorted(row["size"] for row in rows[:-1]) == list(range(CLIENTS))

    run(server, race)


def test_a_unique_value_goes_to_one(server: Server) -> None:
    """Of those who create a row with the same unique value at the same time one is 201, and the others 409 or 422."""

    async def race(client: httpx.AsyncClient) -> None:
        for number in range(PAIRS):
            body = {"name": "a", "slug": f"taken{number}"}
            answers = await asyncio.gather(*(client.post("/companies", json=body) for _ in range(4)))
            told = sorted(answer.status_code for answer in answers)
            assert told[0] == 201
            assert set(told[1:]) <= {409, 422}
            found = await client.get("/companies", params={"slug": f"taken{number}"})
            assert len(found.json()["items"]) == 1

    run(server, race)


@pytest.mark.parametrize("tagged", [False, True], ids=["plain", "if_match"])
def test_a_delete_and_a_change(server: Server, tagged: bool) -> None:
    """A row that is deleted is gone whatever else comes at that time; with If-Match, whoever is first wins alone."""

    async def race(client: httpx.AsyncClient) -> None:
        owner = await company(client, f"owner{tagged}")
        for number in range(PAIRS):
            path = await department(client, owner, f"d{number}")
            headers = {"If-Match": (await client.get(path)).headers["etag"]} if tagged else {}
            calls = [client.patch(path, json={"size": 9}, headers=headers), client.delete(path, headers=headers)]
            found = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
            changed, deleted = [each.status_code for each in (found if number % 2 else reversed(found))]
            left = await client.get(path)
            if deleted == 204:
                assert changed in ((404,) if tagged else (200, 404))
                assert left.status_code == 404
            else:
                assert (tagged, changed, deleted, left.json()["size"]) == (True, 200, 412, 9)

    run(server, race)


def test_changes_of_the_same_rows_in_another_order(server: Server) -> None:
    """Bulk changes that name the same rows in opposite orders wait for each other, and none of them fails."""

    async def race(client: httpx.AsyncClient) -> None:
        keys = [int((await company(client, f"bulk{n}")).rpartition("/")[2]) for n in range(10)]

        def sent(number: int) -> Any:
            items = [{"id": key, "size": number} for key in keys]
            return client.patch("/companies", json=items if number % 2 else items[::-1])

        answers = await asyncio.gather(*(sent(number) for number in range(PAIRS)))
        assert {answer.status_code for answer in answers} == {200}
        rows = (await client.get("/companies", params={"slug": [f"bulk{n}" for n in range(10)]})).json()["items"]
        assert len({row["size"] for row in rows}) == 1

    run(server, race)
