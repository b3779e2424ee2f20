"""The public names, as mypy and pyright see them in their strict modes."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from djfast_mount import conf, mount
from djfast_mount.options import Options

HERE = Path(__file__).parent
USE, MISUSE = HERE / "use_of_the_api.py", HERE / "misuse_of_the_api.py"


def faults_by_mypy(file: Path, folder: Path) -> set[int]:
    """The lines that mypy finds fault with, reading the package as a user of it does."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}", "--no-pretty"]
    done = subprocess.run([*command, file], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {int(line) for line in re.findall(rf"{file.name}:(\d+): error", done.stdout)}


def faults_by_pyright(file: Path, folder: Path) -> set[int]:
    """The same for pyright."""
    shutil.copy(file, folder)  # It looks at files below its configuration only.
    config = {"typeCheckingMode": "strict", "include": [file.name], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = report["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


USES = pytest.mark.parametrize("file", [USE, HERE / "use_of_schemas.py"], ids=["api", "schemas"])
MISUSES = pytest.mark.parametrize("file", [MISUSE, HERE / "misuse_of_schemas.py"], ids=["api", "schemas"])
CHECKERS = pytest.mark.parametrize("faults", [faults_by_mypy, faults_by_pyright], ids=["mypy", "pyright"])


@USES
@CHECKERS
def test_use_is_accepted(faults: Any, file: Path, tmp_path: Path) -> None:
    """Neither checker finds fault with the use of any public name."""
    assert faults(file, tmp_path) == set()


@MISUSES
@CHECKERS
def test_misuse_is_refused(faults: Any, file: Path, tmp_path: Path) -> None:
    """Both refuse each wrong argument and each wrong option, and nothing else."""
    marked = {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# refused")}
    assert faults(file, tmp_path) == marked


def test_the_package_says_that_it_is_typed() -> None:
    """py.typed lies in the package, without which no checker reads its types."""
    assert files("djfast_mount").joinpath("py.typed").is_file()


def test_every_option_can_be_completed() -> None:
    """Options, by which editors complete settings.DJFAST_MOUNT, has every option, and mount()'s types for its own."""
    own = {name for name, option in conf.OPTIONS.items() if not option.is_argument}
    parameters = inspect.signature(mount).parameters
    assert set(Options.__annotations__) == {*parameters, *own}
    types = {name: hint.__forward_arg__ for name, hint in Options.__annotations__.items()}
    assert {name: types[name] for name in parameters} == {name: item.annotation for name, item in parameters.items()}
