"""Which rows a call may see, for every model that it can name.

1. A row that may not be seen is treated as if it did not exist, wherever it is named.
2. Rules of the same model add up: a row must pass them all.
3. A rule never repeats a row: one that leads over a relation to many is asked as a subquery.
4. A proxy is another face of the same rows. Where a model has no rule itself, a row is visible if it is by the rule of
   one of its faces.
5. A row is hidden whose parent is hidden, and one that cannot be shown without a hidden row. Where a model has several
   parents in a tree, no parent of a row may be hidden, and it has one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import and_, or_
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet

from djfast_mount.crud.declaring.exposure import is_to_many, relation
from djfast_mount.schemas.declaring.mapping import is_forward, is_generic

__all__ = ["Visibility", "has_rows_of", "leads_to_many", "narrowed"]


class _Place(NamedTuple):
    """Where rows of a model stand in a tree: the foreign key to the row above, and the rule that this one is visible;
    None for one that all may see."""

    model: type[Model]
    key: Any
    rule: Q | None


class Visibility:
    """The rules of one call: a condition for each model that has one.

    Args:
        using: The alias of the database that is asked; None for the routers' choice.
    """

    def __init__(self, using: str | None = None) -> None:
        self._rules: dict[type[Model], Q] = {}
        self._gone: dict[type[Model], Q] = {}
        self._places: list[_Place] = []
        self._needed: list[tuple[type[Model], Any]] = []
        self.using = using

    def add(self, model: type[Model], rule: Q) -> None:
        """Has rows of `model` pass `rule` too. A proxy and a child of a model keep the model's rules."""
        # Never in place: `Q` objects of rules may be module constants that all calls share.
        self._rules[model] = self._rules.get(model, Q()) & rule

    def add_place(self, model: type[Model], key: Any, parent: type[Model]) -> None:
        """Has rows of `model` be visible as far as the row of `parent` is to which `key` leads, and no further.

        Call it after the rules of the parent are there.
        """
        rule = None
        if self.restricts(parent):
            # The default ordering would be sorted in the subquery for nothing.
            rows = self.rows(parent).order_by().values(key.target_field.attname)
            rule = Q((f"{key.name}__in", rows))
        self._places.append(_Place(model, key, rule))

    def add_needed(self, model: type[Model], relation: Any) -> None:
        """Has rows of `model` be hidden where `relation` leads to one row, and this is hidden."""
        self._needed.append((model, relation))

    def add_gone(self, model: type[Model], gone: Q) -> None:
        """Has rows of `model` that pass `gone` count as deleted; none with an empty one."""
        self._gone[model] = self._gone.get(model, Q()) | gone

    @property
    def has_rules(self) -> bool:
        """Whether rows of any model may not be seen."""
        return any(self._rules.values()) or any(self._gone.values())

    def restricts(self, model: type[Model], *, below: Any = None) -> bool:
        """Whether some rows of `model` may not be seen.

        Args:
            below: The foreign key to a row that is visible: that the row is below it hides none.
        """
        if self._rules_of(model) or self._gone_of(model) or self._rules_below(model, below):
            return True
        return any(self.restricts(each.related_model) for each in self._needed_of(model, below))

    def nested(self, found: Any, rows: QuerySet[Any] | None = None) -> QuerySet[Any] | None:
        """The rows that the relation `found` of a visible row may show; None for all that it leads to.

        Args:
            rows: As in `rows`.
        """
        # A generic foreign key: no schema shows the rows, of any model, that it leads to.
        if found.related_model is None:
            return None
        # Where a row and the one above it meet, each is visible because the other is: no query is needed to say so.
        if is_forward(found) and any(each.key is found for each in self._places_of(found.model)):
            return None
        below = None if is_forward(found) or is_generic(found) else found.field
        if not self.restricts(found.related_model, below=below):
            return None
        return self.rows(found.related_model, rows, below=below)

    def rows(
        self, model: type[Model], rows: QuerySet[Any] | None = None, *, gone: bool = False, below: Any = None
    ) -> QuerySet[Any]:
        """Every row of `model` that may be seen.

        Args:
            rows: The rows that are asked; None for those of the model's default manager.
            gone: Whether those that count as deleted are among them.
            below: As in `restricts`.
        """
        # The default manager is what Django shows of a model in the admin and over reverse relations; a project that
        # hides rows there hides them here.
        found: QuerySet[Any] = model._default_manager.using(self.using).all() if rows is None else rows
        needed = (self._has_shown(each) for each in self._needed_of(model, below))
        for rule in [*self._rules_of(model), *self._rules_below(model, below), *needed]:
            found = narrowed(found, rule)
        for rule in [] if gone else self._gone_of(model):
            found = narrowed(found, ~rule)
        return found

    def _rules_of(self, model: type[Model]) -> list[Q]:
        own, faces = _for(self._rules, model)
        # `Q() | rule` is the rule to Django, and a face without one shows every row.
        return own if own or not all(faces) or not faces else [reduce(or_, faces)]

    def _gone_of(self, model: type[Model]) -> list[Q]:
        own, faces = _for(self._gone, model)
        return own if own or not all(faces) or not faces else [reduce(and_, faces)]

    def _places_of(self, model: type[Model]) -> list[_Place]:
        own = [each for each in self._places if issubclass(model, each.model)]
        return own or [each for each in self._places if has_rows_of(model, each.model)]

    def _rules_below(self, model: type[Model], below: Any) -> list[Q]:
        places = self._places_of(model)
        if not any(each.rule for each in places):
            return []
        reached = any(each.key is below for each in places)
        alone = len(places) == 1
        # A row that has no parent of one kind is not hidden by it, if it has one of another kind.
        rules = [
            each.rule | Q((f"{each.key.name}__isnull", True)) if each.key.null and not alone else each.rule
            for each in places
            if each.rule and each.key is not below
        ]
        if not (reached or alone) and all(each.key.null for each in places):
            rules.append(reduce(or_, (Q((f"{each.key.name}__isnull", False)) for each in places)))
        return rules

    def _needed_of(self, model: type[Model], below: Any) -> Iterator[Any]:
        keys = [below, *(each.key for each in self._places_of(model))]
        return (found for each, found in self._needed if issubclass(model, each) and found not in keys)

    def _has_shown(self, found: Any) -> Q:
        """The rule that the one row which `found` leads to is not hidden."""
        shown = self.nested(found)
        if shown is None:
            return Q()
        if is_forward(found):
            rule = Q((f"{found.name}__in", shown.order_by().values(found.target_field.attname)))
            return rule | Q((f"{found.name}__isnull", True)) if found.null else rule
        back = found.field
        rows = back.model._base_manager.using(self.using).filter(**{f"{back.name}__isnull": False})
        hidden = rows.exclude(pk__in=shown.order_by().values("pk")).order_by().values(back.attname)
        return ~Q((f"{back.target_field.attname}__in", hidden))

    def behind(self, model: type[Model], name: str, condition: Q | None = None) -> Exists:
        """A condition for rows of `model`: some row that the relation `name` leads to is visible, and passes
        `condition`."""
        # EXISTS instead of a join: a join over a relation to many repeats rows, and DISTINCT rules out
        # `select_for_update()` on PostgreSQL.
        return Exists(self.related(model, name, condition))

    def related(self, model: type[Model], name: str, condition: Q | None = None) -> QuerySet[Any]:
        """The visible rows that the relation `name` of an outer row of `model` leads to, for a subquery.

        Of a relation many to many they are the rows of the table between.
        """
        found = relation(model, name)
        rows: QuerySet[Any] = self.rows(found.related_model).order_by()
        if condition:
            rows = rows.filter(condition)
        if not found.many_to_many:
            return rows.filter(**_joined(found))
        near, far, through = _between(found)
        # A table between may point to another column than the primary key.
        key: Any = through._meta.get_field(near)
        between = through._base_manager.using(self.using).filter(**{near: OuterRef(key.target_field.attname)})
        # Without either, the table between is enough, and the far table is not touched.
        if condition or self.restricts(found.related_model):
            between = between.filter(**{f"{far}__in": rows})
        return between

    def joined_by(self, model: type[Model], name: str) -> str:
        """The column of `related()` that says which outer row a row belongs to."""
        found = relation(model, name)
        if found.many_to_many:
            return _between(found)[0]
        return next(iter(_joined(found)))


def has_rows_of(model: type[Model], base: type[Model]) -> bool:
    """Whether each row of `model` is one of the table of `base`, which may be a proxy."""
    table: Any = base._meta.concrete_model
    return issubclass(model, table)


def _for(rules: Mapping[type[Model], Q], model: type[Model]) -> tuple[list[Q], list[Q]]:
    """The rules of `model` itself, and, where it has none, those of its other faces."""
    # `issubclass`, since a proxy or a child of multi-table inheritance is another way to the same row.
    own = [base for base in rules if issubclass(model, base)]
    if own:
        return [rules[base] for base in own if rules[base]], []
    return [], [rule for base, rule in rules.items() if has_rows_of(model, base)]


def _joined(found: Any) -> dict[str, OuterRef]:
    if is_forward(found):
        return {found.target_field.attname: OuterRef(found.attname)}
    return {found.field.attname: OuterRef(found.field.target_field.attname)}


def _between(found: Any) -> tuple[str, str, type[Model]]:
    """The two foreign keys of the table between, the one that leads back first, and its model."""
    if is_forward(found):
        return found.m2m_field_name(), found.m2m_reverse_field_name(), found.remote_field.through
    field = found.field
    return field.m2m_reverse_field_name(), field.m2m_field_name(), field.remote_field.through


def narrowed(rows: QuerySet[Any], rule: Q) -> QuerySet[Any]:
    """Returns `rows` that pass `rule`, none of them twice."""
    if not rule:
        return rows
    # A rule that joins would repeat rows in lists and miscount totals. A subquery by key does neither, and costs only
    # where it is needed.
    if leads_to_many(rows.model, rule):
        passing = rows.model._base_manager.using(rows.db).filter(rule).values("pk")
        return rows.filter(pk__in=passing)
    return rows.filter(rule)


def leads_to_many(model: type[Model], rule: Q) -> bool:
    """Whether a join for `rule` would repeat rows of `model`."""
    for child in rule.children:
        if isinstance(child, Q):
            found = leads_to_many(model, child)
        elif isinstance(child, tuple):
            found = _crosses_to_many(model, child[0].split("__")) or _names_to_many(model, child[1])
        else:
            found = _names_to_many(model, child)
        if found:
            return True
    return False


def _names_to_many(model: type[Model], value: Any) -> bool:
    """Whether an expression, or one of a list, leads over a relation to many, as ``F("departments__size")`` does."""
    if isinstance(value, list | tuple):
        return any(_names_to_many(model, each) for each in value)
    parts = list(value.flatten()) if hasattr(value, "flatten") else [value]
    names = [each.name for each in parts if isinstance(each, F)]  # type: ignore[attr-defined]
    if any(_crosses_to_many(model, name.split("__")) for name in names):
        return True
    # Of a Case(), say. What Q.flatten() yields besides are the values of its children.
    return any(leads_to_many(model, each) for each in parts if isinstance(each, Q))


def _crosses_to_many(model: Any, names: list[str]) -> bool:
    for name in names:
        try:
            found = model._meta.pk if name == "pk" else model._meta.get_field(name)
        except FieldDoesNotExist:
            return False
        if not found.is_relation:
            return False
        if is_to_many(found):
            return True
        model = found.related_model
    return False
