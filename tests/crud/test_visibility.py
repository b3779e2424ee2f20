"""Which rows are hidden by other rows: by their parents in a tree, and by those without which no answer can show them.

Holds `crud/access/visibility.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Case, Exists, F, OuterRef, Q, When
from django.db.models.functions import Lower
from django.db.models.lookups import GreaterThan

from crud.resources import api_of, caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter, SoftDelete, every_row
from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee, Team
from project.firm.models import Badge, Branch, Depot, Invoice, Notice, OpenCompany, Passport, Person, Skill
from project.firm.models import Company as Firm

pytestmark = pytest.mark.django_db


class CompanyOut(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name"]


class DepartmentOut(ModelSchema[CompanyDepartment]):
    company: CompanyOut

    class Meta:
        fields = ["id", "name"]


class TeamOut(ModelSchema[Team]):
    division: DepartmentOut

    class Meta:
        fields = ["id", "name"]


class EmployeeOut(ModelSchema[Employee]):
    department: DepartmentOut | None

    class Meta:
        fields = ["id", "name", "company"]


class PlainDepartment(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = ["id", "name"]


class PlainEmployee(ModelSchema[Employee]):
    class Meta:
        fields = ["id", "name"]


class PersonOut(ModelSchema[Person]):
    class Meta:
        fields = ["id", "name"]


class PassportOut(ModelSchema[Passport]):
    class Meta:
        fields = ["id", "number"]


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(name=name, slug=name, **values)


def names(answer: Any) -> list[str]:
    return sorted(item["name"] for item in ok(answer)["items"])


# Rows without which another is not shown ------------------------------------------------------------------------------

WRITES: dict[str, Any] = {"create": True, "update": True, "delete": True}


@pytest.fixture(params=["another tenant's", "deleted"])
def teams(request: pytest.FixtureRequest) -> tuple[Team, Team]:
    """A team of one's own, and one whose department's company is hidden."""
    hidden = {"tenant_id": 2} if request.param == "another tenant's" else {"status": "closed"}
    departments = [each.departments.create(name="d") for each in (company("mine"), company("theirs", **hidden))]
    mine, theirs = (each.teams.create(name=each.company.name) for each in departments)
    return mine, theirs


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def tree(request: pytest.FixtureRequest) -> ModelRouter:
    return ModelRouter(
        CompanyOut, prefix="/c", security=caller, rows=visible, delete=SoftDelete(status="closed"),
        related_rows={Team: every_row, CompanyDepartment: every_row, Employee: every_row},
        children=[
            ModelRouter(EmployeeOut, prefix="/employees", asynchronous=request.param, filters="all", **WRITES),
            ModelRouter(PlainDepartment, prefix="/departments"),
        ],
    )  # fmt: skip


def teams_router(asynchronous: bool = False) -> ModelRouter:
    return ModelRouter(
        TeamOut, prefix="/t", security=caller, rows=every_row, filters="all", asynchronous=asynchronous, **WRITES,
        related_rows={Company: lambda access: visible(access) & ~Q(status="closed"), CompanyDepartment: every_row},
    )  # fmt: skip


def test_a_row_is_hidden_without_what_it_is_shown_with(
    teams: tuple[Team, Team], asynchronous: bool, root_path: str
) -> None:
    """A row whose schema nests a hidden row, not as `| None`, is hidden: in lists and numbers, and 404 in paths."""
    mine, theirs = teams
    with Api(served(teams_router(asynchronous)), root_path) as client:
        listed = ok(client.get("/t?total=true&order_by=-name"))
        assert ([item["name"] for item in listed["items"]], listed["total"]) == (["mine"], 1)
        assert listed["items"][0]["division"]["company"]["name"] == "mine"
        assert ok(client.get("/t/aggregate/count/*"))["values"] == [{"value": 1}]
        assert names(client.get("/t?limit=1&order_by=division__name")) == ["mine"]
        hidden, nobody = client.get(f"/t/{theirs.pk}"), client.get("/t/0")
        assert (hidden.status_code, hidden.content) == (404, nobody.content)
        for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x", "division_id": 1}), ("DELETE", None)):
            assert client.request(method, f"/t/{theirs.pk}", json=body).status_code == 404
        assert client.patch("/t", json=[{"id": mine.pk, "name": "x"}, {"id": theirs.pk}]).status_code == 422
        for key in (theirs.division_id, 0):
            assert client.post("/t", json={"name": "n", "division_id": key}).status_code == 422
            assert client.patch(f"/t/{mine.pk}", json={"division_id": key}).status_code == 422
    assert sorted(Team.objects.values_list("name", flat=True)) == ["mine", "theirs"]


def test_it_is_hidden_where_it_is_nested(teams: tuple[Team, Team], tree: ModelRouter, root_path: str) -> None:
    """An optional row is null where a row that it is shown with is hidden, and no filter or order tells of it."""
    mine, _ = teams
    owner = mine.division.company
    for number, team in enumerate(teams):
        owner.employees.create(name=f"e{number}", department=team.division)
    path = f"/c/{owner.pk}/employees"
    with Api(served(tree), root_path) as client:
        shown = ok(client.get(f"{path}?order_by=-department__company__name"))["items"]
        assert [(item["name"], item["department"] and item["department"]["name"]) for item in shown] == [
            ("e0", "d"), ("e1", None),
        ]  # fmt: skip
        assert names(client.get(f"{path}?department__name=d")) == ["e0"]
        assert names(client.get(f"{path}?department__company__name=theirs")) == []


def test_the_other_side_of_a_one_to_one_hides_a_row() -> None:
    """A person who is shown with a badge is hidden with it."""

    class BadgeOut(ModelSchema[Badge]):
        class Meta:
            fields = ["number"]

    class Bearer(ModelSchema[Person]):
        badge: BadgeOut

        class Meta:
            fields = ["id", "name"]

    for number in (7, 666):
        person = Person.objects.create(email=f"{number}@x.org", name=str(number))
        Badge.objects.create(person=person, number=number)
    rules = {Badge: lambda: Q(number__lt=100)}
    router = ModelRouter(Bearer, prefix="/p", security=caller, rows=every_row, related_rows=rules)
    with Api(served(router)) as client:
        assert names(client.get("/p")) == ["7"]
        assert client.get(f"/p/{person.pk}").status_code == 404


def test_rows_that_hide_each_other_are_refused() -> None:
    """Where a row is not shown without itself, over whatever way, the app does not start, and says what to write."""

    class Inner(ModelSchema[Company]):
        class Meta:
            fields = ["id"]

    class Outer(ModelSchema[Company]):
        owner: Inner

        class Meta:
            fields = ["id"]

    with pytest.raises(ConfigurationError, match=r"not shown without its owner.* with \| None"):
        served(ModelRouter(Outer, prefix="/c", security=caller, rows=visible))
    with Api(served(ModelRouter(Outer, prefix="/c"))) as client:
        assert ok(client.get("/c"))["items"] == []


# Parents --------------------------------------------------------------------------------------------------------------


def test_a_key_to_another_column_than_the_primary_key(root_path: str) -> None:
    """A child is found below its parent by whatever unique column its foreign key leads to."""
    for name in ("a", "secret"):
        Passport.objects.create(person=Person.objects.create(email=f"{name}@x.org", name=name), number=name)
    router = ModelRouter(
        PersonOut, prefix="/p", security=caller, rows=lambda: ~Q(name="secret"), filters="all",
        children=[ModelRouter(PassportOut, prefix="/passports", create=True)],
    )  # fmt: skip
    shown, hidden = Person.objects.order_by("name")
    with Api(served(router), root_path) as client:
        assert [item["number"] for item in ok(client.get(f"/p/{shown.pk}/passports"))["items"]] == ["a"]
        assert client.get(f"/p/{hidden.pk}/passports").status_code == 404
        assert names(client.get("/p?passports__count=1")) == ["a"]
        assert names(client.get("/p?passports__number=secret")) == []
        assert ok(client.post(f"/p/{shown.pk}/passports", json={"number": "b"}), 201)["number"] == "b"


def test_a_model_below_itself() -> None:
    """The rows of the outermost router need no parent, and below a row are its own alone."""
    top = company("top")
    company("sub", owner=top)
    theirs = company("theirs", tenant_id=2)
    company("sub of theirs", owner=theirs)
    below = ModelRouter(CompanyOut, prefix="/subsidiaries", name="subsidiary", parent="owner")
    router = ModelRouter(CompanyOut, prefix="/c", security=caller, rows=visible, children=[below])
    with Api(served(router)) as client:
        assert names(client.get("/c")) == ["sub", "sub of theirs", "top"]
        assert names(client.get(f"/c/{top.pk}/subsidiaries")) == ["sub"]
        assert client.get(f"/c/{theirs.pk}/subsidiaries").status_code == 404


def test_a_model_with_two_parents() -> None:
    """A row that has no parent of one kind is found below the other, and one with a hidden parent nowhere."""
    mine, theirs = company("mine"), company("theirs", tenant_id=2)
    departments = [each.departments.create(name="d") for each in (mine, theirs)]
    mine.employees.create(name="without")
    for name, department in zip(("with", "with theirs"), departments, strict=True):
        mine.employees.create(name=name, department=department)
    theirs.employees.create(name="of theirs", department=departments[0])
    router = ModelRouter(
        CompanyOut, prefix="/c", security=caller, rows=visible,
        children=[
            ModelRouter(PlainEmployee, prefix="/employees"),
            ModelRouter(
                PlainDepartment, prefix="/departments", children=[ModelRouter(PlainEmployee, prefix="/employees")]
            ),
        ],
    )  # fmt: skip
    with Api(served(router)) as client:
        assert names(client.get(f"/c/{mine.pk}/employees")) == ["with", "without"]
        assert names(client.get(f"/c/{mine.pk}/departments/{departments[0].pk}/employees")) == ["with"]


def test_a_child_whose_relation_has_no_way_down() -> None:
    """A child may have a foreign key with related_name="+"; a row without a parent is below none."""

    class TeamItem(ModelSchema[Team]):
        class Meta:
            fields = ["id", "name"]

    mine, theirs = company("mine"), company("theirs", tenant_id=2)
    staff = [each.employees.create(name=each.name) for each in (mine, theirs)]
    department = mine.departments.create(name="d")
    for lead in (*staff, None):
        department.teams.create(name=lead.name if lead else "nobody", lead=lead)
    employees = ModelRouter(PlainEmployee, prefix="/employees", children=[ModelRouter(TeamItem, prefix="/teams")])
    router = ModelRouter(CompanyOut, prefix="/c", security=caller, rows=visible, children=[employees])
    with Api(served(router)) as client:
        assert names(client.get(f"/c/{mine.pk}/employees/{staff[0].pk}/teams")) == ["mine"]


# Rules ----------------------------------------------------------------------------------------------------------------

RULES = {
    "a relation to many": Q(departments__name__startswith="d"),
    "its opposite": ~Q(departments__name="x"),
    "two of them": Q(departments__name="d1") | Q(employees__name="e1"),
    "a field of them as a value": Q(size=F("departments__size")),
    "one of a list of values": Q(size__range=(F("departments__size"), 9)),
    "a function of one": Q(name__lt=Lower("departments__name")),
    "a condition": Q(Case(When(departments__size=5, then=True), default=False)),
    "a comparison": Q(GreaterThan(F("departments__size"), 1)),
    "a subquery": Q(Exists(CompanyDepartment.objects.filter(company=OuterRef("pk")))),
    "every row": ~Q(pk__in=[]),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_repeats_no_row(rule: Q) -> None:
    """Whatever leads over a relation to many in a rule, a row is listed, counted, found and written once."""
    row = company("a", size=5)
    for number in (1, 2):
        row.departments.create(name=f"d{number}", size=5)
        row.employees.create(name=f"e{number}")
    router = ModelRouter(CompanyOut, prefix="/c", security=caller, rows=lambda: rule, **WRITES)
    with Api(served(router)) as client:
        listed = ok(client.get("/c?total=true"))
        assert ([item["name"] for item in listed["items"]], listed["total"]) == (["a"], 1)
        assert ok(client.get("/c/aggregate/count/*"))["values"] == [{"value": 1}]
        assert ok(client.get(f"/c/{row.pk}"))["name"] == "a"
        assert ok(client.patch(f"/c/{row.pk}", json={"name": "b"}))["name"] == "b"
        assert ok(client.patch("/c", json=[{"id": row.pk, "name": "a"}]))[0]["name"] == "a"
        ok(client.delete(f"/c/{row.pk}"), 204)


def test_a_rule_that_shows_nothing() -> None:
    """With `Q(pk__in=[])` there is nothing to list, to read or to write, and a new row is refused."""
    row = company("a")
    router = ModelRouter(CompanyOut, prefix="/c", security=caller, rows=lambda: Q(pk__in=[]), **WRITES)
    with Api(served(router)) as client:
        assert ok(client.get("/c?total=true")) == {"items": [], "next": None, "total": 0}
        assert ok(client.get("/c/aggregate/count/*"))["values"] == [{"value": 0}]
        for method in ("GET", "PATCH", "DELETE"):
            assert client.request(method, f"/c/{row.pk}", json={}).status_code == 404
        assert client.patch("/c", json=[{"id": row.pk, "name": "x"}]).status_code == 422


class SkillOut(ModelSchema[Skill]):
    class Meta:
        fields = ["id", "name", "people"]


@pytest.mark.parametrize("ruled", [False, True], ids=["open", "ruled"])
def test_a_table_between_that_points_to_other_columns(ruled: bool) -> None:
    """A many-to-many by columns that are no primary keys is shown, written, counted and asked for by primary keys, and
    links to hidden rows stay."""
    shown, other, hidden = (Person.objects.create(name=name, email=f"{name}@x.de") for name in ("a", "b", "secret"))
    rules: dict[str, Any] = {"rows": every_row, "related_rows": {Person: lambda: ~Q(name="secret")}} if ruled else {}
    router = ModelRouter(SkillOut, prefix="/skills", create=True, update=True, filters="all", **rules)
    with Api(served(router)) as client:
        path = f"/skills/{ok(client.post('/skills', json={'name': 's', 'people': [shown.pk]}), 201)['id']}"
        Skill.objects.create(name="none")
        skill = Skill.objects.get(name="s")
        skill.people.add(hidden)
        assert ok(client.get(path))["people"] == ([shown.pk] if ruled else [shown.pk, hidden.pk])
        number = 1 if ruled else 2
        for question in (
            f"people__id={shown.pk}",
            f"people__count={number}",
            "people__count__gte=1&order_by=people__count",
        ):
            assert names(client.get(f"/skills?{question}")) == ["s"]
        assert names(client.get(f"/skills?people__id={hidden.pk}")) == ([] if ruled else ["s"])
        assert ok(client.get("/skills/aggregate/sum/people"))["values"] == [{"value": number}]
        assert client.patch(path, json={"people": [10**9]}).status_code == 422
        assert ok(client.patch(path, json={"people": [other.pk]}))["people"] == [other.pk]
        assert set(skill.people.all()) == ({other, hidden} if ruled else {other})


def test_rows_of_any_model_that_a_hook_prefetches() -> None:
    """A hook may prefetch a generic foreign key in a tree with rules."""
    Notice.objects.create(text="mine", about=Depot.objects.create(name="d"))
    hooks = {"queryset": lambda call: Notice.objects.prefetch_related("about")}
    with Api(served(ModelRouter(NoticeOut, prefix="/notices", rows=lambda: Q(text="mine"), hooks=hooks))) as client:
        assert [each["text"] for each in ok(client.get("/notices"))["items"]] == ["mine"]


class NoticeOut(ModelSchema[Notice]):
    class Meta:
        fields = ["id", "text"]


def test_a_model_below_itself_without_a_name() -> None:
    """Two rows of one name in a path are told when the routes are made, with the remedy."""
    below = ModelRouter(CompanyOut, prefix="/subsidiaries", parent="owner")
    router = ModelRouter(CompanyOut, prefix="/companies", children=[below])
    with pytest.raises(ConfigurationError, match=r"/subsidiaries.*\{company_id\} twice.*as in name=\"subsidiary\""):
        api_of(router).openapi()


# Proxies --------------------------------------------------------------------------------------------------------------


class FirmOut(ModelSchema[Firm]):
    class Meta:
        fields = ["id", "name"]


class FaceOut(ModelSchema[OpenCompany]):
    class Meta:
        fields = ["id", "name"]


class InvoiceOut(ModelSchema[Invoice]):
    company: FirmOut | None

    class Meta:
        fields = ["id", "total"]


def not_secret() -> Q:
    return ~Q(name="secret")


def test_the_rule_of_a_proxy_is_that_of_its_rows() -> None:
    """A row that a proxy hides is hidden where the model itself is nested, named, asked for and a parent."""
    mine, secret = Firm.objects.create(name="mine"), Firm.objects.create(name="secret")
    made = [Invoice.objects.create(company=each, total=1) for each in (mine, secret)]
    options: dict[str, Any] = {"filters": "all", "rows": every_row, "related_rows": {OpenCompany: not_secret}, **WRITES}
    below = ModelRouter(InvoiceOut, prefix="/invoices", parent="company", **WRITES)
    tree = ModelRouter(FaceOut, prefix="/faces", rows=not_secret, children=[below])
    with Api(served(ModelRouter(InvoiceOut, prefix="/invoices", **options), tree)) as client:
        shown = [each["company"] and each["company"]["name"] for each in ok(client.get("/invoices"))["items"]]
        assert shown == ["mine", None]
        assert ok(client.get("/invoices?company__name=secret"))["items"] == []
        assert client.patch(f"/invoices/{made[0].pk}", json={"company_id": secret.pk}).status_code == 422
        assert client.get(f"/faces/{secret.pk}/invoices").status_code == 404
        assert len(ok(client.get(f"/faces/{mine.pk}/invoices"))["items"]) == 1


def test_a_model_has_the_rules_of_its_proxies_where_it_has_none() -> None:
    """One that a proxy shows is shown, also in an inherited table; a rule of the model itself goes first."""
    Branch.objects.create(name="mine")
    Branch.objects.create(name="secret")
    faces = Visibility()
    faces.add(OpenCompany, not_secret())
    faces.add_gone(OpenCompany, Q(name="gone"))
    for model in (Firm, OpenCompany, Branch):
        assert [each.name for each in faces.rows(model)] == ["mine"]
    faces.add(Firm, every_row())
    faces.add_gone(Firm, Q())
    assert faces.rows(Firm).count() == faces.rows(Branch).count() == 2
    assert [each.name for each in faces.rows(OpenCompany)] == ["mine"]
