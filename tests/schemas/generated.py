"""Schemas and querysets of the firm's models, generated; and rows read attribute by attribute, as nobody would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Count, F, FileField, FilteredRelation, Model, Prefetch, Q, QuerySet
from django.db.models.functions import Upper
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import Shape, declared, model_field, shape_of
from project.firm.models import (
    Badge,
    Branch,
    Company,
    Department,
    Grade,
    Invoice,
    Membership,
    OpenCompany,
    Passport,
    Person,
    Plate,
    Project,
    Sample,
    Skill,
    Tag,
    Tale,
    Team,
)

COLUMNS: dict[type[Model], list[str]] = {
    Badge: ["person_id", "number", "pk"],
    Branch: ["id", "name", "city", "company_ptr_id", "tags"],
    Company: ["id", "name", "status", "founded", "motto", "owner_id", "owner", "tags", "changed"],
    Department: ["id", "pk", "name", "size", "company_id", "head"],
    Grade: ["id", "person_id", "skill_id", "person"],
    Invoice: ["id", "company_id", "total"],
    Membership: ["id", "role", "person"],
    OpenCompany: ["name", "status", "shouted"],
    Passport: ["id", "number", "person_id"],
    Person: ["id", "email", "name", "friends"],
    Plate: ["id", "text"],
    Project: ["id", "name", "plan", "people", "parent", "lead_id"],
    Sample: ["id", "label"],
    Skill: ["id", "name"],
    Tag: ["id", "name"],
    Tale: ["id", "title"],
    Team: ["id", "name", "hidden", "members"],
    User: ["username"],
}
# Relations, with the model that they lead to, whether to many, and whether the one may be lacking.
RELATIONS: dict[type[Model], dict[str, tuple[type[Model], bool, bool]]] = {
    Badge: {"person": (Person, False, False)},
    Branch: {
        "company_ptr": (Company, False, False),
        "departments": (Department, True, False),
        "invoices": (Invoice, True, False),
        "owner": (User, False, True),
        "tags": (Tag, True, False),
    },
    Company: {
        "branch": (Branch, False, True),
        "departments": (Department, True, False),
        "invoices": (Invoice, True, False),
        "owner": (User, False, True),
        "tags": (Tag, True, False),
    },
    Department: {
        "company": (Company, False, False),
        "head": (Person, False, True),
        "plates": (Plate, True, False),
        "samples": (Sample, True, False),
        "teams": (Team, True, False),
    },
    Grade: {"person": (Person, False, False), "skill": (Skill, False, False)},
    Invoice: {"company": (Company, False, True)},
    Membership: {"person": (Person, False, False), "team": (Team, False, False)},
    OpenCompany: {"departments": (Department, True, False), "owner": (User, False, True)},
    Passport: {"person": (Person, False, False)},
    Person: {
        "badge": (Badge, False, True),
        "friends": (Person, True, False),
        "grades": (Grade, True, False),
        "heads": (Department, True, False),
        "memberships": (Membership, True, False),
        "passports": (Passport, True, False),
        "projects": (Project, True, False),
        "skills": (Skill, True, False),
        "tales": (Tale, True, False),
        "teams": (Team, True, False),
    },
    Plate: {"department": (Department, False, False)},
    Project: {
        "lead": (Person, False, True),
        "parent": (Project, False, True),
        "parts": (Project, True, False),
        "people": (Person, True, False),
    },
    Sample: {"department": (Department, False, False)},
    Skill: {"grades": (Grade, True, False), "people": (Person, True, False)},
    Tag: {"companies": (Company, True, False)},
    Tale: {"person": (Person, False, False)},
    Team: {
        "department": (Department, False, False),
        "members": (Person, True, False),
        "memberships": (Membership, True, False),
    },
    User: {},
}
# What a queryset may be annotated with, each once.
ANNOTATIONS = ("twice", "counted", "loud")


def declare(model: type[Model], names: list[str], relations: dict[str, Any], way: str) -> type[ModelSchema[Any]]:
    """Returns a schema with these columns and these annotations."""
    computed = [name for name in ANNOTATIONS if name in names]
    fields = [name for name in names if name not in relations and name not in computed]
    meta = type("Meta", (), {"fields": fields, "computed": computed, "way": way})
    annotations = {**relations, **dict.fromkeys(computed, int | str | None)}
    defaults = dict.fromkeys(computed)
    body = {"__module__": __name__, "__annotations__": annotations, "Meta": meta, **defaults}
    return type(f"{model.__name__}Schema", (ModelSchema[model],), body)  # type: ignore[valid-type]


def _by_database(model: type[Model], name: str) -> bool:
    """Whether the database can make the JSON of it: of most drawn schemas it could not."""
    found = model_field(model, name)
    return found is not None and not found[0].many_to_many and not isinstance(found[0], FileField)


def _relations(model: type[Model], above: type[Model] | None, way: str) -> st.SearchStrategy[set[str]]:
    """Names of relations: two at most, for one that no plan takes leaves the plan of the others untried."""
    known = [name for name in RELATIONS[model] if way == "plan" or _by_database(model, name)]
    back = [name for name in known if above is not None and RELATIONS[model][name][:2] == (above, False)]
    drawn = st.sets(st.sampled_from(known), min_size=above is None, max_size=2) if known else st.just(set[str]())
    return drawn | st.just(set(back)) if back else drawn


@st.composite
def schemas(
    draw: st.DrawFn,
    model: type[Model] | None = None,
    depth: int = 4,
    above: type[Model] | None = None,
    way: str | None = None,
) -> type[ModelSchema[Any]]:
    """A schema of `model`, with relations down to `depth`; often with the one that leads back to the model `above`."""
    top, way = model is None, draw(st.sampled_from(["plan", "database"])) if way is None else way
    model = draw(st.sampled_from([*COLUMNS])) if model is None else model
    known = [*COLUMNS[model], *ANNOTATIONS] if top else COLUMNS[model]
    known = [name for name in known if way == "plan" or _by_database(model, name)]
    names = draw(st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=5))
    relations: dict[str, Any] = {}
    for name in sorted(draw(_relations(model, above, way)) if depth else ()):
        target, many, optional = RELATIONS[model][name]
        nested: Any = draw(schemas(target, depth - 1, model, way))
        relations[name] = list[nested] if many else nested | None if optional else nested
    return declare(model, names, relations, way if top else "plan")


@dataclass(frozen=True)
class Step:
    """One thing that a caller does with a queryset. The text is what Hypothesis shows."""

    text: str
    take: Callable[[QuerySet[Any]], QuerySet[Any]]

    def __repr__(self) -> str:
        return self.text


def _united(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by().union(rows.model._default_manager.using(rows.db).order_by(), all=True).order_by("pk")


ALWAYS = [
    Step("exclude(pk=2)", lambda rows: rows.exclude(pk=2)),
    Step("order_by(-pk)", lambda rows: rows.order_by("-pk")),
    Step("reverse()", lambda rows: rows.reverse()),
    Step("none()", lambda rows: rows.none()),
    Step("distinct()", lambda rows: rows.distinct()),
    Step("extra()", lambda rows: rows.extra(select={"one": "1"})),
    Step("select_for_update()", lambda rows: rows.select_for_update()),
    Step("annotate(twice)", lambda rows: rows.annotate(twice=F("pk"))),
    Step("alias(again)", lambda rows: rows.alias(again=F("pk")).filter(again__isnull=False)),
    Step("union()", _united),
]
COMPANY_STEPS = [
    Step("departments of teams", lambda rows: rows.filter(departments__teams__name__in=["one", "two"])),
    Step("owner is null or ann", lambda rows: rows.filter(Q(owner__isnull=True) | Q(owner__username="ann"))),
    Step("annotate(loud).order_by(loud)", lambda rows: rows.annotate(loud=Upper("name")).order_by("loud", "pk")),
    Step("order_by(departments__name)", lambda rows: rows.order_by("departments__name", "pk")),
    Step(
        "annotate(loud=departments__name).distinct()",
        lambda rows: rows.annotate(loud=F("departments__name")).order_by("pk", "loud").distinct(),
    ),
]


def concrete(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@st.composite
def _columns_left_out(draw: st.DrawFn, model: type[Model]) -> Step:
    names = draw(st.lists(st.sampled_from(concrete(model)), min_size=1, unique=True))
    if draw(st.booleans()):
        return Step(f"only{tuple(names)}", lambda rows: rows.only(*names))
    return Step(f"defer{tuple(names)}", lambda rows: rows.defer(*names))


@st.composite
def _through_relations(draw: st.DrawFn, model: type[Model], names: list[str]) -> Step:
    """What joins a table that the schema may join as well, or more than once."""
    name = draw(st.sampled_from(names))
    lookup = next(f.name for f in model._meta.get_fields() if name in (f.name, getattr(f, "related_name", None)))
    return draw(
        st.sampled_from(
            [
                Step(f"filter({lookup}__pk__gt=1)", lambda rows: rows.filter(**{f"{lookup}__pk__isnull": False})),
                Step(f"exclude({lookup}=1)", lambda rows: rows.exclude(**{f"{lookup}__isnull": True})),
                Step(f"annotate(counted={lookup})", lambda rows: rows.annotate(counted=Count(lookup))),
                Step(f"order_by({lookup}__pk)", lambda rows: rows.order_by(f"{lookup}__pk", "pk")),
                Step(
                    f"FilteredRelation({lookup})",
                    lambda rows: rows.annotate(
                        chosen=FilteredRelation(lookup, condition=Q(**{f"{lookup}__pk__lte": 2}))
                    ).filter(chosen__isnull=False),
                ),
            ]
        )
    )


@st.composite
def _prefetches(draw: st.DrawFn, model: type[Model], names: list[str]) -> Step:
    """Prefetches of the caller's: by name, or with a queryset, which may leave rows out."""
    name = draw(st.sampled_from(names))
    target, many, _ = RELATIONS[model][name]
    inner = draw(st.sampled_from([*RELATIONS[target], ""]))
    kind = draw(st.sampled_from(["name", "queryset", "to_attr", "deep"]))
    if kind == "name":
        return Step(f"prefetch_related({name})", lambda rows: rows.prefetch_related(name))
    if kind == "deep" and inner:
        return Step(f"prefetch_related({name}__{inner})", lambda rows: rows.prefetch_related(f"{name}__{inner}"))
    column = draw(st.sampled_from(concrete(target)))
    chosen: list[Callable[[QuerySet[Any]], QuerySet[Any]]] = [
        lambda rows: rows.order_by("-pk"),
        lambda rows: rows.only(column),
        lambda rows: rows.defer(column),
    ]
    if many:
        chosen += [lambda rows: rows.filter(pk__gt=1), lambda rows: rows.order_by("pk")[:2]]
    change = draw(st.sampled_from(chosen))
    more = {"to_attr": "kept"} if kind == "to_attr" else {}

    def take(rows: QuerySet[Any]) -> QuerySet[Any]:
        queryset = change(target._default_manager.using(rows.db))
        return rows.prefetch_related(Prefetch(name, queryset=queryset, **more))

    return Step(f"prefetch_related(Prefetch({name}, ..., {more}))", take)


@st.composite
def _selects(draw: st.DrawFn, model: type[Model], names: list[str]) -> Step:
    to_one = [name for name in names if not RELATIONS[model][name][1]]
    if not to_one:
        return draw(st.sampled_from(ALWAYS))
    name = draw(st.sampled_from(to_one))
    return Step(f"select_related({name})", lambda rows: rows.select_related(name))


def _steps(model: type[Model], names: list[str]) -> st.SearchStrategy[Step]:
    found = [st.sampled_from(ALWAYS), _columns_left_out(model)]
    if names:
        found += [_through_relations(model, names), _prefetches(model, names), _selects(model, names)]
    if issubclass(model, Company):
        found.append(st.sampled_from(COMPANY_STEPS))
    return st.one_of(found)


@dataclass(frozen=True)
class Asked:
    """A queryset that is made anew for each who reads it: the database, where it starts, and the steps.

    Attributes:
        parent: The relation of another model whose rows are asked for, from a row that was changed in memory.
        changed: Whether the rows are given as a list, each changed in memory.
    """

    model: type[Model]
    using: str
    parent: tuple[type[Model], str] | None
    steps: tuple[Step, ...]
    changed: bool

    def __call__(self) -> QuerySet[Any]:
        rows = self._start()
        for step in self.steps:
            rows = step.take(rows)
        return rows

    def rows(self) -> Any:
        """What is read: the queryset, or the rows of it after they were changed in memory."""
        return [_change(row) for row in self()] if self.changed else self()

    def _start(self) -> QuerySet[Any]:
        if self.parent is None:
            return self.model._default_manager.using(self.using).order_by("pk")
        owner, name = self.parent
        row = _change(owner._base_manager.using(self.using).order_by("pk")[0])
        found: QuerySet[Any] = getattr(row, name).order_by("pk")
        return found


def _change(row: Model) -> Model:
    """`row` with values that the database has not."""
    for field in row._meta.concrete_fields:
        if field.name in ("name", "number", "label", "title"):
            setattr(row, field.attname, 7 if field.name == "number" and isinstance(row, Badge) else "in memory")
    return row


@st.composite
def querysets(draw: st.DrawFn, schema: type[ModelSchema[Any]], databases: tuple[str, ...]) -> Asked:
    """What a caller might ask for `schema`, in one of `databases`: mostly about relations that it shows."""
    model = declared(schema).model
    shown = [member.name for member in shape_of(schema).relations() if member.name in RELATIONS[model]]
    names = shown if shown and draw(st.integers(0, 3)) else [*RELATIONS[model]]
    owners = [
        (owner, name) for owner, known in RELATIONS.items() for name, to in known.items() if to[:2] == (model, True)
    ]
    parent = draw(st.none() | st.sampled_from(owners)) if owners else None
    steps = draw(st.lists(_steps(model, names), max_size=3))
    steps.sort(key=lambda step: step.text != "union()")  # The two must have the same columns.
    if draw(st.booleans()):
        start, stop = sorted(draw(st.tuples(st.integers(0, 3), st.integers(0, 5))))
        steps = [*steps, Step(f"[{start}:{stop}]", lambda rows: rows[start:stop])]
    changed = draw(st.integers(0, 3)) == 0
    return Asked(model, draw(st.sampled_from(databases)), parent, tuple(steps), changed)


def one_by_one(shape: Shape, row: Model) -> dict[str, Any]:
    """What `shape` takes of `row`: every attribute asked of the row itself, and nothing fetched beforehand."""
    found: dict[str, Any] = {}
    for member in shape.members:
        if member.kind == "computed":
            if hasattr(row, member.source):
                found[member.key] = getattr(row, member.source)
        elif member.kind == "column":
            found[member.key] = row.pk if member.source == "pk" else getattr(row, member.field.attname)
        elif member.kind == "file":
            file = getattr(row, member.source)
            found[member.key] = file.url if file else None
        elif member.kind == "keys":
            found[member.key] = [each.pk for each in getattr(row, member.source).all()]
        elif member.kind == "many":
            assert member.shape is not None
            found[member.key] = [one_by_one(member.shape, each) for each in getattr(row, member.source).all()]
        else:
            found[member.key] = _of_one(member.shape, row, member.source)
    return found


def _of_one(shape: Shape | None, row: Model, name: str) -> dict[str, Any] | None:
    assert shape is not None
    try:
        one = getattr(row, name)
    except ObjectDoesNotExist:  # Django has no row for the key.
        return None
    return None if one is None else one_by_one(shape, one)
