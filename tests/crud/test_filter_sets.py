"""FilterSets of django-filter in the place of the filters of the schema."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from crud.resources import CompanySchema, companies
from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, CompanyDepartment, Employee

django_filters = pytest.importorskip("django_filters")
FilterSetFilters: Any = pytest.importorskip("djfast_mount.crud.filter_sets").FilterSetFilters

pytestmark = pytest.mark.django_db


class CompanyFilterSet(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    starts = django_filters.CharFilter(field_name="name", lookup_expr="istartswith")
    size = django_filters.RangeFilter()
    department = django_filters.CharFilter(field_name="departments__name", lookup_expr="icontains")
    status = django_filters.MultipleChoiceFilter(choices=Company.Status.choices)

    class Meta:
        model = Company
        fields = ["listed"]


class OwnColumns(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    class Meta:
        model = Company
        fields = ["name"]


def company(name: str, **values: Any) -> Company:
    return Company.objects.create(**{"name": name, "slug": f"c{Company.objects.count()}", "tenant_id": 1, **values})


def names(client: Api, **params: Any) -> list[str]:
    return [item["name"] for item in ok(client.get("/companies", params=params))["items"]]


def test_a_filter_set(root_path: str) -> None:
    """Its parameters are documented and work, with pages, numbers and orders; no row comes twice."""
    router = ModelRouter(CompanySchema, prefix="/companies", filters=FilterSetFilters(CompanyFilterSet))
    client = Api(served(router), root_path)
    ada, bea = company("Ada", size=1), company("Bea", size=5, status="paused", listed=True)
    for row in (ada, bea):
        row.departments.create(name="ab")
        row.departments.create(name="abc")
    assert names(client, starts="a") == ["Ada"]
    assert names(client, size_min=2, size_max=9) == ["Bea"]
    assert names(client, department="AB", order_by="-name") == ["Bea", "Ada"]
    assert names(client, status=["open", "paused"], listed="true") == ["Bea"]
    assert ok(client.get("/companies/aggregate/count/*", params={"department": "ab"}))["values"] == [{"value": 2}]
    page = ok(client.get("/companies", params={"limit": 1, "department": "ab"}))
    assert names(client, limit=1, department="ab", cursor=page["next"]) == ["Bea"]
    parameters = ok(client.get("/openapi.json"))["paths"]["/companies"]["get"]["parameters"]
    assert {"starts", "size_min", "size_max", "department", "status", "listed"} <= {each["name"] for each in parameters}
    wrong = client.get("/companies", params={"size_min": "x"})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["query", "size"])
    assert client.get("/companies", params={"name": "Ada"}).status_code == 422


def test_it_narrows_what_one_sees() -> None:
    """A FilterSet finds no row that the caller may not see."""
    client = Api(served(companies(filters=FilterSetFilters(OwnColumns))))
    company("Ada", tenant_id=2)
    assert names(client, name="Ada") == []


def test_mistakes() -> None:
    """A FilterSet that orders, is of another model, or asks for rows that may be hidden is refused."""

    class Ordered(django_filters.FilterSet):  # type: ignore[misc,name-defined]
        o = django_filters.OrderingFilter(fields=["name"])

    class OfEmployees(django_filters.FilterSet):  # type: ignore[misc,name-defined]
        class Meta:
            model = Employee
            fields = ["name"]

    for filter_set, told in ((Ordered, "use order_by="), (OfEmployees, "is of Employee, for rows of Company")):
        with pytest.raises(ConfigurationError, match=told):
            ModelRouter(CompanySchema, prefix="/companies", filters=FilterSetFilters(filter_set))
    told = r"The filter 'department' of ModelRouter\(.*\) asks for rows of CompanyDepartment"
    with pytest.raises(ConfigurationError, match=told):
        served(companies(filters=FilterSetFilters(CompanyFilterSet)))


def test_rows_that_are_deleted_softly_are_not_asked_for() -> None:
    """Without rules too, a FilterSet over rows that count as deleted, or are below such, is refused at the start."""

    class ByCompany(django_filters.FilterSet):  # type: ignore[misc,name-defined]
        company = django_filters.CharFilter(field_name="company__name")

    class DepartmentItem(ModelSchema[CompanyDepartment]):
        class Meta:
            fields = ["id", "name"]

    open_to_all: dict[str, Any] = {"security": None, "scopes": None, "rows": None, "related_rows": {}}
    open_to_all |= {"server_values": None}

    def router(below: Any = "default", **options: Any) -> ModelRouter:
        departments = ModelRouter(DepartmentItem, prefix="/departments", filters=below)
        return companies(**{**open_to_all, **options, "children": [departments]})

    for refused in (
        router(filters=FilterSetFilters(CompanyFilterSet)),
        router(FilterSetFilters(ByCompany)),
        router(filters=FilterSetFilters(ByMethod)),
    ):
        with pytest.raises(ConfigurationError, match=r"may not see all|runs code of its own"):
            served(refused)
    with Api(served(router(filters=FilterSetFilters(CompanyFilterSet), delete=True))):
        pass


class ByMethod(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    found = django_filters.CharFilter(method="by_department")

    def by_department(self, rows: Any, name: str, value: str) -> Any:
        return rows.filter(departments__name__startswith=value)


class OwnFilter(django_filters.CharFilter):  # type: ignore[misc,name-defined]
    def filter(self, rows: Any, value: Any) -> Any:
        return rows.filter(departments__name__startswith=value) if value else rows


class NamedAsTheirs(django_filters.CharFilter):  # type: ignore[misc,name-defined]
    @functools.wraps(django_filters.CharFilter.filter)
    def filter(self, rows: Any, value: Any) -> Any:
        return rows.filter(departments__name__startswith=value) if value else rows


class ByDecorator(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    found = NamedAsTheirs()


class ByClass(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    found = OwnFilter()


class ByQueryset(django_filters.FilterSet):  # type: ignore[misc,name-defined]
    found = django_filters.CharFilter(field_name="name")

    def filter_queryset(self, rows: Any) -> Any:
        return rows.filter(departments__name__startswith="a")


@pytest.mark.parametrize(
    ("filter_set", "name"),
    [(ByMethod, "found"), (ByClass, "found"), (ByDecorator, "found"), (ByQueryset, "filter_queryset")],
)
def test_code_of_its_own_is_checked_by_its_author(filter_set: Any, name: str) -> None:
    """Where rows have rules, a filter with code of its own is refused at the start until it is named as checked."""
    with pytest.raises(ConfigurationError, match=f"{name} of .* checked="):
        served(companies(filters=FilterSetFilters(filter_set)))
    company("Ada").departments.create(name="ab")
    company("Bea").departments.create(name="b")
    open_to_all = ModelRouter(CompanySchema, prefix="/companies", filters=FilterSetFilters(filter_set))
    with Api(served(open_to_all)) as client:
        assert "Ada" in names(client)
    with Api(served(companies(filters=FilterSetFilters(filter_set, checked=[name])))) as client:
        assert names(client, found="Ada" if filter_set is ByQueryset else "a") == ["Ada"]
