"""Rows that are written with those that belong to them: matched, made, deleted, or all of it refused.

Holds `schemas/writing/matching.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from djfast_mount.schemas import Create, InvalidRow, ModelSchema, Update
from djfast_mount.schemas.writing.matching import match_items
from project.firm.models import Badge, Company, Department, Membership, Passport, Person, Project, Tag, Team
from schemas.firm_schemas import CompanySchema

pytestmark = pytest.mark.django_db


class BadgeSchema(ModelSchema[Badge]):
    class Meta:
        fields = ["number"]


class PassportSchema(ModelSchema[Passport]):
    class Meta:
        fields = ["id", "number"]
        match = {}


class PersonFully(ModelSchema[Person]):
    badge: BadgeSchema | None
    passports: list[PassportSchema]

    class Meta:
        fields = ["id", "name", "email"]
        match = {"passports": ["number"]}


class TagSchema(ModelSchema[Tag]):
    class Meta:
        fields = ["id", "name"]


class MembershipSchema(ModelSchema[Membership]):
    class Meta:
        fields = ["id", "person_id", "role"]


class TeamMembers(ModelSchema[Team]):
    memberships: list[MembershipSchema]

    class Meta:
        fields = ["id", "name"]


class DepartmentFully(ModelSchema[Department]):
    """Writes through a foreign key, because it says so."""

    head: PersonFully | None

    class Meta:
        fields = ["id", "name", "code", "company_id"]
        nested = ["head"]


class CompanyTags(ModelSchema[Company]):
    tags: list[TagSchema]

    class Meta:
        fields = ["id", "name"]


class CompanyOwnTags(CompanyTags):
    class Meta(CompanyTags.Meta):
        nested = ["tags"]


class ProjectName(ModelSchema[Project]):
    class Meta:
        fields = ["id", "name"]


class ProjectParts(ModelSchema[Project]):
    parts: list[ProjectName]

    class Meta:
        fields = ["id", "name"]


def sent(body: Any, **values: Any) -> Any:
    return body.model_validate(values)


@pytest.fixture
def acme(firm: None) -> Company:
    return Company.objects.get(name="Acme")


def test_a_tree_is_created() -> None:
    """A body with three levels makes rows of three tables, each under its parent."""
    body = sent(
        Create[CompanySchema],
        name="New",
        departments=[{"name": "R", "code": "r", "teams": [{"name": "a"}, {"name": "b"}]}, {"name": "S", "code": "s"}],
    )
    company = body.create()
    assert [(each.code, each.teams.count()) for each in company.departments.all()] == [("r", 2), ("s", 0)]
    assert CompanySchema.of(company).departments[0].teams[0].name == "b"


def test_a_list_is_the_whole_list(acme: Company) -> None:
    """Items with a key or a unique value change their rows, others are made, and rows without an item are deleted."""
    research, sales = acme.departments.all()
    items = [{"id": research.pk, "name": "Renamed"}, {"code": "new", "name": "Made"}]
    sent(Update[CompanySchema], departments=items).update(acme)
    assert [(each.pk == research.pk, each.name) for each in acme.departments.all()] == [
        (True, "Renamed"),
        (False, "Made"),
    ]
    assert not Department.objects.filter(pk=sales.pk).exists()
    sent(Update[CompanySchema], departments=[{"code": "r", "size": 9}, {"code": "new"}]).update(acme)
    research.refresh_from_db()
    assert (research.size, research.name, acme.departments.count()) == (9, "Renamed", 2)


def test_what_was_not_sent_stays(acme: Company) -> None:
    """A list that was not sent is left alone; an empty one is not."""
    sent(Update[CompanySchema], name="Other").update(acme)
    assert acme.departments.count() == 2
    sent(Update[CompanySchema], departments=[]).update(acme)
    assert acme.departments.count() == 0


def test_rows_of_another_parent_are_out_of_reach(acme: Company) -> None:
    """A key of another company's department is refused, and that department is as it was."""
    foreign = Department.objects.get(name="Nothing")
    with pytest.raises(InvalidRow) as refused:
        sent(Update[CompanySchema], departments=[{"id": foreign.pk, "name": "Stolen"}]).update(acme)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "departments", 0, "id")]
    foreign.refresh_from_db()
    assert (foreign.name, foreign.company.name, acme.departments.count()) == ("Nothing", "Bare", 2)


def test_rows_that_the_default_manager_hides_stay(acme: Company) -> None:
    """What a client cannot see is not deleted for the lack of it in a list."""
    [research, _] = acme.departments.all()
    sent(Update[CompanySchema], departments=[{"code": "r", "teams": []}, {"code": "s"}]).update(acme)
    assert list(Team._base_manager.filter(department=research).values_list("name", flat=True)) == ["hidden"]


def test_an_invalid_item_undoes_all(acme: Company) -> None:
    """Every error is told with its path, and nothing of the body is saved."""
    items = [{"code": "r", "teams": [{"name": "ok"}, {}]}, {"code": "r2"}, {"code": "s", "size": 3}]
    with pytest.raises(InvalidRow) as refused:
        sent(Update[CompanySchema], name="Changed", departments=items).update(acme)
    assert {(error["loc"], error["type"]) for error in refused.value.errors()} == {
        (("body", "departments", 0, "teams", 1, "name"), "missing"),
        (("body", "departments", 1, "name"), "missing"),
    }
    fresh = Company.objects.get(pk=acme.pk)
    assert (fresh.name, sorted(fresh.departments.values_list("code", "size"))) == ("Acme", [("r", 5), ("s", 0)])


def test_a_duplicate_among_siblings_is_told(acme: Company) -> None:
    """A unique constraint with the parent is checked for an item too, with the path of the item."""
    research, sales = acme.departments.all()
    items = [{"id": research.pk}, {"id": sales.pk, "code": "r"}]
    with pytest.raises(InvalidRow) as refused:
        sent(Update[CompanySchema], departments=items).update(acme)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "departments", 1)]


def test_every_row_is_saved_by_itself(acme: Company) -> None:
    """Signals are sent for each row that is made, changed or deleted, and for no other."""
    seen: list[tuple[str, str]] = []

    def note(sender: type, signal: Any, instance: Any, **_: Any) -> None:
        seen.append(("saved" if signal is post_save else "deleted", str(instance)))

    for signal in (post_save, post_delete):
        signal.connect(note, sender=Department)
    try:
        items = [{"code": "r", "size": 5}, {"code": "new", "name": "New"}]
        sent(Update[CompanySchema], departments=items).update(acme)
    finally:
        for signal in (post_save, post_delete):
            signal.disconnect(note, sender=Department)
    assert seen == [("deleted", "Sales"), ("saved", "New")]


def test_prefetched_rows_are_not_taken_for_the_new_ones(firm: None) -> None:
    """A row that was fetched with its departments shows those that it has after the write."""
    acme = Company.objects.prefetch_related("departments").get(name="Acme")
    assert len(acme.departments.all()) == 2
    sent(Update[CompanySchema], departments=[]).update(acme)
    assert CompanySchema.of(acme).departments == []


def test_one_to_one(firm: None) -> None:
    """The one row that belongs to another is made, changed and deleted with it."""
    bob = Person.objects.get(name="bob")
    sent(Update[PersonFully], badge={"number": 1}).update(bob)
    assert Badge.objects.get(person=bob).number == 1
    sent(Update[PersonFully], badge={"number": 2}).update(bob)
    assert (Badge.objects.get(person=bob).number, PersonFully.of(bob).badge) == (2, BadgeSchema(number=2))
    sent(Update[PersonFully], badge=None).update(bob)
    assert not Badge.objects.filter(person=bob).exists()
    assert PersonFully.of(bob).badge is None


def test_to_field_and_chosen_keys(firm: None) -> None:
    """Rows that point to another column than the key are found by the fields that Meta.match names."""
    ann = Person.objects.get(name="ann")
    kept = ann.passports.get(number="P1")
    sent(Update[PersonFully], passports=[{"number": "P1"}, {"number": "P2"}]).update(ann)
    assert list(ann.passports.values_list("number", flat=True)) == ["P1", "P2"]
    assert ann.passports.get(number="P1").pk == kept.pk


def test_a_column_that_is_pointed_to_changes_with_its_rows(firm: None) -> None:
    """Rows that point to a column of their parent are found by what it was, and point to what it is now."""
    ann = Person.objects.get(name="ann")
    kept = ann.passports.get(number="P1")
    with transaction.atomic():
        sent(Update[PersonFully], email="new@example.com", passports=[{"number": "P1"}, {"number": "P2"}]).update(ann)
    found = Passport.objects.filter(person__name="ann").order_by("number").values_list("pk", "number", "person_id")
    assert [(pk == kept.pk, *rest) for pk, *rest in found] == [
        (True, "P1", "new@example.com"),
        (False, "P2", "new@example.com"),
    ]


def test_a_row_does_not_delete_itself(firm: None) -> None:
    """A row that is its own parent stays, where a list of its parts is sent that lacks it."""
    root, part = (Project.objects.create(name=name) for name in ("root", "part"))
    for project in (root, part):
        project.people.set(Person.objects.all())
        Project.objects.filter(pk=project.pk).update(parent=root)
    root.refresh_from_db()
    with pytest.raises(InvalidRow, match="in this list itself"):
        sent(Update[ProjectParts], parts=[]).update(root)
    assert Project.objects.filter(parent=root).count() == 2
    sent(Update[ProjectParts], parts=[{"id": root.pk, "name": "own"}]).update(root)
    assert [project.name for project in Project.objects.filter(parent=root)] == ["own"]


def test_long_lists_take_no_longer_for_each_item(firm: None) -> None:
    """Each item looks its row up, and does not go through all rows of its parent."""
    compared = 0

    class Number(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    rows = [Passport(pk=number, number=Number(number)) for number in range(500)]
    items = [Update[PassportSchema].model_validate({"number": str(499 - number)}) for number in range(500)]
    match = match_items(rows, items, {"number": "number"}, "id", ())
    assert [(place, row.pk) for place, _, row in match.pairs if row] == [
        (number, 499 - number) for number in range(500)
    ]
    assert compared < 5_000


def test_a_foreign_key_is_written_through_where_meta_says_so(acme: Company) -> None:
    """The row that a foreign key leads to is changed, made, or let go; another's cannot be named."""
    research, sales = acme.departments.all()
    ann, bob = Person.objects.order_by("name")
    sent(Update[DepartmentFully], head={"name": "Anne"}).update(research)
    ann.refresh_from_db()
    assert ann.name == "Anne"
    sent(Update[DepartmentFully], head={"name": "Cy", "email": "cy@example.com"}).update(sales)
    sales.refresh_from_db()
    assert sales.head is not None
    assert sales.head.name == "Cy"
    with pytest.raises(InvalidRow) as refused:
        sent(Update[DepartmentFully], head={"id": bob.pk, "name": "Mine"}).update(research)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "head", "id")]
    sent(Update[DepartmentFully], head=None).update(research)
    research.refresh_from_db()
    assert research.head is None


def test_many_to_many_by_keys(acme: Company) -> None:
    """A many-to-many that is read nested is written by keys; an unknown one is told with its place."""
    new = Tag.objects.create(name="new")
    old = Tag.objects.get(name="old")
    sent(Update[CompanyTags], tags=[new.pk, old.pk]).update(acme)
    assert [tag.name for tag in acme.tags.all()] == ["new", "old"]
    with pytest.raises(InvalidRow) as refused:
        sent(Update[CompanyTags], tags=[old.pk, 999]).update(acme)
    assert [error["loc"] for error in refused.value.errors()] == [("body", "tags", 1)]
    assert acme.tags.count() == 2


def test_many_to_many_nested(acme: Company) -> None:
    """Where Meta.nested names it, linked rows are changed, new ones linked, and others unlinked but not deleted."""
    big = acme.tags.get(name="big")
    sent(Update[CompanyOwnTags], tags=[{"id": big.pk, "name": "huge"}, {"name": "new"}]).update(acme)
    assert [tag.name for tag in acme.tags.all()] == ["huge", "new"]
    assert Tag.objects.filter(name="old").exists()


def test_through_rows(acme: Company) -> None:
    """The rows of a relation's own table are written as what they are, matched by their unique pair."""
    team = Team.objects.get(name="one")
    ann = Person.objects.get(name="ann")
    lead = Membership.objects.get(team=team, person=ann)
    cy = Person.objects.create(name="cy", email="cy@example.com")
    items = [{"person_id": ann.pk, "role": "boss"}, {"person_id": cy.pk}]
    sent(Update[TeamMembers], memberships=items).update(team)
    lead.refresh_from_db()
    assert lead.role == "boss"
    assert [(each.person_id, each.role) for each in team.memberships.all()] == [(ann.pk, "boss"), (cy.pk, "member")]
