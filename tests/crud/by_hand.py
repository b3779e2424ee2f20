"""Routes that are written by hand on routers of models."""

from typing import Annotated

from crud.resources import CompanySchema, EmployeeSchema, companies
from djfast_mount.crud import Call, Listing, ModelRouter, every_row
from project.companies.models import Company, CompanyDepartment, Label


def by_hand() -> ModelRouter:
    employees = ModelRouter(EmployeeSchema, prefix="/employees", create=True)
    rules = {Label: every_row, CompanyDepartment: every_row}
    router = companies(children=[employees], related_rows=rules, lookup="slug", search=["name"])

    @router.get("/export")
    def export(listing: Annotated[Listing, router.listing]) -> list[str]:
        return sorted(listing.rows().values_list("name", flat=True))

    @router.post("/{company_slug}/close")
    def close(row: Annotated[Company, router.row]) -> str:
        row.status = "paused"
        row.save()
        return row.status

    @router.get("/{company_slug}/unlooked")
    def unlooked(company_slug: str) -> str:
        return company_slug

    @router.delete("/everything", dependencies=[router.allowing("delete")])
    def everything() -> str:
        return "gone"

    @employees.get("/names")
    def names(call: Annotated[Call, employees.allowing("list")]) -> list[str]:
        return list(call.rows().values_list("name", flat=True))

    return router


def replaced() -> ModelRouter:
    router = ModelRouter(CompanySchema, prefix="/companies", update=True, without=["list"])

    @router.get("/{company_id}")
    def mine(row: Annotated[Company, router.row]) -> str:
        return f"mine: {row.name}"

    return router
