"""The plan shows what instances show, where a model or a relation has something of its own in the way.

Holds `schemas/reading/plan.py` and `schemas/reading/reasons.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import models
from django.db.models import QuerySet
from django.db.models.fields.related_descriptors import (
    ForwardManyToOneDescriptor,
    ManyToManyDescriptor,
    ReverseManyToOneDescriptor,
)

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.reading import plan
from djfast_mount.schemas.reading.reasons import NoPlan, of_model, of_relation
from djfast_mount.schemas.reading.ways import plan_for
from project.firm.models import Company, Department, Lodge, Person, Sign, Tag, Team, Warden
from schemas.firm_schemas import PersonSchema

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.usefixtures("db", "other_database"),
]


class TeamName(ModelSchema[Team]):
    class Meta:
        fields = ("name",)


class DepartmentOut(ModelSchema[Department]):
    teams: list[TeamName]

    class Meta:
        fields = ("name",)


class CompanyOut(ModelSchema[Company]):
    departments: list[DepartmentOut]

    class Meta:
        fields = ("name",)


class ByInstances(CompanyOut):
    class Meta(CompanyOut.Meta):
        way = "instances"


class CompanyOfDepartment(ModelSchema[Company]):
    departments: list[DepartmentOut]

    class Meta:
        fields = ("motto",)


class Upwards(ModelSchema[Department]):
    """The lists belong to a joined row."""

    company: CompanyOfDepartment
    head: PersonSchema | None

    class Meta:
        fields = ("name",)


class UpwardsByInstances(Upwards):
    class Meta(Upwards.Meta):
        way = "instances"


class TagName(ModelSchema[Tag]):
    class Meta:
        fields = ("name",)


class WithTags(ModelSchema[Company]):
    tags: list[TagName]

    class Meta:
        fields = ("name",)


class WithTagsByInstances(WithTags):
    class Meta(WithTags.Meta):
        way = "instances"


@pytest.fixture(autouse=True)
def nothing_planned() -> Any:
    """Plans are made anew: a test changes what a plan was made of."""
    plan.plan_of_schema.cache_clear()
    yield
    plan.plan_of_schema.cache_clear()


@pytest.fixture
def rows() -> None:
    """The same keys in both databases, and each row says in which it is."""
    for alias in ("default", "other"):
        for model in (Team, Department, Company):
            model._base_manager.using(alias).all().delete()
        for number, name in enumerate("BC"):
            company = Company.objects.using(alias).create(pk=number + 1, name=name, motto=alias)
            for place in range(2):
                key = 2 * number + place + 1
                # The order of departments is not that of the companies that they belong to.
                department = Department.objects.using(alias).create(
                    pk=10 - key, company=company, name=f"{key} of {alias}", code=str(key)
                )
                Team.objects.using(alias).create(pk=key, department=department, name=f"team {key} of {alias}")


class Sharded:
    """Departments live in `other`; what belongs to a row is where the row is."""

    def db_for_read(self, model: Any, instance: Any = None, **hints: Any) -> str | None:
        if model is Department:
            return "other"
        return None if instance is None else str(instance._state.db)

    def allow_relation(self, *args: Any, **hints: Any) -> bool:
        return True


class ByValue(Sharded):
    """A database that is chosen by values of the row, which no plan selects."""

    def db_for_read(self, model: Any, instance: Any = None, **hints: Any) -> str | None:
        if isinstance(instance, Company):
            return "other" if instance.status == "open" and instance.name == "B" else "default"
        if isinstance(instance, Department):
            return "default" if instance.company.name == "B" and instance.code == "1" else "other"
        return None


class Remembering(Sharded):
    """Writes down who is asked for with which row."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def db_for_read(self, model: Any, instance: Any = None, **hints: Any) -> str | None:
        if instance is not None:
            self.asked.append((model.__name__, str(instance)))
        return None if instance is None else str(instance._state.db)


def by_instances(schema: Any, rows: Any) -> list[Any]:
    return [each.model_dump() for each in schema.read(rows)]


@pytest.mark.parametrize("router", [Sharded(), ByValue()], ids=["by state", "by value"])
@pytest.mark.parametrize(("planned", "instances"), [(CompanyOut, ByInstances), (Upwards, UpwardsByInstances)])
def test_rows_below_are_read_where_django_reads_them(
    router: Any, planned: Any, instances: Any, rows: None, settings: Any
) -> None:
    """A router that looks at a row sees the row that Django shows it, at every depth."""
    settings.DATABASE_ROUTERS = [router]
    asked = planned.__mro__[1].__pydantic_generic_metadata__["args"][0].objects.order_by("pk")
    expected = by_instances(instances, asked.all())
    assert "other" in str(expected)
    assert by_instances(planned, asked.all()) == expected


@pytest.mark.parametrize(("planned", "model"), [(CompanyOut, Company), (Upwards, Department)])
def test_routers_are_shown_the_rows_of_django(planned: Any, model: Any, rows: None, settings: Any) -> None:
    """For each list a router is asked by the first of the rows that the list belongs to, whose columns are there."""
    relations = "departments__teams" if model is Company else "company__departments__teams"
    settings.DATABASE_ROUTERS = [by_django := Remembering()]
    list(model.objects.order_by("pk").prefetch_related(relations))
    settings.DATABASE_ROUTERS = [by_us := Remembering()]
    planned.read(model.objects.order_by("pk"))
    lists = ("Team", "Department")
    expected = {each for each in by_django.asked if each[0] in lists}
    assert expected
    assert {each for each in by_us.asked if each[0] in lists} == expected


def test_without_a_list_routers_leave_the_plan(rows: None, settings: Any) -> None:
    """What is joined is of one database: routers are no reason there."""
    settings.DATABASE_ROUTERS = [Sharded()]

    class Names(ModelSchema[Department]):
        class Meta:
            fields = ("name",)

    asked = Department.objects.order_by("pk")
    assert plan_for(Names, asked).read(asked)
    with pytest.raises(NoPlan, match="routers"):
        plan_for(CompanyOut, Company.objects.all()).read(Company.objects.all())


def test_a_manager_may_choose_the_database(rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a manager that says `using()` are read from there, and those below them, too."""
    monkeypatch.setattr(
        Department._default_manager, "get_queryset", lambda: QuerySet(Department).using("other"), raising=False
    )
    found = by_instances(CompanyOut, Company.objects.order_by("pk"))
    names = [department["name"] for company in found for department in company["departments"]]
    assert {name.split()[-1] for name in names} == {"other"}
    assert all("of other" in str(department["teams"]) for company in found for department in company["departments"])


# What a project puts between a row and its related rows ---------------------------------------------------------------


def narrowed(kind: Any) -> Any:
    """Returns a class of accessors to many rows that leaves out those that are secret."""

    class OfTenant(kind):  # type: ignore[misc]
        @property
        def related_manager_cls(self) -> Any:
            made = super().related_manager_cls

            class Rows(made):  # type: ignore[misc]
                def get_queryset(self) -> QuerySet[Any]:
                    return super().get_queryset().exclude(name="secret")

                def get_prefetch_querysets(self, instances: Any, querysets: Any = None) -> Any:
                    querysets = querysets or [super().get_queryset().exclude(name="secret")]
                    return super().get_prefetch_querysets(instances, querysets)

            return Rows

    return OfTenant


@pytest.fixture
def secret(rows: None) -> Company:
    company = Company.objects.get(name="B")
    Department.objects.create(company=company, name="secret", code="s")
    company.tags.create(name="secret")
    company.tags.create(name="seen")
    return company


def test_an_accessor_of_its_own_is_asked(secret: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the `related_accessor_class` of a foreign key leaves out is not shown."""
    accessor = narrowed(ReverseManyToOneDescriptor)(Department._meta.get_field("company").remote_field)
    monkeypatch.setattr(Company, "departments", accessor)
    expected = by_instances(ByInstances, Company.objects.order_by("pk"))
    assert "secret" not in str(expected)
    assert by_instances(CompanyOut, Company.objects.order_by("pk")) == expected
    assert of_relation(Company._meta.get_field("departments")) == "Company.departments has an accessor of its own"


def test_an_accessor_of_a_many_to_many_is_asked(secret: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is what that of a many-to-many leaves out."""
    field = Company._meta.get_field("tags")
    monkeypatch.setattr(Company, "tags", narrowed(ManyToManyDescriptor)(field.remote_field))
    expected = by_instances(WithTagsByInstances, Company.objects.order_by("pk"))
    assert "secret" not in str(expected)
    assert by_instances(WithTags, Company.objects.order_by("pk")) == expected
    assert of_relation(field) == "Company.tags has an accessor of its own"


class OfTheOwner(ForwardManyToOneDescriptor):
    def __get__(self, instance: Any, cls: Any = None) -> Any:
        return self if instance is None else None


def test_an_accessor_of_one_row_is_asked(secret: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that the `forward_related_accessor_class` of a foreign key hides is not shown."""
    Department.objects.update(head=Person.objects.create(name="head", email="head@x.org"))
    field = Department._meta.get_field("head")
    monkeypatch.setattr(Department, "head", OfTheOwner(field))
    assert {each.head for each in Upwards.read(Department.objects.all())} == {None}
    assert of_relation(field) == "Department.head has an accessor of its own"


def test_related_rows_of_a_manager_are_asked(secret: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `all()` of a model's manager leaves out is left out of its related rows, which are its subclass."""

    class Visible(models.Manager[Any]):
        def all(self) -> Any:
            return super().all().exclude(name="secret")

    accessor = ReverseManyToOneDescriptor(Department._meta.get_field("company").remote_field)
    visible = Visible()
    visible.model = Department
    monkeypatch.setitem(vars(Department._meta), "default_manager", visible)
    monkeypatch.setattr(Company, "departments", accessor)
    expected = by_instances(ByInstances, Company.objects.order_by("pk"))
    assert "secret" not in str(expected)
    assert by_instances(CompanyOut, Company.objects.order_by("pk")) == expected
    assert of_relation(Company._meta.get_field("departments")) == "Company.departments has related rows of its own"


class TenantKey(models.ForeignKey[Any, Any]):
    def get_joining_fields(self, reverse_join: bool = False) -> Any:
        return super().get_joining_fields(reverse_join)


class TenantRel(models.ManyToOneRel):
    pass


class KeyWithRel(models.ForeignKey[Any, Any]):
    rel_class = TenantRel


class FormKey(models.ForeignKey[Any, Any]):
    def formfield(self, **options: Any) -> Any:
        return super().formfield(**options)


@pytest.mark.parametrize("kind", [TenantKey, KeyWithRel, FormKey])
def test_a_foreign_key_of_its_own(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that may add to its joins is no plan's, from either side; one that has a form field of its own is."""
    field = Department._meta.get_field("company")
    if kind is KeyWithRel:
        monkeypatch.setattr(field.remote_field, "__class__", TenantRel)
    else:
        monkeypatch.setattr(field, "__class__", kind)
    assert (of_relation(field) is None) is (kind is FormKey)
    assert (of_relation(field.remote_field) is None) is (kind is FormKey)


class Masking(models.Model):
    name = models.CharField(max_length=10)

    class Meta:
        abstract = True
        app_label = "firm"

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, "***" if name == "name" else value)


class OtherKey(models.Model):
    class Meta:
        abstract = True
        app_label = "firm"

    pk = property(lambda self: "***")


class Made(models.Model):
    class Meta:
        abstract = True
        app_label = "firm"

    def __new__(cls, *args: Any, **options: Any) -> Any:
        return super().__new__(cls)


@pytest.mark.parametrize("model", [Masking, OtherKey, Made])
def test_a_model_that_changes_its_values_is_made_into_instances(model: Any) -> None:
    """What a model does while its instances are made, or with their keys, is shown."""
    assert of_model(model) is not None
    assert of_model(Company) is None


class WardenName(ModelSchema[Warden]):
    class Meta:
        fields = ("name",)


class SignText(ModelSchema[Sign]):
    class Meta:
        fields = ("text",)


class LodgeOut(ModelSchema[Lodge]):
    warden: WardenName | None
    sign: SignText | None

    class Meta:
        fields = ("name",)


class LodgeByDatabase(LodgeOut):
    class Meta(LodgeOut.Meta):
        way = "database"


@pytest.mark.parametrize("schema", [LodgeOut, LodgeByDatabase])
def test_what_a_base_manager_hides_is_not_joined(schema: type[LodgeOut]) -> None:
    """One row that the base manager of its model hides is None, whichever way and side it is read from."""
    for number, hidden in enumerate((False, True)):
        warden = Warden._base_manager.create(name=f"{number}", hidden=hidden)
        Sign._base_manager.create(lodge=Lodge.objects.create(warden=warden), text=f"{number}", hidden=not hidden)
    for rows in (Lodge.objects.all(), list(Lodge.objects.all())):
        read = [(each.warden and each.warden.name, each.sign and each.sign.text) for each in schema.read(rows)]
        assert read == [("0", None), (None, "1")]
    assert json.loads(schema.read_json(Lodge.objects.all()))[1]["warden"] is None
    assert "Warden has a base manager of its own" in schema.explain()
