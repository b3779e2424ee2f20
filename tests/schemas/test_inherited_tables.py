"""Rows of inherited tables, whose parents Django makes of the child in memory, and columns that were left out.

Holds `schemas/reading/in_memory.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import shape_of
from project.firm.models import Bakery, CornerShop, Door, Grade, LoudPlace, Person, Place, Shop, Skill, Town
from schemas.generated import one_by_one

pytestmark = pytest.mark.django_db


class TownSchema(ModelSchema[Town]):
    class Meta:
        fields = ["name"]


class PlaceName(ModelSchema[Place]):
    class Meta:
        fields = ["name"]


class DoorSchema(ModelSchema[Door]):
    place: PlaceName

    class Meta:
        fields = ["label"]


class PlaceSchema(ModelSchema[Place]):
    town: TownSchema | None
    doors: list[DoorSchema]

    class Meta:
        fields = ["name", "note"]


class ShopSchema(ModelSchema[Shop]):
    place_ptr: PlaceSchema
    town: TownSchema | None

    class Meta:
        fields = ["name", "trade"]


class NoteFirst(ModelSchema[Shop]):
    place_ptr: PlaceName

    class Meta:
        fields = ["note", "place_ptr"]


class PlaceFirst(ModelSchema[Shop]):
    place_ptr: PlaceName

    class Meta:
        fields = ["place_ptr", "note"]


class PlaceNote(ModelSchema[Place]):
    class Meta:
        fields = ["note"]


class DoorOfNote(ModelSchema[Door]):
    place: PlaceNote

    class Meta:
        fields = ["label"]


class DoorsFirst(ModelSchema[Shop]):
    """Its doors load a column of the shop itself, before the parent is made."""

    doors: list[DoorOfNote]
    place_ptr: PlaceName

    class Meta:
        fields = ["doors", "place_ptr"]


class DoorsLast(ModelSchema[Shop]):
    place_ptr: PlaceName
    doors: list[DoorOfNote]

    class Meta:
        fields = ["place_ptr", "doors"]


class BakerySchema(ModelSchema[Bakery]):
    outlet: ShopSchema
    place_ptr: PlaceSchema

    class Meta:
        fields = ["name", "degrees"]


class LoudPlaceSchema(ModelSchema[LoudPlace]):
    place_ptr: PlaceSchema

    class Meta:
        fields = ["name"]


class BakeryName(ModelSchema[Bakery]):
    class Meta:
        fields = ["name", "bread"]


class ShopOfPlace(ModelSchema[Shop]):
    bakery: BakeryName | None
    place_ptr: PlaceName

    class Meta:
        fields = ["name", "trade"]


class PlaceWithShop(ModelSchema[Place]):
    shop: ShopOfPlace | None

    class Meta:
        fields = ["name"]


SCHEMAS: dict[type[models.Model], list[type[ModelSchema[Any]]]] = {
    Bakery: [BakerySchema],
    CornerShop: [ShopSchema, ShopOfPlace],
    LoudPlace: [LoudPlaceSchema],
    Place: [PlaceWithShop, PlaceSchema],
    Shop: [ShopSchema, NoteFirst, PlaceFirst, ShopOfPlace, DoorsFirst, DoorsLast],
}
KINDS = [(model, schema) for model, schemas in SCHEMAS.items() for schema in schemas]
NAMES = [f"{model.__name__} {schema.__qualname__}" for model, schema in KINDS]
COLUMNS: list[tuple[str, ...]] = [("name",), ("note",), ("name", "note"), ("name", "note", "town")]


@pytest.fixture(autouse=True)
def places() -> None:
    """Of each kind two, with a door each."""
    town = Town.objects.create(name="Oslo")
    for number in (1, 2):
        Bakery.objects.create(name=f"bakery {number}", trade="food", bread="rye", town=town)
        Shop.objects.create(name=f"shop {number}", trade="shoes", town=town if number == 1 else None)
        LoudPlace.objects.create(name=f"loud {number}", town=town)
    for place in Place.objects.all():
        Door.objects.create(place=place, label=f"door of {place.name}")


def changed(rows: Any) -> list[models.Model]:
    """Rows of which one column differs from the database's."""
    found = list(rows)
    for row in found:
        row.name = f"{row.name} in memory"
    return found


def as_they_are(schema: type[ModelSchema[Any]], rows: Any) -> list[Any]:
    """What the attributes of `rows` give, which are asked for one by one."""
    return [schema.model_validate(one_by_one(shape_of(schema), row)).model_dump() for row in rows]


@pytest.mark.parametrize(("model", "schema"), KINDS, ids=NAMES)
def test_a_parent_is_made_of_the_child_in_memory(model: Any, schema: Any) -> None:
    """What was changed and not saved is shown of the parent too, whatever columns were left out."""
    for chosen in [model.objects.all(), *(model.objects.defer(*each) for each in COLUMNS)]:
        expected = as_they_are(schema, changed(chosen.all()))
        assert [item.model_dump() for item in schema.read(changed(chosen.all()))] == expected
        assert [schema.of(row).model_dump() for row in changed(chosen.all())] == expected


@pytest.mark.parametrize(("model", "schema"), KINDS, ids=NAMES)
def test_a_queryset_of_children(model: Any, schema: Any) -> None:
    """A queryset gives what its rows are, also where the child changes what it loads and the parent does not."""
    for rows in (model.objects.all(), model.objects.only("name"), model.objects.prefetch_related("doors")):
        assert [item.model_dump() for item in schema.read(rows)] == as_they_are(schema, rows.all())


def test_a_parent_in_memory_takes_no_query() -> None:
    """Rows that have all columns of their parent have the parent; those that lack one fetch them together."""
    whole, lacking = changed(Shop.objects.all()), changed(Shop.objects.defer("note"))
    with CaptureQueriesContext(connection) as queries:
        assert [item.place_ptr.name for item in PlaceFirst.read(whole)] == [row.name for row in whole]
    assert len(queries) == 0
    stored = [place.name for place in Place.objects.filter(shop__isnull=False)]
    with CaptureQueriesContext(connection) as queries:
        assert [item.place_ptr.name for item in PlaceFirst.read(lacking)] == stored
    assert len(queries) == 2


def test_what_the_parent_holds_is_the_childs() -> None:
    """A relation of the parent's is taken from the parent in memory, where the child has fetched it."""
    [shop] = Shop.objects.filter(name="shop 1")
    shop.place_ptr.town.name = "unsaved"
    found = ShopSchema.of(shop)
    assert (found.town, found.place_ptr.town) == (TownSchema(name="unsaved"), TownSchema(name="unsaved"))


def test_a_receiver_that_changes_children() -> None:
    """A parent is no longer joined, once somebody listens to the making of its children."""

    def loud(sender: type, instance: Any, **_: Any) -> None:
        instance.name = instance.name.upper()

    assert PlaceFirst.read(Shop.objects.all())[0].place_ptr.name == "bakery 1"
    models.signals.post_init.connect(loud, sender=Shop)
    try:
        assert PlaceFirst.read(Shop.objects.all())[0].place_ptr.name == "BAKERY 1"
    finally:
        models.signals.post_init.disconnect(loud, sender=Shop)


class SkillName(ModelSchema[Skill]):
    class Meta:
        fields = ["name"]


class SkilledPerson(ModelSchema[Person]):
    skills: list[SkillName]

    class Meta:
        fields = ["id"]


class PersonId(ModelSchema[Person]):
    class Meta:
        fields = ["id"]


class KnownSkill(ModelSchema[Skill]):
    people: list[PersonId]

    class Meta:
        fields = ["id"]


@pytest.mark.parametrize(("schema", "column"), [(SkilledPerson, "email"), (KnownSkill, "name")])
def test_a_column_that_a_table_between_points_to(
    schema: type[ModelSchema[Any]], column: str, django_assert_num_queries: Any
) -> None:
    """Rows in memory without it have it loaded by one query for all, on either side of the relation."""
    skills = [Skill.objects.create(name=name) for name in "ab"]
    for letter in "xyz":
        person = Person.objects.create(email=f"{letter}@example.com")
        for skill in skills:
            Grade.objects.create(person=person, skill=skill)
    model: Any = Person if schema is SkilledPerson else Skill
    wanted = schema.read(model.objects.order_by("pk"))
    rows = list(model.objects.defer(column).order_by("pk"))
    with django_assert_num_queries(2):
        assert schema.read(rows) == wanted
