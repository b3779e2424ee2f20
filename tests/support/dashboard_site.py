"""The test project with a page of its figures, and endpoints that have the faults which the page is to tell of."""

from __future__ import annotations

import asyncio
import os
import time

from django.db import transaction
from fastapi import FastAPI

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard_settings")
api = FastAPI()
app = mount("/api", api)

from project.shop.models import Item  # noqa: E402


@api.get("/items/{item_id}")
def item(item_id: int) -> int:
    return Item.objects.filter(pk=item_id).count()


@api.get("/again-and-again")
def again_and_again() -> int:
    for number in range(12):
        Item.objects.filter(name=f"secret-{number}").first()  # here it repeats itself
    return 12


@api.get("/paced")
async def paced(milliseconds: int = 60) -> int:
    await asyncio.sleep(milliseconds / 1000)
    return milliseconds


@api.get("/held")
def held(milliseconds: int = 500) -> int:
    time.sleep(milliseconds / 1000)
    return milliseconds


@api.get("/fault")
async def fault() -> None:
    raise ValueError("secret-of-a-fault")


@api.get("/left-open")
def left_open() -> None:
    transaction.atomic().__enter__()


@api.get("/off-its-thread")
async def off_its_thread() -> int:
    return await asyncio.to_thread(count)


def count() -> int:
    return Item.objects.count()  # here it is off its thread
