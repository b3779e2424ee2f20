"""What a call finds that was set above its request. The rest of the context is law 3's: `laws/test_context.py`."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
from django.utils import timezone
from fastapi import Depends, FastAPI

from calls import call, http_scope
from djfast_mount import mount

pytestmark = pytest.mark.once

word: ContextVar[str] = ContextVar("word", default="unset")


@pytest.mark.parametrize("sets", [True, False])
def test_sync_code_sees_a_local_that_was_set_above_the_request(sets: bool, root_path: str) -> None:
    """A Local set before the request began is seen on the thread, whether the request has set a variable or not."""
    seen: list[tuple[str, str]] = []
    api = FastAPI()

    async def setting() -> None:
        if sets:
            word.set("set")

    @api.get("/look", dependencies=[Depends(setting)])
    def look() -> None:
        seen.append((word.get(), timezone.get_current_timezone_name()))

    async def main() -> str:
        timezone.activate("Asia/Tokyo")
        await call(mount("/api", api), http_scope(f"{root_path}/api/look", root_path=root_path))
        return timezone.get_current_timezone_name()

    assert asyncio.run(main()) == "Asia/Tokyo"
    assert seen == [("set" if sets else "unset", "Asia/Tokyo")]
