"""Many clients who change one row at once, each in a thread and a transaction of its own.

Holds `crud/routes/representation.py`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
import pytest

from crud.resources import CompanySchema
from crud.serving import served
from djfast_mount.crud import ModelRouter
from project.companies.models import Company

# `nox -s crud` has 200 of them.
CLIENTS = int(os.environ.get("TEST_CRUD_CLIENTS", "40"))

pytestmark = pytest.mark.django_db(transaction=True)


def all_at_once(path: str, change: Any) -> list[int]:
    """The statuses that the clients got. `change` is a coroutine that makes one client's change."""

    async def clients() -> list[int]:
        app = served(ModelRouter(CompanySchema, prefix="/companies", update=True))
        async with (
            app.router.lifespan_context(app),  # type: ignore[attr-defined]
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://testserver/api", timeout=60
            ) as client,
        ):
            return list(await asyncio.gather(*(change(client, path, number) for number in range(CLIENTS))))

    return asyncio.run(clients())


async def add_one(client: httpx.AsyncClient, path: str, number: int) -> int:
    read = await client.get(path)
    sent = {"size": read.json()["size"] + 1}
    return (await client.patch(path, json=sent, headers={"If-Match": read.headers["etag"]})).status_code


async def set_both(client: httpx.AsyncClient, path: str, number: int) -> int:
    return (await client.patch(path, json={"size": number, "rating": str(number)})).status_code


def test_no_change_is_lost(db: None) -> None:
    """With If-Match each change is applied once or refused: the number counts those that were applied."""
    row = Company.objects.create(name="a", slug="a", size=0)
    statuses = all_at_once(f"/companies/{row.pk}", add_one)
    row.refresh_from_db()
    assert set(statuses) <= {200, 412}
    assert row.size == statuses.count(200) > 0


def test_each_change_stays_whole() -> None:
    """Without If-Match changes follow each other: the row is as one of them left it."""
    row = Company.objects.create(name="a", slug="a", size=0)
    assert set(all_at_once(f"/companies/{row.pk}", set_both)) == {200}
    row.refresh_from_db()
    assert row.size == row.rating
