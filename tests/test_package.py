"""The package's root: lazy, typed, and of the version that it says."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
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


PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Edges for those who have them anyway: a test's runner and client, and the server of runserver.
OF_THE_USER = {"httpx", "pytest", "uvicorn"}
# What pydantic asks for itself: the one version of its core, and the TypedDict that it wants before Python 3.12.
PINNED = {"pydantic_core", "typing_extensions"}
# Those whose packages are imported.
USED = ("brotli", "filters", "health", "jwt", "opentelemetry", "prometheus", "rich", "sentry")
REQUIREMENTS = [*PROJECT["dependencies"], *(requirement for extra in EXTRAS.values() for requirement in extra)]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=;]", requirement)[0].strip().lower().replace("-", "_")


def test_every_import_is_a_requirement() -> None:
    """What the package imports it asks for, itself or by an extra, be it a requirement of a requirement too."""
    known = importlib.metadata.packages_distributions()
    asked = {name_of(requirement) for extra in USED for requirement in EXTRAS[extra]}
    asked |= {name_of(requirement) for requirement in PROJECT["dependencies"]} | OF_THE_USER | PINNED
    package = Path(djfast_mount.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [str(node.module)]
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"djfast_mount"}:
                assert set(map(name_of, known[top])) & asked, f"{path.name} imports {top}"


@pytest.mark.parametrize(
    "requirement", [*PROJECT["dependencies"], *(name for names in EXTRAS.values() for name in names)]
)
def test_every_requirement_has_a_floor(requirement: str) -> None:
    """`nox -s lowest` can try it: a lowest version, and no upper bound."""
    assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+(; .*)?", requirement)


def test_what_is_bundled_is_in_the_licence() -> None:
    """Each kind of licence of the bundled parts is in the expression, and each text is listed."""
    static = Path(djfast_mount.__file__).parent / "static" / "djfast_mount"
    parts = "".join(path.read_text() for path in static.glob("*/PARTS.LICENSE.txt"))
    kinds = re.findall(r"^-{20,}\n[\w.-]+, (.*)$", parts, re.MULTILINE)
    assert len(kinds) > 10
    expression = set(PROJECT["license"].split(" AND "))
    assert set(" AND ".join(kinds).replace("(", "").replace(")", "").split(" AND ")) <= expression
    root = Path(__file__).parents[1]
    listed = {path for pattern in PROJECT["license-files"] for path in root.glob(pattern)}
    assert {path for path in static.glob("*/*") if "LICENSE" in path.name or path.name == "NOTICE"} <= listed
