"""The quickstart's container, and a new project's: built, looked at, started, and stopped, on PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from pathlib import Path

import httpx
import psycopg
import pytest

from container.image import Image
from container.sites import CANARY, PUBLIC, start
from quickstart_site import add_note, create, log_in

PASSWORD = "correct horse battery staple"


def test_the_image_is_not_roots(quickstart: Image) -> None:
    """It names a user by number, asks for its readiness as its health, and has no secret in its configuration."""
    config = quickstart.config
    assert config["User"] == "10001"
    assert config["Healthcheck"]["Test"][-1] == "djfast_mount.management.healthcheck"
    assert config["Cmd"][0] == "uvicorn"
    assert not [line for line in config["Env"] if line.startswith(("SECRET_KEY", "DATABASE_URL"))]


@pytest.mark.parametrize("name", ["quickstart", "shop", "books"])
def test_no_secret_is_in_a_layer(name: str, request: pytest.FixtureRequest) -> None:
    """What lies beside and between the code, and the environment of the build, is in no file and no line of history."""
    image: Image = request.getfixturevalue(name)
    assert CANARY not in str(image.about)
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--text", CANARY, "app", "venv", "etc", "home", "root", "tmp"],
        cwd=image.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.returncode) == ("", 1)


@pytest.mark.parametrize("name", ["quickstart", "shop"])
def test_what_an_app_consists_of_is_there(name: str, request: pytest.FixtureRequest) -> None:
    """Templates, template tags, static files and translations of an app are in the image."""
    image: Image = request.getfixturevalue(name)
    assert [path for path in PUBLIC if not (image.root / "app" / path).is_file()] == []


def test_what_only_the_build_needs_is_left_out(quickstart: Image) -> None:
    """Neither pip nor the wheels nor the tools of git are there, and the site takes no more than 200 MB."""
    assert not (quickstart.root / "app" / "wheels").exists()
    assert not (quickstart.root / "app" / "compose.yaml").exists()
    assert list((quickstart.root / "venv").glob("lib/python3*/site-packages/pip")) == []
    size = sum(path.lstat().st_size for part in ("app", "venv") for path in (quickstart.root / part).rglob("*"))
    assert size < 200e6


def test_static_files_were_collected_at_build(quickstart: Image) -> None:
    """There is a manifest, and beside each hashed stylesheet what gzip and brotli made of it."""
    folder = quickstart.root / "app" / "staticfiles"
    assert (folder / "staticfiles.json").is_file()
    [style] = (folder / "admin" / "css").glob("base.*.css")
    assert Path(f"{style}.gz").is_file()
    assert Path(f"{style}.br").is_file()


def test_it_serves_both_halves(quickstart: Image, database: str, tmp_path: Path) -> None:
    """With a root that is read-only the admin, the API, static files and health answer; every line of log is JSON."""
    with start(quickstart, tmp_path, database) as container:
        container.until_healthy()
        made = container.run("python", "manage.py", "demo_admin", f"--password={PASSWORD}")
        assert made.returncode == 0, made.stderr
        with container.client() as client:
            assert log_in(client, PASSWORD).headers["location"] == "/admin/"
            assert add_note(client, "from the admin").status_code == 302
            [note] = client.get("/api/notes").json()
            assert note["title"] == "from the admin"
            assert create(client, "from the API").status_code == 201
            assert "from the API" in client.get("/").text
            assert client.get("/api/docs").status_code == 200
            [style] = re.findall(r'href="(/static/admin/css/base\.[0-9a-f]+\.css)"', client.get("/admin/").text)
            answer = client.get(style, headers={"accept-encoding": "br"})
            assert (answer.status_code, answer.headers["content-encoding"]) == (200, "br")
            assert "immutable" in answer.headers["cache-control"]
            assert client.get("/healthz").json() == {"status": "alive"}
        paths = [record["path"] for record in container.records if record["logger"] == "uvicorn.access"]
        assert "/api/notes" in paths
        assert "/readyz" not in paths
        assert container.log == container.stdout


def test_nothing_can_be_written_but_tmp(quickstart: Image, database: str, tmp_path: Path) -> None:
    """No process is root's; the root file system is read-only, which the server does not mind."""
    with start(quickstart, tmp_path, database) as container:
        container.until_healthy()
        for pid in (container.pid, container.child):
            status = Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
        assert "uvicorn" in Path(f"/proc/{container.child}/cmdline").read_text()
        view = Path(f"/proc/{container.pid}/root")
        assert (view / "app" / "manage.py").is_file()
        with pytest.raises(OSError, match="Read-only"):
            (view / "app" / "written").touch()
        (view / "tmp" / "written").touch()


def test_three_start_at_once(quickstart: Image, database: str, tmp_path: Path) -> None:
    """On an empty database each of three that start at once becomes ready: one migrated, each after another."""
    with contextlib.ExitStack() as stack:
        containers = [stack.enter_context(start(quickstart, tmp_path, database)) for _ in range(3)]
        for container in containers:
            container.until_healthy()
        said = [record["message"] for container in containers for record in container.records]
        assert said.count("The database 'default' is migrated.") == 3
        assert "Another process migrates 'default'." in said
    with psycopg.connect(database) as connection:
        [(rows, names)] = connection.execute(
            "select count(*), count(distinct (app, name)) from django_migrations"
        ).fetchall()
        assert rows == names > 15


def test_it_waits_for_migrations_where_it_makes_none(quickstart: Image, database: str, tmp_path: Path) -> None:
    """Without MIGRATE=1 it is alive and not ready, until another has migrated."""
    with start(quickstart, tmp_path, database, MIGRATE="0") as container:
        container.until(lambda: container.status("/healthz") == 200, "life")
        assert not container.is_healthy()
        answer = httpx.get(container.url + "/readyz", timeout=30).json()
        assert "unapplied" in answer["migrations"]["default"]


def test_sigterm_drains(quickstart: Image, database: str, tmp_path: Path) -> None:
    """SIGTERM makes it not ready first, while it goes on to serve; then streams end, and the process by itself."""
    with start(quickstart, tmp_path, database, DRAIN="3") as container:
        container.until_healthy()
        ended = threading.Event()
        opened = threading.Event()

        def listen() -> None:
            with container.client() as client, client.stream("GET", "/api/notes/changes") as stream:
                opened.set()
                with contextlib.suppress(httpx.TransportError):
                    stream.read()
            ended.set()

        listener = threading.Thread(target=listen)
        listener.start()
        assert opened.wait(30)
        container.terminate()
        container.until(lambda: container.status("/readyz") == 503, "the drain")
        assert container.status("/api/notes") == 200
        assert not container.is_healthy()
        assert not ended.is_set()
        assert container.process.wait(30) in (0, 128 + 15, -15)
        assert ended.wait(30)
        listener.join(30)
        said = [record["message"] for record in container.records]
        assert "Application shutdown complete." in said


def test_logs_may_be_text(quickstart: Image, database: str, tmp_path: Path) -> None:
    """LOG_FORMAT=text is for people."""
    with start(quickstart, tmp_path, database, LOG_FORMAT="text") as container:
        container.until_healthy()
        container.status("/api/notes")
        container.until(lambda: '"GET /api/notes HTTP/1.1" 200' in container.stdout, "a line for the request")
        assert not container.stdout.startswith("{")


def test_a_new_projects_container_serves(shop: Image, database: str, tmp_path: Path) -> None:
    """What startproject writes is built, migrates and serves with the settings of production."""
    with start(shop, tmp_path, database) as container:
        container.until_healthy()
        with container.client() as client:
            assert client.get("/api/notes/").json() == []
            assert "<h1>Notes</h1>" in client.get("/").text
            assert re.search(r"/static/admin/css/base\.[0-9a-f]+\.css", client.get("/admin/login/").text)
        assert {record["level"] for record in container.records} <= {"INFO"}
