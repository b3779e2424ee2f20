from datetime import date

from djdantic import BaseModel, Field
from djfapi.routing.django import DjangoRouterSchema, SecurityScopes
from djfapi.security.jwt import JWTToken

from companies.models import Company, Department


class DepartmentGet(BaseModel):
    id: str = Field(orm_field=Department.id)
    name: str = Field(orm_field=Department.name)


class DepartmentCreate(BaseModel):
    name: str = Field(orm_field=Department.name)


class CompanyGet(BaseModel):
    id: str = Field(orm_field=Company.id)
    name: str = Field(orm_field=Company.name)
    status: Company.Status = Field(orm_field=Company.status)
    founded: date | None = Field(orm_field=Company.founded)
    size: int | None = Field(orm_field=Company.size)


class CompanyCreate(BaseModel):
    name: str = Field(orm_field=Company.name)
    founded: date | None = Field(orm_field=Company.founded)
    size: int | None = Field(orm_field=Company.size)


class CompanyUpdate(CompanyCreate):
    pass


companies = DjangoRouterSchema(
    name="companies",
    model=Company,
    get=CompanyGet,
    create=CompanyCreate,
    update=CompanyUpdate,
    delete_status=Company.Status.CLOSED,
    security=JWTToken(algorithm="HS256"),
    security_scopes=SecurityScopes(
        get=["directory.companies.read"],
        post=["directory.companies.create"],
        patch=["directory.companies.update"],
        put=["directory.companies.update"],
        delete=["directory.companies.delete"],
    ),
    pagination_options={"max_limit": 50, "default_order_by": ["name"]},
    children=[
        DjangoRouterSchema(name="departments", model=Department, get=DepartmentGet, create=DepartmentCreate),
    ],
)
