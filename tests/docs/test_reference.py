"""The reference is made of docstrings: docs/reference.md names the modules."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
MODULES = re.findall(r"automodule:: (\S+)", PAGE.read_text())


def test_the_reference_has_the_public_modules() -> None:
    """The page lists every public module that has names of its own to import."""
    faces = (
        "auth",
        "crud",
        "database",
        "exception_handlers",
        "schemas",
        "telemetry",
        "testing",
        "transactions",
        "urls",
    )
    assert {f"djfast_mount.{face}" for face in faces} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_has_a_docstring(module: str) -> None:
    """Each class and function that a public module exports is explained, so the reference shows it."""
    loaded = importlib.import_module(module)
    exported = {name: getattr(loaded, name) for name in loaded.__all__}
    made_here = {name: it for name, it in exported.items() if inspect.isclass(it) or inspect.isfunction(it)}
    assert [name for name, it in made_here.items() if not inspect.getdoc(it)] == []


@pytest.mark.parametrize("module", MODULES)
def test_each_public_constant_has_an_entry(module: str) -> None:
    """Each exported constant has an entry on the page: autodoc does not find its docstring."""
    loaded = importlib.import_module(module)
    own = Path(str(loaded.__file__)).name != "__init__.py"
    others = [
        name
        for name in loaded.__all__
        if not own and not inspect.isclass(getattr(loaded, name)) and not inspect.isfunction(getattr(loaded, name))
    ]
    assert [name for name in others if not re.search(rf"(data:: |\.){name}\n", PAGE.read_text())] == []
