"""The quickstart beside an app that cannot start."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    raise RuntimeError("there is no oil")
    yield


app = mount({"/api": "notes.api:api", "/life": FastAPI(lifespan=lifespan)})
