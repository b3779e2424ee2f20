"""Schemas of models, as a project declares and uses them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, assert_type

from django.db.models import ForeignKey, Model, QuerySet
from fastapi import FastAPI
from pydantic import Field

from djfast_mount.auth import CurrentUser
from djfast_mount.schemas import Auto, Create, InvalidRow, ModelSchema, Orm, Page, Update, register
from djfast_mount.urls import get_object_or_404


class Company(Model):
    name: str


class Department(Model):
    company: ForeignKey[Company]


class DepartmentSchema(ModelSchema[Department]):
    class Meta:
        fields = ["id", "name"]


class CompanySchema(ModelSchema[Company]):
    name: str
    founded: date | None
    motto: Auto
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "status", "founded"]


class ShortCompany(CompanySchema):
    class Meta(CompanySchema.Meta):
        exclude = ["departments"]


class CompanyIn(Create[CompanySchema]):
    password: str = Field(min_length=8)


api = FastAPI()
ACompany = Annotated[Company, get_object_or_404(Company, "company_id")]


def open_companies() -> QuerySet[Company]:
    raise NotImplementedError


@api.get("/companies")
def companies() -> list[CompanySchema]:
    return CompanySchema.read(Company.objects.filter(open=True))


@api.get("/acompanies")
async def acompanies() -> list[CompanySchema]:
    return await CompanySchema.aread(open_companies())


@api.get("/all", response_model=list[CompanySchema])
async def everything() -> Any:
    return Company.objects.all()


@api.get("/page")
def page() -> Page[CompanySchema]:
    return Page[CompanySchema](items=CompanySchema.read([]), total=0)


@api.post("/companies", status_code=201)
def add(body: Create[CompanySchema], user: CurrentUser) -> CompanySchema:
    assert_type(body.create(), Company)
    return CompanySchema.of(body.create(owner=user))


@api.patch("/companies/{company_id}")
def change(company: ACompany, body: Update[CompanySchema]) -> CompanySchema:
    assert_type(body.changes(), dict[str, Any])
    return CompanySchema.of(body.update(company))


@api.post("/acompanies", status_code=201)
async def a_coroutine_adds(body: Create[CompanySchema], user: CurrentUser) -> CompanySchema:
    return await CompanySchema.aof(await body.acreate(owner=user))


@api.patch("/acompanies/{company_id}")
async def a_coroutine_changes(company: ACompany, body: Update[CompanySchema]) -> CompanySchema:
    return await CompanySchema.aof(await body.aupdate(company))


@api.post("/companies/all", status_code=201)
def add_all(bodies: list[Create[CompanySchema]]) -> list[CompanySchema]:
    companies = Create[CompanySchema].bulk_create(bodies, owner=None)
    assert_type(companies, list[Company])
    return CompanySchema.read(companies)


@api.post("/own/all", status_code=201)
async def own_all(bodies: list[CompanyIn]) -> None:
    assert_type(await CompanyIn.abulk_create(bodies), list[Company])


@api.post("/own")
def own(body: CompanyIn) -> str:
    assert_type(body.create(), Company)
    return body.password


def fields(schema: CompanySchema) -> None:
    assert_type(schema.name, str)
    assert_type(schema.departments, list[DepartmentSchema])
    assert_type(ShortCompany.read(open_companies()), list[ShortCompany])
    assert_type(CompanySchema.explain(), str)


register(ForeignKey, int)
ORM = Orm("name", read_scopes=["company.read"])
assert_type(InvalidRow([]).messages, list[str])
GET = get_object_or_404(Company, "company_id")
