"""Rows of the firm."""

from __future__ import annotations

from datetime import date

from project.firm.models import Badge, Company, Membership, Passport, Person, Tag, Team


def make_firm() -> None:
    """Three companies: with everything, with an empty department, and with nothing."""
    ann, bob = (Person.objects.create(name=name, email=f"{name}@example.com") for name in ("ann", "bob"))
    ann.friends.add(bob)
    Badge.objects.create(person=ann, number=7)
    Passport.objects.create(person=ann, number="P1")
    Passport.objects.create(person=ann, number="P0")
    acme = Company.objects.create(name="Acme", founded=date(2020, 1, 2), motto="We do.")
    acme.tags.set([Tag.objects.create(name="old"), Tag.objects.create(name="big")])
    research = acme.departments.create(name="Research", code="r", size=5, head=ann)
    sales = acme.departments.create(name="Sales", code="s")
    teams = [Team.objects.create(department=research, name=name) for name in ("one", "two")]
    Team.objects.create(department=research, name="hidden", hidden=True)
    Team.objects.create(department=sales, name="three")
    for team in teams:
        Membership.objects.create(team=team, person=ann, role="lead")
    Membership.objects.create(team=teams[0], person=bob)
    empty = Company.objects.create(name="Bare", status="closed")
    empty.departments.create(name="Nothing", code="n")
    Company.objects.create(name="Void")
