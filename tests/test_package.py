"""The package's root: lazy, typed, and of the version that it says."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import djfast_mount

pytestmark = pytest.mark.once


def run_python(code: str) -> str:
    """What `code` prints in a new interpreter without Django's settings."""
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_root_imports_neither_framework() -> None:
    """`import djfast_mount`, which Django and pytest do early, loads nothing beyond the standard library."""
    loaded = run_python("import sys, djfast_mount; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "djfast_mount" in loaded
    assert not {"django", "fastapi", "starlette", "asgiref", "anyio", "whitenoise", "pydantic"} & set(loaded)


def test_mount_comes_when_it_is_asked_for() -> None:
    """`from djfast_mount import mount` gives the function, before and after the module that holds it was imported."""
    code = (
        "from djfast_mount import mount\n"
        "import djfast_mount, djfast_mount.asgi\n"
        "print(mount is djfast_mount.mount is djfast_mount.asgi.mount, callable(mount))"
    )
    assert run_python(code) == "True True"


def test_every_export_is_there() -> None:
    """All names of `__all__` can be had."""
    for name in djfast_mount.__all__:
        assert getattr(djfast_mount, name) is not None


def test_a_name_that_is_not_there_is_pythons_error() -> None:
    """Any other name raises AttributeError, as of any module, and so hasattr() is False."""
    with pytest.raises(AttributeError, match="module 'djfast_mount' has no attribute 'mound'"):
        djfast_mount.mound  # noqa: B018
    assert not hasattr(djfast_mount, "mound")


def test_the_version_is_that_of_the_distribution() -> None:
    """`__version__` is the version that was installed."""
    assert djfast_mount.__version__ == importlib.metadata.version("djfast-mount")


def test_the_package_is_typed() -> None:
    """The marker by which type checkers read the annotations is part of the package."""
    assert (Path(djfast_mount.__file__).parent / "py.typed").is_file()
