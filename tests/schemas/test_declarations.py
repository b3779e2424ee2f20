"""What is declared wrongly is told when the class is made, with the file and the remedy; what is right is typed.

Holds `schemas/declaring/type_registry.py`, `schemas/declaring/mapping.py` and `schemas/writing/match_option.py`.
"""

from __future__ import annotations

import datetime
import sys
from types import ModuleType
from typing import Annotated, Any, Generic, TypeVar

import pytest
from django.contrib.auth.models import User
from django.db.models import Count, Model
from pydantic import BaseModel

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import Auto, Create, ModelSchema, Orm, Page, Update, register
from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.declaring.type_registry import field_type
from project.firm.models import Branch, Company, Department, Membership, Parcel, Person, Secret, Status, Tag
from project.zoo.models import Animal, MoneyField, Ticket
from schemas.zoo_schemas import AnimalSchema, TicketSchema

T = TypeVar("T", bound=Model)
FILE = r"test_declarations\.py\)"


def refused(match: str) -> Any:
    return pytest.raises(ConfigurationError, match=match)


def test_an_unknown_field() -> None:
    """A name that the model does not have is told with the nearest one, in Meta and as an annotation."""
    with refused(FILE + r": Company has no field 'nam'\. Did you mean 'name'\?"):

        class InMeta(ModelSchema[Company]):
            class Meta:
                fields = ["nam"]

    with refused(r"Company has no field 'department'\. Did you mean 'departments'\?"):

        class ByHand(ModelSchema[Company]):
            department: int

    with refused(r"Name annotations of the queryset in Meta\.computed"):

        class Computed(ModelSchema[Company]):
            zzz: int


def test_unknown_options() -> None:
    """A misspelt option of Meta, a name of no field in one, and a text for a list are told."""
    with refused(r"Meta has 'field', which is no option\. Did you mean 'fields'\?"):

        class Misspelt(ModelSchema[Company]):
            class Meta:
                field = ["name"]

    with refused(r'Write a list of names, as in \["name"\]'):

        class Text(ModelSchema[Company]):
            class Meta:
                fields = "name"

    with refused(r"Meta\.way is 'magic'"):

        class Way(ModelSchema[Company]):
            class Meta:
                fields = ["name"]
                way = "magic"


class DepartmentRow(ModelSchema[Department]):
    class Meta:
        fields = ["id", "name"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"read_only": ["naem"]}, "read_only names 'naem', which is no field of the schema. Did you mean 'name'?"),
        ({"optional": ["naem"]}, "optional names 'naem'"),
        ({"nested": ["zzz"]}, "nested names 'zzz', which is no field of the schema. Its fields are name, departments."),
        ({"exclude": ["naem"]}, "exclude names 'naem', which neither the schema nor Company has. Did you mean 'name'?"),
        ({"fields": "__all__", "exclude": ["idd"]}, "exclude names 'idd'"),
        ({"match": {"department": ["name"]}}, "match names 'department', which is no field of the schema."),
        (
            {"match": {"departments": ["nmae"]}},
            "match names 'nmae' for departments, and DepartmentRow has no such field.",
        ),
        ({"match": {"departments": "name"}}, "match is 'name'. Write a list of names"),
        ({"match": ["departments"]}, "match is ['departments']. Write the fields for each nested list"),
        ({"depth": "1"}, "depth is '1'. Write an integer from 0 on."),
        ({"depth": -1}, "depth is -1"),
        ({"read_only": 5}, "read_only is 5. Write a list of names"),
        ({"name": 5}, "name is 5. Write a name"),
        ({"rel": "x"}, "rel is 'x', and answers of a ModelSchema have no $rel. Write class Wrong(Reference[Company])"),
        ({"nested": ["name"]}, "nested names 'name', which is annotated with no schema"),
        ({"fields": ["name", "owner"], "nested": ["owner"]}, "nested names 'owner', which is annotated with no schema"),
        ({"read_only": ["name"], "write_only": ["name"]}, "read_only and Meta.write_only both name 'name'"),
        ({"exclude": ["name"]}, "fields and Meta.exclude both name 'name': it is left out. Take it out of one."),
    ],
)
def test_what_meta_names(options: dict[str, Any], told: str) -> None:
    """A name or a value that an option cannot have is told when the class is made."""
    with pytest.raises(ConfigurationError) as caught:

        class Wrong(ModelSchema[Company]):
            departments: list[DepartmentRow]

            class Meta:
                fields = ["name"]
                vars().update(options)

    assert f"Meta.{told}" in str(caught.value)


class DepartmentCode(ModelSchema[Department]):
    class Meta:
        fields = ["id", "company", "name", "code", "size"]
        read_only = ["code"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"match": {"coded": ["code"]}},
            "'code' for coded, which is in Meta.read_only of DepartmentCode, so no item has it. Name some of",
        ),
        (
            {"match": {"coded": ["naem"]}},
            "'naem' for coded, and DepartmentCode has no such field. Did you mean 'name'?",
        ),
        ({"match": {"coded": ["name", "company"]}}, "'company' for coded, which is the row that they belong to"),
        ({"match": {"coded": ["company_id"]}}, "'company_id' for coded, which is the row that they belong to"),
        ({"match": {"coded": ["id"]}}, "'id' for coded, which is their key, and tells an item where it is sent."),
        ({"match": {"coded": []}}, "'coded', and no fields for it. Name some"),
        ({"match": {"name": ["x"]}}, "'name', which is no list of nested rows. Take it out"),
        ({"match": {"tags": ["name"]}}, "'tags', whose rows a body names by key. Add 'tags' to Meta.nested"),
        ({"match": {"owner": ["username"]}}, "'owner', which is no list of nested rows."),
    ],
)
def test_fields_that_tell_no_item(options: dict[str, Any], told: str) -> None:
    """What no item of a nested list can be told by is refused: each item would be a new row, and the old ones gone."""

    class TagRow(ModelSchema[Tag]):
        class Meta:
            fields = ["id", "name"]

    class UserRow(ModelSchema[User]):
        class Meta:
            fields = ["id", "username"]

    with pytest.raises(ConfigurationError) as caught:

        class Wrong(ModelSchema[Company]):
            coded: Annotated[list[DepartmentCode], Orm("departments")]
            tags: list[TagRow]
            owner: UserRow | None

            class Meta:
                fields = ["name"]
                nested = ["owner"]
                vars().update(options)

    assert f"Meta.match names {told}" in str(caught.value)


def test_fields_that_tell_no_item_of_a_class_that_comes_later() -> None:
    """Where the nested class comes after the schema, it is told when a body is made."""

    class Early(ModelSchema[Company]):
        departments: list[Later]  # type: ignore[name-defined]  # noqa: F821

        class Meta:
            fields = ["name"]
            match = {"departments": ["code"]}

    Early.model_rebuild(_types_namespace={"Later": DepartmentCode})
    with refused("Meta.match names 'code' for departments, which is in Meta.read_only of DepartmentCode"):
        _ = Create[Early]


def test_names_that_fit() -> None:
    """What a Meta inherits may name more than the schema has; a key and a relation to rows may be excluded."""

    class Whole(ModelSchema[Company]):
        departments: list[DepartmentRow]

        class Meta:
            fields = ["id", "name", "motto"]
            read_only = ["id", "motto"]
            match = {"departments": ["name"]}

    class Secretive(Whole):
        class Meta(Whole.Meta):
            write_only = ["motto"]
            exclude = ["name"]

    class Part(ModelSchema[Company]):
        class Meta(Whole.Meta):
            fields = ["id", "name"]
            match: dict[str, list[str]] = {}

    class Less(Whole):
        class Meta(Whole.Meta):
            exclude = ["motto", "departments"]

    class AllBut(ModelSchema[Department]):
        class Meta:
            fields = "__all__"
            exclude = ["company_id", "teams"]

    assert list(Part.model_fields) == list(Less.model_fields) == ["id", "name"]
    assert "company_id" not in AllBut.model_fields


def test_a_meta_without_a_model() -> None:
    """A Meta of a class without the parameter is told, with what to write; a generic class may have one."""
    with refused(FILE + r" has a Meta, and no model\..* write class Elsewhere\(ModelSchema\[Person\]\)\."):

        class Elsewhere(ModelSchema):  # type: ignore[type-arg]
            class Meta:
                model = Person
                fields = ["id"]

    with refused(r"write class NoModel\(ModelSchema\[Company\]\)\."):

        class NoModel(ModelSchema):  # type: ignore[type-arg]
            class Meta:
                fields = ["id"]

    class Named(ModelSchema[T], Generic[T]):
        class Meta:
            fields = ["name"]

    class PersonSchema(Named[Person]):
        pass

    assert list(PersonSchema.model_fields) == ["name"]


def test_a_wrong_type() -> None:
    """An annotation that the model's values do not fit is told with the right one."""
    with refused(r"name is annotated as int, and firm\.Company\.name is a CharField\. Write name: str\."):

        class Number(ModelSchema[Company]):
            name: int

    with refused(r"founded is annotated as never None, and .* with null=True\. Write founded: date \| None"):

        class Never(ModelSchema[Company]):
            founded: datetime.date


def test_a_relation_without_a_schema() -> None:
    """A reverse relation needs a schema, and the error says how to annotate it."""
    with refused(
        r"departments is a relation to Department, and no schema shows it.*departments: list\[DepartmentSchema\]"
    ):

        class InMeta(ModelSchema[Company]):
            class Meta:
                fields = ["departments"]

    with refused(r"departments is a relation, and is annotated with no schema"):

        class AnnotatedOtherwise(ModelSchema[Company]):
            departments: list[int]


class DepartmentName(ModelSchema[Department]):
    class Meta:
        fields = ["name"]


class PersonName(ModelSchema[Person]):
    class Meta:
        fields = ["name"]


def test_a_schema_that_does_not_fit_the_relation() -> None:
    """One schema for many rows, and a schema of another model, are told."""
    with refused(r"Company\.departments leads to many rows.*Write departments: list\[DepartmentName\]"):

        class One(ModelSchema[Company]):
            departments: DepartmentName

    with refused(r"departments leads to Department, and PersonName is a schema of Person"):

        class Other(ModelSchema[Company]):
            departments: list[PersonName]


class Outer(ModelSchema[Company]):
    departments: list[Inner]

    class Meta:
        fields = ["name"]


def test_circular_schemas() -> None:
    """Schemas that hold each other are refused when the second of them is made, or the first route of one."""
    from fastapi import FastAPI  # noqa: PLC0415

    api = FastAPI()
    with refused(r"holds itself: .*Outer > .*Inner > .*Outer.*Give the inner one a schema of its own"):

        @api.get("/", response_model=list[Outer])
        def outer() -> None: ...


class Inner(ModelSchema[Department]):
    company: Outer

    class Meta:
        fields = ["name"]


def test_a_secret() -> None:
    """What is called like a secret is not shown by ``"__all__"`` until somebody names or excludes it."""
    with refused(r"would show Secret\.api_key, which is called like a secret"):

        class All(ModelSchema[Secret]):
            class Meta:
                fields = "__all__"

    class Excluded(ModelSchema[Secret]):
        class Meta:
            fields = "__all__"
            exclude = ["api_key"]

    class Named(ModelSchema[Secret]):
        api_key: str

        class Meta:
            fields = "__all__"

    assert (list(Excluded.model_fields), list(Named.model_fields)) == (["id", "name"], ["id", "name", "api_key"])


def test_what_a_parent_keeps_back_stays_there() -> None:
    """A schema shows no more than its parent for having a Meta that does not inherit."""

    class Parent(ModelSchema[Secret]):
        api_key: str

        class Meta:
            fields = ["name"]
            write_only = ["api_key"]

    class Child(Parent):
        class Meta:
            fields = ["id"]

    assert "api_key" not in Child.model_fields
    assert "api_key" in Create[Child].model_fields


def test_a_meta_that_inherits() -> None:
    """``class Meta(Parent.Meta)`` has the options of the parent, and fields can be left out of a child."""

    class Parent(ModelSchema[Company]):
        class Meta:
            fields = ["id", "name", "motto"]
            read_only = ["motto"]

    class Child(Parent):
        class Meta(Parent.Meta):
            exclude = ["name"]

    assert list(Child.model_fields) == ["id", "motto"]
    assert list(Create[Child].model_fields) == []


def test_a_custom_field_wants_a_type() -> None:
    """A field class that the table does not know is told with how to register it; subclasses share its type."""

    class Strange(MoneyField):
        pass

    class Unknown(MoneyField.__mro__[1]):  # type: ignore[misc, name-defined]
        pass

    assert field_type(Strange()).read is field_type(MoneyField()).read
    field = Unknown()
    field.model, field.name = Animal, "strange"
    with refused(r"is a .*Unknown, for which schemas know no type\. Register one"):
        field_type(field)
    register(Unknown, str)
    assert field_type(field).read is str


def test_names_that_schemas_have_themselves() -> None:
    """A column that is called like a method of schemas has its own name outside, and an underscore inside."""
    assert {"json_", "model_kind"} <= set(AnimalSchema.model_fields)
    assert "json" in AnimalSchema.model_json_schema(mode="serialization")["properties"]
    assert "json" in Create[AnimalSchema].model_json_schema()["properties"]


def test_a_column_whose_name_begins_with_an_underscore() -> None:
    """It has its own name outside, and an underscore at the end inside."""

    class OrderedParcel(ModelSchema[Parcel]):
        class Meta:
            fields = ["label", "_order"]

    row = OrderedParcel.of(Parcel(label="a", _order=3))
    assert (row.order_, row.model_dump(by_alias=True)) == (3, {"label": "a", "_order": 3})  # type: ignore[attr-defined]


def test_the_link_to_a_parents_table_is_not_written() -> None:
    """Meta.nested with the link that Django makes is told, with the names that write the parent's columns."""

    class CompanyName(ModelSchema[Company]):
        class Meta:
            fields = ["name"]

    class BranchSchema(ModelSchema[Branch]):
        company_ptr: CompanyName

        class Meta:
            fields = ["city"]
            nested = ["company_ptr"]

    with pytest.raises(ConfigurationError, match=r"names 'company_ptr', which no body writes.*by their own names"):
        _ = Update[BranchSchema]


def test_fields_that_need_not_be_sent() -> None:
    """Meta.optional leaves a column out of what a new row needs: the server gives it, or Django asks for it."""

    class Flat(ModelSchema[Department]):
        class Meta:
            fields = ["name", "code", "company_id"]
            optional = ["code"]

    assert Create[Flat].model_json_schema()["required"] == ["name", "company_id"]
    assert Create[Flat].model_validate({"name": "R", "company_id": 1}).changes() == {"name": "R", "company_id": 1}


def test_choices_by_an_enum_of_the_projects() -> None:
    """A column may be annotated with the enumeration of its choices, in answers and in bodies."""

    class WithEnum(ModelSchema[Company]):
        status: Annotated[Status, "by hand"]

        class Meta:
            fields = ["name"]

    assert WithEnum.of(Company(name="A")).status is Status.OPEN
    body = Create[WithEnum].model_validate({"name": "A", "status": "closed"})
    assert body.status is Status.CLOSED


def test_a_json_field_with_a_schema() -> None:
    """A JSON column may have a Pydantic model for its values, in answers and in bodies."""

    class Notes(BaseModel):
        tags: list[str] = []

    class WithNotes(ModelSchema[Animal]):
        notes: Notes

        class Meta:
            fields = ["name", "small", "positive"]

    assert WithNotes.of(Animal(name="a", small=1, positive=1, notes={"tags": ["x"]})).notes == Notes(tags=["x"])
    with pytest.raises(ValueError, match=r"notes\.tags"):
        Create[WithNotes].model_validate({"name": "a", "small": 1, "positive": 1, "notes": {"tags": 1}})


def test_auto_and_orm() -> None:
    """Auto stands for the model's type, and Orm for another attribute than the name says."""

    class Renamed(ModelSchema[Company]):
        motto: Auto
        title: Annotated[str, Orm("name")]
        loud: Annotated[str, Orm(Company.shouted)]
        first: Annotated[str, Orm(method=Company.initial)]
        nothing: Annotated[str, Orm(None)] = "as it was"

    found = Renamed.of(Company(name="Acme", motto="m"))
    assert found.model_dump() == {"motto": "m", "title": "Acme", "loud": "ACME", "first": "A", "nothing": "as it was"}
    assert list(Create[Renamed].model_fields) == ["motto", "title"]


@pytest.mark.django_db
def test_annotations_of_the_queryset(firm: None) -> None:
    """What a queryset computes is read by the plan, and is an error where it is missing and has no default."""

    class Counted(ModelSchema[Company]):
        n: int
        m: int = -1

        class Meta:
            fields = ["name"]
            computed = ["n", "m"]

    rows = Company.objects.annotate(n=Count("departments")).order_by("name")
    assert [(each.name, each.n, each.m) for each in Counted.read(rows)] == [
        ("Acme", 2, -1),
        ("Bare", 1, -1),
        ("Void", 0, -1),
    ]
    with pytest.raises(AttributeError, match="n"):
        Counted.read(Company.objects.all())


@pytest.mark.django_db
def test_composite_primary_keys() -> None:
    """A composite key is a tuple, whose parts are written as the columns that they are."""
    body = Create[TicketSchema].model_validate({"day": "2026-11-30", "number": 7, "price": "1.50"})
    ticket = body.create()
    [found] = TicketSchema.read(Ticket.objects.all())
    assert found == TicketSchema.of(ticket)
    assert found.model_dump(mode="json") == {"pk": ["2026-11-30", 7], "day": "2026-11-30", "number": 7, "price": "1.50"}
    Update[TicketSchema].model_validate({"price": "2.00"}).update(ticket)
    assert str(Ticket.objects.get().price) == "2.00"


def test_depth() -> None:
    """With Meta.depth, relations that nobody has annotated are nested by schemas of their own making."""

    class Deep(ModelSchema[Membership]):
        class Meta:
            fields = ["role", "team", "person"]
            depth = 2

    team = next(member for member in shape_of(Deep).members if member.name == "team")
    assert team.shape is not None
    assert {member.kind for member in team.shape.members if member.name == "department"} == {"one"}


def test_a_schema_in_a_module_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """While models are being loaded nobody knows their relations: the error says where a schema belongs."""
    monkeypatch.setattr("django.apps.apps.models_ready", False)
    with refused(r"declared while Django is still loading the models.*such as schemas\.py"):

        class TooEarly(ModelSchema[Company]):
            class Meta:
                fields = ["name"]


LAZY = """
from typing import Any
from djfast_mount.schemas import Auto, Create, ModelSchema
from project.firm.models import Company, Department


class Inner(ModelSchema[Department]):
    company: Name  # declared below
    name: str


class Name(ModelSchema[Company]):
    name: str
    motto: Auto

    class Meta:
        fields = ["id"]


class Outer(Name):
    departments: list[Inner]

    class Meta(Name.Meta):
        exclude = ["motto"]
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Annotations are evaluated at once.")
def test_annotations_that_are_made_when_they_are_asked_for() -> None:
    """From Python 3.14 on a schema may name one that is declared below it, without quotes."""
    module = ModuleType("lazy_schemas")
    sys.modules["lazy_schemas"] = module
    try:
        exec(compile(LAZY, "lazy_schemas.py", "exec", dont_inherit=True), vars(module))
        names: Any = vars(module)
        assert list(names["Outer"].model_fields) == ["id", "name", "departments"]
        assert "company__motto" in names["Inner"].explain()
        assert list(Create[names["Name"]].model_fields) == ["name", "motto"]
    finally:
        del sys.modules["lazy_schemas"]


@pytest.mark.parametrize("name", ["read_scopes", "write_scopes"])
def test_a_text_is_no_list_of_scopes(name: str) -> None:
    """A text in the place of a list is refused, as any letter of it would be enough."""
    with pytest.raises(TypeError, match=rf"Orm\(\) got {name}='pay.read'. Write a list, as in {name}="):
        Orm(**{name: "pay.read"})  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [Company, BaseModel, int])
def test_bodies_and_pages_of_what_is_no_schema(given: Any) -> None:
    """A model, and for bodies any class that is no schema, is refused."""
    for kind in (Create, Update, Page) if given is Company else (Create, Update):
        with refused(rf"{kind.__name__}\[\] got <class '.*{given.__name__}'>\. Give a schema of .* {kind.__name__}\["):
            kind[given]
