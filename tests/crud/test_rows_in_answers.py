"""No answer shows a related row that the caller may not see: whatever the relation, the rule, the route and the hook.

Holds `crud/access/rows_in_answers.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Prefetch, Q, QuerySet

from crud.resources import caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee, Label, Team
from project.firm.models import Badge, Person

pytestmark = pytest.mark.django_db

SECRET = "of another"


class OwnerOut(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


class LeadOut(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name"]


class TeamOut(ModelSchema[Team]):
    lead: LeadOut | None

    class Meta:
        fields = ["id", "name"]


class DepartmentOut(ModelSchema[CompanyDepartment]):
    teams: list[TeamOut]

    class Meta:
        fields = ["id", "name"]


class MiddleOut(ModelSchema[Company]):
    owner: OwnerOut | None
    departments: list[DepartmentOut]

    class Meta:
        fields = ["id", "name", "labels"]


class CompanyOut(ModelSchema[Company]):
    owner: MiddleOut | None
    departments: list[DepartmentOut]
    subsidiaries: list[MiddleOut]

    class Meta:
        fields = ["id", "name"]


class BadgeOut(ModelSchema[Badge]):
    class Meta:
        fields = ["number"]


class PersonOut(ModelSchema[Person]):
    badge: BadgeOut | None

    class Meta:
        fields = ["id", "name"]


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name.replace(" ", "-"), **values)


def secret_owner(mine: Company) -> None:
    Company.objects.filter(pk=mine.pk).update(owner=company(SECRET, tenant_id=2))


def secret_owner_above(mine: Company) -> None:
    Company.objects.filter(pk=mine.pk).update(owner=company("above", owner=company(SECRET, tenant_id=2)))


def secret_owner_below(mine: Company) -> None:
    """The subsidiary is shown, and the owner of its own is the very company: what is hidden is a department's lead."""
    below = company("below", owner=mine)
    team = Team.objects.create(division=below.departments.create(name="d"), name="t")
    Team.objects.filter(pk=team.pk).update(lead=Employee.objects.create(company=mine, name=SECRET, salary=0))


def secret_lead(mine: Company) -> None:
    lead = Employee.objects.create(company=mine, name=SECRET, salary=0)
    Team.objects.create(division=mine.departments.create(name="d"), name="t", lead=lead)


def secret_subsidiary(mine: Company) -> None:
    company(SECRET, tenant_id=2, owner=mine)


def secret_department_above(mine: Company) -> None:
    above = company("above")
    above.departments.create(name=SECRET, status="secret")
    Company.objects.filter(pk=mine.pk).update(owner=above)


def deleted_owner(mine: Company) -> None:
    Company.objects.filter(pk=mine.pk).update(owner=company(SECRET, status="closed"))


PLACES = [
    secret_owner, secret_owner_above, secret_owner_below, secret_lead, secret_subsidiary, secret_department_above,
    deleted_owner,
]  # fmt: skip


def companies(**options: Any) -> ModelRouter:
    related = {
        Employee: lambda: ~Q(salary=0),
        CompanyDepartment: lambda: ~Q(status="secret"),
        Label: visible,
        Team: every_row,
    }
    return ModelRouter(
        CompanyOut,
        prefix="/companies",
        security=caller,
        rows=visible,
        related_rows=related,
        update=True,
        delete=SoftDelete(status="closed"),
        **options,
    )


def answers(client: Api, path: str, key: int) -> list[Any]:
    """What every route that shows a row answers."""
    return [
        ok(client.get(path)),
        ok(client.get(f"{path}/{key}")),
        ok(client.patch(f"{path}/{key}", json={})),
        ok(client.patch(path, json=[{"id": key}])),
    ]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("place", PLACES)
def test_a_hidden_row_is_shown_nowhere(place: Callable[[Company], None], asynchronous: bool) -> None:
    """A row that a rule or a soft deletion hides is in no answer, however deep; what the caller may see is."""
    mine = company("mine")
    place(mine)
    with Api(served(companies(asynchronous=asynchronous)), root_path="/behind") as client:
        for answer in answers(client, "/companies", mine.pk):
            assert "mine" in str(answer)
            assert SECRET not in str(answer)
        assert ok(client.get(f"/companies/{mine.pk}"))["owner"] is None or place in (
            secret_owner_above,
            secret_department_above,
        )


def test_the_other_side_of_a_one_to_one() -> None:
    """A row that points to the shown one by a one-to-one is null where it is hidden, and shown where it is not."""
    people = [Person.objects.create(email=f"{name}@x.org", name=name) for name in ("a", "b", "c")]
    Badge.objects.create(person=people[0], number=666)
    Badge.objects.create(person=people[1], number=7)
    router = ModelRouter(
        PersonOut, prefix="/p", security=caller, rows=every_row, related_rows={Badge: lambda: Q(number__lt=100)}
    )
    with Api(served(router)) as client:
        shown = [item["badge"] for item in ok(client.get("/p?order_by=name"))["items"]]
        assert shown == [None, {"number": 7}, None]


class LeadSchema(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name"]


class TeamsSchema(ModelSchema[Team]):
    lead: LeadSchema | None

    class Meta:
        fields = ["id", "name"]


def test_a_row_that_is_hidden_by_its_parent_is_not_shown_elsewhere() -> None:
    """A child of another's company is hidden by its parent alone, also where a relation leads to it from elsewhere."""
    other, mine = company("other", tenant_id=2), company("mine")
    lead = Employee.objects.create(company=other, name=SECRET)
    Team.objects.create(division=mine.departments.create(name="d"), name="t", lead=lead)
    tree = ModelRouter(
        MiddleOut, prefix="/companies", security=caller, rows=visible, related_rows={Label: visible},
        children=[
            ModelRouter(LeadSchema, prefix="/employees"),
            ModelRouter(DepartmentOut, prefix="/departments", children=[ModelRouter(TeamsSchema, prefix="/teams")]),
        ],
    )  # fmt: skip
    department = mine.departments.get()
    with Api(served(tree)) as client:
        shown = ok(client.get(f"/companies/{mine.pk}/departments/{department.pk}/teams"))["items"]
        assert [item["lead"] for item in shown] == [None]
        assert ok(client.get(f"/companies/{mine.pk}"))["departments"][0]["teams"][0]["lead"] is None


# Hooks ----------------------------------------------------------------------------------------------------------------

OPEN = Prefetch("departments", CompanyDepartment.objects.exclude(name="closed by the hook"))
HOOKS = {
    "joins": Company.objects.select_related("owner"),
    "joins all": Company.objects.select_related("owner__owner"),
    "prefetches": Company.objects.prefetch_related("departments", "owner"),
    "prefetches deeper": Company.objects.prefetch_related("departments__teams__lead", "owner__departments"),
    "prefetches rows of its own": Company.objects.prefetch_related(OPEN, "departments__teams"),
    "prefetches the owner": Company.objects.prefetch_related(Prefetch("owner", Company.objects.all())),
}


@pytest.mark.parametrize("rows", HOOKS.values(), ids=HOOKS)
def test_a_hook_cannot_widen_what_relations_show(rows: QuerySet[Company]) -> None:
    """Whatever the hook joins or prefetches, a hidden row is not shown, and a visible one is."""
    for number, place in enumerate((secret_owner, secret_lead, secret_department_above, deleted_owner)):
        place(mine := company(f"mine{number}"))
        Company.objects.filter(name=SECRET).update(name=f"{SECRET} {number}", slug=f"secret{number}")
        mine.departments.create(name="shown")
        mine.departments.create(name=f"{SECRET} department", status="secret")
    with Api(served(companies(hooks={"queryset": lambda call: rows.all()}))) as client:
        for _ in range(2):
            text = client.get("/companies?order_by=name").text
            assert SECRET not in text
            assert text.count("shown") >= 4


def test_a_hook_can_narrow_what_relations_show() -> None:
    """The rows that a hook prefetches are shown as far as they may be seen, and no others."""
    mine = company("mine", owner=company("above", listed=True))
    for name, status in (("a", "open"), ("closed by the hook", "open"), (SECRET, "secret")):
        mine.departments.create(name=name, status=status)
    owners = Prefetch("owner", Company.objects.filter(listed=False))
    hook = {"queryset": lambda call: Company.objects.prefetch_related(OPEN, owners)}
    with Api(served(companies(hooks=hook))) as client:
        for _ in range(2):  # The constant of the hook is as it was.
            shown = ok(client.get(f"/companies/{mine.pk}"))
            assert [each["name"] for each in shown["departments"]] == ["a"]
            assert shown["owner"] is None


class OpenOut(ModelSchema[Company]):
    open_departments: list[DepartmentOut]

    class Meta:
        fields = ["id", "name"]
        computed = ["open_departments"]


def test_an_attribute_that_a_hook_prefetches_has_visible_rows_alone() -> None:
    """`to_attr` is another name for the same rows: those that are hidden are not there."""
    mine = company("mine")
    mine.departments.create(name="a").teams.create(name="t", lead=Employee.objects.create(company=mine, name="l"))
    mine.departments.create(name=SECRET, status="secret")
    into = Prefetch("departments", CompanyDepartment.objects.all(), to_attr="open_departments")
    router = ModelRouter(
        OpenOut, prefix="/c", security=caller, rows=visible,
        related_rows={CompanyDepartment: lambda: ~Q(status="secret"), Employee: lambda: Q(pk__in=[])},
        hooks={"queryset": lambda call: Company.objects.prefetch_related(into, "open_departments__teams__lead")},
    )  # fmt: skip
    with Api(served(router)) as client:
        [shown] = ok(client.get("/c"))["items"]
        assert [each["name"] for each in shown["open_departments"]] == ["a"]
        assert shown["open_departments"][0]["teams"][0]["lead"] is None


# Queries --------------------------------------------------------------------------------------------------------------


def test_as_many_queries_for_one_row_as_for_many(django_assert_num_queries: Any) -> None:
    """A relation to one row takes a query where its rows have a rule, however many there are, and none without one."""

    class Owned(ModelSchema[Company]):
        owner: OwnerOut | None

        class Meta:
            fields = ["id", "name"]

    for number in range(5):
        company(f"c{number}", owner=company(f"o{number}"))
    ruled = ModelRouter(Owned, prefix="/ruled", security=caller, rows=visible)
    plain = ModelRouter(Owned, prefix="/plain", security=caller, rows=every_row)
    with Api(served(ruled, plain)) as client:
        for path, queries in (("/ruled", 3), ("/plain", 1)):
            for limit in (2, 10):
                with django_assert_num_queries(queries):
                    ok(client.get(f"{path}?limit={limit}&order_by=-owner__name"))


class ParentOut(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


class ChildOut(ModelSchema[CompanyDepartment]):
    company: ParentOut

    class Meta:
        fields = ["id", "name"]


def test_the_parent_of_a_child_takes_no_query(django_assert_num_queries: Any) -> None:
    """The parent of a visible row is visible: it is joined, as without rules."""
    mine = company("mine")
    for name in "abc":
        mine.departments.create(name=name)
    tree = ModelRouter(
        ParentOut, prefix="/c", security=caller, rows=visible, delete=SoftDelete(status="closed"),
        children=[ModelRouter(ChildOut, prefix="/d")],
    )  # fmt: skip
    with Api(served(tree)) as client, django_assert_num_queries(2):
        shown = ok(client.get(f"/c/{mine.pk}/d"))["items"]
        assert [item["company"]["name"] for item in shown] == ["mine"] * 3
