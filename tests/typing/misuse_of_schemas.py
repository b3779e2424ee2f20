"""What a type checker is to refuse of schemas: each line that is marked, and no other."""

from __future__ import annotations

from django.db.models import Model, QuerySet

from djfast_mount.schemas import Create, ModelSchema, Page, Update


class Company(Model):
    name: str


class Department(Model):
    name: str


class CompanySchema(ModelSchema[Company]):
    name: str

    class Meta:
        fields = ["id", "name"]


class NoModel(ModelSchema[int]):  # refused
    name: str


def reads(departments: QuerySet[Department], companies: QuerySet[Company]) -> list[CompanySchema]:
    CompanySchema.read(departments)  # refused
    CompanySchema.of(departments)  # refused
    CompanySchema.of(Department())  # refused
    CompanySchema.read(Department.objects)  # refused
    CompanySchema.read_json(departments)  # refused
    CompanySchema.read(Company())  # refused
    return companies  # refused


async def reads_in_a_coroutine(departments: QuerySet[Department], companies: QuerySet[Company]) -> list[CompanySchema]:
    await CompanySchema.aread(departments)  # refused
    await CompanySchema.aof(Department())  # refused
    return CompanySchema.aread(companies)  # refused


def answers(body: Create[CompanySchema], company: Company) -> CompanySchema:
    if company.name:
        return company  # refused
    return body.create()  # refused


async def writes_in_a_coroutine(body: Create[CompanySchema], changes: Update[CompanySchema]) -> Department:
    await changes.aupdate(Department())  # refused
    await body.areplace(Department())  # refused
    return await body.acreate()  # refused


def writes(body: Create[CompanySchema], changes: Update[CompanySchema], department: Department) -> Department:
    changes.update(department)  # refused
    changes.update()  # refused
    body.replace(department)  # refused
    Create[CompanySchema].bulk_create(body)  # refused
    Create[CompanySchema].bulk_create([changes])  # refused
    return body.create()  # refused


def types(schema: CompanySchema, wrong: Create[int]) -> int:  # refused
    len(schema.status)  # refused
    return schema.name  # refused


page: Page[CompanySchema] = Page[CompanySchema](items=[], total="many")  # refused
