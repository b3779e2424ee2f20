"""What `mount()` refuses is told by `manage.py check --deploy` and by the doctor.

Holds `checks/application.py` and `checks/wording.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import CommandError, call_command
from fastapi import Request

from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.routing.placement import placements
from djfast_mount.schemas import ModelSchema
from harness import PYTHONPATH
from project.companies.models import Company

pytestmark = pytest.mark.once

HEAD = """
from typing import Annotated, Any
from django.db.models import Q
from fastapi import APIRouter, FastAPI, Request
from djfast_mount import mount
from djfast_mount.crud import ActionScopes, ModelRouter, every_row
from djfast_mount.crud.registry import Registry
from djfast_mount.schemas import Create, ModelSchema
from project.companies.models import Company, CompanyDepartment

class CompanySchema(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name", "slug", "labels"]

def caller(request: Request) -> int:
    return 1

api = FastAPI()
"""
TAIL = '\napp = mount("/api", api)\n'
WELL = HEAD + 'api.include_router(ModelRouter(CompanySchema, prefix="/companies"))' + TAIL
# By what is wrong: the code, a part of the message, and one of the remedy.
WRONG = {
    "a WebSocket has no request": (
        (
            'router = ModelRouter(CompanySchema, prefix="/companies", security=caller)\n'
            'router.websocket("/live")(lambda websocket: None)\napi.include_router(router)'
        ),
        ("the WebSocket '/live' depends on something that takes a Request", "HTTPConnection"),
    ),
    "an app that asks for nobody": (
        (
            'router = ModelRouter(CompanySchema, prefix="/companies", security=caller)\n'
            'router.mount("/inner", FastAPI())\napi.include_router(router)'
        ),
        ("/inner", "the app"),
    ),
    "a body of nothing": (
        (
            "class Body(Create):\n    name: str\n"
            'api.include_router(ModelRouter(CompanySchema, prefix="/companies", create=Body))'
        ),
        ("create= got", "Give a subclass of Create"),
    ),
    "a required field that nobody sets": (
        (
            "class Short(ModelSchema[CompanyDepartment]):\n    class Meta:\n        fields = ['id', 'company']\n"
            "        read_only = ['company']\n"
            'api.include_router(ModelRouter(Short, prefix="/departments", create=True))'
        ),
        ("nothing sets the field 'company'", "server_values="),
    ),
    "a scope without a caller": (
        'api.include_router(ModelRouter(CompanySchema, prefix="/companies", scopes=ActionScopes(read=["a"])))',
        ("scopes= needs a caller", "security="),
    ),
    "a prefix twice": (
        (
            'registry = Registry()\nregistry.register(ModelRouter(CompanySchema, prefix="/companies"))\n'
            'registry.register(ModelRouter(CompanySchema, prefix="/companies"))'
        ),
        ("Two routers are registered at '/companies'", "another prefix"),
    ),
    "a way around the rules": (
        (
            'inner = APIRouter()\ninner.include_router(ModelRouter(CompanySchema, prefix="/companies", create=True, '
            "rows=lambda: Q()))\napi.include_router(inner)"
        ),
        ("names rows of Label in 'labels'", "every_row"),
    ),
}
_numbers = count()


class CompanySchema(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


def caller(request: Request) -> int:
    return 1


@pytest.fixture
def project(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes a module the project's asgi.py, and returns its name. Nothing has been mounted in the process."""
    before = list(placements)
    placements.clear()
    monkeypatch.syspath_prepend(tmp_path)
    settings.SILENCED_SYSTEM_CHECKS = ["djfast_mount.W002", "djfast_mount.W020", "djfast_mount.W021"]

    def make(code: str) -> str:
        name = f"checked_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        settings.ASGI_APPLICATION = f"{name}.app"
        return name

    yield make
    placements[:] = before


def found(*, deploy: bool = False) -> list[CheckMessage]:
    told = checks.run_checks(tags=["djfast_mount"], include_deployment_checks=deploy)
    return [message for message in told if message.id == "djfast_mount.E042"]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_router_is_told(wrong: str, project: Callable[[str], str]) -> None:
    """An error that comes when the routes of a router are made, or the app starts, is told once, with its remedy."""
    code, (message, remedy) = WRONG[wrong]
    name = project(HEAD + code + TAIL)
    for _ in range(2):
        [told] = found(deploy=True)
        assert told.obj == name
        assert message in told.msg
        assert remedy in (told.hint or "")
    with pytest.raises(CommandError, match="E042"):
        call_command("check", deploy=True)


def test_a_project_that_is_well(project: Callable[[str], str]) -> None:
    """Of an app that starts nothing is told."""
    project(WELL)
    assert found(deploy=True) == []
    assert placements


def test_an_app_is_imported_for_deployment_alone(project: Callable[[str], str]) -> None:
    """`manage.py check` leaves the app alone, which most commands would wait for; ``--deploy`` looks at it."""
    name = project('from djfast_mount import mount\nfrom fastapi import FastAPI\napp = mount("api", FastAPI())\n')
    assert found() == []
    assert name not in sys.modules
    [told] = found(deploy=True)
    assert "'api'" in told.msg
    # From then on it is known, and costs nothing.
    assert found() == [told]


def test_what_else_an_app_raises_is_raised(project: Callable[[str], str]) -> None:
    """An app that cannot be imported fails the check of a deployment, and the same error comes again after that."""
    project(HEAD + 'Registry().register(ModelRouter(CompanySchema, prefix="/x"))\nraise OSError("no disk")' + TAIL)
    assert found() == []
    with pytest.raises(OSError, match="no disk"):
        found(deploy=True)
    with pytest.raises(OSError, match="no disk"):
        call_command("mount_routes")


def test_a_router_that_was_refused_is_refused_again() -> None:
    """Routes of a router are all made, or none: who asks a second time is refused too."""
    router = ModelRouter(CompanySchema, prefix="/companies", security=caller)
    router.get("/export")(lambda: "")
    router.websocket("/live")(lambda websocket: None)
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="takes a Request"):
            _ = router.routes


def test_commands_tell_it_without_a_traceback(tmp_path: Path) -> None:
    """`manage.py check --deploy` and `mount_doctor` end with status 1 and the message, and write no traceback."""
    (tmp_path / "refused.py").write_text(HEAD + WRONG["a way around the rules"][0] + TAIL)
    (tmp_path / "refused_settings.py").write_text('from project.settings import *\nASGI_APPLICATION = "refused.app"\n')
    environment = {"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}", "DJANGO_SETTINGS_MODULE": "refused_settings"}
    for command in (["check", "--deploy"], ["mount_doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "django", *command], env=environment, capture_output=True, text=True, check=False
        )
        told = done.stdout + done.stderr
        assert done.returncode == 1, told
        assert told.count("djfast_mount.E042") == 1, told
        assert "Give related_rows={Label: ...}" in told
        assert "Traceback" not in told
