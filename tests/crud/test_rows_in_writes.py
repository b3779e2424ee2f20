"""No write touches a related row that the caller may not see, or makes one that it could not see, at any depth.

Holds `crud/access/rows_in_writes.py` and `schemas/writing/row_rules.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Q
from django.forms.models import model_to_dict

from crud.resources import caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee, Label, Team
from project.firm.models import Badge, Person

pytestmark = pytest.mark.django_db


class TeamItem(ModelSchema[Team]):
    class Meta:
        fields = ["id", "name"]


class DepartmentItem(ModelSchema[CompanyDepartment]):
    teams: list[TeamItem]

    class Meta:
        fields = ["id", "name", "status"]


class OwnerItem(ModelSchema[Company]):
    departments: list[DepartmentItem]

    class Meta:
        fields = ["id", "name", "slug", "tenant_id", "labels"]
        name = "Owner"


class Owned(ModelSchema[Company]):
    owner: OwnerItem | None
    departments: list[DepartmentItem]
    subsidiaries: list[OwnerItem]

    class Meta:
        fields = ["id", "name", "slug", "tenant_id", "labels"]
        nested = ["owner"]


class ByKey(ModelSchema[Company]):
    """Shows the owner nested, and takes its key."""

    owner: TenantOut | None

    class Meta:
        fields = ["id", "name", "slug"]


class TenantOut(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]
        name = "TenantOut"


RULES = {Label: visible, CompanyDepartment: lambda: ~Q(status="secret"), Team: lambda: ~Q(name="secret")}


def routers(asynchronous: bool = False) -> list[ModelRouter]:
    shared: dict[str, Any] = {
        "security": caller,
        "rows": visible,
        "related_rows": RULES,
        "create": True,
        "update": True,
        "delete": SoftDelete(status="closed"),
        "asynchronous": asynchronous,
    }
    return [ModelRouter(Owned, prefix="/c", **shared), ModelRouter(ByKey, prefix="/k", **shared)]


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name, **values)


def everything() -> list[Any]:
    """All rows, and which labels companies have."""
    rows = [row for model in (Company, CompanyDepartment, Team, Label) for row in model.objects.order_by("pk")]
    return [(type(row).__name__, sorted(model_to_dict(row).items(), key=str)) for row in rows]


@pytest.fixture(params=["another tenant's", "deleted"])
def hidden(request: pytest.FixtureRequest) -> Company:
    """An owner who is not shown, with a department of its own."""
    values: dict[str, Any] = {"tenant_id": 2} if request.param == "another tenant's" else {"status": "closed"}
    found = company("hidden", **values)
    found.departments.create(name="theirs")
    return found


def sent(client: Api, path: str, body: dict[str, Any], key: int, way: str) -> Any:
    if way == "bulk":
        return client.patch(path, json=[{**body, "id": key}])
    whole = {"name": "mine", "slug": "mine", **body} if way == "PUT" else body
    return client.request(way, f"{path}/{key}", json=whole)


@pytest.mark.parametrize(("way", "asynchronous"), [("PATCH", False), ("PUT", False), ("bulk", False), ("PATCH", True)])
@pytest.mark.parametrize("owner", [{"name": "pwned"}, {"departments": [{"name": "planted"}]}, {"labels": []}], ids=str)
def test_a_hidden_row_is_not_written_by_the_one_that_leads_to_it(
    hidden: Company, owner: dict[str, Any], way: str, asynchronous: bool
) -> None:
    """A body for a hidden row is 409 whatever it says, and nothing has changed: no row is written, made or deleted."""
    mine = company("mine", owner=hidden)
    before = everything()
    with Api(served(*routers(asynchronous)), root_path="/behind") as client:
        answer = sent(client, "/c", {"owner": owner}, mine.pk, way)
        assert (answer.status_code, "not shown" in answer.text) == (409, True), answer.text
    assert everything() == before


@pytest.mark.parametrize("way", ["PATCH", "PUT", "bulk"])
@pytest.mark.parametrize(("path", "body"), [("/c", {"owner": None}), ("/k", {"owner_id": None}), ("/k", {})], ids=str)
def test_what_was_shown_as_null_stays(hidden: Company, path: str, body: dict[str, Any], way: str) -> None:
    """A client that sends back the null it was shown, or PUTs a row without it, does not cut the link."""
    mine = company("mine", owner=hidden)
    before = everything()
    with Api(served(*routers())) as client:
        assert ok(client.get(f"{path}/{mine.pk}"))["owner"] is None
        assert sent(client, path, body, mine.pk, way).status_code == 200
    assert everything() == before


def test_a_visible_row_is_written_and_cut_off(hidden: Company) -> None:
    """What the caller may see is written as without rules, and a hidden one can be replaced by a key."""
    owner = company("owner")
    mine = company("mine", owner=owner)
    with Api(served(*routers())) as client:
        path = f"/c/{mine.pk}"
        ok(client.patch(path, json={"owner": {"name": "renamed", "departments": [{"name": "d", "teams": []}]}}))
        owner.refresh_from_db()
        assert (owner.name, [each.name for each in owner.departments.all()]) == ("renamed", ["d"])
        assert ok(client.patch(path, json={"owner": None}))["owner"] is None
        assert Company.objects.filter(pk=mine.pk, owner=None).exists()
        Company.objects.filter(pk=mine.pk).update(owner=hidden)
        assert ok(client.patch(f"/k/{mine.pk}", json={"owner_id": owner.pk}))["owner"]["id"] == owner.pk


# Lists below ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def family() -> tuple[Company, Company, Company]:
    """A company, its owner and its subsidiary, which have a hidden department, team and label each."""
    owner = company("owner")
    mine = company("mine", owner=owner)
    below = company("below", owner=mine)
    labels = Label.objects.create(name="shown"), Label.objects.create(name="secret", tenant_id=2)
    for each in (owner, mine, below):
        each.labels.set(labels)
        each.departments.create(name="hidden", status="secret")
        each.departments.create(name="shown").teams.create(name="secret")
    return owner, mine, below


@pytest.mark.parametrize("departments", [[], [{"name": "hidden"}], [{"name": "shown", "teams": []}]], ids=str)
@pytest.mark.parametrize("place", ["own", "owner", "subsidiary"])
def test_a_list_deletes_and_writes_nothing_hidden(family: Any, place: str, departments: Any) -> None:
    """A nested list with hidden rows is 409 at every depth: what it lacks is not deleted, what it names not written."""
    _, mine, below = family
    body: dict[str, Any] = {"departments": departments}
    if place != "own":
        body = {"owner": body} if place == "owner" else {"subsidiaries": [{"id": below.pk, **body}]}
    before = everything()
    with Api(served(*routers())) as client:
        answer = client.patch(f"/c/{mine.pk}", json=body)
        assert answer.status_code == 409, answer.text
    assert everything() == before


def test_a_list_of_teams_below_a_kept_department(family: Any) -> None:
    """Two levels down the list of a row that is only named is 409 too where it has hidden rows."""
    _, mine, _ = family
    CompanyDepartment.objects.filter(status="secret").delete()
    kept = mine.departments.get()
    with Api(served(*routers())) as client:
        answer = client.patch(f"/c/{mine.pk}", json={"departments": [{"id": kept.pk, "teams": []}]})
        assert answer.status_code == 409, answer.text
    assert kept.teams.exists()


@pytest.mark.parametrize("place", ["own", "owner", "subsidiary"])
def test_lists_of_keys_keep_what_is_hidden(family: Any, place: str) -> None:
    """A list of keys that lacks the hidden ones cuts none of them off, at every depth."""
    owner, mine, below = family
    CompanyDepartment.objects.all().delete()
    labels: dict[str, Any] = {"labels": []}
    body = {"own": labels, "owner": {"owner": labels}, "subsidiary": {"subsidiaries": [{"id": below.pk, **labels}]}}
    target = {"own": mine, "owner": owner, "subsidiary": below}[place]
    with Api(served(*routers())) as client:
        ok(client.patch(f"/c/{mine.pk}", json=body[place]))
    assert [label.name for label in target.labels.all()] == ["secret"]


# One to one -----------------------------------------------------------------------------------------------------------


class BadgeOut(ModelSchema[Badge]):
    class Meta:
        fields = ["number"]


class PersonOut(ModelSchema[Person]):
    badge: BadgeOut | None

    class Meta:
        fields = ["id", "name", "email"]


@pytest.mark.parametrize(
    ("number", "badge", "status", "left"),
    [
        (666, {"number": 7}, 409, [666]),
        (666, None, 200, [666]),
        (6, {"number": 7}, 200, [7]),
        (6, {"number": 666}, 403, [6]),
        (6, None, 200, []),
    ],
)
def test_the_other_side_of_a_one_to_one(number: int, badge: Any, status: int, left: list[int]) -> None:
    """A hidden row that points to the written one is neither written nor deleted; a visible one is not hidden."""
    person = Person.objects.create(email="a@x.org", name="a")
    Badge.objects.create(person=person, number=number)
    router = ModelRouter(
        PersonOut, prefix="/p", security=caller, rows=every_row, update=True,
        related_rows={Badge: lambda: Q(number__lt=100)},
    )  # fmt: skip
    with Api(served(router)) as client:
        for answer in (
            client.patch(f"/p/{person.pk}", json={"badge": badge}),
            client.put(f"/p/{person.pk}", json={"name": "a", "email": "a@x.org", "badge": badge}),
        ):
            assert answer.status_code == status, answer.text
    assert [each.number for each in Badge.objects.all()] == left


# Afterwards -----------------------------------------------------------------------------------------------------------

SECRET = {"name": "d", "status": "secret", "teams": []}
NESTED = {
    "a new row of a list": {"departments": [SECRET]},
    "a row two levels down": {"departments": [{"name": "d", "teams": [{"name": "secret"}]}]},
    "a new owner": {"owner": {"name": "o", "slug": "o", "tenant_id": 2, "departments": []}},
    "a department of a new owner": {"owner": {"name": "o", "slug": "o", "departments": [SECRET]}},
    "a new subsidiary": {"subsidiaries": [{"name": "s", "slug": "s", "tenant_id": 2, "departments": []}]},
}


@pytest.mark.parametrize("way", ["POST", "bulk create", "PATCH", "PUT", "bulk"])
@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_nested_rows_are_not_written_out_of_the_rule(body: dict[str, Any], way: str) -> None:
    """A nested row that could not be seen afterwards is 403, as at its own path, and nothing of the body is kept."""
    mine = company("mine")
    before = everything()
    with Api(served(*routers())) as client:
        if way in ("POST", "bulk create"):
            new = {"name": "n", "slug": "n", "departments": [], "subsidiaries": [], **body}
            answer = client.post("/c", json=new) if way == "POST" else client.post("/c/bulk", json=[new])
        else:
            answer = sent(client, "/c", body, mine.pk, way)
        assert answer.status_code == 403, answer.text
    assert everything() == before


def test_nested_rows_below_a_row_that_is_marked() -> None:
    """A change that marks a company as deleted may write its departments: they are hidden by their parent alone."""
    mine = company("mine")
    mine.departments.create(name="d")
    child = ModelRouter(DepartmentItem, prefix="/departments", update=True)

    class Status(ModelSchema[Company]):
        departments: list[DepartmentItem]

        class Meta:
            fields = ["id", "name", "status"]

    tree = ModelRouter(
        Status, prefix="/c", security=caller, rows=visible, update=True, delete=SoftDelete(status="closed"),
        related_rows={Team: every_row}, children=[child],
    )  # fmt: skip
    with Api(served(tree)) as client:
        body = {"status": "closed", "departments": [{"name": "d", "status": "x"}]}
        assert ok(client.patch(f"/c/{mine.pk}", json=body))["departments"][0]["status"] == "x"


def test_a_child_that_leads_elsewhere() -> None:
    """The rows of a child's path are ruled as well: its nested lead, whom another company hides, is not written."""

    class LeadItem(ModelSchema[Employee]):
        class Meta:
            fields = ["id", "name"]

    class TeamWithLead(ModelSchema[Team]):
        lead: LeadItem | None

        class Meta:
            fields = ["id", "name"]
            nested = ["lead"]

    theirs = Employee.objects.create(company=company("theirs", tenant_id=2), name="theirs")
    department = company("mine").departments.create(name="d")
    team = department.teams.create(name="t", lead=theirs)
    tree = ModelRouter(
        TenantOut, prefix="/c", security=caller, rows=visible,
        children=[
            ModelRouter(LeadItem, prefix="/employees"),
            ModelRouter(
                DepartmentItem, prefix="/d", children=[ModelRouter(TeamWithLead, prefix="/teams", update=True)]
            ),
        ],
    )  # fmt: skip
    with Api(served(tree)) as client:
        path = f"/c/{department.company_id}/d/{department.pk}/teams/{team.pk}"
        assert client.patch(path, json={"lead": {"name": "pwned"}}).status_code == 409
        assert ok(client.patch(path, json={"lead": None}))["lead"] is None
    team.refresh_from_db()
    assert team.lead == theirs
    assert Employee.objects.get().name == "theirs"
