"""Rows whose keys somebody chooses: a new one never writes over another, whoever hides that one.

Holds `schemas/writing/rows.py`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction
from django.db.models import Model

from djfast_mount.schemas import Create, InvalidRow, ModelSchema, Update
from project.firm.models import Badge, Buoy, Ferry, Hull, Person, Remark, Tug, Vessel, Voyage

pytestmark = pytest.mark.django_db


class VesselSchema(ModelSchema[Vessel]):
    class Meta:
        fields = ["code", "name"]


class FerrySchema(ModelSchema[Ferry]):
    class Meta:
        fields = ["code", "name", "decks"]


class TugSchema(ModelSchema[Tug]):
    class Meta:
        fields = ["hull", "name", "power"]
        optional = ["hull"]


class BuoySchema(ModelSchema[Buoy]):
    class Meta:
        fields = ["code", "name"]


class VoyageSchema(ModelSchema[Voyage]):
    class Meta:
        fields = ["id", "name"]


class RemarkSchema(ModelSchema[Remark]):
    class Meta:
        fields = ["code", "text"]


class BadgeSchema(ModelSchema[Badge]):
    class Meta:
        fields = ["number"]


class BadgedPerson(ModelSchema[Person]):
    badge: BadgeSchema | None

    class Meta:
        fields = ["id", "name", "email"]


def stored(model: type[Model]) -> list[dict[str, Any]]:
    return list(model._base_manager.order_by("pk").values())


def refused(schema: Any, **sent: Any) -> None:
    """Creates a row, which the database is to refuse."""
    with pytest.raises(IntegrityError), transaction.atomic():
        Create[schema].model_validate(sent).create()


@pytest.fixture
def wreck(db: None) -> Vessel:
    """A row that the default manager hides."""
    return Vessel.objects.create(code="x", name="wreck", sunk=True)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (VesselSchema, {"code": "x", "name": "new"}),
        (FerrySchema, {"code": "x", "name": "new", "decks": 3}),
        (TugSchema, {"hull": 1, "name": "new"}),
    ],
    ids=["row", "inherited table", "link that was sent"],
)
def test_a_new_row_does_not_write_over_a_hidden_one(schema: Any, sent: Any, wreck: Vessel) -> None:
    """A new row of a hidden row's key is refused, in its own table and in those that it inherits."""
    Hull.objects.create(pk=1, name="wreck", sunk=True)
    before = [stored(Vessel), stored(Hull)]
    refused(schema, **sent)
    assert [stored(Vessel), stored(Hull), stored(Ferry), stored(Tug)] == [*before, [], []]


def test_a_coroutine_does_not_write_over_a_hidden_one(wreck: Vessel) -> None:
    """`acreate` refuses the key of a hidden row as well."""
    before = stored(Vessel)

    with pytest.raises(IntegrityError), transaction.atomic():
        async_to_sync(Create[VesselSchema].model_validate({"code": "x", "name": "new"}).acreate)()
    assert stored(Vessel) == before


def test_a_list_of_new_rows_does_not_write_over_a_hidden_one(wreck: Vessel) -> None:
    """`bulk_create` refuses the key of a hidden row, and saves none of the list."""
    before, body = stored(Vessel), Create[VesselSchema]
    with pytest.raises(IntegrityError), transaction.atomic():
        body.bulk_create([body.model_validate({"code": each}) for each in "wx"])
    assert stored(Vessel) == before


def test_the_servers_own_key_does_not_write_over_a_row(wreck: Vessel) -> None:
    """A key among the server's values creates a row, and changes none."""
    before = stored(Vessel)
    with pytest.raises(IntegrityError), transaction.atomic():
        Create[VesselSchema].model_validate({"code": "y", "name": "new"}).create(code="x")
    assert stored(Vessel) == before


def test_a_save_that_hands_no_arguments_on_does_not_write_over_a_row() -> None:
    """A model whose `save` loses `force_insert` is asked for the key first; its `save` still makes new rows."""
    Buoy.objects.create(code="x", name="wreck", sunk=True)
    before = stored(Buoy)
    refused(BuoySchema, code="x", name="new")
    assert stored(Buoy) == before
    made = Create[BuoySchema].model_validate({"code": "y", "name": "new"}).create()
    made.refresh_from_db()
    assert (made.name, made.saves) == ("new", 1)


def test_a_nested_row_does_not_write_over_a_hidden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A one-to-one row, whose key is its parent's, is not written over where its manager hides it."""
    person = Person.objects.create(email="a@example.org", name="a")
    Badge.objects.create(person=person, number=666)
    hiding = type("Hiding", (type(Badge.objects),), {"get_queryset": lambda self: Badge._base_manager.none()})()
    hiding.model, hiding.name = Badge, "objects"
    monkeypatch.setattr(Badge._meta, "default_manager", hiding)
    with pytest.raises(IntegrityError), transaction.atomic():
        Update[BadgedPerson].model_validate({"badge": {"number": 1}}).update(person)
    assert [row["number"] for row in stored(Badge)] == [666]


def test_the_key_of_a_row_is_not_changed(wreck: Vessel) -> None:
    """`replace` with another key is refused at that key, for a key of an inherited table too; with its own it works."""
    row = Vessel.objects.create(code="a", name="old")
    ferry = Ferry.objects.create(code="f", name="old")
    before = stored(Vessel)
    for schema, each in ((VesselSchema, row), (FerrySchema, ferry)):
        with pytest.raises(InvalidRow) as caught:
            Create[schema].model_validate({"code": "x", "name": "new"}).replace(each)  # type: ignore[type-var]
        assert [error["loc"] for error in caught.value.errors()] == [("body", "code")]
    assert stored(Vessel) == before
    Create[VesselSchema].model_validate({"code": "a", "name": "new"}).replace(Vessel.objects.get(pk="a"))
    assert stored(Vessel)[0]["name"] == "new"


def test_a_change_has_no_key_of_an_inherited_table() -> None:
    """The body of a change has no field for the key, inherited or not."""
    assert set(Update[FerrySchema].model_fields) == {"name", "decks"}


def test_rows_of_inherited_tables_are_made() -> None:
    """A new row of several tables is saved in each of them, and so is one that the server links to a row of another."""
    made = Create[FerrySchema].model_validate({"code": "f", "name": "Ferry", "decks": 3}).create()
    assert (stored(Vessel)[0]["name"], Ferry.objects.get(pk=made.pk).decks) == ("Ferry", 3)
    assert Create[TugSchema].model_validate({"name": "Tug"}).create().pk == Hull.objects.get().pk
    hull = Hull.objects.create(name="Hull")
    tug = Create[TugSchema].model_validate({"name": "Tug", "power": 7}).create(hull=hull)
    assert (tug.pk, Tug.objects.get(pk=hull.pk).power, Hull.objects.count()) == (hull.pk, 7, 2)


def test_a_key_with_a_default_leaves_save_as_it_is() -> None:
    """A `save` that saves twice works where the key has a default; a chosen key of another row is refused."""
    made = Create[VoyageSchema].model_validate({"name": "one"}).create()
    assert Voyage.objects.get(pk=made.pk).slug == f"one-{str(made.pk)[:4]}"
    chosen = Create[VoyageSchema].model_validate({"name": "two", "id": str(UUID(int=1))}).create()
    before = stored(Voyage)
    with pytest.raises((IntegrityError, InvalidRow)), transaction.atomic():
        Create[VoyageSchema].model_validate({"name": "three", "id": str(chosen.pk)}).create()
    assert stored(Voyage) == before


def test_a_generic_relation_is_made() -> None:
    """A new row with a chosen key and a GenericForeignKey of the server's is saved."""
    person = Person.objects.create(email="a@example.org", name="a")
    made = Create[RemarkSchema].model_validate({"code": "r", "text": "fine"}).create(about=person)
    assert Remark.objects.get(pk=made.pk).key == str(person.pk)
