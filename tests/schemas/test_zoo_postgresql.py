"""The types of django.contrib.postgres: what is sent is stored as Django stores it, or refused where Django does."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Value
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from djfast_mount import mount
from djfast_mount.schemas import Create, ModelSchema, Update
from djfast_mount.testing import Client
from djfast_mount.transactions import Atomic

if "postgres" not in os.environ.get("DATABASE_URL", ""):
    pytest.skip("the types are PostgreSQL's", allow_module_level=True)

from django.contrib.postgres import fields
from django.contrib.postgres.search import SearchVector
from django.contrib.postgres.signals import register_type_handlers

from project.zoo.models import Lizard, Pangolin

pytestmark = pytest.mark.django_db

ROUNDS = int(os.environ.get("DJFAST_MOUNT_ROUNDS", "40"))
generated = settings(
    max_examples=ROUNDS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


class PangolinSchema(ModelSchema[Pangolin]):
    class Meta:
        fields = "__all__"


class LizardSchema(ModelSchema[Lizard]):
    class Meta:
        fields = "__all__"


def api_of(schema: Any, model: Any) -> FastAPI:
    """An API that creates, changes and lists the rows of a model."""
    api = FastAPI()

    def add(body: Any, _: Atomic) -> Any:
        return schema.of(body.create())

    def change(row_id: int, body: Any, _: Atomic) -> Any:
        return schema.of(body.update(model.objects.get(pk=row_id)))

    add.__annotations__["body"], change.__annotations__["body"] = Create[schema], Update[schema]
    api.post("/rows", status_code=201, response_model=schema)(add)
    api.patch("/rows/{row_id}", response_model=schema)(change)
    api.get("/rows", response_model=list[schema])(lambda: model.objects.order_by("pk"))
    return api


def ranges(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any] | None]:
    bounds = st.sampled_from(["[)", "(]", "[]", "()"])
    whole = st.fixed_dictionaries({"lower": values | st.none(), "upper": values | st.none(), "bounds": bounds})
    return st.none() | st.just({"empty": True}) | whole


small = st.integers(-3, 3)
numbers = st.integers() | small | st.sampled_from([2**31 - 1, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63)])
texts = st.text(max_size=5) | st.sampled_from(["", "\0", "é", "null", "{}", '"', "\\"])
moments = st.datetimes(min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30))  # noqa: DTZ001
SENT: dict[str, st.SearchStrategy[Any]] = {
    "scales": st.lists(numbers, max_size=4),
    "names": st.lists(texts, max_size=4),
    "grid": st.lists(st.lists(st.integers(-(2**15) - 1, 2**15), max_size=2), max_size=3),
    "dates": st.lists(st.dates() | st.none(), max_size=3),
    "ages": ranges(numbers),
    "weights": ranges(st.decimals(-(10**6), 10**6, allow_nan=False, places=3)),
    "days": ranges(st.dates(max_value=datetime.date(9999, 12, 30))),
    "times": ranges(moments.map(lambda value: value.replace(tzinfo=datetime.UTC))),
    "distances": ranges(numbers),
}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from([*SENT]), min_size=1, max_size=3))
    return {name: draw(SENT[name]) for name in sorted(names)}


def encoded(body: dict[str, Any]) -> str:
    return json.dumps(body, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value))


def of_python(model: type[models.Model], name: str, value: Any) -> Any:
    """What a program would give the field."""
    field: Any = model._meta.get_field(name)
    if not isinstance(field, fields.RangeField) or value is None:
        return value
    if value.get("empty"):
        return field.range_type(empty=True)
    return field.range_type(value["lower"], value["upper"], value["bounds"])


def stored_by_django(model: type[models.Model], body: dict[str, Any]) -> dict[str, Any] | None:
    """What Django itself makes of `body`; None where it, or the database, refuses it. Nothing of it stays."""
    row = model(**{name: of_python(model, name, value) for name, value in body.items()})
    try:
        with transaction.atomic():
            row.full_clean(exclude={field.name for field in model._meta.fields} - body.keys())
            row.save(force_insert=True)
            found = model._default_manager.get(pk=row.pk)
            transaction.set_rollback(True)
    except (ValidationError, DatabaseError, ValueError, OverflowError):
        return None
    return {name: getattr(found, name) for name in body}


def check(client: Client, model: type[models.Model], body: dict[str, Any]) -> None:
    """Raises AssertionError, where a created or a changed row is not what Django makes of `body`."""
    expected = stored_by_django(model, body)
    with transaction.atomic():
        response = client.post("/api/rows", content=encoded(body))
        event(str(response.status_code))
        if expected is None:
            assert response.status_code in (409, 422), (body, response.text)
            return
        assert response.status_code == 201, (body, response.text)
        answer = response.json()
        row = model._default_manager.get(pk=answer["id"])
        assert {name: getattr(row, name) for name in body} == expected
        assert client.get("/api/rows").json() == [answer]
        validator(client, model).validate(answer)
        other = model._default_manager.create()
        changed = client.patch(f"/api/rows/{other.pk}", content=encoded(body))
        assert changed.status_code == 200, (body, changed.text)
        other.refresh_from_db()
        assert {name: getattr(other, name) for name in body} == expected
        transaction.set_rollback(True)


def validator(client: Client, model: type[models.Model]) -> Any:
    document = client.get("/api/openapi.json").json()
    schema = {"$ref": f"#/components/schemas/{model.__name__}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def client_of(schema: Any, model: Any) -> Client:
    return Client(mount("/api", api_of(schema, model)), headers={"content-type": "application/json"})


@generated
@given(body=bodies())
def test_arrays_and_ranges(db: None, body: dict[str, Any]) -> None:
    """Arrays, arrays of arrays and ranges are stored unchanged and answered; what is refused is 422 or 409; no 500."""
    check(client_of(PangolinSchema, Pangolin), Pangolin, body)


def test_a_search_vector_is_shown_and_never_sent(db: None) -> None:
    """The words of a vector are a text in answers, and nothing that a client may send."""
    client = client_of(PangolinSchema, Pangolin)
    created = client.post("/api/rows", json={"names": ["pan"], "words": "'sent'"})
    assert created.json()["words"] is None
    Pangolin.objects.update(words=SearchVector(Value("a scaly animal"), config="english"))
    [row] = client.get("/api/rows").json()
    assert row["words"] == "'anim':3 'scali':2"
    validator(client, Pangolin).validate(row)


@pytest.fixture
def lizards(db: None) -> Client:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'hstore'")
        if cursor.fetchone() is None:
            pytest.skip("this PostgreSQL has no extension hstore")
        cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")
        cursor.execute("CREATE TABLE zoo_lizard (id bigserial PRIMARY KEY, colours hstore NOT NULL)")
    register_type_handlers(connection)
    return client_of(LizardSchema, Lizard)


@generated
@given(colours=st.dictionaries(texts, texts | st.none(), max_size=3))
def test_hstore(lizards: Client, colours: dict[str, str | None]) -> None:
    """A store of texts is stored unchanged, null and empty told apart."""
    check(lizards, Lizard, {"colours": colours})
