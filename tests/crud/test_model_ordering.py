"""The order of a list of which nobody says the order: that of the model.

Holds `crud/query/model_ordering.py`.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import models
from django.db.models import F, OrderBy, Value
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee
from project.firm.models import Crate, Parcel

pytestmark = pytest.mark.django_db


class CompanyItem(ModelSchema[Company]):
    class Meta:
        fields = ["name", "size"]


class DepartmentItem(ModelSchema[CompanyDepartment]):
    company: CompanyItem

    class Meta:
        fields = ["id", "name"]


class ParcelSchema(ModelSchema[Parcel]):
    class Meta:
        fields = ["label", "_order"]


class KeysSchema(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "company", "department"]


class EmployeeSchema(ModelSchema[Employee]):
    company: CompanyItem
    department: DepartmentItem

    class Meta:
        fields = ["id", "name", "salary"]


@pytest.fixture
def employees() -> None:
    chance = random.Random(1)
    for number in range(4):
        company = Company.objects.create(name="dbac"[number], slug=str(number), size=number)
        department = company.departments.create(name="zyxw"[number], size=number)
        for _ in range(3):
            salary = chance.choice([None, 1, 2])
            name = chance.choice("abc")
            Employee.objects.create(company=company, department=department, name=name, salary=salary)


@pytest.mark.parametrize(
    "ordering",
    [
        [F("name").desc()],
        [F("name"), "-id"],
        [OrderBy(F("name"), descending=True), F("company__name").asc()],
        [F("salary").desc(nulls_first=True)],
        [F("salary").asc(nulls_last=True), "company"],
        ["company"],
        ["-company", "name"],
        ["-company_id"],
        ["company__name", "pk"],
        ["-department__company", "name", "-pk"],
        ["department"],
        [F("company").desc()],
    ],
    ids=str,
)
def test_it_is_the_models_own(monkeypatch: pytest.MonkeyPatch, employees: None, ordering: list[Any]) -> None:
    """Rows come as Django orders them, with ties by their keys."""
    monkeypatch.setattr(Employee._meta, "ordering", ordering)
    client = Api(served(ModelRouter(EmployeeSchema, prefix="/employees")))
    found, page = [], ok(client.get("/employees?limit=5"))
    while True:
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        page = ok(client.get("/employees", params={"limit": 5, "cursor": page["next"]}))
    expected = Employee.objects.order_by(*ordering, "pk")
    assert found == list(expected.values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("ordering", "default"),
    [
        (["company"], []),
        (["-department", "name", "-pk"], ["-department"]),
        (["department__id", "-pk"], ["department", "-id"]),
        (["name", "id"], []),
    ],
)
def test_it_ends_at_a_hidden_column(monkeypatch: pytest.MonkeyPatch, ordering: list[Any], default: list[str]) -> None:
    """A column that the schema does not show orders nothing, and so do those behind it: a cursor would tell it."""
    monkeypatch.setattr(Employee._meta, "ordering", ordering)
    assert ModelRouter(KeysSchema, prefix="/employees").resource.ordering.default == default


def test_order_with_respect_to(root_path: str) -> None:
    """The column that Django adds for it is the default order, a filter and an order, under its own name."""
    crate = Crate.objects.create(code="a")
    for label in "abc":
        Parcel.objects.create(crate=crate, label=label)
    crate.set_parcel_order([each.pk for each in Parcel.objects.order_by("-label")])
    client = Api(served(ModelRouter(ParcelSchema, prefix="/parcels")), root_path)

    def labels(query: str = "") -> str:
        return "".join(item["label"] for item in ok(client.get(f"/parcels{query}"))["items"])

    assert labels() == "cba"
    assert labels("?order_by=-_order") == "abc"
    assert labels("?_order__gte=1") == "ba"
    assert labels("?_order=0") == "c"


def test_a_hidden_column_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """At the start the log says at which column the order ends, for children too; `order_by` is no reason to."""
    monkeypatch.setattr(Employee._meta, "ordering", ["department", "name"])

    def told(**options: Any) -> list[str]:
        caplog.clear()
        child = ModelRouter(KeysSchema, prefix="/employees", **options)
        with Api(served(ModelRouter(CompanyItem, prefix="/companies", children=[child]))):
            return [each.getMessage() for each in caplog.records if each.name == "djfast_mount.crud"]

    [message] = told()
    assert "the ordering of Employee has name, which KeysSchema does not show" in message
    assert "ordered by department, its keys" in message
    assert told(order_by=[]) == []


@isolate_apps("project.firm")
def test_columns_like_methods_of_schemas() -> None:
    """Callers know a column that is called like a method of schemas by its own name, as in answers."""

    class Letter(models.Model):
        read = models.BooleanField()
        update = models.CharField(max_length=5)

        class Meta:
            app_label = "firm"

    class LetterSchema(ModelSchema[Letter]):
        class Meta:
            fields = ["id", "read", "update"]

    resource = ModelRouter(LetterSchema, prefix="/letters").resource
    assert {"read", "update", "update__icontains"} <= set(resource.filters.parameters)
    assert resource.ordering.choices[2:] == ("read", "-read", "update", "-update")


@pytest.mark.parametrize("item", [Lower("name"), Lower("name").desc(), "?", "name__lower", Value(1)], ids=str)
def test_what_is_no_column_is_named(monkeypatch: pytest.MonkeyPatch, item: Any) -> None:
    """An ordering by an expression is an error of the router that names it, and `order_by` takes its place."""
    monkeypatch.setattr(Employee._meta, "ordering", [item])
    with pytest.raises(ConfigurationError, match=r"Employee\.Meta\.ordering has .*order_by="):
        ModelRouter(EmployeeSchema, prefix="/employees")
    ModelRouter(EmployeeSchema, prefix="/employees", order_by=["name"])
    ModelRouter(EmployeeSchema, prefix="/employees", order_by=[])
