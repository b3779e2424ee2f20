"""What PUT and `replace()` make of fields that were not sent: both have one rule.

Holds `schemas/writing/defaults.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.db.models import NOT_PROVIDED, Value
from django.utils import timezone
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.schemas import Create, ModelSchema
from djfast_mount.schemas.writing.defaults import lasting_default
from djfast_mount.testing import Client
from project.companies.models import Document, Label
from project.zoo.models import Animal, Berth

pytestmark = pytest.mark.django_db


class AnimalSchema(ModelSchema[Animal]):
    class Meta:
        fields = ["id", "name", "small", "positive", "legs", "weight", "chip", "notes", "opinion", "enclosure"]


class BerthSchema(ModelSchema[Berth]):
    class Meta:
        fields = ["id", "code", "slug", "pier", "place", "depth"]


class DocumentSchema(ModelSchema[Document]):
    class Meta:
        fields = ["id", "title", "pages", "facts", "labels"]


def animal() -> Any:
    return Animal.objects.create(name="old", small=9, positive=9, legs=2, weight=2.5, notes={"x": 1}, opinion=[1])


def berth() -> Any:
    return Berth.objects.create(code="old", slug="old", pier=9, place=9, depth=9)


def document() -> Any:
    row = Document.objects.create(title="old", pages=9, facts={"x": 1}, file="a.txt")
    row.labels.add(Label.objects.create(name="kept"))
    return row


NEW = {
    "notes": {},
    "opinion": None,
    "legs": 4,
    "weight": 1.0,
    "enclosure": None,
    "place": None,
    "depth": 7,
    "pages": 1,
    "facts": {},
}


@pytest.mark.parametrize("way", ["PUT", "replace"])
@pytest.mark.parametrize(
    ("schema", "row_of", "sent"),
    [
        (AnimalSchema, animal, {"name": "new", "small": 1, "positive": 1}),
        (BerthSchema, berth, {"code": "new", "slug": "new", "pier": 1}),
        (DocumentSchema, document, {"title": "new"}),
    ],
    ids=["animal", "berth", "document"],
)
def test_put_and_replace_have_one_rule(
    schema: Any, row_of: Any, sent: dict[str, Any], way: str, root_path: str
) -> None:
    """A field that was not sent gets its default, but for `uuid4` and for lists of keys, and a second time the same."""
    row = row_of()
    before = schema.of(row).model_dump(mode="json")
    for _ in range(2):
        if way == "replace":
            Create[schema].model_validate(sent).replace(row_of_key(row))
        else:
            answer = client_of(schema, root_path).put(f"/api/rows/{row.pk}", json=sent)
            assert answer.status_code == 200, answer.text
        found = schema.of(row_of_key(row)).model_dump(mode="json")
        assert found == {name: sent.get(name, NEW.get(name, before[name])) for name in found}
        assert not found.keys().isdisjoint({"chip", "depth", "labels"})


def a_new_one() -> dict[str, str]:
    return {"a": "b"}


@pytest.mark.parametrize(
    ("field", "default"),
    [
        (models.JSONField(default=a_new_one), {"a": "b"}),
        (models.JSONField(default=list), []),
        (models.DateTimeField(default=timezone.now), NOT_PROVIDED),
        (models.DateField(default=timezone.localdate), NOT_PROVIDED),
        (models.CharField(), ""),
        (models.CharField(null=True), None),
        (models.IntegerField(db_default=7), 7),
        (models.IntegerField(db_default=Value(7)), 7),
        (models.IntegerField(db_default=Value(3) + Value(4)), NOT_PROVIDED),
        (models.IntegerField(default=1, db_default=7), 1),
    ],
    ids=str,
)
def test_what_lasts(field: Any, default: Any) -> None:
    """A default lasts if it is the same each time, and known without asking the database."""
    assert lasting_default(field) == default


def row_of_key(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def client_of(schema: Any, root_path: str) -> Client:
    api = FastAPI()
    api.include_router(ModelRouter(schema, prefix="/rows", name="row", update=True))
    return Client(mount("/api", api), root_path=root_path)
