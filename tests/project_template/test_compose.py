"""compose.yaml of the examples and of a new project: any password works, and services come back by themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from container.running import over_tcp
from harness import postgres
from quickstart_site import REPOSITORY

pytestmark = pytest.mark.once

PASSWORDS = ["/ # ? [", "50%40 off", "a:b@c", "'\" \\ $HOME `id` &=+", "pässwörd"]
SETTINGS = {"examples/books": "bookshop.settings", "examples/quickstart": "mysite.settings"}
SHOP = "shop"
CONNECT = "import django; django.setup(); from django.db import connection; connection.ensure_connection()"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    subprocess.run([sys.executable, "-m", "djfast_mount", "startproject", SHOP], cwd=folder, check=True)
    return folder / SHOP


@pytest.fixture(scope="module", params=[*SETTINGS, SHOP])
def project(request: pytest.FixtureRequest, shop: Path) -> tuple[Path, str]:
    """The folder of a project, and its settings."""
    if request.param == SHOP:
        return shop, "shop.settings.production"
    return REPOSITORY / request.param, SETTINGS[request.param]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Where postgres has to give a password: host, port and name of a database."""
    with postgres() as url, over_tcp(url) as forwarded, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role superuser superuser login")
        [(rules,)] = connection.execute("show hba_file").fetchall()
        Path(rules).write_text("local all postgres scram-sha-256\nlocal all superuser trust\n")
        connection.execute("select pg_reload_conf()")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(forwarded, password="another").close()
        yield forwarded.replace("postgres@", "superuser@")


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_password_works(project: tuple[Path, str], database: str, password: str) -> None:
    """With the environment that compose gives it the site logs in to a PostgreSQL of that password."""
    folder, settings = project
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("alter role postgres password {}").format(psycopg.sql.Literal(password)))
    service: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["site"]
    given = {
        name: text.replace("${POSTGRES_PASSWORD:?Set it.}", password) for name, text in service["environment"].items()
    }
    [address] = re.findall(r"@(.*)", given["DATABASE_URL"])
    given["DATABASE_URL"] = given["DATABASE_URL"].replace(address, database.rpartition("@")[2])
    path = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", CONNECT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_services_come_back(project: tuple[Path, str]) -> None:
    """After a crash, and with the machine, each service is started again."""
    services = yaml.safe_load((project[0] / "compose.yaml").read_text())["services"]
    assert {name: service.get("restart") for name, service in services.items()} == dict.fromkeys(
        services, "unless-stopped"
    )
