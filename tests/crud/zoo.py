"""Rows of companies for the tests of `crud`, and what a resource shows of them."""

from __future__ import annotations

import datetime
import decimal
import random
from collections.abc import Sequence

from djfast_mount.crud.declaring.exposure import Exposure
from project.companies.models import Company, CompanyDepartment, Employee, Label, Team


def columns(model: type, *names: str) -> dict[str, object]:
    return {name: model._meta.get_field(name) for name in names}  # type: ignore[attr-defined]


TEAMS = Exposure(Team, columns(Team, "id", "name"))  # type: ignore[arg-type]
DEPARTMENTS = Exposure(
    CompanyDepartment,
    columns(CompanyDepartment, "id", "company", "name", "budget", "size"),  # type: ignore[arg-type]
    {"teams": TEAMS},
)
OWNER = Exposure(Company, columns(Company, "id", "name", "founded"))  # type: ignore[arg-type]
LABELS = Exposure(Label, columns(Label, "id", "name"))  # type: ignore[arg-type]
COMPANIES = Exposure(
    Company,
    columns(  # type: ignore[arg-type]
        Company, "id", "name", "slug", "status", "founded", "size", "rating", "listed", "created", "owner"
    ),
    {"departments": DEPARTMENTS, "labels": LABELS, "owner": OWNER},
)
EMPLOYEES = Exposure(
    Employee,
    columns(Employee, "id", "name", "company", "department", "salary"),  # type: ignore[arg-type]
    {"department": DEPARTMENTS},
)


def company(number: int, chance: random.Random, owners: Sequence[Company] = (), tenant: int = 1) -> Company:
    """A company with many ties and nulls among its values."""
    return Company.objects.create(
        tenant_id=tenant,
        name=chance.choice(["a", "B", "ß", "é", "zz", ""]),
        slug=f"c-{number}",
        status=chance.choice(Company.Status.values),
        founded=chance.choice([None, None, datetime.date(2000, 1, 1), datetime.date(2001, 12, 31)]),
        size=chance.choice([None, -1, 0, 2**31 - 1]),
        rating=chance.choice([None, decimal.Decimal("0.10"), decimal.Decimal("99.99")]),
        listed=chance.random() < 0.5,
        owner=chance.choice([None, *owners]),
    )
