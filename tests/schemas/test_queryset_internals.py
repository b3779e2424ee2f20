"""The names of Django's that are not public: they are there, and without them nothing but speed is lost.

Holds `schemas/reading/ways.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Prefetch, QuerySet
from django.db.models.sql import Query

from djfast_mount.schemas import queryset_internals
from project.firm.models import Company, Department, Person
from schemas.firm_schemas import CompanySchema, DepartmentWithCompany

pytestmark = pytest.mark.django_db

OF_QUERYSETS = [
    "_fields",
    "_fetch_all",
    "_result_cache",
    "_iterable_class",
    "_prefetch_related_lookups",
    "_known_related_objects",
    "_db",
]


@pytest.mark.parametrize("name", OF_QUERYSETS)
def test_the_name_is_there(name: str) -> None:
    """Django has it, so that the plan is taken at all."""
    assert hasattr(Company.objects.all(), name)
    assert hasattr(Query(Company), "_filtered_relations")
    assert queryset_internals.is_plain(Company.objects.all())


def test_prefetched_rows_have_a_cache(firm: None) -> None:
    """Django keeps prefetched rows where they are forgotten after a write."""
    found: Any = Company.objects.prefetch_related("departments")[0]
    assert "departments" in found._prefetched_objects_cache
    queryset_internals.forget(found, Company._meta.get_field("departments"))
    assert found._prefetched_objects_cache == {}


class Without:
    """Stands for a queryset that lacks a name."""

    def __init__(self, rows: QuerySet[Any], name: str) -> None:
        self._rows = rows
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._rows, name)


@pytest.mark.parametrize("name", ["_result_cache", "_iterable_class", "_prefetch_related_lookups", "_db"])
def test_without_the_name_a_queryset_counts_as_evaluated(name: str) -> None:
    """A queryset of which that cannot be told is not read by the plan."""
    assert not queryset_internals.is_plain(Without(Company.objects.all(), name))  # type: ignore[arg-type]


def test_rows_are_the_same_where_querysets_count_as_evaluated(firm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read without the door is what is read with it."""
    expected = CompanySchema.read(Company.objects.all())
    monkeypatch.setattr("djfast_mount.schemas.reading.ways.is_plain", lambda rows: False)
    assert CompanySchema.read(Company.objects.all()) == expected


def test_callers_prefetches_are_honoured(firm: None) -> None:
    """A prefetch with a queryset of its own says which rows are nested, and costs no query for each."""
    chosen = Prefetch("departments", queryset=Department.objects.filter(code="s").only("name"))
    [acme, *_] = CompanySchema.read(Company.objects.prefetch_related(chosen))
    assert [department.code for department in acme.departments] == ["s"]


def test_deferred_columns(firm: None, django_assert_num_queries: Any) -> None:
    """Deferred columns of evaluated rows are fetched by one query, and not by one for each row."""
    rows = list(Company.objects.only("id"))
    with django_assert_num_queries(3):
        assert [company.name for company in CompanySchema.read(rows)] == ["Acme", "Bare", "Void"]


def test_a_prefetch_of_one_row_with_a_queryset_is_not_joined(firm: None) -> None:
    """A relation to one row that the caller prefetches has the rows of the caller's queryset, and None for others."""
    Department.objects.filter(code="s").update(head=Person.objects.create(email="head@x.org", name="head"))
    nobody = Prefetch("head", queryset=Person.objects.exclude(name="head"))
    rows = Department.objects.filter(code="s")
    assert [item.head.name for item in DepartmentWithCompany.read(rows)] == ["head"]  # type: ignore[union-attr]
    assert [item.head for item in DepartmentWithCompany.read(rows.prefetch_related(nobody))] == [None]


def test_the_names_of_prefetches_are_those_of_joins() -> None:
    """A prefetch names the attribute of a relation, and a join its query name: they are one relation."""
    rows = Person.objects.prefetch_related(Prefetch("badge", Person.badge.related.related_model.objects.all()))
    assert queryset_internals.own_prefetches(rows) == {"badge"}
    assert queryset_internals.own_prefetches(Company.objects.prefetch_related("departments")) == set()
