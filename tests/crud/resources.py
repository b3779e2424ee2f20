"""The resource of the tests: companies of two tenants, three levels deep, with everything switched on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from django.db.models import Q
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import APIKeyHeader

from djfast_mount.crud import ActionScopes, ModelRouter, SoftDelete
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Document, Employee, Label, Rate, Team


class TeamSchema(ModelSchema[Team]):
    class Meta:
        fields = ["id", "name", "lead"]
        name = "Team"


class DepartmentSchema(ModelSchema[CompanyDepartment]):
    teams: list[TeamSchema]

    class Meta:
        fields = ["id", "company", "name", "budget", "size"]
        name = "Department"


class DepartmentItem(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = ["id", "name", "budget", "size"]


class CompanySchema(ModelSchema[Company]):
    departments: list[DepartmentItem]

    class Meta:
        fields = ["id", "name", "slug", "status", "founded", "size", "rating", "listed", "owner", "labels", "created"]
        read_only = ["created"]


class EmployeeSchema(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name", "company", "department", "salary"]


class RateSchema(ModelSchema[Rate]):
    class Meta:
        fields = ["country", "year", "percent"]


class DocumentSchema(ModelSchema[Document]):
    class Meta:
        fields = ["id", "company", "title", "notes", "pages", "facts", "labels", "file", "cover"]


@dataclass
class Caller:
    tenant_id: int
    scopes: frozenset[str]

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes


SCOPES = ("read", "create", "update", "delete")
header = APIKeyHeader(name="X-Token", auto_error=False)


def caller(token: Annotated[str | None, Depends(header)]) -> Caller | None:
    """Tokens are written `<tenant>:<scope>,<scope>`."""
    if token is None:
        return None
    tenant, _, scopes = token.partition(":")
    if not tenant.isdigit():
        raise HTTPException(401, "Not authenticated")
    return Caller(int(tenant), frozenset(scopes.split(",") if scopes else SCOPES))


def visible(access: Any) -> Q:
    return Q(tenant_id=access.tenant_id)


def tenant_of(access: Any) -> dict[str, Any]:
    return {"tenant_id": access.tenant_id}


def companies(**options: Any) -> ModelRouter:
    teams = ModelRouter(TeamSchema, prefix="/teams", create=True, update=True, delete=True)
    departments = ModelRouter(
        DepartmentSchema, prefix="/departments", create=True, update=True, delete=True, children=[teams]
    )
    employees = ModelRouter(EmployeeSchema, prefix="/employees", create=True, update=True, delete=True)
    every: dict[str, Any] = {
        "prefix": "/companies",
        "create": True,
        "update": True,
        "delete": SoftDelete(status="closed"),
        "search": ["name", "departments__name"],
        "filters": "all",
        "security": caller,
        "scopes": ActionScopes(**{name: [name] for name in SCOPES}),
        "rows": visible,
        "related_rows": {Label: visible},
        "server_values": tenant_of,
        "children": [departments, employees],
    }
    return ModelRouter(CompanySchema, **{**every, **options})


def documents(**options: Any) -> ModelRouter:
    every: dict[str, Any] = {"prefix": "/documents", "create": True, "update": True, "form": True, **options}
    return ModelRouter(DocumentSchema, max_file_size=100_000, **every)


def api_of(*routers: ModelRouter) -> FastAPI:
    api = FastAPI()
    for router in routers:
        api.include_router(router)
    return api
