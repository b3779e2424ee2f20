"""Schemas of the firm's models, as a project would declare them."""

from __future__ import annotations

from datetime import date

from djfast_mount.schemas import Auto, ModelSchema
from project.firm.models import Company, Department, Person, Team


class PersonSchema(ModelSchema[Person]):
    class Meta:
        fields = ["id", "name", "email"]


class TeamSchema(ModelSchema[Team]):
    class Meta:
        fields = ["id", "name"]


class DepartmentSchema(ModelSchema[Department]):
    code: str
    teams: list[TeamSchema]

    class Meta:
        fields = ["id", "name", "code", "size"]


class CompanySchema(ModelSchema[Company]):
    name: str
    founded: date | None
    motto: Auto
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "status"]


class DepartmentWithCompany(ModelSchema[Department]):
    company: CompanyName
    head: PersonSchema | None

    class Meta:
        fields = ["id", "name"]


class CompanyName(ModelSchema[Company]):
    class Meta:
        fields = ["name"]
