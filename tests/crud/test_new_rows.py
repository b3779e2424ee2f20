"""New rows whose keys clients choose: one that is there already is 409 or 422, and is never written over.

Holds `crud/writing/writes.py`.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.db.models.signals import pre_save

from crud.serving import Api, served
from djfast_mount.crud import ModelRouter, every_row
from djfast_mount.schemas import ModelSchema
from project.firm.models import Ferry, Vessel


class VesselSchema(ModelSchema[Vessel]):
    class Meta:
        fields = ["code", "name"]


class FerrySchema(ModelSchema[Ferry]):
    class Meta:
        fields = ["code", "name", "decks"]


def vessels(**options: Any) -> Any:
    return served(
        ModelRouter(VesselSchema, prefix="/vessels", rows=every_row, create=True, **options),
        ModelRouter(FerrySchema, prefix="/ferries", create=True, **options),
    )


@pytest.mark.django_db
def test_a_hidden_row_is_not_written_over(asynchronous: bool, root_path: str) -> None:
    """POST of the key of a row that the default manager hides is 409, in a list of rows too, and changes nothing."""
    Vessel.objects.create(code="x", name="wreck", sunk=True)
    sent = {"code": "x", "name": "new"}
    with Api(vessels(asynchronous=asynchronous), root_path) as client:
        answers = [client.post("/vessels", json=sent), client.post("/ferries", json={**sent, "decks": 2})]
        answers.append(client.post("/vessels/bulk", json=[{"code": "w"}, sent]))
    assert [answer.status_code for answer in answers] == [409] * 3
    assert [(row.code, row.name) for row in Vessel._base_manager.all()] == [("x", "wreck")]
    assert not Ferry._base_manager.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one transaction that writes at a time")
def test_one_key_is_one_row(asynchronous: bool) -> None:
    """Of two POSTs of one key, both validated before either is saved, one is 201, and the other 409."""
    both, saved, first = threading.Barrier(2), threading.Event(), threading.Lock()

    def wait(**_: Any) -> None:
        both.wait(30)
        if first.acquire(blocking=False):
            transaction.on_commit(saved.set)
        else:
            assert saved.wait(30)

    async def post(client: httpx.AsyncClient, name: str) -> httpx.Response:
        return await client.post("/vessels", json={"code": "x", "name": name})

    async def clients() -> list[httpx.Response]:
        app = vessels(asynchronous=asynchronous)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://testserver/api") as client,
        ):
            return list(await asyncio.gather(post(client, "one"), post(client, "two")))

    pre_save.connect(wait, sender=Vessel)
    try:
        answers = asyncio.run(clients())
    finally:
        pre_save.disconnect(wait, sender=Vessel)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    [made] = [answer.json()["name"] for answer in answers if answer.status_code == 201]
    assert [row.name for row in Vessel.objects.all()] == [made]
