"""Numbers over the rows of a list: how many, their sum, average, least and most, as a whole or in groups."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.db.models import Avg, Count, F, QuerySet, Sum
from django.db.models import functions as database
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, create_model

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.pages.paging import LimitOffset
from djfast_mount.crud.query.fields import MEASURES, PARTS, kind_of, stored_type
from djfast_mount.crud.query.list_query import choice_field, order_field
from djfast_mount.crud.query.measures import AGGREGATES, count_of
from djfast_mount.crud.query.order_expressions import shown_key
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.spelling import did_you_mean

__all__ = ["Aggregation", "Function"]

Function = Literal["avg", "count", "max", "min", "sum"]

ROWS = "*"
_EXTRACTS = {
    "year": database.ExtractYear,
    "quarter": database.ExtractQuarter,
    "month": database.ExtractMonth,
    "day": database.ExtractDay,
    "week": database.ExtractWeek,
    "week_day": database.ExtractWeekDay,
}
_ORDERED = {"date", "datetime", "time"}
_Value = int | float | Decimal | datetime.datetime | datetime.date | datetime.time | datetime.timedelta | str | None


class Aggregation:
    """What the callers of one resource may count and sum.

    Args:
        fields: Names of fields and relations; None for all that can be.
        groups: What the rows may be grouped by; None for all that can be. Empty: not at all.

    Raises:
        ConfigurationError: One of them names what there is not.
    """

    def __init__(self, resource: Resource, fields: Sequence[str] | None, groups: Sequence[str] | None) -> None:
        self._resource = resource
        own = resource.exposure.fields
        self._columns = {name: found for name, found in own.items() if _is_measured(found)}
        self._relations = resource.exposure.countable()
        every = [ROWS, *self._columns, *self._relations]
        self.fields = every if fields is None else [name for name in every if name in fields]
        possible = dict(_groups(resource))
        _check_names(resource, "aggregate=", fields, every, "of which nothing can be measured")
        _check_names(resource, "group_by=", groups, possible, "by which rows cannot be grouped")
        self._groups = {name: found for name, found in possible.items() if groups is None or name in groups}

    @property
    def groups(self) -> list[str]:
        """What rows may be grouped by."""
        return list(self._groups)

    def query_fields(self, *, filters: bool) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Returns the parameters that are no filters of rows.

        Args:
            filters: Whether groups can be filtered by what they measure.
        """
        orders = [sign + name for name in ("value", *self.groups) for sign in ("", "-")] if self.groups else []
        having = {
            name: (Annotated[float, Field(allow_inf_nan=False)], {"description": told})
            for name, told in (self._having().items() if filters and self.groups else ())
        }
        return {
            **choice_field("group_by", self.groups, "What the rows are grouped by; repeat it for several."),
            **order_field(orders, "What the groups are ordered by."),
            **(LimitOffset(max=self._resource.paging.max).fields() if self.groups else {}),
            **having,
        }

    def _having(self) -> dict[str, str]:
        numbers = [name for name, found in self._columns.items() if kind_of(found) in ("integer", "number")]
        return {
            f"{name}__{measure}__{side}": f"The {measure} of {name} in a group is at {words} this."
            for name in numbers
            for measure in MEASURES
            for side, words in (("gte", "least"), ("lte", "most"))
        }

    def answer_model(self, name: str) -> type[BaseModel]:
        """Returns the model of the answer."""
        groups: dict[str, Any] = {
            f"group_{number}": (kind | None, Field(default=None, alias=group))
            for number, (group, (_, kind)) in enumerate(self._groups.items())
        }
        told = Field(description="Null where there is nothing to measure.")
        row = create_model(f"{name}Value", value=(Annotated[_Value, told], ...), **groups)
        return create_model(f"{name}Aggregate", values=(list[row], ...))  # type: ignore[valid-type]

    def values(
        self, call: Call, rows: QuerySet[Any], asked: Mapping[str, Any], function: Function, field: str
    ) -> list[dict[str, Any]]:
        """Returns the value of each group of `rows`, in the order that was asked for. Runs on the request thread.

        Args:
            asked: What the request sent, by parameter.

        Raises: RequestValidationError, when the function says nothing of such a field.
        """
        measured = self._measured(call, function, field)
        rows = _each_once(rows)
        groups = list(asked.get("group_by") or ())
        if not groups:
            if wanted := self._wanted(asked):
                raise _invalid(wanted[0][0], "This is about groups: say by what, group_by.", wanted[0][1])
            return [{"value": _plain(rows.aggregate(value=measured)["value"], function)}]
        return list(self._grouped(call, rows, measured, groups, function, asked))

    def _group(self, call: Call, name: str) -> Any:
        exposure = self._resource.exposure
        if name not in exposure.as_rows:
            return self._groups[name][0]
        return shown_key(exposure.model, exposure.fields[name], call.visibility)

    def _grouped(
        self,
        call: Call,
        rows: QuerySet[Any],
        measured: Any,
        groups: Sequence[str],
        function: Function,
        values: Mapping[str, Any],
    ) -> Iterator[dict[str, Any]]:
        names = {f"_group_{number}": self._group(call, group) for number, group in enumerate(groups)}
        # `values()` before the aggregate is what makes GROUP BY (Django's "Aggregation", order of clauses).
        found = rows.order_by().annotate(**names).values(*names).annotate(_value=measured)
        order = [_order_of(name, groups) for name in values.get("order_by") or ()]
        for number, (name, wanted) in enumerate(self._wanted(values)):
            column, measure, side = name.rsplit("__", 2)
            measures = {f"_having_{number}": AGGREGATES[measure](self._columns[column].attname)}
            found = found.annotate(**measures).filter(**{f"_having_{number}__{side}": wanted})
        found = found.order_by(*order, *names)
        start = values.get("offset") or 0
        for row in found[start : start + values["limit"]]:
            told = {group: row[f"_group_{number}"] for number, group in enumerate(groups)}
            yield {"value": _plain(row["_value"], function), **told}

    def _wanted(self, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return [(name, values[name]) for name in self._having() if values.get(name) is not None]

    def _measured(self, call: Call, function: Function, field: str) -> Any:
        if field == ROWS:
            _check(function == "count", function, field)
            return Count("pk")
        if field in self._relations:
            number = count_of(call.visibility, self._resource.model, field)
            # A row's own number is counted already: their count is the sum of it.
            return Sum(number, default=0) if function == "count" else AGGREGATES[function](number)
        column = self._columns[field]
        _check(function not in ("sum", "avg") or kind_of(column) not in _ORDERED, function, field)
        return Avg(column.attname) if function == "avg" else AGGREGATES[function](column.attname)


def _each_once(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Returns `rows` as a plain queryset, where a hook's own would be counted otherwise than it is listed."""
    query = rows.query
    # DISTINCT and GROUP BY would be of the groups, and subqueries for a row would find none around them.
    if not (query.distinct or query.annotations or query.group_by):
        return rows
    found: QuerySet[Any] = rows.model._base_manager.using(rows.db).filter(pk__in=rows.order_by().values("pk"))
    return found


def _check_names(
    resource: Resource, argument: str, names: Sequence[str] | None, known: Collection[str], why: str
) -> None:
    for name in names or ():
        if name not in known:
            told = did_you_mean(name, known, f"There are {', '.join(known)}.")
            hidden = resource.exposure.why_hidden(argument, name)
            raise ConfigurationError(f"{resource.label}: {hidden or f'{argument} names {name!r}, {why}. {told}'}")


def _is_measured(found: Any) -> bool:
    kinds = {"integer", "number", "duration", *_ORDERED}
    return kind_of(found) in kinds and not found.primary_key and not found.is_relation


def _groups(resource: Resource) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What rows can be grouped by: choices, flags and foreign keys as they are, dates by their parts."""
    for name, found in resource.exposure.fields.items():
        kind = kind_of(found)
        if kind in ("choice", "boolean") or (found.is_relation and kind is not None):
            yield name, (F(found.attname), stored_type(found))
        elif kind in ("date", "datetime"):
            for part in PARTS:
                yield f"{name}__{part}", (_EXTRACTS[part](found.attname), int)


def _order_of(name: str, groups: Sequence[str]) -> Any:
    sign, plain = ("-", name[1:]) if name.startswith("-") else ("", name)
    if plain == "value":
        target = F("_value")
        return target.desc(nulls_last=True) if sign else target.asc(nulls_last=True)
    if plain not in groups:
        raise _invalid("order_by", f"Order by value, or by what the rows are grouped by: {', '.join(groups)}.", name)
    # By a name of ours: `name__year` would be split into a lookup.
    target = F(f"_group_{groups.index(plain)}")
    return target.desc(nulls_last=True) if sign else target.asc(nulls_last=True)


def _check(passes: bool, function: str, field: str) -> None:
    if not passes:
        raise _invalid("function", f"There is no {function} of {field!r}.", function, "path")


def _invalid(name: str, told: str, value: Any, where: str = "query") -> RequestValidationError:
    return RequestValidationError([{"type": "invalid_aggregate", "loc": (where, name), "msg": told, "input": value}])


def _plain(value: Any, function: Function) -> Any:
    # Averages of whole numbers are Decimals on one database and floats on another.
    return float(value) if function == "avg" and isinstance(value, int | Decimal) else value
