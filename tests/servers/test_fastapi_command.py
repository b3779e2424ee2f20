"""`fastapi run` and `fastapi dev`, by the entrypoint of docs/servers.md."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from dev_site import Folder, Running
from harness import TESTS, free_port

PAGE = (TESTS.parent / "docs" / "servers.md").read_text()


@pytest.mark.parametrize("command", ["run", "dev"])
def test_both_halves_are_served(command: str, tmp_path: Path) -> None:
    """With the entrypoint in pyproject.toml the command serves the API, Django and static files."""
    folder, port = Folder(tmp_path), free_port()
    [entrypoint] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    folder.write("pyproject.toml", entrypoint)
    assert folder.manage("migrate", "--verbosity=0").returncode == 0
    with Running(folder, "-m", "fastapi", command, "--port", str(port), port=port) as running:
        running.until(lambda: "Django administration" in (running.get("/admin/login/") or ""), "the admin")
        with httpx.Client(base_url=running.url, timeout=30) as client:
            assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
            assert client.get("/static/admin/css/base.css").status_code == 200
