"""A site whose API calls two profilers of Django see."""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "third_party.profiled_settings")
api = FastAPI()
app = mount("/api", api)

from project.shop.models import Item  # noqa: E402


@api.get("/def/{count}")
def sync(count: int) -> int:
    return sum(Item.objects.filter(pk=number).count() for number in range(count))


@api.get("/async/{count}")
async def asynchronous(count: int) -> int:
    await asyncio.sleep(0.01)
    return sum([await Item.objects.filter(pk=number).acount() for number in range(count)])
