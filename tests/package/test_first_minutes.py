"""A newcomer with a Python and this package: the commands that are printed are run, as they stand."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from harness import free_port
from package.conftest import REPOSITORY, Built, Machine


def printed(text: str) -> list[str]:
    """The commands among what was printed: what is indented."""
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def served(machine: Machine, command: str, folder: Path) -> tuple[str, str, int]:
    """What the server of a command answers for the site and for the API, and its status after SIGTERM."""
    port = free_port()
    path = f"{machine.folder / 'venv' / 'bin'}:/usr/bin:/bin"
    process = subprocess.Popen(
        ["sh", "-ec", f"exec {command} {port}"],
        cwd=folder,
        env={"HOME": str(machine.home), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{port}"
                return httpx.get(url).text, httpx.get(f"{url}/api/notes/").text, 0
            time.sleep(0.2)
        raise RuntimeError(process.communicate()[0].decode())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_startproject_to_the_letter(built: Built, machine: Machine) -> None:
    """Its commands run one after another: installed, migrated, served, and tested by both runners."""
    done = machine.run(f"python -m pip install --quiet {built.wheel}\npython -m djfast_mount startproject shop")
    assert done.returncode == 0, done.stderr
    cd, install, migrate, serve, test, pytests = printed(done.stdout)
    assert cd == "cd shop"
    done = machine.run(f"{cd}\n{install}\n{migrate}")
    assert done.returncode == 0, done.stderr
    site, api, _ = served(machine, serve, machine.folder / "shop")
    assert "<h1>Notes</h1>" in site
    assert api == "[]"
    for command, told in ((test, "Ran 3 tests"), (pytests, "3 passed")):
        done = machine.run(f"{cd}\n{command}")
        assert (done.returncode, told in done.stdout + done.stderr) == (0, True), done.stdout + done.stderr


def test_the_projects_readme_runs(built: Built, machine: Machine) -> None:
    """The commands of its README that install, migrate, test and look at the project run too."""
    machine.run(f"python -m pip install --quiet {built.wheel}\npython -m djfast_mount startproject shop")
    folder = machine.folder / "shop"
    blocks = re.findall(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    start, tests, look, deploy, _ = blocks
    start = "\n".join(line for line in start.splitlines() if "createsuperuser" not in line and "runserver" not in line)
    deploy = "\n".join(line for line in deploy.splitlines() if not line.startswith("uvicorn"))
    done = machine.run(
        "\n".join([start, tests, look.replace("mount_doctor", "mount_doctor || true"), deploy]),
        folder,
        SECRET_KEY="x" * 60,
        ALLOWED_HOSTS="localhost",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/api/notes/" in done.stdout
    assert (folder / "staticfiles" / "staticfiles.json").is_file()


def test_a_clone_is_set_up_by_stock_pip(machine: Machine) -> None:
    """The commands by which docs/contributing.md installs a clone run with the pip that comes with Python."""
    page = (REPOSITORY / "docs" / "contributing.md").read_text()
    commands = [line for line in page.splitlines() if line.startswith("python -m pip install")]
    assert len(commands) >= 1
    done = machine.run("\n".join(commands), REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert machine.run("ruff --version && mypy --version && nox --version && pytest --version").returncode == 0


@pytest.mark.parametrize("name", ["quickstart"])
def test_the_readmes_commands_need_no_newer_pip(machine: Machine, name: str) -> None:
    """What README.md says under "Try it" is installed by the pip that comes with Python."""
    page = (REPOSITORY / "README.md").read_text().split("## Try it")[1]
    [install, *_] = [line for line in page.splitlines() if line.startswith("python -m pip install")]
    assert name in install
    assert machine.run(install, REPOSITORY).returncode == 0
