"""The JSON of the database shows no more than Pydantic does: a schema of which Pydantic does more goes to Python.

Holds `schemas/reading/bare_schemas.py`.
"""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from pydantic import (
    AfterValidator,
    AliasPath,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    TypeAdapter,
    WrapSerializer,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
    validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from djfast_mount.schemas import ModelSchema, Orm
from djfast_mount.schemas.declaring import type_registry
from djfast_mount.schemas.declaring.mapping import as_caller
from djfast_mount.schemas.reading.bare_schemas import reason_to_validate
from djfast_mount.schemas.reading.reasons import of_receivers
from project.firm.models import Company, Department, Person, Team

pytestmark = pytest.mark.django_db

SECRET = "a secret"
MASK = "***"


class Columns:
    """The options of a schema that keeps the motto back."""

    fields = ("name", "motto")
    way = "database"


class Bare(ModelSchema[Company]):
    class Meta(Columns): ...


class DepartmentOut(ModelSchema[Department]):
    class Meta:
        fields = ("name",)


class TeamOut(ModelSchema[Team]):
    class Meta:
        fields = ("name",)


class Nested(ModelSchema[Company]):
    departments: list[DepartmentOut]

    class Meta(Columns): ...


def without_secrets(values: list[Any]) -> list[Any]:
    return [each for each in values if each.name != SECRET]


def masked(value: str) -> str:
    return MASK


class Excluded(ModelSchema[Company]):
    motto: str = Field(exclude=True)

    class Meta(Columns): ...


class ExcludedIf(ModelSchema[Company]):
    motto: str = Field(exclude_if=lambda value: True)

    class Meta(Columns): ...


class ExcludedList(ModelSchema[Company]):
    departments: list[DepartmentOut] = Field(exclude=True)

    class Meta(Columns): ...


class ScopedList(ModelSchema[Company]):
    departments: Annotated[list[DepartmentOut] | None, Orm(read_scopes=["hr"])] = None

    class Meta(Columns): ...


class ScopedColumn(ModelSchema[Company]):
    motto: Annotated[str, Orm(read_scopes=["hr"])]

    class Meta(Columns): ...


class ScopedBelow(ModelSchema[Department]):
    name: Annotated[str, Orm(read_scopes=["hr"])]

    class Meta(Columns):
        fields = ("name",)


class NestsScoped(ModelSchema[Company]):
    departments: list[ScopedBelow]

    class Meta(Columns): ...


class ValidatedList(ModelSchema[Company]):
    departments: Annotated[list[DepartmentOut], AfterValidator(without_secrets)]

    class Meta(Columns): ...


class ValidatedItems(ModelSchema[Company]):
    departments: list[Annotated[DepartmentOut, PlainSerializer(lambda item: MASK)]]

    class Meta(Columns): ...


class ValidatedColumn(ModelSchema[Company]):
    motto: Annotated[str, AfterValidator(masked)]

    class Meta(Columns): ...


class SerializedColumn(ModelSchema[Company]):
    motto: Annotated[str, WrapSerializer(lambda value, handler: MASK)]

    class Meta(Columns): ...


class FieldValidator(ModelSchema[Company]):
    @field_validator("motto")
    @classmethod
    def mask(cls, value: str) -> str:
        return MASK

    class Meta(Columns): ...


class FieldSerializer(ModelSchema[Company]):
    @field_serializer("motto")
    def mask(self, value: str) -> str:
        return MASK

    class Meta(Columns): ...


class ModelValidator(ModelSchema[Company]):
    @model_validator(mode="after")
    def mask(self) -> Any:
        self.motto = MASK
        return self

    class Meta(Columns): ...


class ModelSerializer(ModelSchema[Company]):
    @model_serializer
    def mask(self) -> dict[str, Any]:
        return {"name": self.name}

    class Meta(Columns): ...


class OwnFromRow(ModelSchema[Company]):
    """The validator of ModelSchema itself, overridden by name."""

    @model_validator(mode="before")
    @classmethod
    def _from_row(cls, value: Any) -> Any:
        return {**value, "motto": MASK}

    class Meta(Columns): ...


class Computed(ModelSchema[Company]):
    @computed_field
    def loud(self) -> str:
        return self.name.upper()

    class Meta(Columns): ...


class PostInit(ModelSchema[Company]):
    def model_post_init(self, context: Any) -> None:
        self.motto = MASK

    class Meta(Columns): ...


class Private(ModelSchema[Company]):
    _kept: str = PrivateAttr(default="")

    class Meta(Columns): ...


class Init(ModelSchema[Company]):
    def __init__(self, **values: Any) -> None:
        super().__init__(**{**values, "motto": MASK})

    class Meta(Columns): ...


class CoreSchemaOfItsOwn(ModelSchema[Company]):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(cls.mask, handler(source))

    @staticmethod
    def mask(value: Any) -> Any:
        value.motto = MASK
        return value

    class Meta(Columns): ...


class Mixin:
    def model_dump_json(self, **options: Any) -> str:
        return MASK


class Dumping(Mixin, ModelSchema[Company]):
    class Meta(Columns): ...


class Upper(ModelSchema[Company]):
    model_config = ConfigDict(str_to_upper=True)

    class Meta(Columns): ...


class Skipped(ModelSchema[Company]):
    """No row has it: Python shows the default."""

    more: Annotated[str, Orm(None)] = "more"

    class Meta(Columns): ...


class CrossedAliases(ModelSchema[Company]):
    """Pydantic takes the motto by its alias, which is the name."""

    motto: str = Field(alias="name")

    class Meta(Columns): ...


class DeepAlias(ModelSchema[Company]):
    motto: str = Field(default=MASK, validation_alias=AliasPath("deep", "motto"))

    class Meta(Columns): ...


with warnings.catch_warnings(action="ignore"):

    class OldValidator(ModelSchema[Company]):
        @validator("motto", check_fields=False)
        def mask(cls, value: str) -> str:  # noqa: N805
            return MASK

        class Meta(Columns): ...

    class Encoders(ModelSchema[Company]):
        model_config = ConfigDict(json_encoders={str: masked})

        class Meta(Columns): ...


KEPT_BACK = [
    *(Excluded, ExcludedIf, ExcludedList, ScopedList, ScopedColumn, NestsScoped, ValidatedList, ValidatedItems),
    *(ValidatedColumn, SerializedColumn, FieldValidator, FieldSerializer, ModelValidator, ModelSerializer, OwnFromRow),
    *(Computed, PostInit, Private, Init, CoreSchemaOfItsOwn, Dumping, Upper, Skipped, CrossedAliases, DeepAlias),
    *(OldValidator, Encoders),
]


def by_python(schema: Any) -> Any:
    """What FastAPI answers with a list of `schema`."""
    adapter = TypeAdapter(list[schema])
    with warnings.catch_warnings(action="ignore"):
        return json.loads(adapter.dump_json(schema.read(Company.objects.all()), by_alias=True))


@pytest.fixture
def company() -> Company:
    company = Company.objects.create(name="C", motto=SECRET)
    Department.objects.create(company=company, code="c", name=SECRET)
    return company


@pytest.mark.parametrize("schema", KEPT_BACK)
def test_the_database_shows_no_more_than_python(schema: Any, company: Company) -> None:
    """What a schema keeps back, masks or makes in Python is not in the JSON of the database either."""
    assert reason_to_validate(schema) is not None
    expected = by_python(schema)
    with warnings.catch_warnings(action="ignore"):
        assert json.loads(schema.read_json(Company.objects.all())) == expected


class UserOut(ModelSchema[User]):
    class Meta:
        fields = ("id", "email")


class Deep(ModelSchema[Company]):
    owner: UserOut | None
    departments: list[DeepDepartment]

    class Meta(Columns): ...


class DeepDepartment(ModelSchema[Department]):
    teams: list[TeamOut]
    head: PersonOut | None

    class Meta:
        fields = ("id", "name", "size")


class PersonOut(ModelSchema[Person]):
    class Meta:
        fields = ("name", "email")


class Whole(ModelSchema[Company]):
    class Meta(Columns):
        fields = ("id", "name", "status", "founded", "motto", "owner_id", "changed")


class Inheriting(Bare):
    class Meta(Bare.Meta): ...


@pytest.mark.parametrize("schema", [Bare, Nested, Deep, Whole, Inheriting])
def test_a_bare_schema_is_the_databases(schema: Any, company: Company) -> None:
    """A schema that says nothing but which columns there are is answered by one statement."""
    assert reason_to_validate(schema) is None
    with CaptureQueriesContext(connection) as statements:
        found = schema.read_json(Company.objects.all())
    assert json.loads(found) == by_python(schema)
    if connection.vendor == "postgresql":
        assert len(statements) == 1
        assert "json_build_object" in statements[0]["sql"]


class CamelName(ModelSchema[Company]):
    """Aliases, defaults and what OpenAPI tells change no value."""

    model_config = ConfigDict(alias_generator=to_camel, title="Firm", frozen=True)
    motto: str = Field("none", alias="theMotto", description="What they say.", examples=["We do."])
    departments: list[DepartmentOut] = Field(default_factory=list)

    class Meta(Columns):
        fields = ("id", "name", "status", "owner_id")

    def __str__(self) -> str:
        return self.name

    def shout(self) -> str:
        return self.name.upper()


def test_what_is_told_to_clients_is_no_reason(company: Company) -> None:
    """Aliases, defaults, titles and methods of the project's own leave the schema to the database."""
    assert reason_to_validate(CamelName) is None
    assert json.loads(CamelName.read_json(Company.objects.all())) == by_python(CamelName)


def test_a_registered_type_with_a_serializer(company: Company) -> None:
    """What a project registers for a field class of Django's own has its say, where the column may be null too."""
    before = type_registry._makers[models.DateField]
    type_registry.register(models.DateField, Annotated[Any, PlainSerializer(lambda value: MASK)])
    try:

        class Registered(ModelSchema[Company]):
            class Meta(Columns):
                fields = ("founded",)

        assert reason_to_validate(Registered) is not None
        assert json.loads(Registered.read_json(Company.objects.all())) == by_python(Registered)
    finally:
        type_registry._makers[models.DateField] = before
        type_registry._known.clear()


class Everybody:
    critical = False

    def has_scope(self, scope: str) -> bool:
        return True


def test_who_may_see_it_sees_it(company: Company) -> None:
    """A caller with the scope gets the nested list, and the next one without it gets none."""
    with as_caller(Everybody()):
        [seen] = json.loads(ScopedList.read_json(Company.objects.all()))
    assert seen["departments"] == [{"name": SECRET}]
    [unseen] = json.loads(ScopedList.read_json(Company.objects.all()))
    assert unseen["departments"] is None


def test_receivers_of_nested_rows_are_asked(company: Company) -> None:
    """What a receiver makes of nested rows is shown: from when it is connected on they are instances."""

    def mask(sender: type, instance: Any, **_: Any) -> None:
        instance.name = MASK

    assert json.loads(Nested.read_json(Company.objects.all()))[0]["departments"] == [{"name": SECRET}]
    post_init.connect(mask, sender=Department)
    try:
        assert of_receivers(Department) is not None
        assert json.loads(Nested.read_json(Company.objects.all()))[0]["departments"] == [{"name": MASK}]
    finally:
        post_init.disconnect(mask, sender=Department)


def test_a_router_may_keep_nested_rows_elsewhere(company: Company, settings: Any) -> None:
    """One statement cannot ask two databases: where a router may choose another, the database makes no JSON."""
    asked = []

    class Router:
        def db_for_read(self, model: Any, **hints: Any) -> None:
            asked.append(model.__name__)

    settings.DATABASE_ROUTERS = [Router()]
    assert json.loads(Nested.read_json(Company.objects.all()))[0]["departments"] == [{"name": SECRET}]
    assert "Department" in asked


class Lying(ModelSchema[Department]):
    """`head` may be null, and Pydantic refuses the row."""

    head: PersonOut

    class Meta(Columns):
        fields = ("name",)


def test_a_row_that_pydantic_refuses_is_not_shown(company: Company) -> None:
    """A null where the schema says that there is none is an error in both ways."""
    assert reason_to_validate(Lying) is not None
    for read in (Lying.read, Lying.read_json):
        with pytest.raises(ValueError, match="head"):
            read(Department.objects.all())
