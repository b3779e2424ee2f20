"""manage.py mount_openapi: the schema that the API serves, without a server.

Holds `management/commands/mount_openapi.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from fastapi import FastAPI

from calls import ask
from djfast_mount import mount

pytestmark = pytest.mark.once


def make_api(title: str = "Shop", **options: Any) -> FastAPI:
    api = FastAPI(title=title, **options)
    api.get("/ünit")(lambda: 1)
    return api


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., Any]:
    """Makes what `mount()` returns for its arguments the application of the project."""

    def mounted(*args: Any, **kwargs: Any) -> Any:
        module = ModuleType("openapi_asgi")
        module.app = mount(*args, **kwargs)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "openapi_asgi", module)
        settings.ASGI_APPLICATION = "openapi_asgi.app"
        return module.app  # type: ignore[attr-defined]

    return mounted


def written(*arguments: str) -> str:
    out = StringIO()
    call_command("mount_openapi", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_is_what_the_api_serves(project: Callable[..., Any]) -> None:
    """The schema is the one that a request gets, the prefix in its servers."""
    app = project("/api", make_api())
    schema = json.loads(written())
    assert schema == ask(app, "/api/openapi.json").json()
    assert schema["servers"] == [{"url": "/api"}]
    assert "/ünit" in written()


@pytest.mark.parametrize(
    ("args", "kwargs", "servers"),
    [
        (("/", make_api()), {"django_prefix": "/server"}, [{"url": "/outer"}]),
        (("/", make_api()), {"fallthrough": True}, [{"url": "/outer/server"}]),
        (("/api", make_api(servers=[{"url": "https://a.example"}])), {}, None),
        (("/api", make_api(root_path_in_servers=False)), {}, None),
    ],
)
def test_the_outer_prefix_is_in_it(
    project: Callable[..., Any], settings: Any, args: Any, kwargs: Any, servers: Any
) -> None:
    """FORCE_SCRIPT_NAME, less Django's own prefix, stands before the API's; what the app says of servers holds."""
    settings.FORCE_SCRIPT_NAME = "/outer/server"
    app = project(*args, **kwargs)
    schema = json.loads(written())
    outer = "/outer" if "django_prefix" in kwargs else "/outer/server"
    assert schema == ask(app, f"{outer}{args[0].rstrip('/')}/openapi.json").json()
    assert servers is None or schema["servers"] == servers


def test_one_of_several(project: Callable[..., Any]) -> None:
    """Where there are several APIs one is named, by its path; those without a schema are not among them."""
    inner, outer = make_api("Inner"), make_api("Outer")
    outer.mount("/v1", inner)
    project({"/api": outer, "/hidden": make_api(openapi_url=None)})
    assert json.loads(written("/api/v1"))["info"]["title"] == "Inner"
    assert json.loads(written("/api/v1"))["servers"] == [{"url": "/api/v1"}]
    with pytest.raises(CommandError, match=r"'/api', '/api/v1'\. Name the one"):
        written()
    with pytest.raises(CommandError, match="Did you mean '/api/v1'"):
        written("/api/v2")


def test_a_file_and_its_check(project: Callable[..., Any], tmp_path: Path) -> None:
    """--output writes the file; --check passes it, and fails once the schema is another."""
    file = tmp_path / "openapi.json"
    project("/api", make_api())
    with pytest.raises(CommandError, match="is not the schema"):
        written("--output", str(file), "--check")
    assert written("--output", str(file)) == ""
    assert written("--output", str(file), "--check") == ""
    assert file.read_text() == written()
    project("/api", make_api("Shop of today"))
    with pytest.raises(CommandError, match="run mount_openapi with --output"):
        written("--output", str(file), "--check")
    assert "Shop of today" not in file.read_text()
    with pytest.raises(CommandError, match="name it, --output"):
        written("--check")
