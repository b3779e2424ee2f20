"""The image of the quickstart under exactly what the manifests give it: environment, user, command and probes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from container.image import Image
from container.running import Container
from container.sites import KEY
from kubernetes.conftest import Layer

PASSWORD = "/ # ? [ %40"


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    return Layer("base", tmp_path_factory.mktemp("manifests"))


def start(image: Image, manifests: Layer, kind: str, database: str, folder: Path) -> Container:
    env = manifests.environment(kind, {"secret-key": KEY, "database-password": PASSWORD})
    # The one thing that is another here: where the database is.
    server = urlsplit(database)
    env["DATABASE_URL"] = f"postgres://site@{server.hostname}:{server.port}{server.path}"
    pod = manifests.pod(kind)
    assert pod["securityContext"]["runAsUser"] == int(image.config["User"])
    config: dict[str, Any] = dict(image.config)
    if "args" in pod["containers"][0]:
        config["Cmd"] = pod["containers"][0]["args"]
    return Container(image.root, config, folder, **env)


def test_they_start_the_image(quickstart: Image, manifests: Layer, database: str, tmp_path: Path) -> None:
    """A pod is alive and not ready until the Job has migrated, then it serves, and it ends in the time it is given."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop role if exists site")
        connection.execute(psycopg.sql.SQL("create role site superuser login password {}").format(PASSWORD))
    [container] = manifests.pod("Deployment")["containers"]
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    with start(quickstart, manifests, "Deployment", database, tmp_path) as pod:
        pod.until(lambda: pod.status(paths["startup"]) == 200, "life")
        assert pod.status(paths["readiness"]) == 503
        with start(quickstart, manifests, "Job", database, tmp_path) as job:
            assert job.process.wait(120) == 0, job.log
        pod.until(lambda: pod.status(paths["readiness"]) == 200, "readiness")
        assert pod.status(paths["liveness"]) == 200
        # This machine is not in FORWARDED_ALLOW_IPS, so it is sent to https, whatever it says of itself.
        asked = {"host": "site.example.org", "x-forwarded-proto": "https"}
        answer = httpx.get(f"{pod.url}/api/notes", headers=asked, timeout=30)
        assert (answer.status_code, answer.headers["location"]) == (301, "https://site.example.org/api/notes")
        assert httpx.get(f"{pod.url}/api/notes", headers={"host": "other.example.org"}, timeout=30).status_code == 400
        [sleep, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
        assert pod.run(sleep, "0").returncode == 0
        begun = time.monotonic()
        pod.terminate()
        pod.process.wait(30)
        left = manifests.pod("Deployment")["terminationGracePeriodSeconds"] - int(seconds)
        assert time.monotonic() - begun < left
