"""What schemas cost a process: nothing without them, little for each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from pydantic import TypeAdapter

from djfast_mount.schemas import Create, ModelSchema, Update
from harness import PYTHONPATH
from project.firm.models import Company, Department

pytestmark = pytest.mark.once

WITHOUT = """
import sys
from djfast_mount import mount
from fastapi import FastAPI
mount("/api", FastAPI())
from django.core.management import call_command
call_command("check")
print([name for name in sys.modules if name.startswith("djfast_mount.schemas")])
"""


def test_a_process_without_schemas_loads_none_of_them() -> None:
    """Neither `mount()` nor the system checks import the room."""
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", WITHOUT], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_fifty_schemas_start_in_no_time() -> None:
    """Declaring fifty schemas with their bodies and routes' types takes far less CPU than a start does."""
    begin = time.process_time()
    for number in range(25):
        inner: Any = declare(Department, ["id", "name", "code", "size"], f"Inner{number}")
        outer: Any = declare(Company, ["id", "name", "status", "founded"], f"Outer{number}", departments=list[inner])
        for schema in (inner, outer):
            for annotation in (list[schema], Create[schema], Update[schema]):
                TypeAdapter(annotation)
    assert time.process_time() - begin < 5


def declare(model: Any, fields: list[str], name: str, **annotations: Any) -> Any:
    body = {"__module__": __name__, "__annotations__": annotations, "Meta": type("Meta", (), {"fields": fields})}
    return type(name, (ModelSchema[model],), body)
