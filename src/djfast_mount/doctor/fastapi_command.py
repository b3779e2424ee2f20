"""The `fastapi` command: does `fastapi run` serve both halves."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string
from fastapi import FastAPI

from djfast_mount.doctor.target import Target

__all__ = ["probe_fastapi_command"]

# Where the command looks for a FastAPI by itself (fastapi-cli, "get_default_path").
_FOUND_BY_ITSELF = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
_REMEDY = (
    'Write in pyproject.toml, below [tool.fastapi]: entrypoint = "mysite.asgi:app", with the module of your asgi.py.'
)


def probe_fastapi_command(target: Target) -> Iterator[CheckMessage]:
    """W115, where the command is installed. Looks into the folder from which it is run."""
    if importlib.util.find_spec("fastapi_cli") is None:
        return
    entrypoint = _entrypoint(Path("pyproject.toml"))
    if entrypoint is None:
        found = next((path for path in _FOUND_BY_ITSELF if Path(path).is_file()), None)
        if found is None:
            return
        met = f"`fastapi run` finds {found}, and serves the bare API of it, without Django"
    elif (fault := _fault_of(entrypoint)) is None:
        return
    else:
        met = f"`fastapi run` serves {entrypoint!r}, which {fault}"
    yield checks.Warning(f"{met}.", hint=_REMEDY, id="djfast_mount.W115")


def _entrypoint(file: Path) -> Any:
    if not file.is_file():
        return None
    return tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("fastapi", {}).get("entrypoint")


def _fault_of(entrypoint: object) -> str | None:
    try:
        # The text is a file's, and anything may stand there.
        app = import_string(str(entrypoint).replace(":", "."))
    except ImportError as error:
        return f"cannot be imported: {error}"
    return "is the bare API, without Django" if isinstance(app, FastAPI) else None
