"""The project that the stress programs serve: its API and, as a URLconf, Django's half."""

from __future__ import annotations

import gc
import sys
from typing import Any

from django.urls import include, path
from fastapi import FastAPI

from stress import affinity_routes, ledger_routes, record, slow_routes

api = FastAPI()
api.include_router(ledger_routes.router)
api.include_router(affinity_routes.router)
api.include_router(slow_routes.router)


@api.get("/report")
async def report() -> dict[str, Any]:
    """All that was recorded so far. Async and without ORM: it needs no thread."""
    return record.report()


@api.get("/live")
async def live() -> int:
    """How many blocks of memory Python holds, garbage not counted."""
    gc.collect()
    return sys.getallocatedblocks()


@api.post("/forget")
async def forget() -> None:
    """Empty the record."""
    record.forget()


urlpatterns = [
    path("django/", include(ledger_routes.urlpatterns)),
    path("django/", include(affinity_routes.urlpatterns)),
    path("django/", include(slow_routes.urlpatterns)),
]
