"""The first rows of a queryset, and what leads on from them.

Holds `schemas/reading/first.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Count
from django.db.models.functions import Upper

from djfast_mount.schemas import ModelSchema
from project.firm.models import Company
from schemas.firm_schemas import CompanySchema

pytestmark = pytest.mark.django_db


def test_what_the_ends_have(firm: None, django_assert_num_queries: Any) -> None:
    """The values of columns, annotations and aliases come with the rows, and take no query of their own."""
    whole = CompanySchema.read(Company.objects.order_by("-name"))
    rows = Company.objects.alias(loud=Upper("name")).annotate(number=Count("departments")).order_by("-name")
    with django_assert_num_queries(3):
        CompanySchema.read(rows)
    with django_assert_num_queries(3):
        first = CompanySchema.read_first(rows, 2, ["loud", "number", "pk", "name"])
    assert first is not None
    assert first.items == whole[:2]
    assert first.more
    wanted = [
        (row.name.upper(), row.departments.count(), row.pk, row.name) for row in Company.objects.order_by("-name")
    ]
    assert first.ends == wanted[:2]


@pytest.mark.parametrize(("limit", "more"), [(1, True), (2, True), (3, False), (4, False)])
def test_whether_there_is_more(firm: None, limit: int, more: bool) -> None:
    """There is more if there is one row more, and the ends are those of the rows that are shown."""
    names = ["Acme", *sorted(Company.objects.exclude(name="Acme").values_list("name", flat=True))]
    first = CompanySchema.read_first(Company.objects.order_by("name"), limit, ["name"])
    assert first is not None
    assert [item.name for item in first.items] == names[:limit]
    assert first.ends == [(names[0],), (names[:limit][-1],)]
    assert first.more == more


def test_no_rows(db: None) -> None:
    """Without rows there are no ends."""
    assert CompanySchema.read_first(Company.objects.all(), 5, ["name"]) == ([], [], False)


def test_where_one_query_cannot(firm: None) -> None:
    """Nothing is said where instances are made, related rows are chosen, or the schema has a `read` of its own."""

    class ByInstances(CompanySchema):
        class Meta:
            way = "instances"

    class OwnRead(CompanySchema):
        @classmethod
        def read(cls, rows: Any, **options: Any) -> Any:
            return super().read(rows, **options)

    class StaticRead(CompanySchema):
        @staticmethod
        def read(rows: Any, **options: Any) -> Any:
            return CompanySchema.read(rows, **options)

    for schema, rows in (
        (StaticRead, Company.objects.all()),
        (ByInstances, Company.objects.all()),
        (OwnRead, Company.objects.all()),
        (CompanySchema, Company.objects.select_for_update()),
    ):
        assert schema.read_first(rows, 1, ["name"]) is None
    chosen = CompanySchema.read_first(
        Company.objects.all(), 1, ["name"], chosen=lambda found: found.related_model._default_manager.none()
    )
    assert chosen is None


def test_rows_of_another_model(firm: None) -> None:
    """They are refused, as `read` refuses them."""
    departments: Any = Company.objects.get(name="Acme").departments.all()
    with pytest.raises(TypeError, match="was given"):
        CompanySchema.read_first(departments, 1, ["name"])


class _Names(ModelSchema[Company]):
    class Meta:
        fields = ["name"]


def test_a_column_that_the_schema_does_not_show(firm: None) -> None:
    """It is among the ends alone."""
    first = _Names.read_first(Company.objects.order_by("name"), 1, ["motto", "name"])
    assert first is not None
    assert first.items[0].model_dump() == {"name": "Acme"}
    assert first.ends[0] == (Company.objects.get(name="Acme").motto, "Acme")
