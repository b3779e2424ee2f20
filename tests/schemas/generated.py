"""Schemas and querysets of the firm's models, generated."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Model, Q, QuerySet
from django.db.models.functions import Upper
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from project.firm.models import Badge, Branch, Company, Department, Membership, OpenCompany, Passport, Person, Tag, Team

COLUMNS: dict[type[Model], list[str]] = {
    Badge: ["person_id", "number", "pk"],
    Branch: ["id", "name", "city"],
    Company: ["id", "name", "status", "founded", "motto", "owner_id", "owner", "tags", "changed"],
    Department: ["id", "pk", "name", "size", "company_id", "head"],
    Membership: ["id", "role", "person"],
    OpenCompany: ["name", "status"],
    Passport: ["id", "number", "person_id"],
    Person: ["id", "email", "name", "friends"],
    Tag: ["id", "name"],
    Team: ["id", "name", "hidden", "members"],
    User: ["username"],
}
# Relations, with the model that they lead to, whether to many, and whether the one may be lacking.
RELATIONS: dict[type[Model], dict[str, tuple[type[Model], bool, bool]]] = {
    Badge: {"person": (Person, False, False)},
    Branch: {"departments": (Department, True, False), "tags": (Tag, True, False), "owner": (User, False, True)},
    Company: {
        "departments": (Department, True, False),
        "owner": (User, False, True),
        "tags": (Tag, True, False),
    },
    Department: {"company": (Company, False, False), "head": (Person, False, True), "teams": (Team, True, False)},
    Membership: {"person": (Person, False, False), "team": (Team, False, False)},
    OpenCompany: {"departments": (Department, True, False)},
    Passport: {"person": (Person, False, False)},
    Person: {
        "badge": (Badge, False, True),
        "friends": (Person, True, False),
        "heads": (Department, True, False),
        "memberships": (Membership, True, False),
        "passports": (Passport, True, False),
        "teams": (Team, True, False),
    },
    Tag: {"companies": (Company, True, False)},
    Team: {
        "department": (Department, False, False),
        "members": (Person, True, False),
        "memberships": (Membership, True, False),
    },
    User: {},
}


def declare(model: type[Model], names: list[str], relations: dict[str, Any]) -> type[ModelSchema[Any]]:
    """Returns a schema with these columns and these annotations."""
    meta = type("Meta", (), {"fields": [name for name in names if name not in relations]})
    body = {"__module__": __name__, "__annotations__": relations, "Meta": meta}
    return type(f"{model.__name__}Schema", (ModelSchema[model],), body)  # type: ignore[valid-type]


@st.composite
def schemas(draw: st.DrawFn, model: type[Model] | None = None, depth: int = 4) -> type[ModelSchema[Any]]:
    """A schema of `model`, with relations down to `depth`."""
    model = draw(st.sampled_from([*COLUMNS])) if model is None else model
    names = draw(st.lists(st.sampled_from(COLUMNS[model]), unique=True, min_size=1))
    chosen = draw(st.sets(st.sampled_from([*RELATIONS[model]]), max_size=2)) if depth and RELATIONS[model] else set()
    relations: dict[str, Any] = {}
    for name in sorted(chosen):
        target, many, optional = RELATIONS[model][name]
        nested: Any = draw(schemas(target, depth - 1))
        relations[name] = list[nested] if many else nested | None if optional else nested
    return declare(model, names, relations)


def _sliced(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows[1:3]


def _united(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by().union(rows.model._default_manager.order_by(), all=True).order_by("pk")


# What callers do with a queryset of any model, and with one of companies.
STEPS: list[Any] = [
    lambda rows: rows.filter(pk__gt=1),
    lambda rows: rows.exclude(pk=2),
    lambda rows: rows.order_by("-pk"),
    lambda rows: rows.reverse(),
    lambda rows: rows.only("pk"),
    lambda rows: rows.defer("pk"),
    lambda rows: rows.using("default"),
    lambda rows: rows.none(),
    lambda rows: rows.distinct(),
    lambda rows: rows.extra(select={"one": "1"}),
    _united,
    lambda rows: rows.annotate(twice=F("pk") + F("pk")),
    lambda rows: rows.alias(again=F("pk")).filter(again__gt=0),
]
COMPANY_STEPS: list[Any] = [
    lambda rows: rows.filter(departments__size__gte=0),
    lambda rows: rows.filter(departments__teams__name__in=["one", "two"]),
    lambda rows: rows.filter(Q(owner__isnull=True) | Q(owner__username="ann")),
    lambda rows: rows.filter(owner__username="ann"),
    lambda rows: rows.annotate(departments_count=Count("departments")),
    lambda rows: rows.annotate(departments_count=Count("departments", distinct=True)).filter(departments_count__gt=0),
    lambda rows: rows.annotate(loud=Upper("name")).order_by("loud"),
    lambda rows: rows.order_by("departments__name", "pk"),
    lambda rows: rows.annotate(department=F("departments__name")).distinct(),
    lambda rows: rows.prefetch_related("departments", "tags"),
    lambda rows: rows.select_related("owner"),
]


@st.composite
def querysets(draw: st.DrawFn, model: type[Model]) -> Any:
    """Returns a function that makes a new queryset of `model` each time, and a list of its steps."""
    known = STEPS + (COMPANY_STEPS if issubclass(model, Company) else [])
    steps = draw(st.lists(st.sampled_from(known), max_size=3))
    steps.sort(key=lambda step: step is not _united)  # The two must have the same columns.
    if draw(st.booleans()):
        steps = [*steps, _sliced]

    def make() -> QuerySet[Any]:
        rows = model._default_manager.order_by("pk")
        for step in steps:
            rows = step(rows)
        return rows

    return make
