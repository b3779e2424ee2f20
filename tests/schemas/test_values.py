"""What JSON, pydantic and the databases do not agree on.

Holds `schemas/declaring/values.py`.
"""

from __future__ import annotations

import datetime

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from djfast_mount import mount
from djfast_mount.schemas import Create, InvalidRow, ModelSchema, Update
from djfast_mount.testing import Client
from project.zoo.models import Animal


class AnimalSchema(ModelSchema[Animal]):
    class Meta:
        fields = ["id", "notes"]


@pytest.fixture
def animal(db: None) -> Animal:
    return Animal.objects.create(small=1, positive=1, name="x", notes={})


@pytest.mark.parametrize("value", [r'"\ud800"', r'{"\ud800": 1}', "[" * 260 + "]" * 260, "[NaN]"])
def test_what_cannot_be_written_as_json_is_not_stored(value: str, animal: Animal) -> None:
    """A value of a JSONField that no answer could show is refused with its field, and the row stays as it was."""
    api = FastAPI()

    @api.patch("/animal")
    def change(body: Update[AnimalSchema]) -> AnimalSchema:
        return AnimalSchema.of(body.update(Animal.objects.get(pk=animal.pk)))

    body = f'{{"notes": {value}}}'.encode()
    answer = Client(mount("/api", api), headers={"content-type": "application/json"}).patch("/api/animal", content=body)
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["body", "notes"]]
    animal.refresh_from_db()
    assert animal.notes == {}


class Priced(ModelSchema[Animal]):
    class Meta:
        fields = ["id", "small", "positive", "name", "price"]


@pytest.mark.parametrize("price", ["-0", "-0.00", "0E+3", "1e3", "1.5", "-1.5"])
def test_a_new_row_is_answered_as_it_is_read_later(price: str, db: None) -> None:
    """A decimal number has the places of its column at once, and a zero no sign."""
    body = Create[Priced].model_validate({"small": 1, "positive": 1, "name": "x", "price": price})
    made = Priced.of(body.create()).model_dump_json()
    assert f"[{made}]" == Priced.read_json(Animal.objects.all()).decode()


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-inf", "1e400", "99999.999"])
def test_what_no_decimal_column_holds_is_refused(price: str, db: None) -> None:
    """What is no number, or has more digits than the column, is refused before the database is asked."""
    with pytest.raises((InvalidRow, ValidationError), match="price"):
        Create[Priced].model_validate({"small": 1, "positive": 1, "name": "x", "price": price}).create()


@pytest.mark.parametrize("days", [3605, -1])
def test_a_duration_is_told_of_as_it_is_written(animal: Animal, days: int) -> None:
    """Pydantic's text of a long or a negative duration is not of the format "duration": no answer claims that it is."""

    class Napping(ModelSchema[Animal]):
        class Meta:
            fields = ["nap"]

    Animal.objects.filter(pk=animal.pk).update(nap=datetime.timedelta(days=days))
    [shown] = Napping.read(Animal.objects.all())
    assert Napping.model_validate_json(shown.model_dump_json()).nap == datetime.timedelta(days=days)
    told = Napping.model_json_schema(mode="serialization")["properties"]["nap"]
    assert "duration" not in str(told)
    assert "'format': 'duration'" in str(Update[Napping].model_json_schema()["properties"]["nap"])
