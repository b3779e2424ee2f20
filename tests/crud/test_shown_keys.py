"""A foreign key whose row is shown, and not its key, tells nothing of a row that is hidden.

Holds what `crud/query/conditions.py`, `crud/query/order_expressions.py` and `crud/query/aggregation.py` make of
`Exposure.as_rows`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Q

from crud.resources import caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee

pytestmark = pytest.mark.django_db


class OwnerOut(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]
        name = "ShownOwner"


class WithOwner(ModelSchema[Company]):
    owner: OwnerOut | None

    class Meta:
        fields = ["id", "name", "slug"]


class WithOwnerAndKey(WithOwner):
    """Shows the key as well, which is no secret then."""

    owner_id: int | None


class DepartmentOut(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = ["name"]
        name = "ShownDepartment"


class EmployeeOut(ModelSchema[Employee]):
    department: DepartmentOut | None

    class Meta:
        fields = ["id", "name"]


def client_of(schema: Any = WithOwner, **options: Any) -> Api:
    every: dict[str, Any] = {
        "security": caller,
        "rows": visible,
        "filters": "all",
        "delete": SoftDelete(status="closed"),
    }
    return Api(served(ModelRouter(schema, prefix="/companies", **every, **options)))


def company(slug: str, **values: Any) -> Company:
    return Company.objects.create(name="a", slug=slug, **values)


@pytest.fixture(params=["another tenant's", "deleted"])
def hidden(request: pytest.FixtureRequest) -> Company:
    return company("hidden", **({"tenant_id": 2} if request.param == "another tenant's" else {"status": "closed"}))


def questions(key: int) -> list[str]:
    return [
        f"?owner__id={key}",
        f"?!owner__id={key}",
        f"?owner__id={key}&owner__id=0",
        "?owner__isnull=true",
        "?owner__isnull=false",
        "?!owner__isnull=true",
        "?order_by=owner&limit=1",
        "?order_by=-owner&limit=1",
        "/aggregate/count/*?group_by=owner",
        "/aggregate/count/*?group_by=owner&order_by=-owner",
        "/aggregate/sum/size?group_by=owner&group_by=status",
        f"/aggregate/count/*?owner__id={key}",
    ]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_key_of_a_hidden_row_is_told_by_nothing(hidden: Company, asynchronous: bool) -> None:
    """Each filter, order, cursor and group is answered as if the foreign key were null."""
    rows = [company("mine"), company("other")]
    rows[1].owner = rows[0]
    rows[1].save()
    with client_of(asynchronous=asynchronous) as client:
        for question in ("", *questions(hidden.pk)):
            told = []
            for owner in (None, hidden):
                Company.objects.filter(pk=rows[0].pk).update(owner=owner)
                answer = client.get(f"/companies{question}")
                body = answer.json()
                # Behind the first colon are the time and the signature.
                told.append((answer.status_code, {**body, "next": str(body.get("next")).partition(":")[0]}))
            assert told[0] == told[1], question


@pytest.mark.parametrize("rule", ["ruled", "open"])
def test_the_key_of_a_row_that_is_shown(rule: str) -> None:
    """Filters, orders and groups know the keys of rows that are shown, with rules and without."""
    first, second = company("a"), company("b")
    below = [company("c", owner=second), company("d", owner=first)]
    router = ModelRouter(WithOwner, prefix="/companies", filters="all", rows=every_row if rule == "open" else None)
    with client_of() if rule == "ruled" else Api(served(router)) as client:
        found = {
            question: [item["slug"] for item in ok(client.get(f"/companies{question}"))["items"]]
            for question in questions(second.pk)[:8]
        }
        lists = [["c"], ["a", "b", "d"], ["c"], ["a", "b"], ["c", "d"], ["c", "d"], ["d"], ["c"]]
        assert list(found.values()) == lists
        groups = ok(client.get("/companies/aggregate/count/*?group_by=owner"))["values"]
        assert {each["owner"]: each["value"] for each in groups} == {first.pk: 1, second.pk: 1, None: 2}
    assert [each.owner_id for each in below] == [second.pk, first.pk]


def test_a_key_that_is_shown_besides(hidden: Company) -> None:
    """A schema that shows the key too lets callers ask for it, whoever may see the row."""
    company("mine", owner=hidden)
    with client_of(WithOwnerAndKey) as client:
        [item] = ok(client.get(f"/companies?owner__id={hidden.pk}"))["items"]
        assert (item["owner"], item["owner_id"]) == (None, hidden.pk)


def test_a_row_two_levels_down() -> None:
    """So it is where the foreign key is one of a related row."""
    owner = company("owner")
    secret, shown = owner.departments.create(name="secret"), owner.departments.create(name="shown")
    for department in (secret, shown, None):
        owner.employees.create(name="e", department=department)
    rules = {CompanyDepartment: lambda: ~Q(name="secret")}
    router = ModelRouter(EmployeeOut, prefix="/employees", filters="all", rows=every_row, related_rows=rules)
    with Api(served(router)) as client:
        for question, number in ((f"department__id={secret.pk}", 0), (f"department__id={shown.pk}", 1)):
            assert len(ok(client.get(f"/employees?{question}"))["items"]) == number
        assert len(ok(client.get("/employees?department__isnull=true"))["items"]) == 2
        groups = ok(client.get("/employees/aggregate/count/*?group_by=department"))["values"]
        assert {each["department"]: each["value"] for each in groups} == {shown.pk: 1, None: 2}
