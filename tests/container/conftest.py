"""What the tests of containers share: a store of images on a base of Debian, a wheel, and a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from container.image import REPOSITORY, Image, Images, base, what_is_missing, wheel
from container.running import over_tcp
from container.sites import built, example
from harness import postgres


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    if missing := what_is_missing():
        pytest.fail(missing, pytrace=False)
    kept = Path(os.environ.get("CONTAINER_BASES") or REPOSITORY / ".nox" / "bases")
    kept.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="djfast-mount-images-"))
    images = Images(folder)
    try:
        context = folder / "base"
        context.mkdir()
        shutil.copy(base(kept), context / "base.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        images.build("base", context)
        yield images
    finally:
        images.remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder)
    return folder


@pytest.fixture(scope="session")
def quickstart(images: Images, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    context = example("quickstart", tmp_path_factory.mktemp("build"))
    # As a careful user's umask leaves it: what is in the image is to be readable all the same.
    (context / "mysite" / "settings.py").chmod(0o600)
    yield from built(images, "quickstart", context, "mysite", wheels)


@pytest.fixture(scope="session")
def shop(images: Images, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("build")
    subprocess.run([sys.executable, "-m", "djfast_mount", "startproject", "shop"], cwd=folder, check=True)
    yield from built(images, "shop", folder / "shop", "shop", wheels)


@pytest.fixture(scope="session")
def books(images: Images, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    context = example("books", tmp_path_factory.mktemp("build"))
    yield from built(images, "books", context, "bookshop", wheels)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres() as url, over_tcp(url) as forwarded:
        yield forwarded


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"container_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(f'drop database "{name}" with (force)')
