"""Querysets of the firm's models, generated: what a caller asks of them, and what is changed in memory afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, FilteredRelation, Model, Prefetch, Q, QuerySet
from django.db.models.functions import Upper
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import declared, shape_of
from project.firm.models import Badge, Company
from schemas.generated import RELATIONS


@dataclass(frozen=True)
class Step:
    """One thing that a caller does with a queryset. The text is what Hypothesis shows."""

    text: str
    take: Callable[[QuerySet[Any]], QuerySet[Any]]

    def __repr__(self) -> str:
        return self.text


def _united(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by().union(rows.model._default_manager.using(rows.db).order_by(), all=True).order_by("pk")


ORDERS = [
    Step("order_by(-pk)", lambda rows: rows.order_by("-pk")),
    Step("reverse()", lambda rows: rows.reverse()),
]
ALWAYS = [
    *ORDERS,
    Step("exclude(pk=2)", lambda rows: rows.exclude(pk=2)),
    Step("none()", lambda rows: rows.none()),
    Step("distinct()", lambda rows: rows.distinct()),
    Step("extra()", lambda rows: rows.extra(select={"one": "1"})),
    Step("select_for_update()", lambda rows: rows.select_for_update()),
    Step("annotate(twice)", lambda rows: rows.annotate(twice=F("pk"))),
    Step("annotate(counted)", lambda rows: rows.annotate(counted=Count("pk"))),
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
    # Each as often as others: a union stood hardly once beside a relation that can be joined.
    found = [*map(st.just, ALWAYS), *[_columns_left_out(model)] * 2]
    if names:
        found += [*[_through_relations(model, names)] * 2, *[_prefetches(model, names)] * 3, _selects(model, names)]
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
    # Of those that say nothing but their order and slice, the database's JSON keeps the statement.
    plain = draw(st.integers(0, 2)) == 0
    parent = None if plain else parent
    steps = draw(st.lists(st.sampled_from(ORDERS) if plain else _steps(model, names), max_size=3))
    changed = draw(st.integers(0, 3)) == 0
    if changed and draw(st.booleans()):
        # What was left out of rows in memory is asked of the database later, beside what was changed.
        steps.append(draw(_columns_left_out(model)))
    steps.sort(key=lambda step: step.text != "union()")  # The two must have the same columns.
    if draw(st.integers(0, 2)) == 0:
        start, stop = sorted(draw(st.tuples(st.integers(0, 2), st.integers(0, 5))))
        steps = [*steps, Step(f"[{start}:{stop}]", lambda rows: rows[start:stop])]
    return Asked(model, draw(st.sampled_from(databases)), parent, tuple(steps), changed)
