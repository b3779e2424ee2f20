"""What a body does to one row: what is validated, what is saved, and what is told of it.

Holds `schemas/writing/body_models.py`, `schemas/writing/invalid.py`, `schemas/writing/keys.py`,
`schemas/writing/rows.py`, `schemas/writing/saving.py` and `schemas/writing/slots.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import MinValueValidator
from django.db import connection, transaction
from django.db.models.signals import pre_save
from django.forms.models import fields_for_model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from fastapi import FastAPI
from pydantic import MISSING, BaseModel, Field, SecretStr, field_validator
from pydantic import ValidationError as PydanticValidationError

from djfast_mount import mount
from djfast_mount.schemas import Create, InvalidRow, ModelSchema, Orm, Update, as_caller
from djfast_mount.schemas.declaring import type_registry
from djfast_mount.testing import Client
from djfast_mount.transactions import Atomic
from project.firm.models import Company, Crate, Department, Parcel, Person, Project, Saved, Strap
from project.zoo.models import Animal
from schemas.firm_schemas import CompanySchema

pytestmark = pytest.mark.django_db


class SavedSchema(ModelSchema[Saved]):
    class Meta:
        fields = ["id", "name", "slug", "saves"]


class DepartmentFlat(ModelSchema[Department]):
    class Meta:
        fields = ["id", "company_id", "name", "code", "size"]
        read_only = ["size"]


class PersonFlat(ModelSchema[Person]):
    class Meta:
        fields = ["id", "name", "email"]


class PersonIn(Create[PersonFlat]):
    """Takes the place of the class that is made."""

    name: str = Field(default="unnamed", max_length=5)

    @field_validator("email")
    @classmethod
    def _no_dots(cls, value: str) -> str:
        if ".." in value:
            raise ValueError("Too many dots.")
        return value


class UserSchema(ModelSchema[User]):
    password: Annotated[SecretStr, Orm(method=User.set_password)]
    staff: Annotated[bool, Orm(User.is_staff, read_scopes=["staff.see"], write_scopes=["staff.make"])]
    email: Annotated[str, Orm(critical=True)]

    class Meta:
        fields = ["id", "username"]
        write_only = ["password"]
        optional = ["staff"]


class Whoever(BaseModel):
    scopes: list[str] = []
    critical: bool = False

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes


def saves_of(statements: CaptureQueriesContext) -> list[str]:
    """The UPDATE and INSERT statements."""
    found = [query["sql"] for query in statements.captured_queries]
    return [sql for sql in found if sql.startswith(("UPDATE", "INSERT"))]


def columns_of(sql: str) -> set[str]:
    """The columns that an UPDATE of SQLite, PostgreSQL or MySQL sets."""
    assigned = sql.replace("`", '"').split(" SET ")[1].split(" WHERE ")[0]
    return {part.split('"')[1] for part in assigned.split(", ") if part.startswith('"')}


def test_only_what_changed_is_saved(firm: None) -> None:
    """An update has the changed column, and those that change with every save."""
    acme = Company.objects.get(name="Acme")
    Company.objects.filter(pk=acme.pk).update(status="closed")  # by another request
    with CaptureQueriesContext(
        connection,
    ) as statements:
        Update[CompanySchema].model_validate({"name": "Acme", "motto": "New."}).update(acme)
    [sql] = saves_of(statements)
    assert columns_of(sql) == {"motto", "changed"}
    acme.refresh_from_db()
    assert (acme.motto, acme.status) == ("New.", "closed")


def test_nothing_is_saved_where_nothing_changed(firm: None) -> None:
    """An update to the same values makes no statement that writes, and leaves auto_now alone."""
    acme = Company.objects.get(name="Acme")
    with CaptureQueriesContext(connection) as statements:
        Update[CompanySchema].model_validate({"name": "Acme", "founded": "2020-01-02"}).update(acme)
        Update[CompanySchema].model_validate({}).update(acme)
    assert saves_of(statements) == []


def test_a_model_with_a_save_of_its_own_is_saved_by_it(db: None) -> None:
    """What an overridden `save` sets is saved too."""
    row = Create[SavedSchema].model_validate({"name": "One"}).create()
    assert (row.slug, row.saves) == ("one", 1)
    Update[SavedSchema].model_validate({"name": "Two"}).update(row)
    row.refresh_from_db()
    assert (row.name, row.slug, row.saves) == ("Two", "two", 2)


def test_what_a_receiver_of_pre_save_sets_is_saved(firm: None) -> None:
    """A column that a receiver fills from another is stored, and a row that was deleted stays so."""

    def fill(instance: Company, **_: Any) -> None:
        instance.status = instance.motto.lower()

    acme, gone = Company.objects.get(name="Acme"), Company.objects.get(name="Void")
    pre_save.connect(fill, sender=Company)
    try:
        Update[CompanySchema].model_validate({"motto": "Closed"}).update(acme)
        Company.objects.filter(pk=gone.pk).delete()
        with pytest.raises(Company.DoesNotExist), transaction.atomic():
            Update[CompanySchema].model_validate({"motto": "Closed"}).update(gone)
    finally:
        pre_save.disconnect(fill, sender=Company)
    acme.refresh_from_db()
    assert (acme.motto, acme.status) == ("Closed", "closed")
    assert not Company.objects.filter(pk=gone.pk).exists()


def test_what_was_not_sent_is_not_validated(firm: None) -> None:
    """An old row that breaks a rule of today can be changed elsewhere."""
    acme = Company.objects.get(name="Acme")
    Company.objects.filter(pk=acme.pk).update(status="ancient")
    acme.refresh_from_db()
    Update[CompanySchema].model_validate({"motto": "Still."}).update(acme)
    acme.refresh_from_db()
    assert (acme.status, acme.motto) == ("ancient", "Still.")
    assert CompanySchema.of(acme).status == "ancient"  # type: ignore[attr-defined]


def test_the_servers_values_go_first(firm: None) -> None:
    """Values of the server's own are saved with what was sent and validated with it; unknown ones are a mistake."""
    acme = Company.objects.get(name="Acme")
    body = Create[DepartmentFlat].model_validate({"name": "N", "code": "r", "company_id": 999})
    with pytest.raises(InvalidRow) as refused:
        body.create(company=acme)
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(("body",), "unique_together")]
    with pytest.raises(TypeError, match=r"no field 'compny'. Did you mean 'company'\?"):
        body.create(compny=acme)


def test_a_foreign_key_that_leads_nowhere(firm: None) -> None:
    """A key without a row is refused under the name that was sent."""
    with pytest.raises(InvalidRow) as refused:
        Create[DepartmentFlat].model_validate({"name": "N", "code": "x", "company_id": 999}).create()
    assert [error["loc"] for error in refused.value.errors()] == [("body", "company_id")]


def test_read_only_fields_are_not_written() -> None:
    """A read-only field is in no body."""
    assert set(Create[DepartmentFlat].model_fields) == {"company_id", "name", "code"}
    assert set(Update[DepartmentFlat].model_fields) == {"company_id", "name", "code"}


def test_a_row_is_replaced(firm: None) -> None:
    """PUT gives what was not sent its default, and leaves lists that were not sent alone."""
    acme = Company.objects.get(name="Acme")
    Company.objects.filter(pk=acme.pk).update(status="closed")
    Create[CompanySchema].model_validate({"name": "Put"}).replace(Company.objects.get(pk=acme.pk))
    acme.refresh_from_db()
    assert (acme.name, acme.status, acme.founded, acme.motto) == ("Put", "open", None, "")
    assert acme.departments.count() == 2


def test_not_sent_is_not_none() -> None:
    """What was not sent is MISSING, and `changes` has what was."""
    body = Update[CompanySchema].model_validate({"founded": None, "name": "A"})
    assert body.motto is MISSING
    assert body.changes() == {"name": "A", "founded": None}
    assert Update[CompanySchema].model_validate({"founded": "2020-01-02"}).changes() == {"founded": date(2020, 1, 2)}


def test_a_subclass_takes_the_place_of_the_body() -> None:
    """Validators, constraints and defaults of a subclass hold, and its defaults are saved."""
    assert PersonIn.model_validate({"email": "a@example.com"}).create().name == "unnamed"
    with pytest.raises(ValueError, match="Too many dots"):
        PersonIn.model_validate({"email": "a..b@example.com"})
    with pytest.raises(ValueError, match="at most 5 characters"):
        PersonIn.model_validate({"email": "a@example.com", "name": "too long"})


def test_an_invalid_row_is_a_validation_error() -> None:
    """Django's code catches what FastAPI answers, with the messages under the field's name."""
    with pytest.raises(ValidationError) as refused:
        Create[PersonFlat].model_validate({"name": "x", "email": "no address"}).create()
    assert refused.value.message_dict == {"email": ["Enter a valid email address."]}


def test_a_method_takes_the_value() -> None:
    """`set_password` is called before validation and saving; the password is in no answer."""
    body = Create[UserSchema].model_validate({"username": "ann", "password": "pa55word"})
    user = body.create()
    user.refresh_from_db()
    assert user.check_password("pa55word")
    assert "password" not in UserSchema.of(user).model_dump()
    Update[UserSchema].model_validate({"password": "other"}).update(user)
    user.refresh_from_db()
    assert user.check_password("other")


def test_scopes_refuse(db: None) -> None:
    """A field with write scopes, and a critical one, are refused with their path, unless the caller may."""
    body = Create[UserSchema].model_validate({"username": "ann", "password": "x", "staff": True})
    with pytest.raises(PermissionDenied, match=r"body\.staff"):
        body.create()
    with as_caller(Whoever(scopes=["other"])), pytest.raises(PermissionDenied):
        body.create()
    with as_caller(Whoever(scopes=["staff.make"])):
        assert body.create().is_staff
    critical = Update[UserSchema].model_validate({"email": "a@example.com"})
    with as_caller(Whoever()), pytest.raises(PermissionDenied, match=r"body\.email"):
        critical.update(User.objects.get())
    with as_caller(Whoever(critical=True)):
        assert critical.update(User.objects.get()).email == "a@example.com"


def test_scopes_mask(db: None) -> None:
    """A field with read scopes is masked for who has none of them, and for a caller whom nobody told of."""
    user = User.objects.create_user("ann", is_staff=True)
    assert UserSchema.of(user).staff is False
    with as_caller(Whoever(scopes=["staff.see"])):
        assert UserSchema.of(user).staff is True
    assert UserSchema.read(User.objects.all())[0].staff is False


def test_json_values_of_one_python_value_are_told_apart() -> None:
    """1, 1.0 and True are equal to Python, and three values to JSON."""
    from djfast_mount.schemas.writing.rows import changed  # noqa: PLC0415

    assert changed({"a": [1]}, {"a": [True]})
    assert changed(1, 1.0)
    assert changed({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not changed({"a": [1, None]}, {"a": [1, None]})


class ParcelSchema(ModelSchema[Parcel]):
    class Meta:
        fields = "__all__"


class StrapSchema(ModelSchema[Strap]):
    class Meta:
        fields = ["colour"]


class CrateSchema(ModelSchema[Crate]):
    parcels: list[ParcelSchema]
    strap: StrapSchema | None

    class Meta:
        fields = ["id", "code"]


def test_defaults_have_the_type_of_their_column(db: None) -> None:
    """A new row is answered as it is read later, whatever type its model's defaults and the server's values have."""
    for values in ({}, {"weight": 2}):
        made = ParcelSchema.of(Create[ParcelSchema].model_validate({}).create(**values))
        assert f"[{made.model_dump_json(by_alias=True)}]".encode() == ParcelSchema.read_json(Parcel.objects.all())
        Parcel.objects.all().delete()


def test_a_row_that_points_to_a_null(db: None) -> None:
    """Nothing is made that would belong to no row, and rows that point nowhere are nobody's to change or delete."""
    Parcel.objects.create(label="lost")
    Strap.objects.create(colour="lost")
    crate = Crate.objects.create()
    for sent in ({"parcels": [{"label": "x"}]}, {"strap": {"colour": "x"}}):
        with pytest.raises(InvalidRow, match="Nothing can belong to a row without code"):
            Update[CrateSchema].model_validate(sent).update(crate)
        with pytest.raises(InvalidRow, match="Nothing can belong to a row without code"):
            Create[CrateSchema].model_validate(sent).create()
    Update[CrateSchema].model_validate({"parcels": [], "strap": None}).update(crate)
    assert (Parcel.objects.get().label, Strap.objects.get().colour) == ("lost", "lost")


def test_a_row_that_another_request_has_deleted(db: None) -> None:
    """A change of a row that is gone by now is 404, and makes no row."""
    api = FastAPI()

    @api.patch("/people")
    def change(body: Update[PersonFlat], _: Atomic) -> PersonFlat:
        person = Person.objects.create(name="ann", email="ann@example.com")
        Person.objects.filter(pk=person.pk).delete()
        return PersonFlat.of(body.update(person))

    assert Client(mount("/api", api)).patch("/api/people", json={"name": "bob"}).status_code == 404
    assert not Person.objects.exists()


class AnimalSchema(ModelSchema[Animal]):
    class Meta:
        fields = ["id", "name", "small", "positive", "seen", "notes"]


def an_animal(**values: Any) -> Animal:
    return Animal.objects.create(**{"small": 1, "positive": 1, "name": "x", **values})


def test_what_clean_changes_in_place_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON that the model's own code changes, and does not assign, is stored."""
    monkeypatch.setattr(Animal, "clean", lambda row: row.notes["inner"].append(row.name))
    animal = an_animal(notes={"inner": []})
    Update[AnimalSchema].model_validate({"name": "Leo"}).update(animal)
    assert animal.notes == {"inner": ["Leo"]}
    animal.refresh_from_db()
    assert animal.notes == {"inner": ["Leo"]}


def test_a_file_that_changes_in_place_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a file is stored where the file that the row has is given another one."""

    def rename(row: Animal) -> None:
        row.picture.name = "animals/other.png"

    monkeypatch.setattr(Animal, "clean", rename)
    animal = an_animal(picture="animals/one.png")
    assert animal.picture.name == "animals/one.png"  # From now on the row has an object.
    Update[AnimalSchema].model_validate({"name": "Leo"}).update(animal)
    assert Animal.objects.get().picture.name == "animals/other.png"


def in_new_york(title: str, seen: str) -> Animal:
    with timezone.override("America/New_York"):
        row = Create[AnimalSchema].model_validate({"small": 1, "positive": 1, "name": title, "seen": seen}).create()
    assert isinstance(row, Animal)
    return row


def test_dates_are_of_the_current_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unique for a date is so for the day of the caller, as in a form; the answer is in UTC."""
    monkeypatch.setattr(Animal._meta.get_field("name"), "unique_for_date", "seen")
    assert in_new_york("x", "2024-01-01T10:00:00-05:00").seen == datetime(2024, 1, 1, 15, tzinfo=UTC)
    made = in_new_york("x", "2024-01-01T04:00:00+00:00")  # The evening before.
    assert made.seen is not None
    assert made.seen.tzinfo is UTC
    with pytest.raises(InvalidRow, match="must be unique for Seen date"):
        in_new_york("x", "2024-01-01T22:30:00-05:00")  # Another day in UTC.


def test_validators_see_the_time_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator that asks for the hour gets that of the current time zone, as in a form."""
    hours: list[int] = []
    monkeypatch.setattr(Animal._meta.get_field("seen"), "validators", [lambda value: hours.append(value.hour)])
    in_new_york("x", "2024-01-01T15:00:00Z")
    assert hours == [10]


def test_a_list_is_unique_for_the_days_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of one list are compared by the same days."""
    monkeypatch.setattr(Animal._meta.get_field("name"), "unique_for_date", "seen")
    body = Create[AnimalSchema]
    plain = {"small": 1, "positive": 1, "name": "x"}

    def save(*moments: str) -> None:
        with timezone.override("America/New_York"):
            body.bulk_create([body.model_validate({**plain, "seen": moment}) for moment in moments])

    save("2024-01-01T10:00:00-05:00", "2024-01-01T04:00:00Z")
    with pytest.raises(InvalidRow, match="must be unique for Seen date"):
        save("2025-01-01T10:00:00-05:00", "2025-01-01T22:30:00-05:00")


@pytest.mark.parametrize("moment", ["2024-03-10T02:30:00", "2024-11-03T01:30:00"])
def test_a_time_that_the_clocks_show_never_or_twice(moment: str) -> None:
    """It is refused without an offset, in the words of a form, and taken with one."""
    with timezone.override("America/New_York"):
        with pytest.raises(PydanticValidationError) as met:
            Update[AnimalSchema].model_validate({"seen": moment})
        [error] = met.value.errors()
        form = fields_for_model(Animal, ["seen"])["seen"]
        with pytest.raises(ValidationError) as expected:
            form.clean(moment.replace("T", " "))
        assert [error["msg"]] == expected.value.messages
        assert (error["type"], error["loc"]) == ("ambiguous_timezone", ("seen",))
        Update[AnimalSchema].model_validate({"seen": f"{moment}-05:00"})


def test_the_same_moment_is_no_change() -> None:
    """A moment that is sent in another time zone is not saved again, in an hour that comes twice either."""
    animal = an_animal(seen=datetime(2024, 11, 3, 6, 30, tzinfo=UTC))
    with timezone.override("America/New_York"), CaptureQueriesContext(connection) as statements:
        Update[AnimalSchema].model_validate({"seen": "2024-11-03T01:30:00-05:00"}).update(animal)
    assert saves_of(statements) == []


def errors_of(body: dict[str, Any], kind: Any = None) -> list[tuple[str, str]]:
    """The type and the message of each error, of pydantic's or of Django's."""
    try:
        (kind or Create[AnimalWithDiet]).model_validate({"small": 1, "positive": 1, "name": "x", **body}).create()
    except PydanticValidationError as error:
        return [(each["type"], each["msg"]) for each in error.errors()]
    except InvalidRow as error:
        return [(each["type"], each["msg"]) for each in error.errors()]
    return []


class AnimalWithDiet(ModelSchema[Animal]):
    class Meta:
        fields = ["id", "name", "small", "positive", "diet", "notes", "enclosure_id"]


@pytest.fixture
def own_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A body of a model that says more."""

    def say(name: str, messages: dict[str, str], *validators: Any) -> None:
        field = Animal._meta.get_field(name)
        monkeypatch.setattr(field, "error_messages", {**field.error_messages, **messages})
        monkeypatch.setattr(field, "validators", [*validators, *field.validators])

    say("small", {}, MinValueValidator(1, message="Order at least one, please."))
    say("name", {"blank": "Name it.", "max_length": "Shorter."})
    say("diet", {"invalid_choice": "No {diet} is %(value)s."})
    type_registry._known.clear()

    class Outspoken(AnimalWithDiet):
        pass

    assert Update[Outspoken].model_validate({"name": "y"})  # A union with what is missing.
    yield Create[Outspoken]
    monkeypatch.undo()
    type_registry._known.clear()


def test_messages_of_the_models_own_are_told(own_messages: Any) -> None:
    """What the project says of its own in validators and `error_messages` is said to clients, as in a form."""
    assert errors_of({"small": 0}, own_messages) == [("min_value", "Order at least one, please.")]
    assert errors_of({"name": ""}, own_messages) == [("blank", "Name it.")]
    assert errors_of({"name": "x" * 13}, own_messages) == [("max_length", "Shorter.")]
    assert errors_of({"diet": "{z}"}, own_messages) == [("invalid_choice", "No {diet} is {z}.")]
    shown = own_messages.model_json_schema()["properties"]
    assert (shown["small"]["minimum"], shown["name"]["minLength"], shown["name"]["maxLength"]) == (1, 1, 12)


def test_bounds_without_a_message_are_pydantics() -> None:
    """The control: a length that the model says no more of is checked by pydantic."""
    assert [kind for kind, _ in errors_of({"name": "x" * 13})] == ["string_too_long"]
    assert errors_of({"diet": "z"}) == [("invalid_choice", "Value 'z' is not a valid choice.")]


@pytest.mark.parametrize("name", ["name", "enclosure_id"])
def test_a_nul_in_a_text(name: str) -> None:
    """It is refused with its place, in every database, as in a form."""
    with pytest.raises(PydanticValidationError) as met:
        Create[AnimalWithDiet].model_validate({"small": 1, "positive": 1, "name": "x", name: "a\0"})
    [error] = met.value.errors()
    assert (error["loc"], error["type"], error["msg"]) == (
        (name,),
        "null_characters_not_allowed",
        "Null characters are not allowed.",
    )


def test_null_in_a_column_of_json_without_null() -> None:
    """It is no JSON null, but NULL, and refused as a bad value of its field."""
    assert errors_of({"notes": None}) == [("null", "This field cannot be null.")]
    assert errors_of({"notes": {"a": None}}) == []


class ProjectSchema(ModelSchema[Project]):
    class Meta:
        fields = ["id", "people"]


def test_a_list_of_keys_that_may_not_be_empty(firm: None) -> None:
    """A many-to-many with `blank=False` takes no empty list, as a form does, and stays as it was."""
    with pytest.raises(InvalidRow, match="This field cannot be blank"), transaction.atomic():
        Create[ProjectSchema].model_validate({"people": []}).create()
    project = Project.objects.create()
    project.people.add(Person.objects.all()[0])
    with pytest.raises(InvalidRow) as met, transaction.atomic():
        Update[ProjectSchema].model_validate({"people": []}).update(project)
    assert [(each["type"], each["loc"]) for each in met.value.errors()] == [("blank", ("body", "people"))]
    assert project.people.count() == 1
