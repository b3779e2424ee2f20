"""Resources of the models of examples/companies whose schemas nest relations to one row: each position of a hidden row.

A department's cost centre is one row below many, a team's department one row of one row, and an employee's team one
that may be hidden though its own rule says nothing: by the department, without which it cannot be shown.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from fastapi import FastAPI

from companies.access import of_the_tenant, scopes_of, set_the_tenant, token
from companies.models import Company, CostCentre, Department, Employee, Team
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.schemas import ModelSchema

__all__ = ["api"]


class CentreItem(ModelSchema[CostCentre]):
    class Meta:
        fields = ["id", "code", "name"]


class DepartmentItem(ModelSchema[Department]):
    cost_centre: CentreItem | None

    class Meta:
        fields = ["id", "name", "budget"]
        nested = ["cost_centre"]


class TeamItem(ModelSchema[Team]):
    department: DepartmentItem

    class Meta:
        fields = ["id", "name"]
        nested = ["department"]


class EmployeeItem(ModelSchema[Employee]):
    team: TeamItem | None

    class Meta:
        fields = ["id", "name", "email"]
        nested = ["team"]


class CompanyItem(ModelSchema[Company]):
    departments: list[DepartmentItem]
    employees: list[EmployeeItem]

    class Meta:
        fields = ["id", "name", "status", "size"]


class StaffSchema(ModelSchema[Employee]):
    """Shows the team nested, and takes its key."""

    team: TeamItem | None

    class Meta:
        fields = ["id", "name", "email", "company"]


def of_their_company(access: Any) -> Q:
    return Q(company__tenant=access.user.tenant_id)


def routers() -> list[ModelRouter]:
    writes: dict[str, Any] = {"create": True, "update": True, "delete": True, "filters": "all"}
    root: dict[str, Any] = {**writes, "security": token, "scopes": scopes_of("companies")}
    below = [
        ModelRouter(
            DepartmentItem,
            prefix="/departments",
            children=[ModelRouter(TeamItem, prefix="/teams", **writes)],
            **writes,
        ),
        ModelRouter(EmployeeItem, prefix="/employees", search=["name", "team__department__name"], **writes),
    ]
    return [
        ModelRouter(
            CompanyItem,
            prefix="/companies",
            **{**root, "delete": SoftDelete(status="closed")},
            search=["name", "departments__cost_centre__name"],
            rows=of_the_tenant,
            related_rows={CostCentre: of_the_tenant},
            server_values=set_the_tenant,
            children=below,
        ),
        # No child of anything: of a team its department alone says whether it is hidden.
        ModelRouter(
            StaffSchema,
            prefix="/staff",
            **root,
            search=["name", "team__name"],
            rows=of_their_company,
            related_rows={
                Company: of_the_tenant,
                Team: every_row,
                Department: of_their_company,
                CostCentre: of_the_tenant,
            },
        ),
        ModelRouter(
            TeamItem,
            prefix="/squads",
            **root,
            search=["name", "department__cost_centre__code"],
            rows=every_row,
            related_rows={Department: of_their_company, CostCentre: of_the_tenant},
        ),
    ]


api = FastAPI()
for router in routers():
    api.include_router(router)
