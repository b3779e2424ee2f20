"""The doctor on the `fastapi` command: what `fastapi run` would serve from the project's folder.

Holds `doctor/fastapi_command.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.doctor.fastapi_command import probe_fastapi_command
from djfast_mount.doctor.target import Target

pytestmark = pytest.mark.once

ENTRYPOINT = '[tool.fastapi]\nentrypoint = "{}"\n'


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, None),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, None),
        ({"pyproject.toml": ENTRYPOINT.format("project.asgi:app")}, None),
        ({"pyproject.toml": ENTRYPOINT.format("project.asgi:app"), "main.py": ""}, None),
        ({"pyproject.toml": ENTRYPOINT.format("project.api:api")}, "'project.api:api', which is the bare API"),
        ({"pyproject.toml": ENTRYPOINT.format("project.none:api")}, "cannot be imported"),
        ({"main.py": ""}, "finds main.py, and serves the bare API"),
        ({"pyproject.toml": "[tool.ruff]\n", "app/main.py": ""}, "finds app/main.py"),
    ],
)
def test_what_the_command_would_serve(
    files: dict[str, str], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entrypoint that is the mounted application is well; a bare API, named or found, is told of."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    target = Target(mount("/api", FastAPI()), 1, 1, calls_endpoints=False, production=True)
    found = list(probe_fastapi_command(target))
    assert [message.id for message in found] == (["djfast_mount.W115"] if said else [])
    assert not said or said in found[0].msg
