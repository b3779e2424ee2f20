"""What would be uploaded, and environments with nothing but a Python and its own pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.13")


class Built(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built as for an upload: the wheel from the sdist, each in an environment of its own."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


class Machine:
    """A Python with an empty HOME and no configuration of the one who runs the tests."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)

    def run(self, script: str, folder: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """The lines of a terminal, in which the environment is active. An index behind a proxy is reached as ever."""
        kept = {
            name: text for name, text in os.environ.items() if name.startswith(("PIP_CERT", "SSL_", "HTTP", "http"))
        }
        path = f"{self.folder / 'venv' / 'bin'}:/usr/bin:/bin"
        return subprocess.run(
            ["sh", "-ec", script],
            cwd=folder or self.folder,
            env={**kept, "HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8", **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


def interpreter(version: str) -> str | None:
    """A command that starts this Python: pyenv puts names on the PATH that start none."""
    for folder in [
        *os.environ["PATH"].split(os.pathsep),
        *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin")),
    ]:
        command = shutil.which(f"python{version}", path=folder)
        if command and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0:
            return command
    return None


@pytest.fixture(params=PYTHONS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    command = interpreter(request.param)
    if command is None:
        pytest.skip(f"No python{request.param} starts here.")
    return Machine(tmp_path, command)
