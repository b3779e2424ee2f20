"""What the API shows of each model. Bodies, filters and orders are made from it."""

from companies.models import Company, CostCentre, Department, Employee, Team
from djfast_mount.schemas import ModelSchema


class TeamSchema(ModelSchema[Team]):
    class Meta:
        fields = ["id", "name"]


class DepartmentSchema(ModelSchema[Department]):
    teams: list[TeamSchema]

    class Meta:
        fields = ["id", "name", "budget", "cost_centre"]


class CompanySchema(ModelSchema[Company]):
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "name", "status", "founded", "size"]


class EmployeeSchema(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name", "email", "team", "salary"]


class CostCentreSchema(ModelSchema[CostCentre]):
    class Meta:
        fields = ["id", "code", "name"]
