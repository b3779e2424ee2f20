"""What the log tells of ORM work on a thread that is none of the request's.

Holds `database/stray_places.py`, `database/transaction_status.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.database import stray_places
from laws.site import Root, lifespan
from project.shop.models import Item

pytestmark = pytest.mark.django_db(transaction=True)

api = FastAPI()


def count_here() -> int:
    return Item.objects.count()


@api.get("/line")
async def with_a_line() -> int:
    return await asyncio.to_thread(count_here)


@api.get("/method")
async def with_a_method() -> int:
    return await asyncio.to_thread(Item.objects.count)


@pytest.mark.parametrize(
    ("path", "named", "endpoint"), [("/line", count_here, with_a_line), ("/method", with_a_method, with_a_method)]
)
def test_the_file_and_the_endpoint_are_named(
    path: str,
    named: Callable[..., Any],
    endpoint: Callable[..., Any],
    root_path: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line that uses the ORM is named, or else where the endpoint begins, and the endpoint by its name."""
    monkeypatch.setattr(stray_places, "_places", set())

    async def get() -> None:
        app = mount("/api", api, static=False)
        async with lifespan(app):
            await Root(app, root_path).get(f"/api{path}")

    asyncio.run(get())
    [message] = [record.getMessage() for record in caplog.records if record.name == "djfast_mount.strays"]
    line = named.__code__.co_firstlineno
    assert f"{__file__}:{line + 1 if path == '/line' else line}" in message
    assert f"GET {root_path}/api{path} ({__name__}.{endpoint.__name__})" in message
