"""Law 8: a stream that cannot wait goes ahead of the limit, and then may hold its thread only while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from laws.site import Site
from project.shop.models import Item

pytestmark = pytest.mark.long

api = FastAPI()


@api.get("/sync")
def sync() -> int:
    return Item.objects.count()


def session() -> Iterator[None]:
    """Of which the second half has to run on the same thread."""
    yield


@api.get("/pinned")
async def pinned(within: Annotated[None, Depends(session)]) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        while True:
            yield "and on\n"
            await asyncio.sleep(0)

    return StreamingResponse(parts())


async def test_one_that_went_ahead_is_cut_off_soon(site: Site) -> None:
    """Of three streams that must keep their thread the third, which is one too many, ends when its client is slow.

    The two within the limit have as long as `send_timeout` says. So another request always finds a thread.
    """
    async with site(api, threads=4) as root:
        within = [root.open("/api/pinned", takes=3) for _ in range(2)]
        await asyncio.gather(*[client.took(3) for client in within])
        ahead = root.open("/api/pinned", takes=3)
        await ahead.took(3)
        await ahead.ended()
        assert not any(client.task.done() for client in within)
        answers = await asyncio.gather(*[root.get("/api/sync") for _ in range(4)])
        assert {answer.status_code for answer in answers} == {200}
        for client in within:
            client.leave()
        await asyncio.gather(*[client.ended() for client in within])
