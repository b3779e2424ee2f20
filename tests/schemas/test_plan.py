"""Every way of reading is held against rows read attribute by attribute, byte for byte, on generated querysets.

Holds `schemas/reading/assembler.py`, `schemas/reading/database_json.py`, `schemas/reading/plan.py` and
`schemas/reading/reasons.py`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.db.models.signals import post_init
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from project.firm.models import Company
from schemas.comparing import check
from schemas.firm_schemas import CompanySchema, DepartmentWithCompany
from schemas.generated import schemas
from schemas.generated_querysets import querysets

pytestmark = pytest.mark.django_db(databases=["default", "other"])

ROUNDS = int(os.environ.get("DJFAST_MOUNT_ROUNDS", "25"))
generated = settings(
    max_examples=ROUNDS,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@generated
@given(data=st.data(), schema=schemas())
def test_the_plan_is_what_rows_are(firms: None, data: st.DataObject, schema: type[ModelSchema[Any]]) -> None:
    """Every way gives the bytes that rows give whose attributes are asked for one by one, in few queries."""
    for make in data.draw(st.lists(querysets(schema, ("default", "default", "other")), min_size=1, max_size=3)):
        check(schema, make)


def test_routers_are_asked_as_django_asks(firm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router may choose the database of nested rows by the row that they belong to."""
    asked: list[tuple[str, str]] = []

    class Router:
        def db_for_read(self, model: Any, instance: Any = None, **_: Any) -> str:
            asked.append((model.__name__, "" if instance is None else instance._state.db))
            return "default"

    monkeypatch.setattr("django.db.router.routers", [Router()])
    assert len(CompanySchema.read(Company.objects.all())) == 3
    assert {("Department", "default"), ("Team", "default")} <= set(asked)


def test_receivers_that_are_connected_later(firm: None) -> None:
    """From when somebody listens to the making of instances on, they are made."""

    def loud(sender: type, instance: Any, **_: Any) -> None:
        instance.name = instance.name.upper()

    assert CompanySchema.read(Company.objects.all())[0].name == "Acme"
    post_init.connect(loud, sender=Company)
    try:
        assert CompanySchema.read(Company.objects.all())[0].name == "ACME"
    finally:
        post_init.disconnect(loud, sender=Company)


def test_rows_know_the_parent_in_memory(firm: None) -> None:
    """What a related manager's rows know of their parent is shown, as instances show it."""
    acme = Company.objects.get(name="Acme")
    acme.name = "Unsaved"
    assert {row.company.name for row in DepartmentWithCompany.read(acme.departments.all())} == {"Unsaved"}
