"""Filters: each one against an oracle in Python, their opposites, and what cannot be asked.

Holds `crud/access/visibility.py`, `crud/query/conditions.py`, `crud/query/filters.py`, `crud/query/list_query.py`,
`crud/query/parameters.py` and `crud/query/measures.py`.
"""

from __future__ import annotations

import datetime
import itertools
import random
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone
from pydantic import Field, TypeAdapter, ValidationError, create_model

from crud.resources import companies
from crud.serving import Api, ok, served
from crud.zoo import COMPANIES, company
from djfast_mount.crud import ModelRouter
from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.query.conditions import condition_of
from djfast_mount.crud.query.filters import Filters
from djfast_mount.crud.query.parameters import Parameter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, Label

ALL = Filters(COMPANIES, "all")
NUMBERS = {"count": len, "sum": sum, "min": min, "max": max, "avg": lambda found: float(sum(found)) / len(found)}

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> list[Company]:
    chance, numbers = random.Random(7), itertools.count()
    labels = [Label.objects.create(name=name) for name in ("red", "blue")]
    made: list[Company] = []
    for _ in range(14):
        row = company(next(numbers), chance, made)
        row.labels.set(chance.sample(labels, chance.randint(0, 2)))
        for number in range(chance.randint(0, 3)):
            department = row.departments.create(
                name=chance.choice(["ab", "B"]) + str(number),
                size=chance.choice([1, 5]),
                budget=chance.choice([None, 1, 5]),
            )
            for _ in range(chance.randint(0, 2)):
                department.teams.create(name=chance.choice(["x", "y"]))
        made.append(row)
    return made


def related(row: Any, name: str) -> list[Any]:
    found = getattr(row, name)
    return list(found.all()) if hasattr(found, "all") else [found] if found is not None else []


def part(value: Any, name: str) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        value = timezone.localtime(value)
    if name == "date":
        return value.date()
    if name == "week_day":
        return value.isoweekday() % 7 + 1
    if name == "week":
        return value.isocalendar()[1]
    return (value.month + 2) // 3 if name == "quarter" else getattr(value, name)


def compared(value: Any, lookup: str, wanted: Any) -> bool:
    if lookup == "isnull":
        return (value is None) is wanted
    if value is None:
        return False
    if lookup == "icontains":
        return wanted.lower() in value.lower()
    if lookup == "in":
        return getattr(value, "pk", value) in wanted
    return {"gte": value >= wanted, "lte": value <= wanted, "": value == wanted}[lookup]


def matches(row: Any, parameter: Parameter, path: tuple[str, ...], wanted: Any) -> bool:
    """What the parameter means, by walking over the rows."""
    if path:
        return any(matches(below, parameter, path[1:], wanted) for below in related(row, path[0]))
    name, *further = parameter.lookup.split("__")
    if parameter.measure is not None:
        found = related(row, name)
        if parameter.measured is not None:
            found = [value for item in found if (value := getattr(item, parameter.measured)) is not None]
            if not found:
                return False
        return compared(NUMBERS[parameter.measure](found), "".join(further), wanted)
    value = getattr(row, name)
    lookup = further.pop() if further and further[-1] in ("isnull", "icontains", "in", "gte", "lte") else ""
    for each in further:
        value = part(value, each)
    return compared(value, lookup, wanted)


def some_value(parameter: Parameter, rows: list[Company], chance: random.Random) -> Any:
    """A value for it that some rows have, more often than not."""
    if parameter.lookup.endswith("isnull"):
        return chance.random() < 0.5
    if parameter.lookup.endswith("icontains"):
        return chance.choice(["a", "B", "x", "c-1"])
    if parameter.measure is not None:
        return chance.randint(0, 6)
    name, *further = parameter.lookup.split("__")
    found: list[Any] = list(rows)
    for step in parameter.path:
        found = [below for row in found for below in related(row, step)]
    values = [getattr(row, name) for row in found]
    for each in further:
        values = values if each in ("gte", "lte", "in") else [part(value, each) for value in values]
    values = [getattr(value, "pk", value) for value in values if value is not None] or [1]
    return chance.sample(values, 1) * 2 if parameter.repeated else chance.choice(values)


def asked(values: dict[str, Any], visibility: Visibility | None = None) -> list[int]:
    condition = condition_of(ALL, values, visibility or Visibility())
    return sorted(Company.objects.filter(condition).values_list("pk", flat=True))


def test_every_filter_means_what_it_says(rows: list[Company]) -> None:
    """For every parameter that there is: the rows are those that Python finds, each once, and its opposite has the
    others."""
    chance = random.Random(3)
    assert len(ALL.parameters) > 120
    told = []
    for name, parameter in ALL.parameters.items():
        wanted = some_value(parameter, rows, chance)
        expected = sorted(row.pk for row in rows if matches(row, parameter, parameter.path, wanted))
        others = sorted({row.pk for row in rows} - set(expected))
        if (asked({name: wanted}), asked({f"!{name}": wanted})) != (expected, others):
            told.append((name, wanted))
    assert told == []


def test_one_related_row_passes_all_of_them(rows: list[Company]) -> None:
    """Parameters of one relation speak of the same related row, not of one each."""
    row = rows[0]
    row.departments.all().delete()
    row.departments.create(name="big", size=100)
    row.departments.create(name="small", size=-100)
    assert row.pk in asked({"departments__name": ["big"], "departments__size__gte": 100})
    assert row.pk not in asked({"departments__name": ["small"], "departments__size__gte": 100})


def test_what_cannot_be_seen_matches_nothing(rows: list[Company]) -> None:
    """A filter, a number and a sum know only the related rows that may be seen."""
    visibility = Visibility()
    visibility.add(COMPANIES.related["departments"].model, Q(size=5))
    row = rows[0]
    row.departments.all().delete()
    row.departments.create(name="hidden", size=100)
    row.departments.create(name="shown", size=5)
    assert row.pk not in asked({"departments__name": ["hidden"]}, visibility)
    assert row.pk in asked({"departments__name": ["shown"]}, visibility)
    assert row.pk in asked({"departments__count": 1}, visibility)
    assert row.pk in asked({"departments__size__sum__lte": 5.0, "departments__size__sum__gte": 5.0}, visibility)
    visibility.add(Label, Q(name="red"))
    row.labels.set(Label.objects.all())
    assert row.pk in asked({"labels__count": 1}, visibility)
    assert row.pk not in asked({"labels__name": ["blue"]}, visibility)


SIDES = ("", "__gte", "__lte")
COUNTED = [f"{part}{side}" for part in ("year", "quarter", "month", "day", "week", "week_day") for side in SIDES]
DJFAPI = {
    "D1": ["!name", "!founded__year__gte", "!departments__count__gte", "!departments__teams__name"],
    "D2": ["founded__isnull", "owner__isnull", "departments__budget__isnull"],
    "D3": ["name", "name__icontains"],
    "D4": ["status", "id"],
    "D5": ["size", "size__gte", "size__lte", "rating", "rating__gte", "rating__lte"],
    "D6": ["founded", "founded__gte", "founded__lte", *(f"founded__{name}" for name in COUNTED)],
    "D7": [
        "created__date",
        "created__date__gte",
        "created__date__lte",
        *(f"created__date__{name}" for name in COUNTED),
    ],
    "D8": ["owner__id"],
    "D9": ["departments__count", "departments__count__gte", "departments__count__lte", "labels__count__gte"],
    "D10": ["departments__name", "departments__teams__name", "labels__name", "owner__founded__year__gte"],
}


@pytest.mark.parametrize("row", DJFAPI)
def test_the_parameters_of_djfapi(row: str) -> None:
    """Each parameter that djfapi made for a kind of field is there, and may be repeated where it was."""
    filters = Filters(COMPANIES, "all", skip={"tenant_id"})
    names = {*filters.fields(opposites=False), *filters.fields(opposites=True)}
    assert set(DJFAPI[row]) <= names
    repeated = {"D4": ["status", "id"], "D8": ["owner__id"]}.get(row, [])
    assert all(filters.parameters[name].repeated for name in repeated)
    assert not any("tenant_id" in name for name in names)


def test_the_default_is_readable() -> None:
    """Unasked there are the resource's own fields and the numbers of related rows, each with its opposite."""
    few = Filters(COMPANIES)
    assert {
        "name",
        "labels__id",
        "name__icontains",
        "status",
        "size__gte",
        "founded__isnull",
        "departments__count__gte",
    } <= set(few.parameters)
    assert not {"secret", "departments__name", "founded__year", "tenant_id"} & set(few.parameters)
    assert set(few.fields(opposites=True)) == {f"!{name}" for name in few.parameters}


def test_a_choice_of_filters() -> None:
    """Filters can be named one by one, those of related rows too; a name that is none is an error with the nearest."""
    assert list(Filters(COMPANIES, ["departments__teams__name"]).parameters) == ["departments__teams__name"]
    with pytest.raises(ConfigurationError, match="Did you mean 'name__icontains'"):
        Filters(COMPANIES, ["name__icontain"])


def test_names_that_mean_something_else() -> None:
    """A field that is called like a parameter of paging has another name."""
    assert "size__exact" in Filters(COMPANIES, reserved=["size"]).parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", [str(2**63)]),
        ("rating__gte", "1.234"),
        ("rating__gte", "NaN"),
        ("status", ["gone"]),
        ("name", ["a\x00"]),
        ("created__gte", "0001-01-01T00:00:00+23:00"),
        ("name", ["x"] * 1001),
        ("founded__year", "x"),
    ],
)
def test_values_that_no_database_takes(name: str, value: Any) -> None:
    """What would be an error of a database's is one of the request."""
    annotation, settings = ALL.fields(opposites=False)[name]
    model = create_model("Values", value=(annotation, Field(**settings)))
    with pytest.raises(ValidationError):
        model.model_validate({"value": value})


@pytest.mark.parametrize(
    ("zone", "values"),
    [
        ("America/Chicago", {"created__gte": "9999-12-31T23:59:59", "created__date__year": "9999"}),
        ("America/Chicago", {"created__lte": "9999-12-31T20:00:00", "created__date__year__lte": "9999"}),
        ("Asia/Tokyo", {"created__gte": "0001-01-01T00:00:00", "created__date__year": "1"}),
    ],
)
def test_moments_beyond_utc(settings: Any, zone: str, values: dict[str, str]) -> None:
    """A moment or a year of the current zone that is none in UTC is 422, and its neighbour is asked for."""
    settings.TIME_ZONE = zone
    client = Api(served(companies()))
    for name, value in values.items():
        [error] = ok(client.get("/companies", params={name: value}), 422)["detail"]
        assert error["loc"] == ["query", name]
        near = value.replace("9999", "9998").replace("0001", "0002") if value != "1" else "2"
        ok(client.get("/companies", params={name: near}))


def test_years_to_their_ends(settings: Any) -> None:
    """In UTC every year from 1 to 9999 can be asked for."""
    settings.TIME_ZONE = "UTC"
    client = Api(served(companies()))
    for year in (1, 9999):
        ok(client.get("/companies", params={"created__date__year": year, "founded__year": year}))


def test_moments_without_a_zone() -> None:
    """They are in the current zone, as those of Django's forms."""
    found = TypeAdapter(ALL.parameters["created__gte"].annotation).validate_python("2026-01-02T03:04:05")
    assert found == timezone.make_aware(datetime.datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001


class WithTenant(ModelSchema[Company]):
    class Meta:
        fields = ["id", "name", "tenant_id"]


def test_no_name_of_a_column_is_special() -> None:
    """A column called `tenant_id` that the schema shows has its filters, and is summed, like any other."""
    for number in (1, 2):
        Company.objects.create(name=f"c{number}", slug=f"c{number}", tenant_id=number)
    client = Api(served(ModelRouter(WithTenant, prefix="/companies", filters="all")))
    for query in ("tenant_id=2", "!tenant_id=1", "tenant_id__gte=2"):
        assert [row["name"] for row in ok(client.get(f"/companies?{query}"))["items"]] == ["c2"]
    assert ok(client.get("/companies/aggregate/sum/tenant_id"))["values"] == [{"value": 3}]
