"""`manage.py mount_schemas`, and the system check: schemas to start from, how they read, and what has drifted.

Holds `management/commands/mount_schemas.py`, `checks/schema_modules.py`, `doctor/schemas.py` and
`schemas/declaring/secrets.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import models

from djfast_mount.management.commands import mount_schemas
from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.starting_schemas import all_schemas, draft, unsaid
from project.firm.models import Company, Secret
from project.zoo.models import Animal, Ticket
from schemas import zoo_schemas
from schemas.firm_schemas import CompanySchema, DepartmentWithCompany

assert zoo_schemas  # It registers the type of a custom field.


def written(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("mount_schemas", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("model", [Animal, Company, Secret, Ticket])
def test_a_draft_is_a_schema(model: type[models.Model]) -> None:
    """What the command writes runs as it is, and reads every column but those that are called like a secret."""
    sys.modules["drafted"] = ModuleType("drafted")
    names = vars(sys.modules["drafted"])
    try:
        exec(compile(written(model._meta.label), "drafted.py", "exec", dont_inherit=True), names)
    finally:
        del sys.modules["drafted"]
    schema = names[f"{model.__name__}Schema"]
    assert issubclass(schema, ModelSchema)
    assert unsaid([schema]) == {}
    assert "api_key" not in schema.model_fields
    assert draft(model) == written(model._meta.label)


def test_a_label_of_no_model() -> None:
    """A misspelt model is told."""
    with pytest.raises(CommandError, match=r"'firm\.Compny' is no model"):
        written("firm.Compny")


def test_what_no_schema_says() -> None:
    """A column that no schema of the model shows, takes or excludes is told by name."""

    class Short(ModelSchema[Secret]):
        class Meta:
            fields = ["name"]

    class Excluding(ModelSchema[Secret]):
        class Meta:
            fields = ["name"]
            exclude = ["id"]

    assert unsaid([Short]) == {Secret: ["id", "api_key"]}
    assert unsaid([Short, Excluding]) == {Secret: ["api_key"]}
    assert {Short, Excluding} <= set(all_schemas())


def test_explained() -> None:
    """A schema says how it reads, by which columns, and what is in the way of the plan."""
    assert CompanySchema.explain().splitlines() == [
        "CompanySchema reads Company by the plan.",
        "  Company: id, name, status, founded, motto",
        "    Department: id, name, code, size",
        "      Team: id, name",
    ]

    class Loud(ModelSchema[Company]):
        shouted: str

        class Meta:
            fields = ["name"]

    assert Loud.explain().splitlines()[0] == "Loud reads Company by instances: Company.shouted is computed in Python."
    assert "company__name" in DepartmentWithCompany.explain()


@pytest.fixture
def drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed app whose schemas module names a field that its model does not have."""
    package = tmp_path / "drifted_app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "schemas.py").write_text(
        "from djfast_mount.schemas import ModelSchema\n"
        "from project.firm.models import Company\n\n\n"
        "class Drifted(ModelSchema[Company]):\n"
        "    class Meta:\n"
        "        fields = ['naame']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = AppConfig.create("drifted_app")
    real = apps.get_app_configs
    monkeypatch.setattr(apps, "get_app_configs", lambda: [*real(), config])
    yield
    sys.modules.pop("drifted_app.schemas", None)


def test_the_system_check(drifted: None) -> None:
    """A schema whose field does not exist is an error of `manage.py check`, with the nearest name."""
    [message] = [message for message in checks.run_checks(tags=["djfast_mount"]) if message.id == "djfast_mount.E041"]
    assert "Company has no field 'naame'" in message.msg
    assert message.hint == "Did you mean 'name'?"


def test_the_check_for_ci(drifted: None) -> None:
    """`mount_schemas --check` fails with the same words."""
    with pytest.raises(CommandError, match="Company has no field 'naame'"):
        written(check=True)


def test_a_fault_fails_the_command_as_well(drifted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--check` a schema with a fault is an error too, after what is known of the others."""
    # Other tests have made schemas that cannot be explained.
    monkeypatch.setattr(mount_schemas, "all_schemas", lambda: [CompanySchema])
    out = StringIO()
    with pytest.raises(CommandError, match="Company has no field 'naame'"):
        call_command("mount_schemas", stdout=out)
    assert "reads Company" in out.getvalue()
