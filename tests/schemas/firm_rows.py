"""Rows of the firm."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model, Value
from django.db.models.functions import Concat

from project.firm.models import (
    Badge,
    Bakery,
    Branch,
    Company,
    Department,
    Door,
    Grade,
    Invoice,
    Lodge,
    LoudPlace,
    Membership,
    Passport,
    Person,
    Place,
    Plate,
    Project,
    Sample,
    Shop,
    Sign,
    Skill,
    Tag,
    Tale,
    Team,
    Town,
    Warden,
)


def make_firm(using: str = "default") -> None:
    """Three companies: with everything, with an empty department, and with nothing."""
    people = Person.objects.using(using)
    ann, bob = (people.create(name=name, email=f"{name}@example.com") for name in ("ann", "bob"))
    ann.friends.add(bob)
    Badge.objects.using(using).create(person=ann, number=7)
    Passport.objects.using(using).create(person=ann, number="P1")
    Passport.objects.using(using).create(person=ann, number="P0")
    acme = Company.objects.using(using).create(name="Acme", founded=date(2020, 1, 2), motto="We do.")
    acme.tags.set([Tag.objects.using(using).create(name="old"), Tag.objects.using(using).create(name="big")])
    research = acme.departments.create(name="Research", code="r", size=5, head=ann)
    sales = acme.departments.create(name="Sales", code="s")
    teams = [Team.objects.using(using).create(department=research, name=name) for name in ("one", "two")]
    Team.objects.using(using).create(department=research, name="hidden", hidden=True)
    Team.objects.using(using).create(department=sales, name="three")
    for team in teams:
        Membership.objects.using(using).create(team=team, person=ann, role="lead")
    Membership.objects.using(using).create(team=teams[0], person=bob)
    empty = Company.objects.using(using).create(name="Bare", status="closed")
    empty.departments.create(name="Nothing", code="n")
    Company.objects.using(using).create(name="Void")


def add_oddities(using: str) -> None:
    """Rows that are read in ways of their own: inherited tables, trees, broken keys, rows that change as they load."""
    ann, bob, cid = _people(using)
    research = Department.objects.using(using).get(name="Research")
    branch = Branch.objects.using(using).create(name="Acme North", city="Oslo")
    branch.departments.create(name="Shipping", code="s", head=bob)
    branch.tags.set(Tag.objects.using(using).filter(name="old"))
    for owner, total in ((branch.pk, "1.50"), (branch.pk, "20.00"), (999, "3.00")):
        Invoice.objects.using(using).create(company_id=owner, total=total)
    _add_projects(using, ann, bob, cid)
    _add_places(using)
    _add_lodges(using)
    for number in range(3):
        Sample.objects.using(using).create(department=research, label=f"sample {number}")
        plate = Plate.objects.using(using).create(department=research, text="")
        # As no instance has it: its attribute, which save() stores, is another.
        Plate.objects.using(using).filter(pk=plate.pk).update(text=f"plate {number}")
        Tale.objects.using(using).create(person=ann if number else bob, title=f"tale {number}")
    for name in ("cooking", "reading"):
        skill = Skill.objects.using(using).create(name=name)
        Grade.objects.using(using).create(person=ann, skill=skill)
        Grade.objects.using(using).create(person=cid, skill=skill)


def _add_places(using: str) -> None:
    """Of each inherited table two, one of them without a town and a door."""
    town = Town.objects.using(using).create(name="Oslo")
    kinds: tuple[tuple[type[Place], dict[str, Any]], ...] = (
        (Bakery, {"trade": "food", "bread": "rye"}),
        (LoudPlace, {}),
        (Shop, {"trade": "shoes"}),
    )
    for model, values in kinds:
        name = model.__name__.lower()
        first = model._base_manager.using(using).create(name=f"{name} 1", town=town, **values)
        model._base_manager.using(using).create(name=f"{name} 2", note="new", **values)
        for label in ("front", "back"):
            Door.objects.using(using).create(place=first, label=f"{label} of {name}")


def _add_lodges(using: str) -> None:
    """One warden and one sign are hidden."""
    for number, hidden in enumerate((False, True)):
        warden = Warden.objects.using(using).create(name=f"warden {number}", hidden=hidden)
        lodge = Lodge.objects.using(using).create(name=f"lodge {number}", note="cold", warden=warden)
        Sign.objects.using(using).create(lodge=lodge, text=f"sign {number}", hidden=not hidden)
    Lodge.objects.using(using).create(name="lodge 2")


def _people(using: str) -> tuple[Person, Person, Person]:
    cid = Person.objects.using(using).create(name=f"cid of {using}", email="cid@example.com")
    ann, bob = Person.objects.using(using).order_by("name")[:2]
    cid.friends.set([ann, bob])
    return ann, bob, cid


def _add_projects(using: str, ann: Person, bob: Person, cid: Person) -> None:
    projects = Project.objects.using(using)
    root = projects.create(name="root", lead=ann, plan="plans/root.txt")
    parts = [projects.create(name=name, parent=root, lead=cid if name == "b" else None) for name in ("a", "b", "c")]
    deep = projects.create(name="deep", parent=parts[1], plan="plans/deep plan.txt")
    for project, people in ((root, (ann, bob)), (parts[0], (bob,)), (parts[1], (cid, ann)), (deep, (ann,))):
        project.people.set(people)


def make_firms() -> None:
    """The firm in two databases, with rows that are read in ways of their own. The second one has fewer, and others."""
    make_firm()
    User.objects.create_user("ann")
    add_oddities("default")
    Company.objects.filter(name="Acme").update(owner=User.objects.get())
    Person.objects.using("other").create(name="zoe", email="zoe@example.com")
    make_firm("other")
    add_oddities("other")
    Company.objects.using("other").filter(name="Bare").delete()
    named: tuple[type[Model], ...] = (Company, Department, Person, Project, Tag)
    for model in named:
        model._base_manager.using("other").update(name=Concat("name", Value("'")))
