"""The read plan: columns instead of instances, one query and one more for each relation to many rows.

What it makes is what the way through instances makes, byte for byte; where that is in doubt there is no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import models, router
from django.db.models import F, QuerySet
from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import Member, Shape, shape_of
from djfast_mount.schemas.declaring.mapping import is_forward
from djfast_mount.schemas.queryset_internals import chosen_database, parents_known
from djfast_mount.schemas.reading import reasons
from djfast_mount.schemas.reading.assembler import Assembler, Compiled
from djfast_mount.schemas.reading.first import First, ends_of
from djfast_mount.schemas.reading.reasons import NoPlan

__all__ = ["Plan", "plan_of_schema"]

Values = dict[str, Any]


@dataclass(frozen=True)
class Branch:
    """Rows of another table that belong to the rows of a plan.

    Attributes:
        key: The column of the parent that they point to.
        link: The lookup, from them, of the column that points.
        many_to_many: Whether there is a table between.
        plan: How they are read.
    """

    key: str
    link: str
    condition: str
    many_to_many: bool
    plan: Plan


@dataclass(frozen=True)
class Plan:
    """How the rows of one shape are read from one query.

    Attributes:
        model: Of the rows.
        models: Of all rows whose columns are among those of this query.
        columns: The lookups of what is selected.
        joined: The relations to one row whose columns are among them.
        branches: What is read by queries of its own.
        code: What makes the values.
    """

    model: type[models.Model]
    models: tuple[type[models.Model], ...]
    columns: tuple[str, ...]
    joined: frozenset[str]
    branches: tuple[Branch, ...]
    code: Compiled

    def read(self, rows: QuerySet[Any]) -> list[Any]:
        """Returns the values of `rows`. Raises: NoPlan, when a manager's queryset must be made into instances."""
        self.check(rows, "the queryset")
        # All of them before the first query: a manager that turns out to need instances must not cost the queries
        # twice.
        branches = self._prepared()
        found = list(rows.values_list(*self.columns))
        return self.code.listed(found, *self._lists(branches, found, 0, rows.db))

    def read_first(self, rows: QuerySet[Any], limit: int, names: Sequence[str]) -> First:
        """Returns the values of the first `limit` of `rows`. Raises: NoPlan, as `read` does."""
        self.check(rows, "the queryset")
        branches = self._prepared()
        added = [name for name in names if name not in self.columns]
        # An alias can be selected by F() alone.
        found = list(rows.values_list(*self.columns, *map(F, added))[: limit + 1])
        values = [row[: len(self.columns)] for row in found[:limit]] if added else found[:limit]
        places = [[*self.columns, *added].index(name) for name in names]
        ends = [tuple(row[place] for place in places) for row in ends_of(found[:limit])]
        listed = self.code.listed(values, *self._lists(branches, values, 0, rows.db))
        return First(listed, ends, len(found) > limit)

    def check(self, rows: QuerySet[Any], whose: str) -> None:
        """Raises: NoPlan, when `rows` must be made into instances."""
        if (reason := reasons.of_queryset(rows, set(self.joined))) is not None:
            raise NoPlan(f"of {whose}: {reason}")
        # Met again below, a row would have the row that it belongs to as the database has it, and not as it is known.
        if parents_known(rows) and any(map(self._is_own, self._models_below())):
            raise NoPlan(f"of {whose}: its rows know the row that they belong to, and may be met again below")
        # A router is shown an instance of the rows above, with all that it holds, and may choose by any of it.
        if self.branches and router.routers:
            raise NoPlan("routers choose the database of its nested rows")
        for model in self.models:
            if (reason := reasons.of_receivers(model)) is not None:
                raise NoPlan(reason)

    def _models_below(self) -> Iterator[type]:
        for branch in self.branches:
            yield from branch.plan.models
            yield from branch.plan._models_below()

    def _is_own(self, model: type) -> bool:
        return issubclass(model, self.model) or issubclass(self.model, model)

    def _prepared(self) -> list[tuple[Branch, QuerySet[Any], list[Any]]]:
        """The querysets of the branches, each asked whether it can be read so before anything is read."""
        prepared = []
        for branch in self.branches:
            rows = branch.plan.model._default_manager.get_queryset()
            whose = f"{branch.plan.model.__name__}'s manager"
            branch.plan.check(rows, whose)
            if branch.many_to_many and len(rows.query.alias_map) > 1:
                raise NoPlan(f"of {whose}: it joins other tables")
            prepared.append((branch, rows, branch.plan._prepared()))
        return prepared

    def _lists(
        self, branches: list[Any], found: list[Any], offset: int, using: str
    ) -> Iterator[Callable[[Any], list[Any] | None]]:
        """What looks up the lists of `found`, rows of the database `using`."""
        for branch, rows, inner in branches:
            place = self.columns.index(branch.key) + offset
            # Each once, as many rows share a parent; in their order, so that the statement is the same each time.
            keys = list(dict.fromkeys(row[place] for row in found if row[place] is not None))
            # A manager may say `using()` itself.
            below, alias = [], chosen_database(rows) or using
            # Without rows above there is nothing to ask. Django answers `IN ()` without a query as well.
            if keys:
                chosen = rows.using(alias).filter(**{f"{branch.condition}__in": keys})
                below = list(chosen.values_list(branch.link, *branch.plan.columns))
            yield branch.plan.code.grouped(below, *branch.plan._lists(inner, below, 1, alias)).get


@cache
def plan_of_schema(
    schema: type[BaseModel], model: type[models.Model], annotations: frozenset[str] = frozenset()
) -> Plan | str:
    """Returns the plan for rows of `model`, which is the schema's or a subclass of it, or why there is none.

    Args:
        annotations: Those of the queryset that the schema shows.
    """
    try:
        return _plan(shape_of(schema), model, annotations)
    except NoPlan as reason:
        return str(reason)


def _plan(shape: Shape, model: type[models.Model], annotations: frozenset[str]) -> Plan:
    making = _Making(annotations)
    item = making.item(shape, model, "")
    parts: Any = model._meta.pk_fields
    for part in parts:
        making.assembler.column(part.attname)
    code = making.assembler.compile(item, shape.schema.__name__)
    columns, branches = tuple(making.assembler.columns), tuple(making.branches)
    return Plan(model, tuple(making.models), columns, frozenset(making.joined), branches, code)


class _Making:
    """A plan in the making."""

    def __init__(self, annotations: frozenset[str]) -> None:
        self.annotations = annotations
        self.assembler = Assembler()
        self.branches: list[Branch] = []
        self.joined: set[str] = set()
        self.models: list[type[models.Model]] = []

    def item(self, shape: Shape, model: type[models.Model], prefix: str) -> str:
        """Returns the code of one row, whose columns have the lookups `prefix` + their names."""
        if (reason := reasons.of_model(model)) is not None:
            raise NoPlan(reason)
        self.models.append(model)
        members = [(member, self._code(member, model, prefix)) for member in shape.members]
        return self.assembler.nested([(member.key, code) for member, code in members if code is not None])

    def _code(self, member: Member, model: type[models.Model], prefix: str) -> str | None:
        """The code of one value; None for an annotation that is not there and need not be."""
        if member.kind == "computed":
            return self._computed(member, model, prefix)
        field = member.field
        if member.kind in ("column", "file"):
            if (reason := reasons.of_field(model, field)) is not None:
                raise NoPlan(reason)
            if isinstance(field, models.CompositePrimaryKey):
                # Column by column. Django orders by the places of what is selected, and counts the key as one of them
                # where it is several.
                parts: Any = field.fields
                return self.assembler.together([prefix + part.attname for part in parts])
            return self.assembler.value(prefix + field.attname, _url_of(field) if member.kind == "file" else None)
        if (reason := reasons.of_relation(field, model)) is not None:
            raise NoPlan(reason)
        return self._one(member, prefix) if member.kind == "one" else self._many(member, model, prefix)

    def _computed(self, member: Member, model: type[models.Model], prefix: str) -> str | None:
        # Annotations belong to the queryset's own rows: those of nested rows are other querysets'.
        if not prefix and member.source in self.annotations:
            return self.assembler.value(member.source)
        if not member.required and not prefix and not hasattr(model, member.source):
            return None
        raise NoPlan(f"{model.__name__}.{member.source} is computed in Python")

    def _one(self, member: Member, prefix: str) -> str:
        assert member.shape is not None
        if not prefix:
            self.joined.add(member.field.name)
        path = f"{prefix}{member.field.name}__"
        target = member.field.related_model
        key = path + target._meta.pk.attname
        # The key tells a joined row from none: all of its other columns may be null.
        self.assembler.column(key)
        return self.assembler.unless_none(key, self.item(member.shape, target, path))

    def _many(self, member: Member, model: type[models.Model], prefix: str) -> str:
        field, target = member.field, member.field.related_model
        if field.many_to_many:
            back = field.related_query_name() if is_forward(field) else field.field.name
            key, link, condition = model._meta.pk.attname, f"{back}__pk", back
        else:
            [pointed] = field.field.foreign_related_fields
            key, link, condition = pointed.attname, field.field.attname, field.field.name
        code = self.assembler.branch(prefix + key)
        plan = _keys_alone(target) if member.shape is None else _plan(member.shape, target, frozenset())
        self.branches.append(Branch(prefix + key, link, condition, bool(field.many_to_many), plan))
        return code


def _keys_alone(model: type[models.Model]) -> Plan:
    """The plan of a many-to-many that is shown by its keys."""
    key = model._meta.pk
    if (reason := reasons.of_model(model) or reasons.of_field(model, key)) is not None:
        raise NoPlan(reason)
    assembler = Assembler()
    item = assembler.value(key.attname)
    code = assembler.compile(item, model.__name__)
    return Plan(model, (model,), tuple(assembler.columns), frozenset(), (), code)


def _url_of(field: Any) -> Callable[[Any], str | None]:
    def url(name: Any) -> str | None:
        return str(field.storage.url(name)) if name else None

    return url
