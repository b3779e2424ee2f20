"""A resource of a model with a field of every type: each can be shown, ordered by, filtered by and measured.

Holds `crud/query/fields.py` and `crud/query/aggregation.py`.
"""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from jsonschema import Draft202012Validator

from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from project.zoo.models import Animal, Enclosure
from schemas.zoo_schemas import AnimalSchema

pytestmark = pytest.mark.django_db

FUNCTIONS = ("avg", "count", "max", "min", "sum")
URL = "/animals"


@pytest.fixture(scope="module")
def zoo() -> Any:
    return served(ModelRouter(AnimalSchema, prefix=URL, create=True, update=True, delete=True, filters="all"))


@pytest.fixture
def client(zoo: Any, root_path: str) -> Api:
    return Api(zoo, root_path)


def animals() -> None:
    home = Enclosure.objects.create(code="a")
    for number in (1, 2, 3):
        Animal.objects.create(
            small=number,
            positive=number,
            name=f"n{number}",
            address="::1",
            born=datetime.date(2020, 2, number),
            seen=datetime.datetime(2020, 2, number, 12, tzinfo=datetime.UTC),
            fed=datetime.time(number, 30),
            nap=datetime.timedelta(hours=number),
            enclosure=home,
        )
    Animal.objects.create(small=0, positive=0, name="nulls")


def parameters(client: Api, path: str) -> dict[str, Any]:
    operation = ok(client.get("/openapi.json"))["paths"][path]["get"]
    return {each["name"]: each["schema"] for each in operation["parameters"]}


def test_every_measure(client: Api) -> None:
    """Every function of every field has a value, or is refused by 422: over rows, over nulls and over no rows."""
    fields = parameters(client, f"{URL}/aggregate/{{function}}/{{field}}")["field"]["enum"]
    assert {"born", "seen", "fed", "nap", "price", "weight", "double"} <= set(fields)
    for make in (lambda: None, animals):
        make()
        for function, field in itertools.product(FUNCTIONS, fields):
            answer = client.get(f"{URL}/aggregate/{function}/{field}")
            assert answer.status_code in (200, 422), (function, field, answer.text)
            grouped = client.get(f"{URL}/aggregate/{function}/{field}?group_by=born__year&group_by=tame")
            assert grouped.status_code == answer.status_code, (function, field, grouped.text)


def test_measures_of_moments(client: Api) -> None:
    """The least and the most of a date, a moment, a time and a duration are written as in a row."""
    animals()
    [row] = ok(client.get(URL, params={"name": "n1"}))["items"]
    for name in ("born", "seen", "fed", "nap"):
        assert ok(client.get(f"{URL}/aggregate/min/{name}"))["values"] == [{"value": row[name]}]
    assert ok(client.get(f"{URL}/aggregate/sum/nap"))["values"] == [{"value": "PT6H"}]
    assert ok(client.get(f"{URL}/aggregate/avg/nap"))["values"] == [{"value": "PT2H"}]


def test_every_order(client: Api) -> None:
    """Every order is answered, page by page, with each row once."""
    animals()
    orders = parameters(client, URL)["order_by"]["items"]["enum"]
    assert len(orders) > 50
    for order in orders:
        seen, cursor = [], ""
        while cursor is not None:
            found = ok(client.get(URL, params={"limit": 3, "order_by": order, "cursor": cursor}))
            seen += [item["id"] for item in found["items"]]
            cursor = found["next"]
        assert sorted(seen) == sorted(Animal.objects.values_list("pk", flat=True)), order


def test_every_filter(client: Api) -> None:
    """Every filter finds the rows that show the value, and its opposite does not."""
    animals()
    [row] = ok(client.get(URL, params={"name": "n2"}))["items"]
    for name in row.keys() & parameters(client, URL).keys():
        value = row[name]
        if value is None or value == "":
            continue
        found = ok(client.get(URL, params={name: str(value).lower() if isinstance(value, bool) else value}))
        others = ok(client.get(URL, params={f"!{name}": str(value).lower() if isinstance(value, bool) else value}))
        assert row["id"] in [item["id"] for item in found["items"]], name
        assert row["id"] not in [item["id"] for item in others["items"]], name


def test_it_is_written(client: Api) -> None:
    """A row that was read can be sent back whole, and stays as it is."""
    animals()
    for row in ok(client.get(URL))["items"]:
        assert ok(client.put(f"{URL}/{row['id']}", json=row)) == row
        assert ok(client.patch(f"{URL}/{row['id']}", json=row)) == row
    assert Animal.objects.filter(made__lte=timezone.now()).count() == 4


def test_answers_are_as_openapi_says(client: Api) -> None:
    """A row with empty texts is described by the schema: "" is of no format."""
    animals()
    document = ok(client.get("/openapi.json"))
    validator = Draft202012Validator(
        {"$ref": "#/components/schemas/Animal", "components": document["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    for row in ok(client.get(URL))["items"]:
        assert list(validator.iter_errors(row)) == []


def test_sums_that_no_column_holds(client: Api) -> None:
    """Numbers and durations that are each in range, and whose sum is not, are summed, or are 422, by groups too."""
    for _ in range(3):
        Animal.objects.create(
            small=1, positive=1, name="a", big=2**63 - 1, weight=1.7e308, nap=datetime.timedelta(days=10**8)
        )
    for field in ("big", "weight", "nap"):
        for function, query in itertools.product(FUNCTIONS, ("", "?group_by=tame")):
            # Each in a transaction of its own: PostgreSQL takes no more statements in one that has failed.
            with transaction.atomic():
                answer = client.get(f"{URL}/aggregate/{function}/{field}{query}")
                assert answer.status_code in (200, 422), answer.text
                transaction.set_rollback(True)
            assert (answer.status_code, function) != (422, "max")
