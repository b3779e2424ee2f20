"""Every type of field: what is sent is stored as Django itself would store it, or refused where Django refuses it.

Holds `schemas/declaring/django_types.py` and `schemas/declaring/postgres_types.py`.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.forms.utils import from_current_timezone
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from djfast_mount import mount
from djfast_mount.testing import Client
from project.zoo.models import Animal, Enclosure, Money
from schemas.zoo_schemas import api

pytestmark = pytest.mark.django_db

ROUNDS = int(os.environ.get("DJFAST_MOUNT_ROUNDS", "40"))
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
generated = settings(
    max_examples=ROUNDS, deadline=None, suppress_health_check=CHECKS, phases=PHASES, report_multiple_bugs=False
)

texts = st.text(max_size=14) | st.sampled_from(
    ["", "ab", "plants", "a@example.com", "https://example.com", "\0", " x "]
)
numbers = st.integers() | st.integers(-3, 3) | st.sampled_from([2**15 - 1, 2**15, 2**31, 2**63 - 1, 2**63, -(2**63)])
ENDS = [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)]  # noqa: DTZ001
# RFC 3339 has no offsets with seconds, as many zones had.
ZONES = [datetime.timezone(datetime.timedelta(hours=hours)) for hours in (-12, 0, 14)]
moments = st.datetimes(timezones=st.sampled_from([None, *ZONES])) | st.sampled_from(ENDS)
# PostgreSQL writes large floats in JSON as integers, in digits of its own.
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def iso(moment: datetime.datetime) -> str:
    return moment.isoformat()


def duration(value: datetime.timedelta) -> str:
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    return f"{sign}P{value.days}DT{value.seconds}.{value.microseconds:06}S"


# For each column: what is sent, and how Python has it.
Sent = tuple[st.SearchStrategy[Any], Callable[[Any], Any]]


def same(value: Any) -> Any:
    return value


COLUMNS: dict[str, Sent] = {
    "big": (numbers, same),
    "small": (numbers, same),
    "positive": (numbers, same),
    "positive_small": (st.integers(-1, 2**15), same),
    "positive_big": (numbers, same),
    "integer": (numbers | st.none(), same),
    "legs": (st.integers(-1, 4), same),
    "tame": (st.booleans(), same),
    "known": (st.booleans() | st.none(), same),
    "name": (texts, same),
    "nickname": (texts, same),
    "alias": (texts | st.none(), same),
    "never_blank": (texts, same),
    "diet": (texts, same),
    "code": (texts | st.sampled_from(["abc", "a"]), same),
    "story": (texts, same),
    "slug": (texts | st.sampled_from(["a-b", "a b"]), same),
    "mail": (texts, same),
    "site": (texts, same),
    "born": (st.dates() | st.none(), same),
    "seen": (moments | st.none(), same),
    "fed": (st.times() | st.none(), same),
    "nap": (st.timedeltas() | st.none(), same),
    "weight": (st.floats(allow_nan=False, allow_infinity=False), same),
    "price": (st.decimals(-(10**6), 10**6, allow_nan=False).filter(lambda value: len(str(value)) < 25), same),
    "chip": (st.uuids(), same),
    "address": (st.ip_addresses().map(str) | st.sampled_from(["::ffff:1.2.3.4", "1.2.3", "FE80::1"]) | st.none(), same),
    "address4": (st.ip_addresses().map(str) | st.none(), same),
    "scan": (st.binary(max_size=10), same),
    "notes": (jsons, same),
    "opinion": (jsons, same),
    "enclosure_id": (st.sampled_from(["A", "B", None, "\0"]), same),
    "worth": (st.integers(-(2**63), 2**63 - 1), Money),
    "json": (texts, same),
    "model_kind": (texts, same),
}
ENCODERS: dict[type, Callable[[Any], Any]] = {
    bytes: lambda value: base64.b64encode(value).decode(),
    datetime.timedelta: duration,
    datetime.datetime: iso,
    datetime.date: lambda value: value.isoformat(),
    datetime.time: lambda value: value.isoformat(),
    Decimal: str,
}
REQUIRED = {"small": 1, "positive": 1, "name": "x"}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from([*COLUMNS]), max_size=3))
    return {**REQUIRED, **{name: draw(COLUMNS[name][0]) for name in sorted(names)}}


def encoded(body: dict[str, Any]) -> str:
    def default(value: Any) -> Any:
        return ENCODERS[type(value)](value) if type(value) in ENCODERS else str(value)

    return json.dumps(body, default=default)


@pytest.fixture
def client(db: None) -> Client:
    Enclosure.objects.create(code="A")
    return Client(mount("/api", api), headers={"content-type": "application/json"})


def stored_by_django(body: dict[str, Any]) -> dict[str, Any] | None:
    """What Django itself makes of `body`; None where it, or the database, refuses it. Nothing of it stays."""
    values = {name: COLUMNS[name][1](value) for name, value in body.items()}
    # Fields of forms refuse it.
    if any(isinstance(value, str) and "\0" in value for value in values.values()):
        return None
    sent = {field.name for field in Animal._meta.fields if field.attname in body}
    try:
        if isinstance(seen := values.get("seen"), datetime.datetime):
            values["seen"] = from_current_timezone(seen)
        row = Animal(**values)
        with transaction.atomic():
            row.full_clean(exclude={field.name for field in Animal._meta.fields} - sent)
            row.save(force_insert=True)
            found = Animal.objects.get(pk=row.pk)
            transaction.set_rollback(True)
    except (ValidationError, DatabaseError, ValueError, OverflowError):
        return None
    return {field.attname: plain(getattr(found, field.attname)) for field in Animal._meta.concrete_fields}


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return json.dumps(value) if isinstance(value, dict | list | bool) else value


def columns_of(row: Animal) -> dict[str, Any]:
    return {name: plain(getattr(row, name)) for name in COLUMNS}


@generated
@given(body=bodies())
def test_bodies_are_stored_as_django_stores_them(client: Client, body: dict[str, Any]) -> None:
    """What Django and the database take is stored unchanged and answered; what one refuses is 422 or 409; no 500."""
    expected = stored_by_django(body)
    with transaction.atomic():
        response = client.post("/api/animals", content=encoded(body))
        event(str(response.status_code))
        if expected is None:
            assert response.status_code in (409, 422), (body, response.text)
            return
        assert response.status_code == 201, (body, response.text)
        row = Animal.objects.get(pk=response.json()["id"])
        assert {name: columns_of(row)[name] for name in body} == {name: expected[name] for name in body}
        check_answers(client, response.json())
        change(client, row, body, expected)
        transaction.set_rollback(True)


def check_answers(client: Client, answer: dict[str, Any]) -> None:
    """One row and a list of it are answered alike, and as the JSON schema says."""
    assert client.get("/api/animals").json() == [answer]
    validator(client).validate(answer)


def change(client: Client, row: Animal, body: dict[str, Any], expected: dict[str, Any]) -> None:
    """An update of another row to the same values stores the same."""
    other = Animal.objects.create(small=0, positive=0, name="other")
    response = client.patch(f"/api/animals/{other.pk}", content=encoded(body))
    assert response.status_code == 200, (body, response.text)
    other.refresh_from_db()
    assert {name: columns_of(other)[name] for name in body} == {name: expected[name] for name in body}
    assert response.json()["double"] == other.double


def validator(client: Client) -> Any:
    document = client.get("/api/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Animal", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)
