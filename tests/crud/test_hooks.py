"""What the hook `queryset` may return, and what is made of it: lists, numbers, and writes that leave it.

Holds the part of `crud/access/call.py` and `crud/query/aggregation.py` that takes the rows of a hook.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count

from crud.resources import CompanySchema, caller, visible
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from project.companies.models import Company, CompanyDepartment

pytestmark = pytest.mark.django_db


def client_of(hook: Callable[[Any], Any], *, asynchronous: bool = False) -> Api:
    options: dict[str, Any] = {"create": True, "update": True, "asynchronous": asynchronous}
    return Api(served(ModelRouter(CompanySchema, prefix="/companies", hooks={"queryset": hook}, **options)))


@pytest.fixture
def firms() -> list[Company]:
    """Three companies of size 10, with two departments each."""
    made = [Company.objects.create(name=name, slug=name, size=10, listed=True) for name in "abc"]
    for each in made:
        each.departments.create(name="x", size=1)
        each.departments.create(name="y", size=1)
    return made


NO_ROWS = {
    "nothing": (lambda call: None, "a NoneType"),
    "a list": (lambda call: [Company(name="a")], "a list"),
    "raw": (lambda call: Company.objects.raw("SELECT * FROM companies_company"), "a RawQuerySet"),
    "another model": (lambda call: CompanyDepartment.objects.all(), "a queryset of CompanyDepartment"),
    "a slice": (lambda call: Company.objects.all()[:2], "is sliced or combined"),
    "a union": (lambda call: Company.objects.filter(pk=1).union(Company.objects.filter(pk=2)), "is sliced or combined"),
    "values": (lambda call: Company.objects.values("name"), r"or has values\(\)"),
}


@pytest.mark.parametrize(("hook", "told"), NO_ROWS.values(), ids=NO_ROWS)
def test_rows_that_no_rule_can_narrow(firms: list[Company], hook: Any, told: str) -> None:
    """What is no queryset of the model that can be filtered is refused in words by every route, and shows no row."""
    row = firms[0].pk
    calls = [("GET", "", None), ("GET", f"/{row}", None), ("GET", "/aggregate/count/*", None), ("PATCH", f"/{row}", {})]
    refused = rf"the hook queryset returned .*{told}.*as in Company.objects.all"
    with client_of(hook) as client:
        for method, path, body in calls:
            with pytest.raises(ConfigurationError, match=refused):
                client.request(method, f"/companies{path}", json=body)


@pytest.mark.parametrize(
    "hook",
    [
        lambda call: Company.objects,
        lambda call: Company.objects.filter(departments__size__gte=1).distinct(),
        lambda call: Company.objects.annotate(number=Count("departments")).filter(number=2),
        lambda call: Company.objects.order_by("-size").distinct(),
    ],
    ids=["manager", "distinct over a join", "annotated", "distinct"],
)
def test_numbers_are_of_the_rows_that_are_listed(firms: list[Company], hook: Any) -> None:
    """Whatever a hook joins or adds up, each row is listed and measured once, also by groups and by related rows."""
    with client_of(hook) as client:
        assert len(ok(client.get("/companies?total=true"))["items"]) == 3
        for what, value in (("count/*", 3), ("sum/size", 30), ("sum/departments", 6), ("max/departments", 2)):
            assert ok(client.get(f"/companies/aggregate/{what}"))["values"] == [{"value": value}]
            [group] = ok(client.get(f"/companies/aggregate/{what}?group_by=status"))["values"]
            assert group == {"value": value, "status": "open"}
        assert ok(client.patch(f"/companies/{firms[0].pk}", json={"size": 11}))["size"] == 11


def test_a_row_that_comes_twice(firms: list[Company]) -> None:
    """A hook that joins without distinct() is named, with the remedy."""
    told = r"gives one row several times.*Add distinct"
    with (
        client_of(lambda call: Company.objects.filter(departments__size__gte=1)) as client,
        pytest.raises(ConfigurationError, match=told),
    ):
        client.get(f"/companies/{firms[0].pk}")


def test_a_row_that_comes_twice_in_a_bulk_change(firms: list[Company]) -> None:
    """It is named with the remedy here too, and nothing is changed."""
    with (
        client_of(lambda call: Company.objects.filter(departments__size__gte=1)) as client,
        pytest.raises(ConfigurationError, match=r"gives one row several times.*Add distinct"),
    ):
        client.patch("/companies", json=[{"id": firms[0].pk, "name": "z"}])
    assert not Company.objects.filter(name="z").exists()


def test_one_row_for_several_bodies() -> None:
    """A hook that returns a row that is there already may do so for several bodies of one call."""

    def found_or_made(call: Any, body: Any) -> Company:
        return Company.objects.filter(name=body.name).first() or body.create()

    router = ModelRouter(CompanySchema, prefix="/companies", create=True, hooks={"create_row": found_or_made})
    bodies = [{"name": name, "slug": name} for name in ("a", "b", "a")]
    made = ok(Api(served(router)).post("/companies/bulk", json=bodies), 201)
    assert [each["name"] for each in made] == ["a", "b", "a"]
    assert Company.objects.count() == 2


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_no_write_leaves_the_rows_of_the_hook(firms: list[Company], asynchronous: bool) -> None:
    """A row that the hook would not give afterwards is neither made nor changed: 403, for one row and for several."""
    new = {"name": "new", "slug": "new"}
    row = firms[0].pk
    calls: list[tuple[str, str, Any]] = [
        ("POST", "", new),
        ("POST", "/bulk", [new]),
        ("PATCH", f"/{row}", {"listed": False}),
        ("PUT", f"/{row}", {"name": "a", "slug": "a"}),
        ("PATCH", "", [{"id": row, "listed": False}]),
    ]
    before = list(Company.objects.values())
    with client_of(lambda call: Company.objects.filter(listed=True), asynchronous=asynchronous) as client:
        for method, path, body in calls:
            answer = client.request(method, f"/companies{path}", json=body)
            assert (answer.status_code, "could not see" in answer.text) == (403, True), answer.text
    assert list(Company.objects.values()) == before


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_search_cannot_widen(firms: list[Company], asynchronous: bool) -> None:
    """A hook that searches all rows finds those alone that the caller may see and asked for, in lists and numbers."""
    Company.objects.create(name="a", slug="theirs", tenant_id=2)
    Company.objects.create(name="a", slug="other", size=1)

    def search(call: Any, rows: Any, text: str) -> Any:
        return Company.objects.filter(name=text, departments__size__gte=0) | Company.objects.filter(name=text)

    class Searching(ModelRouter):
        def search_rows(self, call: Any, rows: Any, text: str) -> Any:
            return search(call, rows, text)

    shared: dict[str, Any] = {
        "security": caller,
        "rows": visible,
        "search": ["slug"],
        "filters": "all",
        "asynchronous": asynchronous,
    }
    by_hook = ModelRouter(CompanySchema, prefix="/hook", hooks={"search_rows": search}, **shared)
    with Api(served(by_hook, Searching(CompanySchema, prefix="/class", name="firm", **shared))) as client:
        for path in ("/hook", "/class"):
            found = ok(client.get(f"{path}?search=a&size=10&total=true"))
            assert ([each["slug"] for each in found["items"]], found["total"]) == (["a"], 1)
            assert [each["slug"] for each in ok(client.get(f"{path}?search=a"))["items"]] == ["a", "other"]


def test_a_search_that_has_the_name_of_ours_cannot_widen(firms: list[Company]) -> None:
    """A hook that a decorator gave the name and the module of ours is the project's all the same."""
    Company.objects.create(name="a", slug="theirs", tenant_id=2)

    class Searching(ModelRouter):
        @functools.wraps(ModelRouter.search_rows)
        def search_rows(self, call: Any, rows: Any, text: str) -> Any:
            return Company.objects.filter(name=text)

    router = Searching(CompanySchema, prefix="/c", security=caller, rows=visible, search=["slug"])
    with Api(served(router)) as client:
        assert [each["slug"] for each in ok(client.get("/c?search=a"))["items"]] == ["a"]


def test_a_search_that_returns_nothing(firms: list[Company]) -> None:
    """A hook that finds no queryset is named, with the remedy."""
    router = ModelRouter(CompanySchema, prefix="/c", search=["name"], hooks={"search_rows": lambda *sent: None})
    told = r"the hook search_rows returned a NoneType\. Return those of its rows"
    with Api(served(router)) as client, pytest.raises(ConfigurationError, match=told):
        client.get("/c?search=a")


@pytest.mark.parametrize(
    ("path", "body"), [("/c", {"name": "n", "slug": "n"}), ("/c/bulk", [{"name": "n", "slug": "n"}])]
)
def test_a_creation_that_returns_nothing(path: str, body: Any) -> None:
    """A hook that makes a row and returns none is named, with the remedy, and the row is not kept."""

    def create(call: Any, body: Any) -> None:
        body.create()

    router = ModelRouter(CompanySchema, prefix="/c", create=True, hooks={"create_row": create})
    told = r"the hook create_row returned None\. Return the new row"
    with Api(served(router)) as client, pytest.raises(ConfigurationError, match=told):
        client.post(path, json=body)
    assert not Company.objects.exists()
