"""The container of examples/books: built, started on PostgreSQL, used by two hundred clients, and stopped."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from container.image import Image
from container.sites import start
from quickstart_site import hidden_fields

CLIENTS = 200
THREADS = 8  # mount()'s default


def log_in(client: httpx.Client, printed: str) -> httpx.Response:
    """The answer to the admin's login form, filled in with what `seed` has printed."""
    said = dict(re.findall(r"^(.+?): +(\S+)$", printed, re.MULTILINE))
    fields = hidden_fields(client.get("/admin/login/"))
    sent = {**fields, "username": said["Admin user"], "password": said["Password"]}
    return client.post("/admin/login/", data=sent)


def test_one_container_serves_the_api_and_the_admin(books: Image, database: str, tmp_path: Path) -> None:
    """On one port, and migrated: the API, Swagger and ReDoc, the admin, its collected files, and health."""
    with start(books, tmp_path, database) as container:
        container.until_healthy()
        made = container.run("python", "manage.py", "seed")
        assert made.returncode == 0, made.stderr
        with container.client() as client:
            assert client.get("/v0/docs").status_code != 200
            assert log_in(client, made.stdout).headers["location"] == "/admin/"
            assert [client.get(f"/v0/{page}").status_code for page in ("docs", "redoc", "openapi.json")] == [200] * 3
            [author, *_] = client.get("/v0/authors").json()
            form = {**hidden_fields(client.get("/admin/books/book/add/")), "title": "Flush", "author": author["id"]}
            assert client.post("/admin/books/book/add/", data=form).status_code == 302
            assert "Flush" in [book["title"] for book in client.get("/v0/books").json()]
            [style] = re.findall(r'href="(/static/admin/css/base\.[0-9a-f]+\.css)"', client.get("/admin/").text)
            assert client.get(style, headers={"accept-encoding": "br"}).headers["content-encoding"] == "br"
        container.terminate()
        assert container.process.wait(30) in (0, 128 + 15, -15)
        assert "Application shutdown complete." in container.log


def test_nobody_is_root(books: Image) -> None:
    """The image names its user by number, and asks for its readiness as its health."""
    assert books.config["User"] == "10001"
    assert books.config["Healthcheck"]["Test"][-1] == "djfast_mount.management.healthcheck"


def test_two_hundred_clients_of_a_container(books: Image, database: str, tmp_path: Path) -> None:
    """Each is answered, over no more connections than there are threads; with the container all are gone."""

    def backends() -> int:
        # By another database: PostgreSQL counts the one who asks too.
        with psycopg.connect(urlsplit(database)._replace(path="/postgres").geturl()) as connection:
            query = "select count(*) from pg_stat_activity where datname = %s"
            [(count,)] = connection.execute(query, [urlsplit(database).path.lstrip("/")]).fetchall()
            return int(count)

    async def all_of_them(url: str) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            sent = ({"title": f"Book {number}", "author_id": 1} for number in range(CLIENTS))
            return await asyncio.gather(*(client.post("/v0/books", json=book) for book in sent))

    with start(books, tmp_path, database) as container:
        container.until_healthy()
        assert container.run("python", "manage.py", "seed").returncode == 0
        answers = asyncio.run(all_of_them(container.url))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == CLIENTS
        assert 1 < backends() <= THREADS
    assert backends() == 0
