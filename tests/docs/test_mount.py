"""The code in docs/mount.md, run."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import Mount

from calls import request
from djfast_mount import mount
from djfast_mount.asgi import MountedApplication
from harness import TESTS

pytestmark = pytest.mark.once

PAGE = (TESTS.parent / "docs" / "mount.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


[ROUTER] = [block for block in BLOCKS if block.startswith("# notes/api.py")]
FILES = {
    "notes/__init__.py": "",
    "notes/api.py": f"from fastapi import FastAPI\n{ROUTER}\napi = FastAPI()\n",
    "chat/__init__.py": "",
    "chat/consumers.py": "async def application(scope, receive, send): ...\n",
}


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[dict[str, Any]]:
    """The project that the page speaks of."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "notes"]
    yield {"__name__": "docs", "mount": mount}
    for name in [name for name in sys.modules if name.split(".")[0] in ("notes", "chat")]:
        del sys.modules[name]


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_the_code_runs(code: str, names: dict[str, Any]) -> None:
    """Each block of the page runs by itself, and what it mounts is served under the prefix that it names."""
    exec(code, names)
    if "app" in names:
        app = names["app"]
        assert isinstance(app, MountedApplication)
        prefixes = {route.path for route in app.routes if isinstance(route, Mount)}
        assert {prefix for prefix in prefixes if prefix.startswith("/api")}
        assert request(app, "/api/nothing").status == 404
    else:
        assert isinstance(names["router"], APIRouter)


def test_every_argument_is_on_the_page() -> None:
    """The page names every argument of mount(), and no argument that there is not."""
    arguments = set(inspect.signature(mount).parameters)
    named = set(re.findall(r"\b(\w+)=", "\n".join(block for block in BLOCKS if "mount(" in block))) - {"title"}
    assert named <= arguments
    assert not {argument for argument in arguments if not re.search(rf"\b{argument}\b", PAGE)}
