"""FastAPI's half: `mount()` finds this module in every installed app, and includes its `router`."""

from typing import Annotated

from fastapi import APIRouter

from companies.access import of_the_tenant, scopes_of, set_the_tenant, token
from companies.models import Company, CostCentre
from companies.schemas import CompanySchema, CostCentreSchema, DepartmentSchema, EmployeeSchema, TeamSchema
from djfast_mount.crud import Call, Cursor, Listing, ModelRouter, SoftDelete
from djfast_mount.tokens.router import router as tokens

teams = ModelRouter(TeamSchema, prefix="/teams", create=True, update=True, delete=True)
departments = ModelRouter(
    DepartmentSchema, prefix="/departments", create=True, update=True, delete=True, children=[teams]
)
employees = ModelRouter(EmployeeSchema, prefix="/employees", create=True, update=True, delete=True, search=["name"])
companies = ModelRouter(
    CompanySchema,
    prefix="/companies",
    tags=["companies"],
    create=True,
    update=True,
    delete=SoftDelete(status="closed"),
    search=["name", "departments__name"],
    order_by=["name", "-founded"],
    page=Cursor(max=1000),
    filters="all",
    security=token,
    scopes=scopes_of("companies"),
    rows=of_the_tenant,
    related_rows={CostCentre: of_the_tenant},
    server_values=set_the_tenant,
    children=[departments, employees],
)
cost_centres = ModelRouter(
    CostCentreSchema,
    prefix="/cost-centres",
    tags=["cost centres"],
    create=True,
    update=True,
    delete=True,
    security=token,
    scopes=scopes_of("cost_centres"),
    rows=of_the_tenant,
    server_values=set_the_tenant,
)


@companies.get("/names", summary="The names of all companies that a list would have")
def names(listing: Annotated[Listing, companies.listing]) -> list[str]:
    return list(listing.rows().order_by("name").values_list("name", flat=True))


may_delete = companies.allowing("delete")


@companies.post("/{company_id}/reopen", summary="Undo the deletion of a company", dependencies=[may_delete])
def reopen(company_id: int, call: Annotated[Call, may_delete]) -> CompanySchema:
    company = call.find({"company_id": company_id}, call.rows(gone=True))
    company.status = Company.Status.OPEN
    company.save()
    return CompanySchema.of(company)


router = APIRouter(prefix="/v1")
router.include_router(companies)
router.include_router(cost_centres)
router.include_router(tokens)
