"""Cursors: what a walk over pages finds while others write, and which texts are no cursors.

Holds `crud/pages/cursor_text.py`, `crud/pages/cursors.py`, `crud/query/order_expressions.py`, `crud/query/ordering.py`
and `crud/query/terms.py`.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.core import signing
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from fastapi.exceptions import RequestValidationError

from crud.serving import Api, ok, served
from crud.zoo import COMPANIES, company
from djfast_mount.crud import ModelRouter
from djfast_mount.crud.access.rows_in_answers import first_items_of, items_of
from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.crud.pages.cursors import Cursor
from djfast_mount.crud.pages.paging import Asked, Part
from djfast_mount.crud.query.order_expressions import prepared
from djfast_mount.crud.query.ordering import Ordering
from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.reading import ways
from djfast_mount.schemas.reading.first import First
from project.companies.models import Company, CompanyDepartment
from project.firm.models import Company as Firm

# `nox -s cursors` asks for 1,000 of each.
ORDERS = int(os.environ.get("TEST_CURSOR_ORDERS", "12"))
ORDERING = Ordering(COMPANIES)

pytestmark = pytest.mark.django_db


class FirmSchema(ModelSchema[Firm]):
    class Meta:
        fields = ["id", "name", "motto"]


class DepartmentSchema(ModelSchema[CompanyDepartment]):
    class Meta:
        fields = ["id", "name"]


class OwnerSchema(ModelSchema[Company]):
    class Meta:
        fields = ["id", "founded"]


class Planned(ModelSchema[Company]):
    owner: OwnerSchema | None
    departments: list[DepartmentSchema]

    class Meta:
        fields = ["id", "founded"]


class ByInstances(Planned):
    class Meta:
        way = "instances"


class OwnRead(Planned):
    @classmethod
    def read(cls, rows: Any, **options: Any) -> Any:
        return super().read(rows, **options)


class Items:
    def __init__(self, schema: type[Planned]) -> None:
        self.schema = schema

    def items(self, rows: QuerySet[Any]) -> list[Any]:
        return items_of(self.schema, rows, Visibility())

    def first_items(self, rows: QuerySet[Any], limit: int, names: Sequence[str]) -> First:
        return first_items_of(self.schema, rows, Visibility(), limit, names)


WAYS = pytest.mark.parametrize("schema", [Planned, ByInstances, OwnRead])


def page(order: list[str], cursor: str | None, limit: int, schema: type[Planned] = Planned) -> Part:
    terms = ORDERING.terms(order)
    values = {"limit": limit, "cursor": cursor or ""}
    asked = Asked(values, terms, [("order_by", name) for name in order], "/companies")
    return Cursor().part(prepared(Company.objects.all(), terms, Visibility()), asked, Items(schema))


def walk(order: list[str], limit: int, schema: type[Planned] = Planned) -> Iterator[list[Planned]]:
    part = page(order, None, limit, schema)
    yield part.items
    while part.next is not None:
        part = page(order, part.next, limit, schema)
        yield part.items


def some_order(chance: random.Random) -> list[str]:
    names = [name for name in ORDERING.choices if not name.startswith("-")]
    return [chance.choice(["", "-"]) + name for name in chance.sample(names, chance.randint(1, 4))]


def some_rows(chance: random.Random, numbers: Iterator[int]) -> list[Company]:
    owners: list[Company] = []
    for _ in range(18):
        row = company(next(numbers), chance, owners)
        owners.append(row)
        for number in range(chance.choice([0, 0, 1, 2])):
            row.departments.create(name=f"d{number}")
    return owners


@pytest.mark.parametrize("seed", range(ORDERS))
def test_nothing_is_lost_or_repeated(seed: int) -> None:
    """Rows that are there all the time come once each, others at most once, in any order and with any page size."""
    chance, numbers = random.Random(seed), itertools.count()
    rows = some_rows(chance, numbers)
    order, limit, schema = some_order(chance), chance.randint(1, 7), chance.choice([Planned, Planned, ByInstances])
    by_owner = any("owner" in name for name in order)
    living = {row.pk: row for row in rows}
    steady = set(living)
    seen: list[int] = []
    for number, items in enumerate(walk(order, limit, schema)):
        seen += [row.id for row in items]
        if number >= len(rows) // 3:
            continue  # or a list of which each page has one row would never end
        company(next(numbers), chance, list(living.values()))
        gone = chance.choice(list(living))
        Company.objects.filter(pk=gone).delete()
        # What it owned has another place now, in an order by the owner.
        steady -= {gone, *(row.pk for row in rows if by_owner and row.owner_id == gone)}
        del living[gone]
    assert len(steady) > 2
    assert steady <= set(seen)
    counted = [pk for pk in seen if pk in steady]
    assert len(counted) == len(set(counted))


@pytest.mark.parametrize("seed", range(ORDERS))
def test_the_order_is_the_databases(seed: int) -> None:
    """The pages together are the list as one statement orders it, and backward they are the same pages."""
    chance = random.Random(seed)
    some_rows(chance, itertools.count())
    order, limit, schema = some_order(chance), chance.randint(1, 7), chance.choice([Planned, Planned, ByInstances])
    terms = ORDERING.terms(order)
    whole = prepared(Company.objects.all(), terms, Visibility()).order_by(*(term.ordered() for term in terms))
    forward, part = [], page(order, None, limit, schema)
    while True:
        forward.append([row.id for row in part.items])
        if part.next is None:
            break
        part = page(order, part.next, limit, schema)
    assert list(itertools.chain(*forward)) == [row.pk for row in whole]
    backward = [[row.id for row in part.items]]
    while "prev" in part.links:
        part = page(order, part.links["prev"]["cursor"], limit, schema)
        backward.append([row.id for row in part.items])
    assert list(itertools.chain(*reversed(backward))) == [row.pk for row in whole]


@WAYS
@pytest.mark.parametrize("seed", range(4))
def test_each_way_has_the_same_pages(seed: int, schema: type[Planned]) -> None:
    """Items, cursors and links of a page are those that two queries have, one for the values and one for the rows."""
    chance = random.Random(seed)
    some_rows(chance, itertools.count())
    order, limit = some_order(chance), chance.randint(1, 7)
    cursor: str | None = None
    while True:
        found, wanted = page(order, cursor, limit, schema), page(order, cursor, limit, OwnRead)
        assert [item.model_dump() for item in found.items] == [item.model_dump() for item in wanted.items]
        assert read_links(found) == read_links(wanted)
        assert (found.next is None) == (wanted.next is None)
        if found.next is None:
            break
        cursor = found.next


def read_links(part: Part) -> dict[str, Any]:
    return {
        name: signing.loads(sent["cursor"], salt="djfast_mount.crud.cursor") if sent else None
        for name, sent in part.links.items()
    }


@pytest.mark.parametrize(("schema", "queries"), [(Planned, 2), (ByInstances, 3), (OwnRead, 3)])
def test_queries_of_a_page(schema: type[Planned], queries: int) -> None:
    """A page by the plan takes no query for its cursor; where instances are made it takes one."""
    some_rows(random.Random(3), itertools.count())
    order = ["-owner__founded", "departments__count", "name"]
    with CaptureQueriesContext(connection) as caught:
        part = page(order, None, 3, schema)
    assert len(part.items) == 3
    assert len(caught) == queries


@pytest.mark.parametrize("schema", [ByInstances, OwnRead])
def test_a_row_that_goes_while_its_page_is_read(schema: type[Planned], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missing on the page, no row of the next page stands in for it, and the cursor leads on behind its place."""
    for number in range(5):
        Company.objects.create(tenant_id=1, name=f"n{number}", slug=f"n{number}")
    read = ways.read

    def late(*args: Any) -> Any:
        Company.objects.filter(name="n1").delete()
        return read(*args)

    monkeypatch.setattr(ways, "read", late)
    part = page(["name"], None, 2, schema)
    assert [item.id for item in part.items] == [Company.objects.get(name="n0").pk]
    following = page(["name"], part.next, 2, schema)
    assert [item.id for item in following.items] == [Company.objects.get(name=name).pk for name in ("n2", "n3")]


@pytest.mark.parametrize("order", [["founded"], ["-founded"], ["-owner__founded", "size"]])
def test_nulls_come_last(order: list[str]) -> None:
    """Rows without the value follow those with it, whichever the direction."""
    some_rows(random.Random(1), itertools.count())
    found = [row for items in walk(order, 4) for row in items]
    named = [row.founded if "owner" not in order[0] else row.owner and row.owner.founded for row in found]
    nulls = [value is None for value in named]
    assert nulls == sorted(nulls)
    assert any(nulls)
    assert not all(nulls)


def refused(cursor: str, order: list[str]) -> str:
    with pytest.raises(RequestValidationError) as caught:
        page(order, cursor, 2)
    [error] = caught.value.errors()
    assert error["loc"] == ("query", "cursor")
    return str(error["msg"])


def test_what_is_no_cursor() -> None:
    """A text of one's own, one of another order, version or key, and one with other values are refused in words."""
    some_rows(random.Random(2), itertools.count())
    cursor = page(["name"], None, 2).next
    assert cursor is not None
    version, bound_to, backward, values = signing.loads(cursor, salt="djfast_mount.crud.cursor")
    assert "another order" in refused(cursor, ["-name"])
    assert "not made by this site" in refused(cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), ["name"])
    assert "not made by this site" in refused("x", ["name"])

    def made(*parts: Any) -> str:
        return signing.dumps(list(parts), salt="djfast_mount.crud.cursor")

    assert "another version" in refused(made(version + 1, bound_to, backward, values), ["name"])
    assert "does not fit" in refused(made(version, bound_to, backward, [1, "x"]), ["name"])
    assert "another order" in refused(made(version, bound_to, backward, []), ["name"])
    assert "not made by this site" in refused(made(1), ["name"])


def test_long_texts_make_no_long_cursor(root_path: str) -> None:
    """A list by texts of any length is walked forward and back, by cursors that fit into a header."""
    if connection.vendor == "mysql":
        pytest.skip("MySQL orders by the beginnings of texts")
    router = ModelRouter(FirmSchema, prefix="/firms", update=True, delete=True, page=Cursor(limit=2))
    client = Api(served(router), root_path)
    texts = ["x" * 9000 + end for end in "abcde"]
    for number, motto in enumerate(reversed(texts)):
        Firm.objects.create(name=str(number), motto=motto)
    asked = "/firms?order_by=motto&order_by=name"
    seen, page = [], client.get(asked)
    while True:
        seen += [item["name"] for item in ok(page)["items"]]
        assert len(page.headers["Link"]) < 4096
        if "next" not in page.links:
            break
        page = client.get(page.links["next"]["url"].partition("/api")[2])
    assert seen == ["4", "3", "2", "1", "0"]
    before = ok(client.get(page.links["prev"]["url"].partition("/api")[2]))
    assert [item["name"] for item in before["items"]] == ["2", "1"]
    # The place is the row's own: without it, or with another text, there is none.
    behind_3 = ok(client.get(asked))["next"]
    Firm.objects.filter(name="3").update(motto="other")
    [error] = ok(client.get(f"{asked}&cursor={behind_3}"), 422)["detail"]
    assert "was changed, or is gone" in error["msg"]
    Firm.objects.filter(name="3").delete()
    assert ok(client.get(f"{asked}&cursor={behind_3}"), 422)["detail"] == [error]


def test_texts_that_differ_late(root_path: str) -> None:
    """Rows come once each, forward and back, where texts differ behind what MySQL looks at to order them."""
    client = Api(served(ModelRouter(FirmSchema, prefix="/firms", page=Cursor(limit=2))), root_path)
    for number, end in enumerate("edcba"):
        Firm.objects.create(name=str(number), motto="x" * 9000 + end)
    for order in ("motto", "-motto"):
        page = client.get(f"/firms?order_by={order}&order_by=name")
        pages = [[item["name"] for item in ok(page)["items"]]]
        while "next" in page.links:
            page = client.get(page.links["next"]["url"].partition("/api")[2])
            pages.append([item["name"] for item in ok(page)["items"]])
        assert sorted(itertools.chain(*pages)) == list("01234")
        for before in reversed(pages[:-1]):
            page = client.get(page.links["prev"]["url"].partition("/api")[2])
            assert [item["name"] for item in ok(page)["items"]] == before


def test_the_statement_uses_an_index() -> None:
    """For columns without nulls the order is plain: nothing stands between the column and its index."""
    terms = ORDERING.terms(["slug"])
    rows = prepared(Company.objects.all(), terms, Visibility()).order_by(*(term.ordered() for term in terms))
    order = str(rows.query).partition("ORDER BY")[2].replace("`", '"').replace('"companies_company".', "")
    assert order.replace('"', "").split() == ["slug", "ASC,", "id", "ASC"]
