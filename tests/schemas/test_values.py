"""schemas/values.py: what JSON, pydantic and the databases do not agree on.

Holds `schemas/declaring/values.py`.
"""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.schemas import ModelSchema, Update
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
